"""WindowData: which windows are drawn, how they are warped, and window files that are wrong."""

import numpy as np
import pytest
from PIL import Image

from caffe_compat.device import set_random_seed
from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.data.resize import resize_bilinear
from caffe_compat.proto.blobs import write_blobproto

PICTURE = np.random.default_rng(0).integers(0, 256, (3, 20, 30), np.uint8)  # BGR


@pytest.fixture
def window_layer(tmp_path, make_layer):
    """window_layer(windows, field="", transform=""): one 30 x 20 picture; or a whole window file as text."""
    layers = []

    def make(windows, field="batch_size: 4", transform="crop_size: 8"):
        Image.fromarray(np.ascontiguousarray(PICTURE[::-1].transpose(1, 2, 0))).save(tmp_path / "p.png")
        if not isinstance(windows, str):
            lines = [" ".join(map(str, window)) for window in windows]
            windows = "\n".join(["# 0", "p.png", "3", "20", "30", str(len(windows)), *lines])
        (tmp_path / "windows.txt").write_text(windows)
        layers.append(
            make_layer(
                f"name: 'w' type: 'WindowData' top: 'data' top: 'label' transform_param {{ {transform} }} "
                f"window_data_param {{ source: '{tmp_path}/windows.txt' root_folder: '{tmp_path}/' {field} }}"
            )
        )
        return layers[-1]

    yield make
    for layer in layers:
        layer.close()


FOREGROUND = (7, 0.9, 2, 3, 13, 18)  # class, overlap, x1, y1, x2, y2
BACKGROUND = (9, 0.1, 0, 0, 29, 19)


@pytest.mark.parametrize("cache", ["", "cache_images: true"])
def test_background_first_then_foreground(window_layer, run_layer, cache):
    data, labels = run_layer(
        window_layer([FOREGROUND, BACKGROUND], f"batch_size: 5 fg_fraction: 0.5 scale: 0.5 {cache}")
    )
    assert labels.tolist() == [0, 0, 0, 7, 7]
    np.testing.assert_array_equal(data[0], resize_bilinear(PICTURE, 8, 8) * np.float32(0.5))
    np.testing.assert_array_equal(data[4], resize_bilinear(PICTURE[:, 3:19, 2:14], 8, 8) * np.float32(0.5))


def test_thresholds_decide_which_windows_are_used(window_layer, run_layer):
    windows = [(k, overlap, k, 0, k, 19) for k, overlap in ((1, 0.0), (2, 0.29), (3, 0.3), (4, 0.69), (5, 0.7), (6, 1))]
    set_random_seed(0)
    layer = window_layer(windows, "batch_size: 40 fg_fraction: 0.5 fg_threshold: 0.7 bg_threshold: 0.3")
    data, labels = run_layer(layer)
    assert set(labels[:20].tolist()) == {0}
    assert set(labels[20:].tolist()) == {5, 6}
    columns = {resize_bilinear(PICTURE[:, :, k : k + 1], 8, 8).tobytes(): k for k in range(30)}
    assert {columns[image.numpy().astype(np.uint8).tobytes()] for image in data[:20]} == {1, 2}


def test_half_of_the_windows_are_mirrored(window_layer, run_layer):
    set_random_seed(0)
    data, _ = run_layer(
        window_layer([BACKGROUND], "batch_size: 200 fg_fraction: 0", "crop_size: 4 mirror: true mean_value: 3")
    )
    plain = resize_bilinear(PICTURE, 4, 4).astype(np.float32) - 3
    mirrored = [np.array_equal(image, plain[:, :, ::-1]) for image in data]
    assert all(m or np.array_equal(image, plain) for m, image in zip(mirrored, data, strict=True))
    assert abs(sum(mirrored) - 100) < 5 * 7.1


def test_context_beyond_the_picture_stays_zero(window_layer, run_layer):
    # 10 x 10 at the corner, doubled by context_pad 4 of crop 16: -5 to 15, of which 0 to 15 is picture
    data, _ = run_layer(
        window_layer(
            [(1, 0, 0, 0, 9, 9)], "batch_size: 1 fg_fraction: 0 context_pad: 4", "crop_size: 16 mean_value: 100"
        )
    )
    inside = resize_bilinear(PICTURE[:, 0:16, 0:16], 12, 12).astype(np.float32) - 100
    np.testing.assert_array_equal(data[0, :, 4:, 4:], inside)
    assert not data[0, :, :4].any()
    assert not data[0, :, :, :4].any()


def test_context_beyond_the_picture_is_mirrored_with_it(window_layer, run_layer):
    window = [(1, 0, 0, 5, 9, 14)]
    field = "batch_size: 30 fg_fraction: 0 context_pad: 4"
    plain = run_layer(window_layer(window, field, "crop_size: 16"))[0][0].numpy()
    data, _ = run_layer(window_layer(window, field, "crop_size: 16 mirror: true"))
    assert not plain[:, :, :4].any()
    assert plain[:, :, -1].any()
    assert {image.numpy().tobytes() for image in data} == {plain.tobytes(), plain[:, :, ::-1].tobytes()}


def test_square_takes_the_longer_side(window_layer, run_layer):
    # 4 wide, 10 high, centre (12, 8): 10 x 10 plus the rounding of both ends
    data, _ = run_layer(
        window_layer([(1, 0, 10, 3, 13, 12)], "batch_size: 1 fg_fraction: 0 crop_mode: 'square'", "crop_size: 11")
    )
    np.testing.assert_array_equal(data[0], PICTURE[:, 3:14, 7:18])


