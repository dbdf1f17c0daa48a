"""classify and detect: what they write is what Classifier and Detector give, and what the real Caffe gave."""

import csv
import os

import h5py
import numpy as np
import pytest
from PIL import Image

import caffe_compat
from caffe_compat.classifier import Classifier
from caffe_compat.detector import Detector
from caffe_compat.proto.blobs import write_blobproto

NET = """
    name: "net"
    layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
    layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
            inner_product_param { num_output: 7 weight_filler { type: "gaussian" std: 0.001 } } }
    layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
SETTINGS = {"raw_scale": 255.0, "channel_swap": [2, 1, 0]}
MEAN = np.arange(12, dtype=np.float32).reshape(3, 2, 2)


@pytest.fixture
def net(tmp_path, monkeypatch):
    """A net, its weights, a mean and four pictures in the current folder; gives the flags that name the first two."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").write_text(NET)
    caffe_compat.Net("net", caffe_compat.TEST).save("w.caffemodel")
    np.save("mean.npy", MEAN)
    write_blobproto("mean.binaryproto", MEAN[None])
    (tmp_path / "pictures").mkdir()
    draw = np.random.default_rng(2)
    for i in range(4):
        Image.fromarray(draw.integers(0, 256, (20 + i, 30, 3), np.uint8)).save(f"pictures/{3 - i}.png")
    return ["-model_def=net", "-pretrained_model=w.caffemodel"]


def pictures():
    return [caffe_compat.io.load_image(f"pictures/{i}.png") for i in range(4)]


@pytest.mark.parametrize("center_only", [True, False])
@pytest.mark.parametrize("mean", ["mean.npy", "mean.binaryproto", ""])
def test_a_folder(verb, net, center_only, mean):
    flags = [*net, f"-mean_file={mean}", f"-center_only={center_only}", "-images_dim=12,16", "-ext=png"]
    done = verb("classify", "pictures", "out.npy", *flags)
    assert done.code == 0, done.err
    classifier = Classifier(
        "net", "w.caffemodel", (12, 16), MEAN.mean((1, 2)) if mean else None, raw_scale=255, channel_swap=(2, 1, 0)
    )
    np.testing.assert_array_equal(np.load("out.npy"), classifier.predict(pictures(), not center_only))
    assert "Classifying 4 inputs." in done.out


def test_a_picture_and_an_array_and_labels(verb, net, tmp_path):
    (tmp_path / "labels").write_text("".join(f"n0000{i} name{i}, other name\n" for i in range(6)) + "7th class\n")
    done = verb("classify", "pictures/2.png", "one.npy", *net, "-print_results", "-labels_file=labels")
    assert done.code == 0, done.err
    probabilities = np.load("one.npy")[0]
    best = np.argsort(-probabilities)[:5]
    names = [*(f"name{i}" for i in range(6)), "7th class"]
    assert f"pictures/2.png: {', '.join(f'{names[i]} {probabilities[i]:.5f}' for i in best)}\n" in done.out

    np.save("in.npy", np.stack([picture[:20] for picture in pictures()]))
    assert verb("classify", "in.npy", "many.npy", *net).code == 0
    assert np.load("many.npy").shape == (4, 7)


def test_the_real_caffes_answers(verb, realdata, tmp_path):
    folder = realdata / "caffemodels/ahmdtaha_lenet_digits"
    done = verb(
        *("classify", folder / "samples", tmp_path / "out.npy", "-model_def", folder / "mnist_deploy.prototxt"),
        *("-pretrained_model", folder / "lenet_iter_10000.caffemodel", "-images_dim=28,28", "-center_only"),
        *("-ext=png", "-input_scale=0.00390625", "-channel_swap=", "-print_results"),
        f"-labels_file={folder / 'labels.txt'}",
    )
    assert done.code == 0, done.err
    with np.load(realdata / "caffemodels/recorded/lenet_digits_samples.npz") as file:
        recorded = dict(file)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), recorded["out/loss"], atol=1e-4)
    for name in recorded["files"]:
        (line,) = (line for line in done.out.splitlines() if line.startswith(str(folder / "samples" / name)))
        assert line.split(": ")[1][0] == name.split("_")[1]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("pictures out.npy", 1, "pictures: holds no .jpg pictures; give -ext"),
        ("missing.png out.npy", 1, "missing.png: cannot be read as a picture"),
        ("missing.npy out.npy", 1, "missing.npy: cannot be read"),
        ("mean.npy out.npy", 1, "mean.npy: has shape (3, 2, 2); N x H x W x C was expected"),
        ("pictures/0.png out.npy -images_dim=8", 2, "give height,width in pixels"),
        ("pictures/0.png out.npy -images_dim=4,4", 1, "image_dims 4 x 4 are smaller than the net's input"),
        ("pictures/0.png out.npy -channel_swap=b,g,r", 2, "give whole numbers separated by commas"),
        ("pictures/0.png out.npy -mean_file=net", 1, "-mean_file: net cannot be read"),
        ("pictures/0.png out.npy -mean_file=flat.npy", 1, "flat.npy has shape (3, 4); C x H x W"),
        ("pictures/0.png out.npy -labels_file=missing", 1, "-labels_file: missing cannot be read"),
        ("pictures/0.png out.npy -labels_file=labels -print_results", 1, "-labels_file: 6 lines for 7 classes"),
        ("pictures/0.png no/out.npy", 1, "no/out.npy: cannot be written"),
    ],
)
def test_what_classify_refuses(verb, net, args, code, message):
    np.save("flat.npy", np.zeros((3, 4)))
    with open("labels", "w") as file:
        file.write("a\nb\nc\nd\ne\nf\n")
    before = sorted(os.listdir())
    done = verb("classify", *args.split(), *net)
    assert done.code == code
    assert message in done.err
    assert sorted({*os.listdir()} - {"verb.log"}) == sorted({*before} - {"verb.log"})


