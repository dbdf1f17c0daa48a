"""Inference on picture files through real nets: what is written, at which size, and the errors."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from caffe_compat.errors import DataError, NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from data_prep.labels import voc_palette
from nets.catalogue import lookup
from nets.sources import InputData
from nets.surgery import interp
from solvers.infer import deploy_net, infer_command, infer_model
from solvers.prediction import find_images, infer, overlay, predict

MEAN_BGR = (10.0, 20.0, 30.0)


def brightest_channel(stride=1):
    """A net whose class is the largest of B, G, R minus mean: 0, 1 or 2."""
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 3, 2, 2]})
    n.score = L.Convolution(n.data, num_output=3, kernel_size=1, stride=stride)
    net = Net(n.to_proto(), TEST, keep=["score"])
    net.params["score"][0].data[...] = np.eye(3)[:, :, None, None]
    return net


def picture(seed, height=6, width=9):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def expected(rgb):
    return (rgb[:, :, ::-1] - np.array(MEAN_BGR)).argmax(axis=2)


@pytest.fixture
def folder(tmp_path):
    """Three pictures of several sizes and kinds, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(picture(1)).save(folder / "b.png")
    Image.fromarray(picture(2, height=4, width=11)).save(folder / "a.BMP", format="BMP")
    Image.fromarray(picture(3)[:, :, 0]).save(folder / "grey.png")
    (folder / "readme.txt").write_text("not a picture")
    return folder


def read(path):
    with Image.open(path) as image:
        return np.asarray(image), image.mode


def test_predict_takes_bgr_minus_mean_at_any_size():
    net = brightest_channel()
    for seed, (height, width) in enumerate([(6, 9), (3, 4), (12, 5)]):
        rgb = picture(seed, height, width)
        np.testing.assert_array_equal(predict(net, rgb, MEAN_BGR), expected(rgb))


def test_folder_of_pictures_at_their_own_sizes(folder, tmp_path):
    results = infer(brightest_channel(), folder, tmp_path / "out", mean_bgr=MEAN_BGR, progress=False)
    assert [result.image.name for result in results] == ["a.BMP", "b.png", "grey.png"]
    assert [result.label for result in results] == [tmp_path / "out" / f"{name}.png" for name in ("a", "b", "grey")]
    for result, rgb in zip(results, (picture(2, 4, 11), picture(1)), strict=False):
        label, mode = read(result.label)
        assert mode == "P"
        np.testing.assert_array_equal(label, expected(rgb))
        laid_over, mode = read(result.overlay)
        assert mode == "RGB"
        np.testing.assert_array_equal(laid_over, overlay(rgb, label))
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "grey.png", "overlays"]


def test_grey_picture_counts_as_three_equal_channels(folder, tmp_path):
    (result,) = infer(brightest_channel(), folder / "grey.png", tmp_path, mean_bgr=MEAN_BGR, progress=False)
    assert not read(result.label)[0].any()  # the smallest mean wins


def test_no_overlays(folder, tmp_path):
    results = infer(
        brightest_channel(), [folder / "b.png"], tmp_path / "out", mean_bgr=MEAN_BGR, overlays=False, progress=False
    )
    assert results[0].overlay is None
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["b.png"]


def test_overlay_mixes_colours_and_leaves_the_background():
    rgb = np.array([[[10, 20, 31], [100, 200, 51]]], np.uint8)
    mixed = overlay(rgb, np.array([[0, 15]]))
    assert voc_palette()[15].tolist() == [192, 128, 128]
    assert mixed.tolist() == [[[10, 20, 31], [146, 164, 90]]]
    assert overlay(rgb, np.array([[0, 15]]), strength=1)[0, 1].tolist() == [192, 128, 128]


def test_unreadable_picture_is_named_and_leaves_no_file(folder, tmp_path):
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    with pytest.raises(DataError, match=r"image '.*c\.jpg' is damaged or not an image .*; replace the file"):
        infer(brightest_channel(), folder, tmp_path / "out", mean_bgr=MEAN_BGR, progress=False)
    assert not (tmp_path / "out" / "c.png").exists()


def test_missing_picture(tmp_path):
    with pytest.raises(DataError, match=r"infer: '.*none\.jpg' is not there; give an image or a folder of images"):
        find_images([tmp_path / "none.jpg"])


def test_folder_without_pictures(tmp_path):
    with pytest.raises(DataError, match=r"holds no image; looked for \.bmp, .*\.webp"):
        find_images([tmp_path])


def test_two_pictures_of_one_name(folder):
    Image.fromarray(picture(4)).save(folder / "b.jpg")
    with pytest.raises(DataError, match=r"'.*b\.jpg' and '.*b\.png' would both be written as b\.png; rename one"):
        find_images([folder])


