"""Classifier: pictures in, class probabilities out, on nets small enough to compute by hand."""

import numpy as np
import pytest

import caffe_compat
from caffe_compat import io
from caffe_compat.classifier import Classifier
from caffe_compat.errors import NetError

# The mean of each channel times a 3 x 2 matrix: what a 4 x 5 input gives is easily said.
NET = """
name: "means"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 3 dim: 3 dim: 4 dim: 5 } } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 2 } }
"""
WEIGHT = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 4.0]], np.float32)
MEAN = np.array([10.0, 20.0, 30.0])


@pytest.fixture
def files(tmp_path):
    prototxt, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    prototxt.write_text(NET)
    net = caffe_compat.Net(prototxt, caffe_compat.TEST)
    net.params["fc"][0].data[...] = WEIGHT
    net.save(weights)
    return str(prototxt), str(weights)


def settings(**more):
    return {"mean": MEAN, "raw_scale": 255, "channel_swap": (2, 1, 0), "input_scale": 0.5, **more}


def by_hand(crop):
    """What the net gives for a crop, h x w x RGB from 0 to 1."""
    bgr = crop.reshape(-1, 3).mean(0)[::-1] * 255
    return WEIGHT @ ((bgr - MEAN) * 0.5)


PICTURES = list(np.random.RandomState(1).rand(4, 8, 9, 3).astype(np.float32))


def test_ten_crops_are_averaged_over_more_pictures_than_the_batch_holds(files):
    classifier = Classifier(*files, image_dims=(8, 9), **settings())
    found = classifier.predict(PICTURES)
    wanted = [np.mean([by_hand(crop) for crop in io.oversample([picture], (4, 5))], 0) for picture in PICTURES]
    assert found.shape == (4, 2)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_centre_crop(files):
    classifier = Classifier(*files, image_dims=(7, 8), **settings())
    small = [picture[:7, :8] for picture in PICTURES]
    found = classifier.predict(small, oversample=False)
    np.testing.assert_allclose(found, [by_hand(picture[1:5, 1:6]) for picture in small], rtol=1e-4)


def test_pictures_of_any_size_are_resized_to_image_dims_or_the_input(files):
    classifier = Classifier(*files, **settings())
    assert tuple(classifier.image_dims) == tuple(classifier.crop_dims) == (4, 5)
    mixed = [PICTURES[0], PICTURES[1][:5]]
    found = classifier.predict(mixed, oversample=False)
    np.testing.assert_allclose(found, [by_hand(io.resize_image(p, (4, 5))) for p in mixed], rtol=1e-4)


def test_settings_left_out_are_not_applied(files):
    classifier = Classifier(*files, image_dims=(8, 9))
    found = classifier.predict(PICTURES[:1], oversample=False)
    np.testing.assert_allclose(found[0], WEIGHT @ PICTURES[0][2:6, 2:7].reshape(-1, 3).mean(0), rtol=1e-5)


def test_it_is_a_net_in_test_phase(files):
    classifier = caffe_compat.Classifier(*files)
    assert isinstance(classifier, caffe_compat.Net)
    assert classifier.phase == caffe_compat.TEST
    assert classifier.transformer.inputs == {"data": (3, 3, 4, 5)}


def test_refusals(files, tmp_path):
    with pytest.raises(NetError, match="Classifier: image_dims 3 x 9 are smaller than the net's input, 4 x 5"):
        Classifier(*files, image_dims=(3, 9)).predict(PICTURES)
    with pytest.raises(NetError, match="Classifier.predict: no pictures"):
        Classifier(*files).predict([])
    with pytest.raises(ValueError, match="2 values given; the input has 3 channels"):
        Classifier(*files, mean=np.zeros(2))
    flat = tmp_path / "flat.prototxt"
    flat.write_text('name: "flat" layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 2 dim: 3 } } }')
    with pytest.raises(NetError, match=r"net 'flat': an input of N x C x H x W is needed .* input: 'd' \(2, 3\)"):
        Classifier(flat, None)
    flat.write_text(
        'name: "none" layer { name: "d" type: "DummyData" top: "d" dummy_data_param { shape { dim: 2 dim: 3 } } }'
    )
    with pytest.raises(NetError, match="net 'none': an input of N x C x H x W .* its first input: none"):
        Classifier(flat, None)


def test_a_real_net_reads_ten_digits(realdata):
    folder = realdata / "caffemodels/ahmdtaha_lenet_digits"
    samples = sorted((folder / "samples").glob("*.png"))
    with np.load(realdata / "caffemodels/recorded/lenet_digits_samples.npz") as record:
        raw_scale = float(record["scale"]) * 255
    classifier = Classifier(
        folder / "mnist_deploy.prototxt", folder / "lenet_iter_10000.caffemodel", raw_scale=raw_scale
    )
    found = classifier.predict([io.load_image(path, color=False) for path in samples], oversample=False)
    assert len(samples) == 10
    assert found.argmax(1).tolist() == [int(path.stem.split("_")[1]) for path in samples]