def test_flags_that_are_needed(verb):
    assert "Missing option '--model_def'" in verb("classify", "a", "b", "-pretrained_model=c").err
    assert "Missing option '--pretrained_model'" in verb("detect", "a", "b", "-model_def=c").err


WINDOWS = [("pictures/0.png", (2, 3, 15, 20)), ("pictures/0.png", (0, 0, 8, 8)), ("pictures/3.png", (5.0, 6.0, 19, 29))]


@pytest.fixture
def windows(net, tmp_path):
    with open(tmp_path / "windows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "xmin", "ymin", "xmax", "ymax"])
        for name, (ymin, xmin, ymax, xmax) in WINDOWS:
            writer.writerow([name, xmin, ymin, xmax, ymax])
    return [*net, "-crop_mode=list", "-mean_file=mean.npy"]


@pytest.mark.parametrize("pad", [0, 2])
def test_windows(verb, windows, pad):
    for out in ("out.csv", "out.h5"):
        done = verb("detect", "windows.csv", out, *windows, f"-context_pad={pad}")
        assert done.code == 0, done.err
        assert "Processed 3 windows" in done.out
    detector = Detector("net", "w.caffemodel", mean=MEAN.mean((1, 2)), context_pad=pad, **SETTINGS)
    wanted = detector.detect_windows([(name, [window]) for name, window in WINDOWS])
    with open("out.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["filename", "ymin", "xmin", "ymax", "xmax", *(f"class{i}" for i in range(7))]
    with h5py.File("out.h5") as file:
        assert file["filename"].asstr()[:].tolist() == [name for name, _ in WINDOWS]
        assert file["window"][:].tolist() == [list(window) for _, window in WINDOWS]
        for i, one in enumerate(wanted):
            assert rows[i + 1][0] == one["filename"]
            assert list(map(float, rows[i + 1][1:5])) == list(one["window"])
            np.testing.assert_allclose(list(map(float, rows[i + 1][5:])), one["prediction"], rtol=1e-5)
            np.testing.assert_allclose(file["prediction"][i], one["prediction"], rtol=1e-5)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("windows.csv out.txt", 2, "out.txt: the suffix must be .csv or .h5"),
        ("missing.csv out.csv", 1, "missing.csv: cannot be read"),
        ("bad.csv out.csv", 1, "bad.csv: has no column xmax; its first line must name them"),
        ("short.csv out.csv", 1, "short.csv: line 2: no window in"),
        ("none.csv out.csv", 1, "none.csv: lists no windows"),
        ("names.txt out.csv -crop_mode=selective_search", 1, "selective search needs the Python package"),
        ("none.txt out.csv -crop_mode=selective_search", 1, "none.txt: names no pictures"),
        ("windows.csv out.csv -context_pad=4", 1, "context_pad 4 for an input of width 8"),
    ],
)
def test_what_detect_refuses(verb, windows, tmp_path, args, code, message):
    (tmp_path / "bad.csv").write_text("filename,ymin,xmin,ymax\n")
    (tmp_path / "short.csv").write_text("filename,ymin,xmin,ymax,xmax\na,1,2,3\n")
    (tmp_path / "none.csv").write_text("filename,ymin,xmin,ymax,xmax\n")
    (tmp_path / "names.txt").write_text("pictures/0.png\n")
    (tmp_path / "none.txt").write_text("\n")
    given, *more = args.split()[:2], *args.split()[2:]
    done = verb("detect", *given, *windows, *more)
    assert done.code == code
    assert message in done.err
    assert not (tmp_path / "out.csv").exists()
