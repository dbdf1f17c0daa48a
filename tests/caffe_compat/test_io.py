"""caffe.io: messages to arrays and back, pictures, Transformer."""

import numpy as np
import pytest
from PIL import Image

import caffe_compat
from caffe_compat import io
from caffe_compat.errors import CaffeError
from caffe_compat.proto.caffe_pb2 import BlobProto, BlobProtoVector, Datum

RGB = np.random.RandomState(7).randint(0, 256, (6, 7, 3)).astype(np.uint8)
LUMINANCE = (0.2125, 0.7154, 0.0721)


# -- messages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (1, 3, 4, 5), (2, 1, 2, 1, 2)])
def test_an_array_survives_the_way_through_a_blobproto(shape):
    values = np.asarray(np.random.RandomState(0).randn(*shape))
    blob = io.array_to_blobproto(values, diff=values * 2)
    assert list(blob.shape.dim) == list(shape)
    back, diff = io.blobproto_to_array(blob), io.blobproto_to_array(blob, return_diff=True)
    assert back.dtype == np.float64
    assert back.shape == diff.shape == shape
    np.testing.assert_array_equal(back, values.astype(np.float32))
    np.testing.assert_array_equal(diff, (values * 2).astype(np.float32))


def test_blobproto_legacy_shape_has_four_axes():
    blob = BlobProto(num=1, channels=2, height=3, width=1, data=range(6))
    assert io.blobproto_to_array(blob).shape == (1, 2, 3, 1)
    back = io.blobproto_to_array(blob)
    back[0, 0, 0, 0] = 5  # the program's to change
    assert back[0, 1, 2, 0] == 5


def test_blobproto_without_shape_holds_one_value():
    assert io.blobproto_to_array(BlobProto(data=[123])) == 123
    with pytest.raises(ValueError, match="BlobProto: data: found 100 values for shape \\(\\), which holds 1"):
        io.blobproto_to_array(BlobProto(data=[0] * 100))


def test_blobproto_without_diff_says_so():
    blob = io.array_to_blobproto(np.ones((2, 2)))
    with pytest.raises(io.ArrayError, match="it holds no diff; leave return_diff out"):
        io.blobproto_to_array(blob, return_diff=True)
    with pytest.raises(io.ArrayError, match="diff has shape 3, data 2 x 2"):
        io.array_to_blobproto(np.ones((2, 2)), diff=np.ones(3))


@pytest.mark.parametrize("name", ["arraylist_to_blobprotovector_str", "arraylist_to_blobprotovecor_str"])
def test_lists_of_arrays(name):
    arrays = [np.arange(6.0).reshape(2, 3), np.ones((1, 1, 2, 2))]
    text = getattr(io, name)(arrays)
    assert isinstance(text, bytes)
    assert len(BlobProtoVector.FromString(text).blobs) == 2
    for back, array in zip(io.blobprotovector_str_to_arraylist(text), arrays, strict=True):
        np.testing.assert_array_equal(back, array)


def test_datum_of_bytes_and_of_floats():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    datum = io.array_to_datum(pixels, 7)
    assert (datum.channels, datum.height, datum.width, datum.label) == (2, 3, 4, 7)
    assert len(datum.data) == 24
    back = io.datum_to_array(datum)
    assert back.dtype == np.uint8
    back[0, 0, 0] = 9  # the program's to change
    np.testing.assert_array_equal(back[1], pixels[1])

    floats = io.array_to_datum(pixels / 8)
    assert not floats.data
    assert len(floats.float_data) == 24
    assert io.datum_to_array(floats).dtype == np.float64
    np.testing.assert_array_equal(io.datum_to_array(floats), pixels / 8)


def test_a_datum_without_label_is_shorter():
    ones = np.ones((10, 10, 3))
    assert not io.array_to_datum(ones).HasField("label")
    assert io.array_to_datum(ones, label=1).ByteSize() > io.array_to_datum(ones, label=None).ByteSize()


def test_datum_errors_are_value_errors():
    with pytest.raises(ValueError, match=r"array_to_datum: shape \(3, 4\); channels x height x width"):
        io.array_to_datum(np.ones((3, 4)))
    with pytest.raises(ValueError, match="2 values in data for channels x height x width = 1 x 2 x 2"):
        io.datum_to_array(Datum(channels=1, height=2, width=2, data=b"ab"))


def test_the_errors_are_of_the_one_tree():
    assert issubclass(io.ArrayError, CaffeError)
    assert issubclass(io.ImageError, CaffeError)
    assert io.caffe_pb2 is caffe_compat.proto.caffe_pb2


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    def save(array, mode=None, suffix="png", **options):
        path = tmp_path / f"picture.{suffix}"
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(path, **options)
        return path

    return save


def test_load_image_is_rgb_from_zero_to_one(saved):
    image = io.load_image(saved(RGB))
    assert (image.dtype, image.shape) == (np.float32, (6, 7, 3))
    np.testing.assert_allclose(image, RGB / 255, atol=1e-7)


