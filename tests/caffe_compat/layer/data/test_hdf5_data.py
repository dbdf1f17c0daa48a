"""HDF5Data: rows in order over files, shuffled rows, resuming, and files that do not fit."""

import h5py
import numpy as np
import pytest

from caffe_compat.device import set_random_seed
from caffe_compat.errors import DataError, LayerError
from caffe_compat.parallel import set_solver_count, set_solver_rank
from caffe_compat.proto import caffe_pb2 as pb


@pytest.fixture
def hdf5_layer(tmp_path, make_layer):
    """hdf5_layer(files, batch_size=2, tops=("data",), more="", field="", phase=TEST): files are dicts of arrays."""

    def make(files, batch_size=2, tops=("data",), more="", field="", phase=pb.TEST):
        paths = []
        for i, datasets in enumerate(files):
            paths.append(tmp_path / f"{i}.h5")
            with h5py.File(paths[-1], "w") as file:
                for name, rows in datasets.items():
                    file[name] = rows
        (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in paths))
        top = " ".join(f"top: '{name}'" for name in tops)
        return make_layer(
            f"name: 'h' type: 'HDF5Data' {top} {more} "
            f"hdf5_data_param {{ source: '{tmp_path / 'list.txt'}' batch_size: {batch_size} {field} }}",
            phase=phase,
        )

    return make


def rows(start, stop):
    return np.arange(start, stop, dtype=np.float32)


def test_rows_go_over_files_and_around(hdf5_layer, run_layer):
    layer = hdf5_layer([{"data": rows(0, 3)}, {"data": rows(3, 5)}], batch_size=4)
    assert [run_layer(layer)[0].tolist() for _ in range(3)] == [[0, 1, 2, 3], [4, 0, 1, 2], [3, 4, 0, 1]]


def test_a_batch_larger_than_all_files(hdf5_layer, run_layer):
    layer = hdf5_layer([{"data": rows(0, 2)}], batch_size=5)
    assert run_layer(layer)[0].tolist() == [0, 1, 0, 1, 0]


def test_tops_are_datasets_by_name_of_any_axes_and_number_type(hdf5_layer, run_layer):
    file = {
        "big": np.arange(24, dtype=np.float64).reshape(2, 3, 2, 1, 2),
        "count": np.array([250, 7], np.uint8),
        "sign": np.array([[-1], [2]], np.int64),
        "half": np.array([0.5, 1.5], np.float16),
    }
    layer = hdf5_layer([file], tops=("sign", "big", "count", "half"))
    sign, big, count, half = run_layer(layer)
    assert big.shape == (2, 3, 2, 1, 2)
    assert big.flatten().tolist() == list(range(24))
    assert sign.tolist() == [[-1], [2]]
    assert count.tolist() == [250, 7]
    assert half.tolist() == [0.5, 1.5]


