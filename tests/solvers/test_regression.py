"""The regression against published figures: what agrees, what lies outside, what is skipped, and the exit status."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from caffe_compat.device import set_random_seed
from caffe_compat.glog import init_log
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from data_prep.labels import encode_label, read_label, voc_palette
from nets.catalogue import lookup
from nets.sources import InputData
from nets.surgery import interp
from solvers.initial import interpolated_layers
from solvers.measured import score_weights
from solvers.metrics import FIGURES
from solvers.published import ALL_BACKGROUND, PUBLISHED, RELEASED_WEIGHTS, SPLIT_IMAGES, VGG_MILLIONS, Row
from solvers.recipes import RECIPES
from solvers.regression import regression, regression_command
from solvers.regression_labels import background_everywhere, check_labels
from solvers.regression_models import check_model, find_weights
from solvers.regression_specs import check_specs

MODEL = "voc-fcn-pool3"


@pytest.fixture
def command():
    """Function: the command with these arguments: exit status and output."""

    def run(*arguments):
        done = CliRunner().invoke(regression_command, [str(one) for one in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout, done.stderr

    yield run
    init_log(0)


def random_weights(model, path, width=1):
    shapes = {top: (1, shape[1], 64, 64) for top, shape in lookup(model).deploy_shapes.items()}
    param = lookup(model).build(InputData(shapes), classes=lookup(model).classes, width=width)
    for layer in param.layer:
        if layer.type == "Convolution":
            layer.convolution_param.weight_filler.type = "msra"
    set_random_seed(4)
    net = Net(param, TEST)
    interp(net, interpolated_layers(net))
    path.parent.mkdir(parents=True, exist_ok=True)
    net.save(path)
    return path


# -- specs -------------------------------------------------------------------------------------------------------------


def test_figures_of_the_specs_agree():
    found = list(check_specs())
    assert [one.state for one in found] == ["agrees"] * 14
    assert [one.name.split(",")[0] for one in found][:4] == [
        "voc-fcn-alexnet",
        "voc-fcn32s",
        "voc-fcn-googlenet",
        "VGG A",
    ]


def test_a_spec_that_misses_its_figure_is_outside(monkeypatch, command):
    monkeypatch.setitem(VGG_MILLIONS, "C", 135)
    status, out, _ = command()
    assert status == 1
    assert "  OUTSIDE   VGG C: 133,638,952 parameters; published: 135M\n" in out


# -- labels ------------------------------------------------------------------------------------------------------------


def drawn_labels(drawn):
    return [drawn.voc_dir / "SegmentationClass" / f"{one}.png" for one in drawn.val]


def take_for_seg11valid(monkeypatch, labels):
    """Let these labels be the whole of seg11valid, with their own figures for the published ones."""
    scores = background_everywhere(labels, progress=False)
    figures = {name: getattr(scores, name) for name in FIGURES}
    monkeypatch.setitem(SPLIT_IMAGES, "seg11valid", len(labels))
    monkeypatch.setitem(ALL_BACKGROUND, "seg11valid", replace(ALL_BACKGROUND["seg11valid"], **figures))


@pytest.fixture
def small_seg11valid(drawn, monkeypatch):
    """The drawn data taken for seg11valid; gives data folder and labels."""
    labels = drawn_labels(drawn)
    take_for_seg11valid(monkeypatch, labels)
    return drawn.voc_dir.parent.parent, labels


def recolour(path, rows):
    """Make some rows of a label class 3."""
    label = read_label(path)
    label[rows] = 3
    path.write_bytes(encode_label(label, voc_palette()))


def test_background_everywhere_by_hand(tmp_path):
    for name, values in {"a": [[0, 0, 255], [2, 0, 255]], "b": [[2, 2, 0]]}.items():
        (tmp_path / f"{name}.png").write_bytes(encode_label(np.array(values, np.uint8)))
    scores = background_everywhere(sorted(tmp_path.iterdir()), progress=False)
    assert (scores.images, scores.pixel_accuracy, scores.mean_accuracy) == (2, 4 / 7, 0.5)
    assert scores.mean_iu == pytest.approx(4 / 7 / 2)
    assert scores.fw_iu == pytest.approx(4 / 7 * 4 / 7)


def test_labels_agree_and_changed_ones_do_not(small_seg11valid, command):
    data, labels = small_seg11valid
    status, out, _ = command("--data", data)
    assert status == 0
    assert "  agrees    all background on seg11valid: pixel accuracy 0." in out
    assert f"('{data / 'pascal' / 'VOC2011'}')" in out
    recolour(labels[0], slice(0, 20))
    status, out, _ = command("--data", data)
    assert status == 1
    assert "  OUTSIDE   all background on seg11valid: pixel accuracy 0." in out
    assert " is not within 0.0005 of 0." in out


def test_a_folder_of_labels_alone_is_held_to_every_digit(small_seg11valid, tmp_path):
    _, labels = small_seg11valid
    flat = tmp_path / "flat" / "labels_seg11valid"
    flat.mkdir(parents=True)
    for label in labels:
        shutil.copy(label, flat)
    assert next(check_labels(flat.parent, progress=False)).state == "agrees"
    label = read_label(flat / labels[0].name)
    row, column = np.argwhere(label == 0)[0]
    label[row, column] = 255  # one pixel
    (flat / labels[0].name).write_bytes(encode_label(label))
    found = next(check_labels(flat.parent, progress=False))
    assert (found.state, found.wrong) == ("OUTSIDE", True)
    assert "is not within 1e-10 of 0." in found.text


def test_a_damaged_label_fails(small_seg11valid, command):
    data, labels = small_seg11valid
    labels[1].write_bytes(labels[1].read_bytes()[:100])
    status, out, _ = command("--data", data)
    assert status == 1
    assert f"  failed    all background on seg11valid: label '{labels[1]}' is damaged" in out


def test_what_is_not_whole_is_skipped(drawn):
    data = drawn.voc_dir.parent.parent
    found = {one.name: one for one in check_labels(data, progress=False)}
    assert {one.state for one in found.values()} == {"skipped"}
    assert found["all background on seg11valid"].text == f"'{drawn.voc_dir}' has 2 of 736 labels"
    assert found["all background on VOC2012 val"].text == f"nothing of it in '{data}'"
    assert found["the demo's output against its label"].text.startswith("no fcn_demo or demo with label.png and output")


@pytest.fixture
def demo(realdata, tmp_path):
    shutil.copytree(realdata / "fcn_demo", tmp_path / "data" / "fcn_demo")
    return tmp_path / "data"


def test_the_released_demo(demo):
    found = list(check_labels(demo, progress=False))[-1]
    assert found.state == "agrees"
    assert found.text.startswith("pixel accuracy 0.84251411014")


def test_another_output_of_the_demo(demo):
    path = demo / "fcn_demo" / "output.png"
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))
    pixels[:5] = 0
    Image.fromarray(pixels).save(path)
    found = list(check_labels(demo, progress=False))[-1]
    assert found.state == "OUTSIDE"
    assert "is not within 1e-06 of 0.842514" in found.text


@pytest.mark.slow
def test_the_real_labels_of_seg11valid(realdata, tmp_path, command):
    status, out, _ = command("--data", realdata)
    assert status == 0
    assert (
        "  agrees    all background on seg11valid: pixel accuracy 0.728528704731, mean accuracy 0.047619047619" in out
    )
    assert "  skipped   all background on VOC2012 val: " in out
    flat = tmp_path / "labels_seg11valid"
    flat.mkdir()
    for label in (realdata / "labels_seg11valid").iterdir():
        (flat / label.name).symlink_to(label.resolve())
    changed = flat / "2007_000033.png"
    content = read_label(changed)
    content[0, 0] = 1 - min(1, content[0, 0])
    changed.unlink()
    changed.write_bytes(encode_label(content))
    assert next(check_labels(tmp_path, progress=False)).state == "OUTSIDE"


# -- models ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with weights of one model, at full width."""
    folder = tmp_path_factory.mktemp("weights")
    random_weights(MODEL, folder / "below" / f"{MODEL}.caffemodel")
    return folder


