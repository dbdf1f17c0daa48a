"""DataTransformer: exact values at TEST, all crops and mirrors equally likely at TRAIN."""

from collections import Counter

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_compat.device import set_random_seed
from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.data.transformer import DataTransformer
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.blobs import write_blobproto


def transformer(text: str, phase: int = pb.TEST) -> DataTransformer:
    param = text_format.Parse(text, pb.TransformationParameter())
    return DataTransformer(param, phase, lambda message: LayerError("d", "Data", message))


def transformed(one: DataTransformer, image: np.ndarray) -> np.ndarray:
    out = np.full(one.top_shape(image.shape, "it"), np.nan, np.float32)
    one.transform(image, out, "it")
    return out


@pytest.fixture
def image() -> np.ndarray:
    """3 x 5 x 4, every value another."""
    return np.arange(60, dtype=np.uint8).reshape(3, 5, 4)


def test_nothing_to_do_gives_the_pixels(image):
    np.testing.assert_array_equal(transformed(transformer(""), image), image)


def test_mean_then_scale(image):
    out = transformed(transformer("mean_value: 1 mean_value: 2.5 mean_value: -3 scale: 0.1"), image)
    mean = np.array([1, 2.5, -3], np.float32).reshape(3, 1, 1)
    np.testing.assert_array_equal(out, (image.astype(np.float32) - mean) * np.float32(0.1))


def test_one_mean_for_all_channels(image):
    np.testing.assert_array_equal(transformed(transformer("mean_value: 100"), image), image.astype(np.float32) - 100)


@pytest.mark.parametrize(("crop", "top", "left"), [(4, 0, 0), (3, 1, 0), (2, 1, 1), (1, 2, 1)])
def test_the_centre_crop_rounds_down(image, crop, top, left):
    out = transformed(transformer(f"crop_size: {crop}"), image)
    np.testing.assert_array_equal(out, image[:, top : top + crop, left : left + crop])


def test_float_images_stay_exact():
    image = np.array([[[0.1, -3e5]]], np.float32)
    np.testing.assert_array_equal(transformed(transformer(""), image), image)


@pytest.mark.parametrize("legacy", [True, False])
def test_the_mean_image_is_cropped_where_the_image_is(image, tmp_path, legacy):
    mean = np.random.default_rng(0).random((3, 5, 4), np.float32)
    write_blobproto(tmp_path / "mean.binaryproto", mean, legacy=legacy)
    out = transformed(transformer(f"mean_file: '{tmp_path}/mean.binaryproto' crop_size: 2 scale: 2"), image)
    np.testing.assert_array_equal(out, ((image - mean) * 2)[:, 1:3, 1:3])


def test_a_mirrored_image_is_mirrored_after_its_mean(image, tmp_path):
    mean = np.random.default_rng(0).random((3, 5, 4), np.float32)
    write_blobproto(tmp_path / "mean.binaryproto", mean)
    one = transformer(f"mean_file: '{tmp_path}/mean.binaryproto' mirror: true")
    seen = {transformed(one, image).tobytes() for _ in range(40)}
    plain = image - mean
    assert seen == {plain.tobytes(), np.ascontiguousarray(plain[:, :, ::-1]).tobytes()}


@pytest.mark.parametrize("phase", [pb.TRAIN, pb.TEST])
def test_half_of_the_images_are_mirrored_in_both_phases(image, phase):
    set_random_seed(1)
    one = transformer("mirror: true", phase)
    mirrored = sum(transformed(one, image)[0, 0, 0] != 0 for _ in range(2000))
    assert abs(mirrored - 1000) < 5 * 22.4  # five standard deviations


def test_random_crops_reach_every_place_equally_often(image):
    set_random_seed(2)
    one = transformer("crop_size: 3 mirror: true", pb.TRAIN)
    places = Counter()
    for _ in range(6000):
        out = transformed(one, image)[0]
        mirrored = out[0, 0] > out[0, 1]
        places[int(out[0, 2 if mirrored else 0]), bool(mirrored)] += 1
    assert set(places) == {(4 * y + x, m) for y in range(3) for x in range(2) for m in (False, True)}
    assert max(abs(n - 500) for n in places.values()) < 5 * 21.5


def test_the_stream_resumes_where_its_state_was_taken(image):
    one = transformer("crop_size: 2 mirror: true", pb.TRAIN)
    transformed(one, image)
    state = one.state()
    wanted = [transformed(one, image).tolist() for _ in range(20)]
    other = transformer("crop_size: 2 mirror: true", pb.TRAIN)
    other.restore(state)
    assert [transformed(other, image).tolist() for _ in range(20)] == wanted


def test_nothing_random_draws_no_seed(image):
    set_random_seed(4)
    wanted = transformer("mirror: true").state()
    set_random_seed(4)
    assert transformer("crop_size: 2 scale: 2").state() is None
    assert transformer("mirror: true").state() == wanted


def test_mean_file_and_mean_value_together():
    with pytest.raises(LayerError, match=r"layer 'd' \(Data\): transform_param has both mean_file and mean_value"):
        transformer("mean_file: 'm' mean_value: 1")


def test_a_mean_file_that_is_not_there():
    with pytest.raises(LayerError, match=r"transform_param.mean_file: nowhere.binaryproto: no such file"):
        transformer("mean_file: 'nowhere.binaryproto'")


def test_a_mean_file_of_another_form(tmp_path):
    write_blobproto(tmp_path / "m", np.zeros((2, 3, 5, 4), np.float32))
    with pytest.raises(LayerError, match=r"shape \(2, 3, 5, 4\); a mean image is C x H x W"):
        transformer(f"mean_file: '{tmp_path}/m'")


def test_a_mean_file_of_another_size(image, tmp_path):
    write_blobproto(tmp_path / "m", np.zeros((3, 4, 4), np.float32))
    with pytest.raises(
        DataError, match=r"it: the image is 3 x 5 x 4, but mean_file .*m is 3 x 4 x 4; .*use mean_value"
    ):
        transformed(transformer(f"mean_file: '{tmp_path}/m'"), image)


def test_a_crop_larger_than_the_image(image):
    with pytest.raises(DataError, match=r"it: the image, 5 x 4, is smaller than transform_param.crop_size 5; lower"):
        transformed(transformer("crop_size: 5"), image)


def test_as_many_means_as_channels(image):
    with pytest.raises(DataError, match="it: 2 mean_value for an image of 3 channels; give 1 or 3"):
        transformed(transformer("mean_value: 1 mean_value: 2"), image)
