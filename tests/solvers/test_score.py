"""Scoring real nets: what is counted, saved and printed."""

import re
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import caffe_compat
from caffe_compat.errors import DataError, NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, TRAIN, SolverParameter
from caffe_compat.solver.sgd import SGDSolver
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from data_prep.labels import label_from_colours, read_label, voc_palette
from nets.catalogue import lookup
from nets.sources import InputData, PythonData
from nets.surgery import interp
from solvers.metrics import Scores, confusion_matrix
from solvers.prediction import infer
from solvers.score import print_scores, score, seg_tests

CLASSES = 3


class Batches(caffe_compat.Layer):
    """Gives ``batches`` in turn: predicted classes and labels, both N x H x W, the first as one-hot scores."""

    batches: list[tuple[np.ndarray, np.ndarray]] = []

    def setup(self, bottom, top):
        self.turn = 0

    def reshape(self, bottom, top):
        predicted, _ = self.batches[self.turn % len(self.batches)]
        n, height, width = predicted.shape
        top[0].reshape(n, CLASSES, height, width)
        top[1].reshape(n, 1, height, width)

    def forward(self, bottom, top):
        predicted, label = self.batches[self.turn % len(self.batches)]
        top[0].data[...] = 5.0 * np.eye(CLASSES)[predicted].transpose(0, 3, 1, 2)  # N x H x W x C -> N x C x H x W
        top[1].data[...] = label[:, None]
        self.turn += 1

    def backward(self, top, propagate_down, bottom):
        pass


@pytest.fixture
def batches_module(monkeypatch):
    """Name of a module that holds ``Batches``."""
    module = ModuleType("batches_of_the_test")
    module.Batches = Batches
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


@pytest.fixture
def net_over(batches_module):
    """Function: a net whose data layer gives these batches, followed by a layer that keeps the scores as they are."""

    def build(*batches, loss=True, phase=TEST, keep=None):
        Batches.batches = list(batches)
        n = NetSpec()
        PythonData(batches_module, "Batches").add(n, ("data", "label"))
        n.score = L.Power(n.data)
        if loss:
            n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_param={"ignore_label": 255})
        return Net(n.to_proto(), phase, keep=keep)

    return build


def drawn(seed, n=1, height=4, width=5):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, CLASSES, (n, height, width))
    label[:, 0, 0] = 255
    return rng.integers(0, CLASSES, (n, height, width)), label


def expected(*batches):
    return sum(confusion_matrix(label, predicted, CLASSES) for predicted, label in batches)


def test_counts_images_of_several_sizes(net_over):
    batches = [drawn(1), drawn(2, height=7), drawn(3, width=2)]
    scores = score(net_over(*batches), ["a", "b", "c"], progress=False)
    assert scores.hist.tolist() == expected(*batches).tolist()
    assert scores.hist.sum() == 19 + 34 + 7
    assert scores.images == 3


def test_counts_every_element_of_a_batch(net_over):
    batches = [drawn(1, n=2), drawn(2, n=2)]
    scores = score(net_over(*batches), 2, progress=False)
    assert scores.hist.tolist() == expected(*batches).tolist()
    assert scores.images == 4


def test_surplus_of_the_last_batch_does_not_count(net_over, tmp_path):
    (first, first_label), (last, last_label) = drawn(1, n=2), drawn(2, n=2)
    net = net_over((first, first_label), (last, last_label))
    scores = score(net, ["a", "b", "c"], save_dir=tmp_path, progress=False)
    assert scores.hist.tolist() == expected((first, first_label), (last[:1], last_label[:1])).tolist()
    assert scores.images == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]


def test_loss_is_the_mean_over_passes(net_over):
    right = np.ones((1, 4, 5), int)
    scores = score(net_over((right, right), (right, 0 * right)), 2, progress=False)
    low = -np.log(np.exp(5) / (np.exp(5) + 2))  # the true class has score 5, the two others 0
    assert scores.loss == pytest.approx((low + low + 5) / 2, rel=1e-5)