@pytest.fixture
def measured(weights, drawn_once, monkeypatch):
    """What they score on the drawn data, which is taken for the whole split from now on."""
    found = score_weights(MODEL, find_weights(MODEL, weights)[0], drawn_once, progress=False)
    take_for_seg11valid(monkeypatch, sorted((drawn_once / "pascal" / "VOC2011" / "SegmentationClass").iterdir()))
    return found.scores[""]


def row_of(scores, shift=0.0):
    return Row(
        "P", scores.pixel_accuracy + shift, scores.mean_accuracy + shift, scores.mean_iu + shift, scores.fw_iu + shift
    )


def test_a_score_like_the_published_agrees(measured, weights, drawn_once, monkeypatch, command):
    monkeypatch.setitem(PUBLISHED, MODEL, (row_of(measured, 0.0009),))
    status, out, _ = command("--data", drawn_once, "--weights", weights, MODEL)
    assert status == 0
    line = next(line for line in out.splitlines() if MODEL in line)
    figures = f"{100 * measured.pixel_accuracy:.5g}/{100 * measured.mean_accuracy:.5g}/{100 * measured.mean_iu:.5g}"
    assert line.startswith(f"  agrees    {MODEL} with {MODEL}.caffemodel: {figures}/")
    assert line.endswith("; agrees with P (PAMI 2016 paper, as commonly cited) within 0.1")
    assert out.splitlines()[-1] == "16 agrees, 2 skipped"


