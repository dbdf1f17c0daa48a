"""What is written for VOC's test server."""

import tarfile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from caffe_compat.errors import DataError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from data_prep.labels import read_label, voc_palette
from nets.catalogue import lookup
from nets.sources import InputData
from solvers.prediction import predict
from solvers.voc_export import export_command, export_results

MEAN_BGR = (100.0, 100.0, 100.0)


@pytest.fixture
def voc(drawn):
    """A drawn VOC2011 with a list of test images."""
    (folder,) = drawn.voc_dir.parent.glob("VOC20*")
    (folder / "ImageSets" / "Segmentation" / "test.txt").write_text("".join(f"{one}\n" for one in drawn.val))
    return folder, drawn.val


def brightest_channel():
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 3, 8, 8]})
    n.score = L.Power(n.data)
    return Net(n.to_proto(), TEST)


def test_folders_pictures_and_tar(voc, tmp_path):
    folder, ids = voc
    year = folder.name
    tar = export_results(brightest_channel(), folder, tmp_path, mean_bgr=MEAN_BGR, progress=False)
    inside = f"results/{year}/Segmentation/comp6_test_cls"
    assert tar == tmp_path / f"results_{year}.tar"
    with tarfile.open(tar) as archive:
        assert archive.getnames() == [f"{inside}/{one}.png" for one in ids]
        stored = archive.extractfile(f"{inside}/{ids[0]}.png").read()
    written = tmp_path / inside / f"{ids[0]}.png"
    assert stored == written.read_bytes()
    picture = np.array(Image.open(folder / "JPEGImages" / f"{ids[0]}.jpg"))
    np.testing.assert_array_equal(read_label(written), picture[:, :, ::-1].argmax(axis=2))
    with Image.open(written) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.reshape(image.getpalette(), (-1, 3))[:21], voc_palette()[:21])


def test_a_folder_without_its_year(voc, tmp_path):
    other = voc[0].rename(voc[0].with_name("mine"))
    with pytest.raises(DataError, match="mine': the server wants the year; give the folder VOC2011 or VOC2012 itself"):
        export_results(brightest_channel(), other, tmp_path, mean_bgr=MEAN_BGR)


@pytest.mark.parametrize("year", ["VOC2011", "VOC2012"])
def test_the_command_writes_what_the_server_of_that_year_wants(voc, tmp_path, year):
    folder = voc[0].rename(voc[0].with_name(year))
    param = lookup("voc-fcn-pool3").build(InputData({"data": (1, 3, 32, 32)}))
    for layer in param.layer:
        if layer.type in ("Convolution", "Deconvolution"):
            layer.convolution_param.weight_filler.type = "msra"
    net = Net(param, TEST)
    net.save(tmp_path / "random.caffemodel")
    arguments = ["voc-fcn-pool3", str(tmp_path / "random.caffemodel"), str(folder), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(export_command, arguments)
    tar = tmp_path / "out" / f"results_{year}.tar"
    assert (done.exit_code, done.stdout) == (0, f"upload {tar}\n")
    with tarfile.open(tar) as archive:
        assert archive.getnames() == [f"results/{year}/Segmentation/comp6_test_cls/{one}.png" for one in voc[1]]
    label = read_label(tmp_path / "out" / "results" / year / "Segmentation" / "comp6_test_cls" / f"{voc[1][0]}.png")
    with Image.open(folder / "JPEGImages" / f"{voc[1][0]}.jpg") as picture:
        expected = predict(net, np.asarray(picture.convert("RGB")), lookup("voc-fcn-pool3").mean_bgr)
    np.testing.assert_array_equal(label, expected)
    assert label.max() <= 20


def test_the_command_refuses_weights_of_another_net(voc, tmp_path):
    net = Net(lookup("voc-fcn-pool3").build(InputData({"data": (1, 3, 32, 32)})), TEST)
    net.save(tmp_path / "zero.caffemodel")
    done = CliRunner().invoke(
        export_command,
        ["voc-fcn-pool4", str(tmp_path / "zero.caffemodel"), str(voc[0]), "--out", str(tmp_path / "out")],
    )
    assert done.exit_code == 1
    assert "has no weights for " in done.output
    assert not (tmp_path / "out").exists()