def test_load_image_of_gray_gives_three_equal_channels_or_one(saved):
    path = saved(RGB[:, :, 0])
    np.testing.assert_allclose(io.load_image(str(path)), np.tile(RGB[:, :, :1], (1, 1, 3)) / 255, atol=1e-7)
    np.testing.assert_allclose(io.load_image(path, color=False), RGB[:, :, :1] / 255, atol=1e-7)


def test_load_image_without_colour_is_luminance(saved):
    gray = io.load_image(saved(RGB), color=False)
    assert (gray.dtype, gray.shape) == (np.float32, (6, 7, 1))
    np.testing.assert_allclose(gray[:, :, 0], RGB @ LUMINANCE / 255, atol=1e-6)


def test_load_image_drops_alpha_or_blends_with_white(saved):
    rgba = np.dstack([RGB, RGB[:, :, 1]])
    path = saved(rgba)
    np.testing.assert_allclose(io.load_image(path), RGB / 255, atol=1e-7)
    alpha = rgba[:, :, 3:] / 255
    blended = (RGB / 255 * alpha + 1 - alpha) @ LUMINANCE
    np.testing.assert_allclose(io.load_image(path, color=False)[:, :, 0], blended, atol=1e-6)


def test_load_image_of_palette_is_colours_not_indices(saved):
    path = saved(RGB, mode="P")
    with Image.open(path) as image:
        assert image.mode == "P"
        wanted = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(io.load_image(path), wanted, atol=1e-7)


def test_load_image_of_sixteen_bits_is_from_zero_to_one(saved):
    deep = np.array([[0, 1, 32768], [65535, 256, 40000]], np.uint16)
    np.testing.assert_allclose(io.load_image(saved(deep), color=False)[:, :, 0], deep / 65535, atol=1e-7)


def test_load_image_of_bits_and_floats(saved):
    np.testing.assert_array_equal(io.load_image(saved(RGB[:, :, 0] > 99), color=False)[:, :, 0], RGB[:, :, 0] > 99)
    floats = np.array([[0.25, -3.0], [7.5, 1.0]], np.float32)
    np.testing.assert_array_equal(io.load_image(saved(floats, suffix="tif"), color=False)[:, :, 0], floats)


def test_load_image_says_what_it_could_not_read(tmp_path):
    with pytest.raises(OSError, match="gone.png: cannot be read as a picture"):
        io.load_image(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(io.ImageError, match="text.png: cannot be read as a picture"):
        io.load_image(tmp_path / "text.png")


CASES = ["shrink", "grow", "one_axis_each_way", "gray_nearest", "cubic", "five_channels", "two_channels_cubic"]


@pytest.mark.parametrize("case", CASES)
def test_resize_image_gives_what_scikit_image_gives(reference, case):
    with np.load(reference / "io/resize_image.npz") as record:
        image, order, wanted = (record[f"{case}/{part}"] for part in ("in", "order", "out"))
    found = io.resize_image(image, wanted.shape[:2], interp_order=int(order))
    assert (found.dtype, found.shape) == (np.float32, wanted.shape)
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_growing_mixes_the_least_value_in_at_the_border():
    """Twice the width: pixel centres at -0.25, 0.25, 0.75, 1.25, and beyond the border lies the least value, 10."""
    row = np.array([10.0, 30.0]).reshape(1, 2, 1)
    np.testing.assert_allclose(io.resize_image(row, (1, 4)).ravel(), [10, 15, 25, 10 + 0.75 * 20], rtol=1e-6)


def test_resize_image_takes_integers_and_keeps_the_range():
    found = io.resize_image(RGB, (3, 4), interp_order=3)
    assert found.min() >= RGB.min()
    assert found.max() <= RGB.max()
    np.testing.assert_allclose(found, io.resize_image(RGB.astype(np.float64), (3, 4), interp_order=3), rtol=1e-5)


def test_a_constant_picture_stays_constant():
    found = io.resize_image(np.full((4, 5, 3), 7.0), (9, 2))
    np.testing.assert_array_equal(found, np.full((9, 2, 3), 7, np.float32))


@pytest.mark.parametrize(("shape", "size"), [((4, 5), (2, 2)), ((4, 5, 3), (0, 2)), ((0, 5, 3), (2, 2))])
def test_resize_image_refuses(shape, size):
    with pytest.raises(
        io.ArrayError, match="resize_image: from shape .* H x W x C and a size of at least 1 are wanted"
    ):
        io.resize_image(np.zeros(shape), size)


def test_oversample_gives_corners_centre_and_mirrors():
    images = np.random.RandomState(0).rand(2, 7, 10, 3).astype(np.float32)
    crops = io.oversample(list(images), (4, 5))
    assert (crops.dtype, crops.shape) == (np.float32, (20, 4, 5, 3))
    for image, ten in zip(images, crops.reshape(2, 10, 4, 5, 3), strict=True):
        wanted = [image[:4, :5], image[:4, 5:], image[3:, :5], image[3:, 5:], image[1:5, 2:7]]
        np.testing.assert_array_equal(ten[:5], wanted)
        np.testing.assert_array_equal(ten[5:], np.array(wanted)[:, :, ::-1])


def test_oversample_refuses_small_pictures():
    with pytest.raises(io.ArrayError, match=r"oversample: 1 pictures of shape \(3, 9, 1\) for crops of 4 x 4"):
        io.oversample([np.zeros((3, 9, 1))], (4, 4))
    with pytest.raises(io.ArrayError, match="oversample: 0 pictures"):
        io.oversample([], (4, 4))


# -- Transformer -------------------------------------------------------------------------------------------------------


def transformer(shape=(1, 3, 6, 7)):
    return io.Transformer({"data": shape})


def test_preprocess_without_settings_only_makes_float32():
    found = transformer((1, 3, 6, 7)).preprocess("data", RGB)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, RGB)