def test_a_score_far_from_the_published_is_outside(measured, weights, drawn_once, monkeypatch, command):
    monkeypatch.setitem(PUBLISHED, MODEL, (row_of(measured, 0.02),))
    status, out, _ = command("--data", drawn_once, "--weights", weights, MODEL)
    assert status == 1
    assert f"  OUTSIDE   {MODEL} with {MODEL}.caffemodel: " in out
    assert "; nor is mean IU within " in out
    assert out.splitlines()[-1] == "15 agrees, 2 skipped, 1 OUTSIDE"


def test_released_weights_are_held_to_their_own_figures(measured, weights, drawn_once, monkeypatch, tmp_path):
    monkeypatch.setitem(PUBLISHED, MODEL, (replace(row_of(measured, 0.01), source="W", tolerance=0.0005),))
    monkeypatch.setitem(RELEASED_WEIGHTS, MODEL, "pool3-heavy.caffemodel")
    for name in (f"{MODEL}.caffemodel", "pool3-heavy.caffemodel"):
        shutil.copy(find_weights(MODEL, weights)[0], tmp_path / name)
    released, own = check_model(MODEL, tmp_path, drawn_once, progress=False)
    assert released.name == f"{MODEL} with pool3-heavy.caffemodel"
    assert (released.state, own.state) == ("OUTSIDE", "agrees")


def test_a_part_of_the_split_is_measured_and_not_judged(weights, drawn_once):
    (found,) = check_model(MODEL, weights, drawn_once, progress=False)
    assert (found.state, found.wrong) == ("measured", False)
    assert "; published 70.9/13.7/9.2/57.6 (P); not judged: seg11valid has 736 images, and these are 2" in found.text


def test_weights_that_do_not_fit_fail(drawn_once, tmp_path, command):
    random_weights("voc-fcn-pool4", tmp_path / f"{MODEL}.caffemodel", width=1 / 32)
    status, out, _ = command("--data", drawn_once, "--weights", tmp_path, MODEL)
    assert status == 1
    assert f"  failed    {MODEL} with {MODEL}.caffemodel: " in out


def test_all_tasks_of_a_net_are_judged(data_of, tmp_path, monkeypatch):
    path = random_weights("siftflow-fcn16s", tmp_path / "siftflow-fcn16s.caffemodel", width=1 / 32)
    data = data_of("siftflow")
    scores = score_weights("siftflow-fcn16s", path, data, width=1 / 32, progress=False)
    monkeypatch.setitem(SPLIT_IMAGES, "SIFT Flow test", scores.images)
    rows = [
        replace(row_of(one, shift), split="SIFT Flow test", task=task)
        for (task, one), shift in zip(scores.scores.items(), (0.0, 0.1), strict=True)
    ]
    monkeypatch.setitem(PUBLISHED, "siftflow-fcn16s", tuple(rows))
    semantic, geometric = check_model("siftflow-fcn16s", tmp_path, data, width=1 / 32, progress=False)
    assert (semantic.state, geometric.state) == ("agrees", "OUTSIDE")
    assert semantic.name == "siftflow-fcn16s with siftflow-fcn16s.caffemodel, semantic"


def test_where_weights_are_looked_for(tmp_path):
    snapshots = tmp_path / "voc-fcn32s" / "snapshot"
    snapshots.mkdir(parents=True)
    for iteration in (4000, 100000):
        assert not find_weights("voc-fcn32s", tmp_path)
        for kind in ("caffemodel", "solverstate"):
            (snapshots / f"train_iter_{iteration}.{kind}").touch()
    assert find_weights("voc-fcn32s", tmp_path) == [snapshots / "train_iter_100000.caffemodel"]
    names = ["fcn32s-heavy-pascal.caffemodel", "voc-fcn32s.caffemodel", "voc-fcn32s.caffemodel.h5"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in find_weights("voc-fcn32s", tmp_path)][:3] == names


def test_every_model_without_weights_or_data_is_skipped_with_the_reason(tmp_path, drawn_once, weights, command):
    sections = {title: list(found) for title, found in regression(tmp_path, tmp_path, progress=False)}
    assert [one.name for one in sections["models"]] == list(RECIPES)
    assert {one.state for one in sections["models"]} == {"skipped"}
    assert sections["models"][2].text == (f"no fcn8s-heavy-pascal.caffemodel or voc-fcn8s.caffemodel in '{tmp_path}'")
    (found,) = check_model(MODEL, weights, tmp_path, progress=False)
    assert found.state == "skipped"
    assert found.text.startswith("weights are there (1), but its data is not: no VOC dataset at ")
    status, out, _ = command()
    assert status == 0
    assert out.splitlines()[-1] == f"14 agrees, {1 + len(RECIPES)} skipped"
    assert f"  skipped   {MODEL}: no --weights" in out


def test_an_unknown_model(command):
    status, _, err = command("voc-fcn8")
    assert status == 1
    assert "unknown model 'voc-fcn8' (did you mean voc-fcn8s?)" in err
