"""ImageData: pictures in list order, resized, shuffled and resumed; lists and pictures that are wrong."""

import numpy as np
import pytest
from PIL import Image

from caffe_compat.device import set_random_seed
from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.data.resize import resize_bilinear
from caffe_compat.proto import caffe_pb2 as pb


def picture(i: int, height: int = 4, width: int = 5) -> np.ndarray:
    """3 x H x W uint8, BGR; the first value is i."""
    image = np.random.default_rng(i).integers(0, 256, (3, height, width), np.uint8)
    image[0, 0, 0] = i
    return image


@pytest.fixture
def image_layer(tmp_path, make_layer):
    """image_layer(sizes or list text, field="", more=""): pictures 0.png, 1.png, ... with labels 0, 10, 20, ..."""
    layers = []

    def make(sizes, field="", more="", phase=pb.TEST):
        if isinstance(sizes, int):
            sizes = [(4, 5)] * sizes
        if isinstance(sizes, str):
            (tmp_path / "list.txt").write_text(sizes)
        else:
            for i, size in enumerate(sizes):
                Image.fromarray(np.ascontiguousarray(picture(i, *size)[::-1].transpose(1, 2, 0))).save(
                    tmp_path / f"{i}.png"
                )
            (tmp_path / "list.txt").write_text("".join(f"{i}.png {10 * i}\n" for i in range(len(sizes))))
        layers.append(
            make_layer(
                f"name: 'i' type: 'ImageData' top: 'data' top: 'label' {more} image_data_param "
                f"{{ source: '{tmp_path}/list.txt' root_folder: '{tmp_path}/' {field} }}",
                phase=phase,
            )
        )
        return layers[-1]

    yield make
    for layer in layers:
        layer.close()


def test_pictures_in_order_and_around(image_layer, run_layer):
    layer = image_layer(3, "batch_size: 2")
    for order in ([0, 1], [2, 0], [1, 2]):
        data, labels = run_layer(layer)
        np.testing.assert_array_equal(data.numpy(), np.stack([picture(i) for i in order]))
        assert labels.tolist() == [10 * i for i in order]


def test_batch_size_is_1_unless_given(image_layer, run_layer):
    assert run_layer(image_layer(2))[0].shape == (1, 3, 4, 5)


def test_pictures_are_resized_and_cropped(image_layer, run_layer):
    layer = image_layer(
        [(4, 5), (9, 3)], "batch_size: 2 new_height: 6 new_width: 7", "transform_param { crop_size: 4 }"
    )
    wanted = [resize_bilinear(picture(0, 4, 5), 6, 7), resize_bilinear(picture(1, 9, 3), 6, 7)]
    np.testing.assert_array_equal(run_layer(layer)[0].numpy(), np.stack(wanted)[:, :, 1:5, 1:5])


def test_gray(image_layer, run_layer):
    (value,) = {round(float(x)) for x in run_layer(image_layer(1, "is_color: false"))[0][0, :, 0, 0]}
    blue, green, red = picture(0)[:, 0, 0].astype(int)
    assert abs(value - (0.299 * red + 0.587 * green + 0.114 * blue)) <= 1


def test_paths_may_hold_spaces_and_labels_a_sign(image_layer, run_layer, tmp_path):
    image_layer(1)
    (tmp_path / "0.png").rename(tmp_path / "a picture.png")
    assert run_layer(image_layer("a picture.png -3\r\n\n"))[1].tolist() == [-3]


def test_shuffle_gives_every_picture_once_a_round(image_layer, run_layer):
    set_random_seed(2)
    layer = image_layer(20, "batch_size: 20 shuffle: true")
    data, first = run_layer(layer)
    _, second = run_layer(layer)
    assert sorted(first.tolist()) == sorted(second.tolist()) == [10 * i for i in range(20)]
    assert first.tolist() != second.tolist()
    assert (10 * data[:, 0, 0, 0]).tolist() == first.tolist()