def test_a_net_without_loss(net_over):
    assert score(net_over(drawn(1), loss=False), 1, progress=False).loss is None


def test_a_lean_net_gives_the_same(net_over):
    batches = [drawn(1), drawn(2)]
    lean = score(net_over(*batches, keep=["score", "label", "loss"]), 2, progress=False)
    full = score(net_over(*batches), 2, progress=False)
    assert (lean.hist.tolist(), lean.loss) == (full.hist.tolist(), full.loss)


def test_a_lean_net_that_dropped_the_labels(net_over):
    with pytest.raises(NetError, match=r"blob 'label' was dropped by a lean net; build it with Net\(..., keep="):
        score(net_over(drawn(1), keep=["score", "loss"]), 1, progress=False)


def test_predictions_are_saved_as_palette_pngs_into_a_folder_that_may_exist(net_over, tmp_path):
    predicted, label = drawn(1)
    for _ in range(2):
        score(net_over((predicted, label)), ["2007_000033"], save_dir=tmp_path / "iter" / "1", progress=False)
    with Image.open(tmp_path / "iter" / "1" / "2007_000033.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), predicted[0])
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), voc_palette()[predicted[0]])


def test_predictions_of_passes_are_numbered(net_over, tmp_path):
    score(net_over(drawn(1, n=2), drawn(2)), 2, save_dir=tmp_path, progress=False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000000.png", "000001.png", "000002.png"]


@pytest.mark.parametrize("dataset", [0, []])
def test_nothing_to_score(net_over, dataset):
    with pytest.raises(DataError, match="score: 0 images or passes to score; give at least one"):
        score(net_over(drawn(1)), dataset)


def test_a_blob_that_the_net_lacks(net_over):
    with pytest.raises(NetError, match="the net has no blob 'score_sem'; it has data, label, .*score"):
        score(net_over(drawn(1)), 1, "score_sem")


def test_labels_of_another_size(net_over):
    net = net_over(drawn(1), loss=False)
    with pytest.raises(NetError, match=r"'score' is \(1, 3, 4, 5\) and 'data' is \(1, 3, 4, 5\); wanted N x classes"):
        score(net, 1, gt="data", progress=False)


def test_printed_lines_are_the_release_s():
    lines = []
    print_scores(Scores(np.array([[6, 2], [1, 3]]), images=1, loss=1.5), 4000, lines.append)
    pattern = r">>> \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? Iteration 4000 (.*) (\S+)"
    found = [re.fullmatch(pattern, line).group(2, 3) for line in lines]
    assert [name for name, _ in found] == ["loss", "overall accuracy", "mean accuracy", "mean IU", "fwavacc"]
    assert [float(value) for _, value in found] == pytest.approx([1.5, 0.75, 0.75, 7 / 12, 11 / 18])


def test_printed_lines_without_loss_and_with_a_class_that_is_only_predicted():
    lines = []
    print_scores(Scores(np.array([[6, 2], [0, 0]])), 1, lines.append)
    assert "overall accuracy 0.75" in lines[0]
    assert "mean IU 0.75" in lines[2]
    assert lines[4].endswith("mean IU with absent classes as 0, as the released score.py has it 0.375")


def test_seg_tests_score_the_test_net_with_the_training_net_s_weights(batches_module, tmp_path, capsys):
    predicted, label = drawn(1)
    Batches.batches = [(predicted, label)]
    n = NetSpec()
    PythonData(batches_module, "Batches").add(n, ("data", "label"))
    n.score = L.Convolution(n.data, num_output=CLASSES, kernel_size=1)  # zeros: all is class 0
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_param={"ignore_label": 255})
    settings = SolverParameter(base_lr=0.0, lr_policy="fixed", test_iter=[1], test_interval=1000)
    settings.net_param.CopyFrom(n.to_proto())
    solver = SGDSolver(settings)
    solver.net.params["score"][1].data[2] = 1  # all is class 2
    scores = seg_tests(solver, str(tmp_path / "iter{}"), ["first"], progress=False)
    assert scores.hist.tolist() == confusion_matrix(label, np.full_like(label, 2), CLASSES).tolist()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("Begin seg tests")
    assert lines[2].endswith(f"Iteration 0 overall accuracy {scores.pixel_accuracy}")
    assert (tmp_path / "iter0" / "first.png").is_file()