def test_the_mean_image_is_cut_at_its_centre(window_layer, run_layer, tmp_path):
    mean = np.random.default_rng(1).random((1, 3, 10, 10), np.float32)
    write_blobproto(tmp_path / "mean", mean)
    layer = window_layer([BACKGROUND], "batch_size: 1 fg_fraction: 0", f"crop_size: 4 mean_file: '{tmp_path}/mean'")
    np.testing.assert_array_equal(run_layer(layer)[0][0], resize_bilinear(PICTURE, 4, 4) - mean[0, :, 3:7, 3:7])


def test_a_resumed_layer_goes_on_with_the_same_windows(window_layer, run_layer):
    windows = [(k, k % 2, k, 0, 2 * k, 9) for k in range(1, 12)]
    options = (windows, "batch_size: 4 fg_fraction: 0.5", "crop_size: 5 mirror: true")
    layer = window_layer(*options)
    run_layer(layer)
    state = layer.state_dict()
    wanted = [[top.tolist() for top in run_layer(layer)] for _ in range(6)]
    other = window_layer(*options)
    other.load_state_dict(state)
    assert [[top.tolist() for top in run_layer(other)] for _ in range(6)] == wanted


@pytest.mark.parametrize(
    ("field", "transform", "message"),
    [
        (
            "",
            "crop_size: 8",
            r"layer 'w' \(WindowData\): it needs window_data_param.batch_size and transform_param.crop",
        ),
        ("batch_size: 1", "", "it needs window_data_param.batch_size and transform_param.crop_size"),
        ("batch_size: 1 crop_mode: 'fit'", "crop_size: 8", "crop_mode 'fit' is unknown; known: warp, square"),
        ("batch_size: 1 fg_fraction: 1.5", "crop_size: 8", "fg_fraction 1.5 is not from 0 to 1"),
        ("batch_size: 1 context_pad: 4", "crop_size: 8", "context_pad 4 leaves nothing of crop_size 8"),
        ("batch_size: 1", "crop_size: 8 mean_value: 1 mean_value: 2", "has 2 mean_value; give 1 or 3"),
        ("batch_size: 1", "crop_size: 8 mean_value: 1 mean_file: 'x'", "has both mean_file and mean_value"),
        ("batch_size: 1", "crop_size: 8 mean_file: 'gone'", "transform_param.mean_file: gone: no such file"),
    ],
)
def test_parameters_that_cannot_be(window_layer, field, transform, message):
    with pytest.raises(LayerError, match=message):
        window_layer([FOREGROUND, BACKGROUND], field, transform)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 7, 7), "3 x H x W of at least crop_size 8"), ((1, 9, 9), "3 x H x W"), ((3, 8, 20), "use a square mean")],
)
def test_a_mean_image_of_another_form(window_layer, tmp_path, shape, message):
    write_blobproto(tmp_path / "mean", np.zeros(shape, np.float32))
    with pytest.raises(LayerError, match=message):
        window_layer([FOREGROUND, BACKGROUND], "batch_size: 1", f"crop_size: 8 mean_file: '{tmp_path}/mean'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "windows.txt: lists no pictures"),
        ("hello", "not a window file, at picture 0: '# 0' was expected"),
        ("# 1 p.png 3 20 30 0", "at picture 0: '# 0' was expected"),
        ("# 0 p.png 3 20 30 2\n0 0.1 0 0 5 5", "at picture 0: it ends in the middle"),
        ("# 0 p.png 3 20 30 0 # 1 p.png 3", "at picture 1: it ends in the middle"),
        ("# 0 p.png 3 20 30 1\nx 0.1 0 0 5 5", "at picture 0: invalid literal"),
        ("# 0 p.png 1 20 30 0", "1 channels; pictures are read with 3"),
        ("# 0 p.png 3 20 30 1\n0 0.9 0 0 5 5", r"a foreground window \(overlap 0.9\) of class 0, not above 0"),
        ("# 0 p.png 3 20 30 1\n2 0.9 0 0 5 5", "has no background windows, but fg_fraction 0.25 wants 3 in each"),
        ("# 0 p.png 3 20 30 1\n2 0.1 0 0 5 5", "has no foreground windows, but fg_fraction 0.25 wants 1 in each"),
    ],
)
def test_a_window_file_that_is_wrong(window_layer, text, message):
    with pytest.raises(DataError, match=message):
        window_layer(text)


def test_a_window_file_that_is_not_there(make_layer):
    with pytest.raises(DataError, match="window_data_param.source 'gone' cannot be read: No such file"):
        make_layer(
            "type: 'WindowData' top: 'a' top: 'b' transform_param { crop_size: 4 } "
            "window_data_param { source: 'gone' batch_size: 1 }"
        )


def test_a_window_outside_its_picture(window_layer, run_layer):
    layer = window_layer([(1, 0, 5, 5, 30, 9)], "batch_size: 1 fg_fraction: 0")
    with pytest.raises(DataError, match=r"window \(5, 5, 30, 9\) .* leaves '.*p.png', which is 30 wide and 20 high"):
        run_layer(layer)


@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_picture_that_is_not_there(window_layer, run_layer, cache):
    with pytest.raises(DataError, match=r"windows.txt: '.*gone.png' cannot be read: No such file"):
        run_layer(
            window_layer("# 0 gone.png 3 20 30 1\n0 0 0 0 5 5", f"batch_size: 1 fg_fraction: 0 cache_images: {cache}")
        )