def test_preprocess_does_all_steps_in_order():
    t = transformer()
    t.set_transpose("data", (2, 0, 1))
    t.set_channel_swap("data", (2, 1, 0))
    t.set_raw_scale("data", 255)
    t.set_mean("data", np.array([104.0, 117.0, 123.0]))
    t.set_input_scale("data", 0.5)
    image = (RGB / 255).astype(np.float32)
    found = t.preprocess("data", image)
    wanted = (RGB[:, :, ::-1].transpose(2, 0, 1) - np.array([104.0, 117, 123]).reshape(3, 1, 1)) * 0.5
    assert (found.dtype, found.shape) == (np.float32, (3, 6, 7))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_array_equal(image, (RGB / 255).astype(np.float32))  # untouched
    np.testing.assert_allclose(t.deprocess("data", found[None]), image, atol=1e-6)


def test_preprocess_resizes_first():
    t = transformer((1, 3, 4, 9))
    t.set_transpose("data", (2, 0, 1))
    np.testing.assert_array_equal(
        t.preprocess("data", RGB), io.resize_image(RGB.astype(np.float32), (4, 9)).transpose(2, 0, 1)
    )


def test_deprocess_undoes_any_order_of_axes_and_channels():
    t = transformer((1, 3, 6, 7))
    t.set_transpose("data", (1, 0, 2))
    t.set_channel_swap("data", (1, 2, 0))
    swapped = np.arange(12.0).reshape(3, 4, 1) + np.zeros((1, 1, 2))
    back = t.deprocess("data", swapped)
    np.testing.assert_array_equal(back.transpose(1, 0, 2)[[1, 2, 0]], swapped)


def test_mean_of_the_inputs_shape_and_of_one_plane():
    mean = np.random.RandomState(0).rand(3, 6, 7)
    t = transformer()
    t.set_transpose("data", (2, 0, 1))
    t.set_mean("data", mean)
    np.testing.assert_allclose(t.preprocess("data", RGB), RGB.transpose(2, 0, 1) - mean, rtol=1e-5)
    t = transformer((1, 1, 6, 7))
    t.set_transpose("data", (2, 0, 1))
    t.set_mean("data", mean[0])
    np.testing.assert_allclose(t.preprocess("data", RGB[:, :, :1])[0], RGB[:, :, 0] - mean[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("set_transpose", (2, 0), r"set_transpose\('data'\): 2 axes given; one item of the input has 3"),
        ("set_channel_swap", (1, 0), r"set_channel_swap\('data'\): 2 channels given; the input has 3"),
        ("set_mean", np.zeros(2), r"set_mean\('data'\): 2 values given; the input has 3 channels"),
        ("set_mean", np.zeros((6, 7)), r"set_mean\('data'\): a mean of shape \(6, 7\); 3 values or"),
        ("set_mean", np.zeros((3, 5, 7)), r"a mean of shape \(3, 5, 7\); .* input's shape \(3, 6, 7\) are wanted"),
        ("set_mean", np.zeros((1, 3, 6, 7)), r"a mean of shape \(1, 3, 6, 7\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(setting, value, message):
    t = transformer()
    with pytest.raises(ValueError, match=message):
        getattr(t, setting)("data", value)


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t.preprocess("image", RGB),
        lambda t: t.deprocess("image", RGB),
        lambda t: t.set_transpose("image", (2, 0, 1)),
        lambda t: t.set_channel_swap("image", (2, 1, 0)),
        lambda t: t.set_raw_scale("image", 255),
        lambda t: t.set_mean("image", np.zeros(3)),
        lambda t: t.set_input_scale("image", 1),
    ],
)
def test_an_unknown_input_is_named_with_the_known_ones(use):
    with pytest.raises(io.ArrayError, match="'image' is not one of the net's inputs; they are: data"):
        use(transformer())
