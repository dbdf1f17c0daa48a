"""--precision bf16 in training, scoring and prediction: other numbers than fp32's, and near them."""

import numpy as np
import pytest

from caffe_compat.errors import NetError
from solvers.infer import deploy_net
from solvers.measured import score_weights

PRECISIONS = ("fp32", "bf16")


@pytest.fixture(scope="module")
def trained(thin, drawn_once, tmp_path_factory):
    """A thin training at each precision."""
    folder = tmp_path_factory.mktemp("precision")
    found = {}
    for precision in PRECISIONS:
        training = thin.thin_training(drawn_once, folder / precision, precision=precision)
        assert not training.check().faults
        training.run(progress=False)
        found[precision] = training
    return found


def assert_near_and_not_equal(exact, other, most=0.02):
    """By the norm: off by no more than bfloat16's rounding, and by some."""
    off = np.linalg.norm(np.subtract(other, exact)) / np.linalg.norm(exact)
    assert 0 < off < most, off


def test_a_training_s_losses(trained):
    exact, other = (trained[precision].losses.column("loss_per_pixel") for precision in PRECISIONS)
    assert exact[0] == pytest.approx(other[0], rel=1e-5)  # scores are still 0: log 21
    assert_near_and_not_equal(exact, other)


def test_scores_of_the_same_weights(trained, thin, drawn_once):
    exact, other = (
        score_weights(
            "voc-fcn32s", trained["fp32"].weights, drawn_once, width=thin.WIDTH, progress=False, precision=precision
        ).scores[""]
        for precision in PRECISIONS
    )
    assert exact.hist.sum() == other.hist.sum()
    assert_near_and_not_equal(exact.loss, other.loss)


def test_the_test_net_of_a_training(trained):
    """It has the precision too: it scores as ``score_weights`` does with it, not as the other."""
    losses = {}
    for precision, training in trained.items():
        training.test_net.share_with(trained["fp32"].solver.net)
        losses[precision] = training.score(progress=False)[""].loss
    assert_near_and_not_equal(losses["fp32"], losses["bf16"])


def test_a_deploy_net(trained, thin):
    scores = []
    for precision in PRECISIONS:
        net = deploy_net("voc-fcn32s", trained["fp32"].weights, width=thin.WIDTH, precision=precision)
        net.blobs["data"].data[...] = np.random.default_rng(1).normal(0, 50, net.blobs["data"].shape)
        scores.append(net.forward()["score"].copy())
    assert_near_and_not_equal(*scores)


def test_an_unknown_one(thin, drawn_once, tmp_path):
    with pytest.raises(NetError, match="precision 'fp16' is not known; give one of fp32, bf16"):
        thin.thin_training(drawn_once, tmp_path, precision="fp16")