def test_seg_tests_without_a_test_net(net_over):
    class Alone:
        net, test_nets, iter = net_over(drawn(1), phase=TRAIN), [], 3

    with pytest.raises(NetError, match="the solver has no test net; give its settings a test_net"):
        seg_tests(Alone(), None, 1)


def voc_source(realdata, split="val"):
    params = {"voc_dir": str(realdata / "VOCdevkit" / "VOC2012"), "split": split, "mean": (104.0, 116.7, 122.7)}
    caffe_compat.allow_python_layers("data_prep")
    return PythonData("data_prep.layers", "VOCSegDataLayer", params)


def test_score_and_infer_agree_on_real_pictures(realdata, tmp_path):
    """The scored confusion matrix is that of infer's PNGs and the dataset's label files, read from disk again."""
    folder = realdata / "VOCdevkit" / "VOC2012"
    ids = (folder / "ImageSets" / "Segmentation" / "val.txt").read_text().split()[:3]
    model = lookup("voc-fcn8s")
    net = Net(model.build(voc_source(realdata), width=1 / 64), TEST, keep=["score", "label", "loss"])
    for number, blobs in enumerate(net.params.values()):
        for blob in blobs:
            rng = np.random.default_rng(number)
            blob.data[...] = rng.standard_normal(blob.data.shape) * np.sqrt(2 / np.prod(blob.data.shape[1:]))
    interp(net, [name for name in net.params if name.startswith("upscore")])
    scores = score(net, ids, save_dir=tmp_path / "scored", progress=False)

    deploy = Net(model.build(InputData({"data": (1, 3, 8, 8)}), width=1 / 64), TEST, keep=["score"])
    deploy.share_with(net)
    pictures = [folder / "JPEGImages" / f"{image_id}.jpg" for image_id in ids]
    hist = np.zeros((21, 21), np.int64)
    predictions = infer(deploy, pictures, tmp_path / "inferred", mean_bgr=(104.0, 116.7, 122.7), progress=False)
    for image_id, prediction in zip(ids, predictions, strict=True):
        with Image.open(prediction.label) as inferred, Image.open(tmp_path / "scored" / f"{image_id}.png") as scored:
            np.testing.assert_array_equal(np.asarray(inferred), np.asarray(scored))
            label = read_label(folder / "SegmentationClass" / f"{image_id}.png")
            hist += confusion_matrix(label, np.asarray(inferred), 21)
    assert scores.hist.tolist() == hist.tolist()
    assert np.count_nonzero(hist.sum(axis=0)) > 1  # not all one class


def test_released_demo_picture(realdata):
    """The official net's answer against the label: the published confusion matrix and figures."""
    label = read_label(realdata / "fcn_demo" / "label.png")
    with Image.open(realdata / "fcn_demo" / "output.png") as picture:
        answer = label_from_colours(np.asarray(picture.convert("RGB")), "output.png")
    scores = Scores(confusion_matrix(label, answer, 21), images=1)
    rows = scores.hist[np.ix_([0, 2, 15], [0, 2, 15])]
    assert rows.tolist() == [[52692, 1398, 299], [4618, 28404, 1161], [8782, 7320, 45041]]
    assert f"{scores.pixel_accuracy:.11f}" == "0.84251411014"
    assert [f"{scores.class_iu[c]:.6f}" for c in (0, 2, 15)] == ["0.777294", "0.662082", "0.719470"]
    assert np.isnan(np.delete(scores.class_iu, [0, 2, 15])).all()
