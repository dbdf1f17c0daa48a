"""Scoring all tasks of a net in one pass, by the rules of its dataset."""

import sys
from types import ModuleType

import numpy as np
import pytest

import caffe_compat
from caffe_compat.errors import DataError, NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from nets.catalogue import MODELS, lookup
from solvers.evaluation import EVALUATIONS, evaluate
from solvers.metrics import Scores

COW, DESERT, SKY = 8, 10, 27


class Answers(caffe_compat.Layer):
    """Gives, image by image, predictions as one-hot scores and labels, of both SIFT Flow tasks."""

    images: list[tuple] = []

    def setup(self, bottom, top):
        self.turn = 0

    def reshape(self, bottom, top):
        for blob, channels in zip(top, (33, 1, 3, 1), strict=True):
            blob.reshape(1, channels, 1, len(self.images[0][0]))

    def forward(self, bottom, top):
        semantic, sem, geometric, geo = self.images[self.turn]
        top[0].data[0, :, 0] = np.eye(33)[semantic].T
        top[1].data[0, 0, 0] = sem
        top[2].data[0, :, 0] = np.eye(3)[geometric].T
        top[3].data[0, 0, 0] = geo
        self.turn += 1

    def backward(self, top, propagate_down, bottom):
        pass


@pytest.fixture
def net_of(monkeypatch):
    module = ModuleType("answers_of_the_test")
    module.Answers = Answers
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def build(*images):
        Answers.images = list(images)
        n = NetSpec()
        made = L.Python(python_param={"module": module.__name__, "layer": "Answers"}, ntop=4)
        n.score_sem, n.sem, n.score_geo, n.geo = made
        n.loss = L.SoftmaxWithLoss(n.score_sem, n.sem, loss_param={"ignore_label": 255})
        return Net(n.to_proto(), TEST)

    return build


def test_both_tasks_in_one_pass(net_of):
    # four pixels an image: predicted and true, semantic and geometric
    first = ([SKY, SKY, 0, 0], [SKY, 0, 0, 255], [0, 0, 1, 1], [0, 0, 1, 2])
    second = ([0, 0, 0, 0], [0, 0, 0, 0], [2, 2, 2, 2], [2, 2, 2, 2])
    scores = evaluate(net_of(first, second), lookup("siftflow-fcn8s"), ["a", "b"], progress=False)
    assert list(scores) == ["semantic", "geometric"]
    assert scores["semantic"].images == 2
    assert scores["semantic"].pixel_accuracy == pytest.approx(6 / 7)
    assert scores["semantic"].mean_iu == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert scores["geometric"].pixel_accuracy == pytest.approx(7 / 8)
    assert scores["semantic"].loss > 0
    assert scores["geometric"].loss is None


def test_images_without_annotations_do_not_count(net_of):
    right = ([0] * 4, [0] * 4, [0] * 4, [0] * 4)
    wrong = ([1] * 4, [0] * 4, [1] * 4, [0] * 4)
    ids = ["highway_bost181", "a", "street_urb506"]
    scores = evaluate(net_of(wrong, right, wrong), lookup("siftflow-fcn16s"), ids, progress=False)
    assert [one.images for one in scores.values()] == [1, 1]
    assert [one.pixel_accuracy for one in scores.values()] == [1, 1]


def test_classes_absent_from_the_test_split_do_not_count(net_of):
    image = ([0, COW, 0, SKY], [0, COW, DESERT, SKY], [0] * 4, [0] * 4)
    scores = evaluate(net_of(image), lookup("siftflow-fcn32s"), ["a"], progress=False)["semantic"]
    assert scores.hist.sum() == 2
    assert np.isnan(scores.class_iu[COW])
    assert scores.mean_iu == 1


def test_what_is_wrongly_given_to_a_class_left_out_is_wrong():
    hist = np.array([[5, 3], [0, 4]])
    scores = Scores(hist, 1).without([1])
    assert scores.pixel_accuracy == pytest.approx(5 / 8)
    assert scores.mean_iu == pytest.approx(5 / 8)
    assert hist[1, 1] == 4


def test_every_model_s_classes_have_names():
    for model in MODELS.values():
        rules = EVALUATIONS[model.dataset]
        assert {task.name: task.classes for task in model.tasks} == {
            task: len(names) for task, names in rules.class_names.items()
        }
        assert all(len(set(names)) == len(names) for names in rules.class_names.values())
    assert EVALUATIONS["siftflow"].absent_labels("semantic") == [8, 10, 15]
    assert EVALUATIONS["nyud"].class_names[""][39] == "otherprop"
    assert EVALUATIONS["pascalcontext"].class_names[""][59] == "wood"


def test_a_net_without_the_task_s_blobs(net_of):
    image = ([0] * 4, [0] * 4, [0] * 4, [0] * 4)
    with pytest.raises(NetError, match="the net has no blob score, label; voc-fcn8s is scored by these"):
        evaluate(net_of(image), lookup("voc-fcn8s"), ["a"])


def test_nothing_left_to_score(net_of):
    image = ([0] * 4, [0] * 4, [0] * 4, [0] * 4)
    with pytest.raises(DataError, match="1 images given and none left to score; give the ids of a split"):
        evaluate(net_of(image), lookup("siftflow-fcn8s"), ["street_urb506"])