def test_shuffle_gives_every_row_once_a_round(hdf5_layer, run_layer):
    set_random_seed(3)
    files = [{"data": rows(0, 30), "label": -rows(0, 30)}, {"data": rows(30, 60), "label": -rows(30, 60)}]
    layer = hdf5_layer(files, batch_size=60, tops=("data", "label"))
    shuffled = hdf5_layer(files, batch_size=60, tops=("data", "label"), field="shuffle: true")
    assert run_layer(layer)[0].tolist() == list(range(60))
    first, labels = run_layer(shuffled)
    second, _ = run_layer(shuffled)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(60))
    assert first.tolist() != second.tolist()
    assert first.tolist() != list(range(60))
    assert labels.tolist() == (-first).tolist()
    assert {i // 30 for i in first[:30].int().tolist()} in ({0}, {1})  # files one after the other


def test_the_seed_fixes_the_order(hdf5_layer, run_layer):
    def order():
        set_random_seed(5)
        return run_layer(hdf5_layer([{"data": rows(0, 40)}], 40, field="shuffle: true"))[0].tolist()

    assert order() == order()


def test_a_resumed_layer_goes_on_with_the_same_rows(hdf5_layer, run_layer):
    files = [{"data": rows(0, 5)}, {"data": rows(5, 12)}]
    layer = hdf5_layer(files, 4, field="shuffle: true")
    for _ in range(4):
        run_layer(layer)
    state = layer.state_dict()
    wanted = [run_layer(layer)[0].tolist() for _ in range(9)]
    other = hdf5_layer(files, 4, field="shuffle: true")
    other.load_state_dict(state)
    assert [run_layer(other)[0].tolist() for _ in range(9)] == wanted


@pytest.fixture
def several_solvers():
    """several_solvers(rank, count); one again afterwards."""

    def tell(rank, count):
        set_solver_count(count)
        set_solver_rank(rank)

    yield tell
    tell(0, 1)


FILES = [{"data": rows(0, 5)}, {"data": rows(5, 7)}]  # seven rows: the second round is dealt from where the first ended


@pytest.mark.parametrize(
    ("rank", "wanted"), [(0, [[0, 3], [6, 2], [5, 1]]), (1, [[1, 4], [0, 3], [6, 2]]), (2, [[2, 5], [1, 4], [0, 3]])]
)
def test_rows_are_dealt_to_the_solvers_that_train_together(hdf5_layer, run_layer, several_solvers, rank, wanted):
    several_solvers(rank, 3)
    layer = hdf5_layer(FILES, phase=pb.TRAIN)
    assert [run_layer(layer)[0].tolist() for _ in range(3)] == wanted
    tested = hdf5_layer(FILES, phase=pb.TEST)
    assert run_layer(tested)[0].tolist() == [0, 1]


def test_a_resumed_layer_goes_on_with_its_share(hdf5_layer, run_layer, several_solvers):
    several_solvers(1, 3)
    layer = hdf5_layer(FILES, phase=pb.TRAIN)
    run_layer(layer)
    state = layer.state_dict()
    other = hdf5_layer(FILES, phase=pb.TRAIN)
    other.load_state_dict(state)
    assert run_layer(other)[0].tolist() == run_layer(layer)[0].tolist() == [0, 3]


def test_a_rank_beyond_the_solvers(hdf5_layer, several_solvers):
    several_solvers(2, 2)
    with pytest.raises(
        LayerError, match=r"layer 'h' \(HDF5Data\): solver_rank is 2 of 2 solvers; call set_solver_count"
    ):
        hdf5_layer(FILES, phase=pb.TRAIN)


def test_a_state_of_other_files_is_refused(hdf5_layer):
    state = hdf5_layer([{"data": rows(0, 5)}] * 2).state_dict()
    with pytest.raises(DataError, match=r"list.txt: lists 1 files, 2 when the state was saved"):
        hdf5_layer([{"data": rows(0, 5)}]).load_state_dict(state)
    with pytest.raises(DataError, match=r"0.h5: has 4 rows, 5 when the state was saved"):
        hdf5_layer([{"data": rows(0, 4)}] * 2).load_state_dict(state)


def test_replay_gives_the_last_batch_again(hdf5_layer, run_layer):
    layer = hdf5_layer([{"data": rows(0, 6)}])
    run_layer(layer)
    assert run_layer(layer, replay=True)[0].tolist() == [0, 1]
    assert run_layer(layer)[0].tolist() == [2, 3]


def test_transform_param_is_refused(hdf5_layer):
    with pytest.raises(LayerError, match=r"layer 'h' \(HDF5Data\): it does not transform data; remove transform_param"):
        hdf5_layer([{"data": rows(0, 2)}], more="transform_param { scale: 2 }")


def test_batch_size_is_needed(hdf5_layer):
    with pytest.raises(LayerError, match="batch_size is missing"):
        hdf5_layer([{"data": rows(0, 2)}], batch_size=0)


def test_a_list_that_is_not_there(make_layer):
    with pytest.raises(DataError, match=r"hdf5_data_param.source 'no_list.txt' cannot be read: No such file"):
        make_layer("name: 'h' type: 'HDF5Data' top: 'a' hdf5_data_param { source: 'no_list.txt' batch_size: 1 }")


def test_an_empty_list(hdf5_layer):
    with pytest.raises(DataError, match=r"list.txt: lists no files"):
        hdf5_layer([])


def test_a_file_that_is_not_there(hdf5_layer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"gone.h5: cannot be read as HDF5: .*listed in .*list.txt, relative to"):
        make_with_list(hdf5_layer, tmp_path, "gone.h5")


def test_a_file_that_is_no_hdf5(hdf5_layer, tmp_path):
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DataError, match=r"text.h5: cannot be read as HDF5"):
        make_with_list(hdf5_layer, tmp_path, tmp_path / "text.h5")


def make_with_list(hdf5_layer, tmp_path, line):
    layer = hdf5_layer([{"data": rows(0, 2)}])
    (tmp_path / "list.txt").write_text(f"{line}\n")
    layer.setup([])


def test_paths_in_the_list_are_relative_to_the_working_folder(hdf5_layer, run_layer, tmp_path, monkeypatch):
    layer = hdf5_layer([{"data": rows(0, 2)}])
    (tmp_path / "list.txt").write_text("0.h5\n")
    monkeypatch.chdir(tmp_path)
    layer.setup([])
    assert run_layer(layer)[0].tolist() == [0, 1]


def test_a_missing_dataset_lists_those_there(hdf5_layer):
    with pytest.raises(DataError, match=r"0.h5: has no dataset 'label', as a top is called; it has data"):
        hdf5_layer([{"data": rows(0, 2)}], tops=("data", "label"))


def test_datasets_of_other_lengths(hdf5_layer):
    with pytest.raises(DataError, match=r"0.h5: dataset 'label' has 3 rows, 'data' has 2"):
        hdf5_layer([{"data": rows(0, 2), "label": rows(0, 3)}], tops=("data", "label"))


@pytest.mark.parametrize("value", [np.float32(1), np.array([b"a", b"b"]), np.array([True, False])])
def test_datasets_that_are_no_rows_of_numbers(hdf5_layer, value):
    with pytest.raises(DataError, match=r"dataset 'data' is .* of shape .*; numbers of at least one axis are wanted"):
        hdf5_layer([{"data": value}])


def test_a_later_file_of_another_shape(hdf5_layer, run_layer):
    layer = hdf5_layer([{"data": rows(0, 4).reshape(2, 2)}, {"data": rows(0, 6).reshape(2, 3)}])
    with pytest.raises(
        DataError, match=r"1.h5: dataset 'data' has rows of shape \(3,\), but those of the files before"
    ):
        run_layer(layer)
