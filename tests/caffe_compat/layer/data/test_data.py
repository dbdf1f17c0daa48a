"""Data: Datums from an LMDB in order, prefetched without changing anything, and bad databases named."""

import gc
import io
import os
import threading

import lmdb
import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image

from caffe_compat.device import generator, set_random_seed
from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.contract import Context
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


def picture(i: int, height: int = 4, width: int = 5) -> np.ndarray:
    """3 x H x W uint8; the first value is i."""
    image = np.random.default_rng(i).integers(0, 256, (3, height, width), np.uint8)
    image[0, 0, 0] = i
    return image


def datum(image: np.ndarray, label: int = 0) -> bytes:
    channels, height, width = image.shape
    return pb.Datum(
        channels=channels, height=height, width=width, data=image.tobytes(), label=label
    ).SerializeToString()


def encoded(image: np.ndarray, label: int = 0) -> bytes:
    """The same as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image[::-1].transpose(1, 2, 0))).save(buffer, "PNG")
    return pb.Datum(data=buffer.getvalue(), encoded=True, label=label).SerializeToString()


@pytest.fixture
def write_db(tmp_path):
    def write(values, name="db"):
        with lmdb.open(str(tmp_path / name), map_size=1 << 24, lock=False) as env, env.begin(write=True) as txn:
            for i, value in enumerate(values):
                txn.put(b"%08d" % i, value)
        return tmp_path / name

    return write


@pytest.fixture
def data_layer(make_layer):
    """data_layer(folder, field="", more="", tops=2, phase=TEST); closed at the end."""
    layers = []

    def make(folder, field="batch_size: 1", more="", tops=2, phase=pb.TEST):
        top = "top: 'data'" + " top: 'label'" * (tops - 1)
        layers.append(
            make_layer(
                f"name: 'd' type: 'Data' {top} {more} data_param {{ source: '{folder}' backend: LMDB {field} }}",
                phase=phase,
            )
        )
        return layers[-1]

    yield make
    for layer in layers:
        layer.close()


def firsts(layer, run_layer, n):
    """The first value of the first image of n batches: which image it was."""
    return [int(run_layer(layer)[0][0, 0, 0, 0]) for _ in range(n)]


def test_batches_in_key_order_and_around(write_db, data_layer, run_layer):
    folder = write_db([datum(picture(i), label=i - 2) for i in range(5)])
    layer = data_layer(folder, "batch_size: 3")
    for order in ([0, 1, 2], [3, 4, 0], [1, 2, 3]):
        data, labels = run_layer(layer)
        np.testing.assert_array_equal(data.numpy(), np.stack([picture(i) for i in order]))
        assert labels.tolist() == [i - 2 for i in order]


def test_a_batch_larger_than_the_database(write_db, data_layer, run_layer):
    layer = data_layer(write_db([datum(picture(i)) for i in range(2)]), "batch_size: 5")
    assert run_layer(layer)[0][:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0]


def test_without_a_label_top(write_db, data_layer, run_layer):
    (data,) = run_layer(data_layer(write_db([datum(picture(0))]), tops=1))
    assert data.shape == (1, 3, 4, 5)


def test_encoded_datums_are_decoded(write_db, data_layer, run_layer):
    layer = data_layer(write_db([encoded(picture(i), i) for i in range(3)]), "batch_size: 3")
    np.testing.assert_array_equal(run_layer(layer)[0].numpy(), np.stack([picture(i) for i in range(3)]))


def test_encoded_datums_forced_to_gray_or_colour(write_db, data_layer, run_layer):
    gray = np.repeat(picture(0)[:1], 3, axis=0)
    folder = write_db([encoded(gray)])
    layer = data_layer(folder, more="transform_param { force_gray: true }")
    np.testing.assert_array_equal(run_layer(layer)[0].numpy(), gray[None, :1])
    layer = data_layer(folder, more="transform_param { force_color: true }")
    np.testing.assert_array_equal(run_layer(layer)[0].numpy(), gray[None])
    with pytest.raises(DataError, match="key '00000000': transform_param has both force_color and force_gray"):
        run_layer(data_layer(folder, more="transform_param { force_color: true force_gray: true }"))


def test_float_datums(write_db, data_layer, run_layer):
    values = [0.5, -3.25, 1e6, 0.1]
    folder = write_db([pb.Datum(channels=1, height=2, width=2, float_data=values).SerializeToString()])
    layer = data_layer(folder, more="transform_param { scale: 2 }")
    np.testing.assert_array_equal(run_layer(layer)[0].flatten(), np.float32(values) * 2)


def test_images_of_different_sizes_one_at_a_time(write_db, data_layer):
    sizes = [(4, 5), (6, 3), (2, 2)]
    layer = data_layer(write_db([datum(picture(i, *size)) for i, size in enumerate(sizes)]))
    assert layer.reshape([])[0] == (1, 3, 4, 5)
    for size in [*sizes, sizes[0]]:
        data, _ = layer.forward([], [], Context(pb.TEST, generator()))
        assert data.shape == (1, 3, *size)


def test_in_a_net_each_batch_shapes_what_follows_and_reshape_leaves_it(write_db):
    folder = write_db([datum(picture(0, 4, 5)), datum(picture(1, 6, 3))])
    text = f"""
        layer {{ name: 'd' type: 'Data' top: 'x' data_param {{ source: '{folder}' batch_size: 1 backend: LMDB }} }}
        layer {{ name: 'p' type: 'Power' bottom: 'x' top: 'y' power_param {{ scale: 2 }} }}"""
    net = Net(text_format.Parse(text, pb.NetParameter()), pb.TEST)
    assert net.blobs["y"].shape == (1, 3, 4, 5)
    for i, size in ((0, (4, 5)), (1, (6, 3)), (0, (4, 5))):
        net.forward()
        net.reshape()
        np.testing.assert_array_equal(net.blobs["x"].data[0], picture(i, *size))
        np.testing.assert_array_equal(net.blobs["y"].data[0], 2.0 * picture(i, *size))
    assert net.layers_state() == {"d": {"record": 1, "stream": None}}
    net.close()


def test_images_of_different_sizes_with_a_crop(write_db, data_layer, run_layer):
    layer = data_layer(
        write_db([datum(picture(0, 4, 5)), datum(picture(1, 6, 4))]),
        "batch_size: 2",
        "transform_param { crop_size: 2 }",
    )
    data, _ = run_layer(layer)
    np.testing.assert_array_equal(data[0], picture(0, 4, 5)[:, 1:3, 1:3])
    np.testing.assert_array_equal(data[1], picture(1, 6, 4)[:, 2:4, 1:3])


def test_images_of_different_sizes_in_a_batch_name_both(write_db, data_layer, run_layer):
    layer = data_layer(write_db([datum(picture(0, 4, 5)), datum(picture(1, 6, 3))]), "batch_size: 2")
    with pytest.raises(
        DataError,
        match=r"db: key '00000001': is 3 x 6 x 3, but the batch began with .*'00000000', 3 x 4 x 5; mixed sizes need",
    ):
        run_layer(layer)


def test_prefetch_changes_neither_order_nor_draws(write_db, data_layer, run_layer):
    folder = write_db([datum(picture(i)) for i in range(7)])

    def run(prefetch):
        set_random_seed(1)
        layer = data_layer(
            folder,
            f"batch_size: 2 prefetch: {prefetch}",
            "transform_param { crop_size: 3 mirror: true }",
            phase=pb.TRAIN,
        )
        return [[top.tolist() for top in run_layer(layer)] for _ in range(9)]

    assert run(1) == run(2) == run(10)


def test_batches_are_loaded_in_another_thread(write_db, data_layer, run_layer, monkeypatch):
    layer = data_layer(write_db([encoded(picture(0))]))
    seen = set()
    original = layer._prefetcher._source.load
    monkeypatch.setattr(
        layer._prefetcher._source, "load", lambda: (seen.add(threading.current_thread()), original())[1]
    )
    run_layer(layer)
    assert threading.current_thread() not in seen
    assert len(seen) == 1


def test_the_state_is_that_of_the_batches_consumed(write_db, data_layer, run_layer):
    folder = write_db([datum(picture(i)) for i in range(9)])
    options = (folder, "batch_size: 2 prefetch: 5", "transform_param { crop_size: 2 mirror: true }")
    layer = data_layer(*options, phase=pb.TRAIN)
    for _ in range(3):
        run_layer(layer)
    state = layer.state_dict()
    assert state["record"] == 6
    wanted = [run_layer(layer)[0].tolist() for _ in range(10)]
    other = data_layer(*options, phase=pb.TRAIN)
    run_layer(other)
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert [run_layer(other)[0].tolist() for _ in range(10)] == wanted
    layer.load_state_dict(state)
    assert [run_layer(layer)[0].tolist() for _ in range(10)] == wanted


def test_a_state_beyond_the_database(write_db, data_layer):
    layer = data_layer(write_db([datum(picture(0))]))
    with pytest.raises(DataError, match="db: has 1 records, but the state to resume from is at record 4"):
        layer.load_state_dict({"record": 4, "stream": None})


def test_replay_gives_the_last_batch_and_reads_no_further(write_db, data_layer, run_layer):
    layer = data_layer(write_db([datum(picture(i)) for i in range(3)]))
    run_layer(layer)
    assert int(run_layer(layer, replay=True)[0][0, 0, 0, 0]) == 0
    assert firsts(layer, run_layer, 2) == [1, 2]


def test_two_layers_read_one_database(write_db, data_layer, run_layer):
    folder = write_db([datum(picture(i)) for i in range(3)])
    one, two = data_layer(folder), data_layer(folder)
    assert firsts(one, run_layer, 2) == [0, 1]
    assert firsts(two, run_layer, 3) == [0, 1, 2]
    one.close()
    assert firsts(two, run_layer, 1) == [0]


def test_closing_stops_the_thread_and_the_file(write_db, data_layer, run_layer):
    layer = data_layer(write_db([datum(picture(0))]))
    run_layer(layer)
    file = layer._prefetcher._source._reader._file
    layer.close()
    layer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)
    with pytest.raises(LayerError, match=r"layer 'd' \(Data\): it is closed; build the net again"):
        run_layer(layer)


def test_a_forgotten_layer_leaves_no_thread_or_file(write_db, make_layer):
    folder = write_db([datum(picture(0))])
    threads = threading.active_count()
    layer = make_layer(f"type: 'Data' top: 'd' data_param {{ source: '{folder}' batch_size: 1 backend: LMDB }}")
    layer.reshape([])
    file = layer._prefetcher._source._reader._file
    assert threading.active_count() == threads + 1
    worker = next(iter(layer._prefetcher._worker._threads))
    del layer
    gc.collect()
    worker.join(10)
    assert not worker.is_alive()
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_an_unreadable_datum_is_named_by_the_forward_that_meets_it(write_db, data_layer, run_layer):
    folder = write_db([datum(picture(0)), datum(picture(1)), b"\xff\xff\xff", datum(picture(3))])
    layer = data_layer(folder)
    assert firsts(layer, run_layer, 2) == [0, 1]
    for _ in range(2):
        with pytest.raises(DataError, match=r"db: key '00000002': 3 bytes that are no Datum"):
            layer.forward([], [], Context(pb.TEST, generator()))
    assert layer.state_dict()["record"] == 2


def test_a_datum_that_does_not_fill_its_shape(write_db, data_layer, run_layer):
    broken = pb.Datum(channels=3, height=4, width=5, data=b"short").SerializeToString()
    with pytest.raises(DataError, match=r"db: key '00000000': 5 values in data for .*3 x 4 x 5 = 60"):
        run_layer(data_layer(write_db([broken])))


def test_a_picture_that_cannot_be_decoded(write_db, data_layer, run_layer):
    with pytest.raises(DataError, match=r"key '00000000': 5 bytes cannot be decoded as a picture"):
        run_layer(data_layer(write_db([pb.Datum(encoded=True, data=b"nopng").SerializeToString()])))


def test_a_truncated_database_gives_both_sizes(write_db, data_layer):
    folder = write_db([datum(picture(i, 40, 40)) for i in range(20)])
    file = folder / "data.mdb"
    whole = file.read_bytes()
    file.write_bytes(whole[:50000])
    with pytest.raises(
        DataError, match=rf"layer 'd' \(Data\): .*db: data.mdb is cut off: {len(whole)} bytes expected, 50000 found"
    ):
        data_layer(folder)


def test_a_folder_that_is_not_there(tmp_path, data_layer):
    with pytest.raises(DataError, match=r"layer 'd' \(Data\): data_param.source .*none: there is no such LMDB folder"):
        data_layer(tmp_path / "none")


def test_an_empty_database(write_db, data_layer):
    with pytest.raises(DataError, match="db: has no records"):
        data_layer(write_db([]))


@pytest.mark.parametrize("backend", ["", "backend: LEVELDB"])
def test_leveldb_is_refused_with_a_way_out(make_layer, backend):
    with pytest.raises(LayerError, match=r"backend is LEVELDB.* if 'x' is an LMDB write backend: LMDB, otherwise copy"):
        make_layer(f"type: 'Data' top: 'd' data_param {{ source: 'x' batch_size: 1 {backend} }}")


def test_batch_size_is_needed(tmp_path, data_layer):
    with pytest.raises(LayerError, match="data_param.batch_size is missing; give 1 or more"):
        data_layer(tmp_path, field="")


def test_three_tops_are_too_many(tmp_path, data_layer):
    with pytest.raises(LayerError, match="3 tops given; it makes 1 to 2"):
        data_layer(tmp_path, tops=3)