def test_results_never_overwrite_pictures(folder):
    before = (folder / "b.png").read_bytes()
    with pytest.raises(DataError, match=r"the result '.*b\.png' would overwrite that picture; choose another --out"):
        infer(brightest_channel(), folder, folder, mean_bgr=MEAN_BGR)
    assert (folder / "b.png").read_bytes() == before


def test_net_without_the_blob(folder, tmp_path):
    with pytest.raises(NetError, match="infer: the net has no blob 'score_sem'; it has data, score"):
        infer(brightest_channel(), folder, tmp_path, mean_bgr=MEAN_BGR, layer="score_sem")


def test_scores_that_are_smaller_than_the_picture(folder, tmp_path):
    with pytest.raises(NetError, match=r"'score' is \(1, 3, 2, 6\) for an image of 4 x 11 .*; wanted scores of the im"):
        infer(brightest_channel(stride=2), folder, tmp_path, mean_bgr=MEAN_BGR, progress=False)


@pytest.fixture
def weights(tmp_path):
    """A caffemodel of a thin voc-fcn32s that finds class 7 everywhere."""
    net = Net(lookup("voc-fcn32s").build(InputData({"data": (1, 3, 8, 8)}), width=1 / 64), TEST)
    interp(net, ["upscore"])
    net.params["score_fr"][1].data[7] = 1
    net.save(str(tmp_path / "thin.caffemodel"))
    return tmp_path / "thin.caffemodel"


def test_deploy_net_is_lean_and_loads_weights(weights):
    net = deploy_net("voc-fcn32s", weights, width=1 / 64)
    assert (predict(net, picture(1, 20, 33), MEAN_BGR) == 7).all()
    with pytest.raises(NetError, match="dropped by a lean net"):
        net.blobs["pool3"].data  # noqa: B018 - reading is what fails


def test_command_writes_predictions(folder, weights, tmp_path):
    args = ["voc-fcn32s", str(weights), str(folder), "--out", str(tmp_path / "out"), "--width", str(1 / 64)]
    result = CliRunner().invoke(infer_command, args)
    assert result.exit_code == 0, result.output
    assert f"{folder / 'b.png'} -> {tmp_path / 'out' / 'b.png'}" in result.output
    assert (read(tmp_path / "out" / "b.png")[0] == 7).all()
    assert read(tmp_path / "out" / "overlays" / "a.png")[0].shape == (4, 11, 3)


def test_every_task_of_a_net_has_pictures_and_every_class_a_colour(folder, tmp_path):
    net = Net(lookup("siftflow-fcn32s").build(InputData({"data": (1, 3, 8, 8)}), classes=33, width=1 / 64), TEST)
    interp(net, ["upscore_sem", "upscore_geo"])
    net.params["score_fr_sem"][1].data[0] = net.params["score_fr_geo"][1].data[2] = 1
    net.save(str(tmp_path / "thin.caffemodel"))
    out = tmp_path / "out"
    results = infer_model("siftflow-fcn32s", tmp_path / "thin.caffemodel", folder, out, width=1 / 64)
    for result in results:
        name = result.image.stem
        assert result.written == [out / f"{name}.png", out / "overlays" / f"{name}.png", out / f"geometric/{name}.png"]
        assert (read(result.label)[0] == 0).all()
        assert (read(out / "geometric" / f"{name}.png")[0] == 2).all()
    seen = np.array(Image.open(folder / "b.png").convert("RGB"))
    assert (read(out / "overlays" / "b.png")[0] != seen).any()  # awning, class 0, is no background


@pytest.mark.parametrize(("model", "reads"), [("nyud-fcn32s-hha", "hha"), ("nyud-fcn32s-color-d", "color and depth")])
def test_a_model_that_reads_more_or_other_than_a_picture(folder, tmp_path, model, reads):
    with pytest.raises(NetError, match=f"infer: {model} reads {reads}, and a picture is color alone; take a model"):
        infer_model(model, tmp_path / "none.caffemodel", folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: "voc-fcn9s"}, "unknown model 'voc-fcn9s' (did you mean"),
        ({2: "nowhere"}, "'nowhere' is not there"),
        ({4: "tpu"}, "device 'tpu' is unknown; give cpu, cuda, cuda:N or the GPU's number N"),
        ({6: "5"}, "score_fr"),
    ],
)
def test_command_reports_errors_in_a_line(folder, weights, change, message):
    args = ["voc-fcn32s", str(weights), str(folder), "--device", "cpu", "--classes", "21", "--width", str(1 / 64)]
    for position, value in change.items():
        args[position] = value
    result = CliRunner().invoke(infer_command, args)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