def test_rand_skip_starts_below_it(image_layer, run_layer):
    starts = set()
    for seed in range(40):
        set_random_seed(seed)
        starts.add(int(run_layer(image_layer(5, "rand_skip: 3"))[1]))
    assert starts == {0, 10, 20}


def test_a_resumed_layer_goes_on_with_the_same_pictures(image_layer, run_layer):
    options = (7, "batch_size: 3 shuffle: true", "transform_param { crop_size: 3 mirror: true }", pb.TRAIN)
    layer = image_layer(*options)
    for _ in range(4):
        run_layer(layer)
    state = layer.state_dict()
    wanted = [[top.tolist() for top in run_layer(layer)] for _ in range(8)]
    other = image_layer(*options)
    run_layer(other)
    other.load_state_dict(state)
    assert [[top.tolist() for top in run_layer(other)] for _ in range(8)] == wanted


def test_a_state_of_another_list(image_layer):
    state = image_layer(3).state_dict()
    with pytest.raises(DataError, match=r"list.txt: lists 2 pictures, 3 when the state was saved"):
        image_layer(2).load_state_dict(state)


def test_mixed_sizes_in_a_batch_name_both(image_layer, run_layer):
    with pytest.raises(DataError, match=r"'1.png' is 3 x 6 x 3, but the batch began with '0.png', 3 x 4 x 5; mixed"):
        run_layer(image_layer([(4, 5), (6, 3)], "batch_size: 2"))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("new_height: 4", r"layer 'i' \(ImageData\): .*new_height 4 and new_width 0: give both or neither"),
        ("batch_size: 0", "batch_size is 0; give 1 or more"),
        ("rand_skip: 3", "rand_skip 3 is more than the 2 lines of"),
    ],
)
def test_parameters_that_cannot_be(image_layer, field, message):
    with pytest.raises(LayerError, match=message):
        image_layer(2, field)


@pytest.mark.parametrize("line", ["onlyapath.png", "a.png 1.5", "a.png cat"])
def test_a_line_that_is_not_path_and_label(image_layer, line):
    with pytest.raises(DataError, match=rf"list.txt: line 2: '{line}' is not \"path label\""):
        image_layer(f"0.png 1\n{line}\n")


def test_an_empty_list(image_layer):
    with pytest.raises(DataError, match="list.txt: lists no pictures"):
        image_layer("\n")


def test_a_list_that_is_not_there(make_layer):
    with pytest.raises(
        DataError, match=r"layer 'l' \(ImageData\): image_data_param.source 'no.txt' cannot be read: No"
    ):
        make_layer("type: 'ImageData' top: 'a' top: 'b' image_data_param { source: 'no.txt' }")


def test_a_picture_that_is_not_there(image_layer, run_layer):
    layer = image_layer("gone.png 1\n")
    with pytest.raises(DataError, match=r"list.txt: picture 1: '.*gone.png' cannot be read: No such file"):
        run_layer(layer)


def test_a_file_that_is_no_picture(image_layer, run_layer, tmp_path):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match=r"picture 1: '.*text.png': 5 bytes cannot be decoded as a picture"):
        run_layer(image_layer("text.png 1\n"))


def test_a_picture_put_right_is_read_by_the_next_forward(image_layer, run_layer, tmp_path):
    layer = image_layer(3, "batch_size: 2")
    run_layer(layer)
    layer.load_state_dict(layer.state_dict())  # forget what is loaded ahead
    good = (tmp_path / "0.png").read_bytes()
    (tmp_path / "0.png").write_bytes(good[:50])
    with pytest.raises(DataError, match=r"0.png': 50 bytes cannot be decoded"):
        run_layer(layer)
    (tmp_path / "0.png").write_bytes(good)
    assert [run_layer(layer)[1].tolist() for _ in range(2)] == [[20, 0], [10, 20]]
