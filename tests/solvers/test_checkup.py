"""The check before training: what it tells, what it forbids, and that it leaves the training as it was."""

import re

import numpy as np
import pytest

from caffe_compat.errors import DataError
from caffe_compat.proto.caffe_pb2 import LossParameter
from data_prep.labels import encode_label, voc_palette
from data_prep.sbd import encode_gtcls
from nets.catalogue import lookup
from solvers.checkup import averages_pixels, cost_of_step, input_shapes
from solvers.datasets import find_splits


def lines(found, title):
    """Texts of the lines with this title."""
    return [line[12:] for line in found.lines if line[2:].startswith(f"{title} ")]


def labelled(data):
    """Mean number of labelled pixels of all the images."""
    splits = find_splits(data, lookup("voc-fcn32s"))
    pairs = [split.folder.read_pair(one) for split in (splits.train, splits.test) for one in split.ids]
    return np.mean([(pair.label != 255).sum() for pair in pairs])


def test_a_sound_start(thin, drawn_once, tmp_path):
    found = thin.thin_training(drawn_once, tmp_path).check()
    assert not found.faults
    assert lines(found, "train") == ["6 images, SBD train (the whole list has 8498)"]
    assert lines(found, "test") == ["2 images, PASCAL VOC seg11valid (the whole list has 736)"]
    assert [re.sub("classes 0 to (1|6|8|15) and", "classes and", line) for line in lines(found, "labels")] == [
        "classes and void (255) in 6 opened; all within range",
        "classes and void (255) in 2 opened; all within range",
    ]
    assert lines(found, "weights") == ["none given: all layers at their fillers, interpolation set"]
    assert lines(found, "fixed") == ["interpolation: upscore"]
    assert lines(found, "zero") == ["score_fr: start at zero and learn from there, as released"]
    assert re.fullmatch(r"about 0\.\d GB at 1?\d\d x 1?\d\d", lines(found, "memory")[0])
    assert re.fullmatch(r"about \d+\.\d\d s an iteration, \d+ seconds for 4", lines(found, "time")[0])


def test_a_trunk_at_zero_is_a_fault_that_names_init(thin, drawn_once, tmp_path):
    found = thin.thin_training(drawn_once, tmp_path, change_net=None).check()
    assert len(found.faults) == 1
    assert re.fullmatch(
        r"zero weights that can never learn, for all above them is zero too: conv1_1, .*, fc6, fc7\. "
        r"Give weights that have these layers with --init; this model starts from VGG_ILSVRC_16_layers\.caffemodel; "
        r"'python -m data_prep download vgg16 --out DATA' gets it",
        found.faults[0],
    )
    assert f"  FAULT     {found.faults[0]}" in str(found).splitlines()


def test_the_fault_names_the_stage_before(thin, drawn_once, tmp_path):
    found = thin.thin_training(drawn_once, tmp_path, model="voc-fcn16s", change_net=None).check()
    assert found.faults[0].endswith(
        "--init; this model starts from voc-fcn32s; 'python -m data_prep download voc-fcn32s --out DATA' gets it"
    )


def test_an_interpolation_at_zero_is_a_fault(thin, drawn_once, tmp_path):
    training = thin.thin_training(drawn_once, tmp_path)
    training.solver.net.params["upscore"][0].data[...] = 0
    faults = training.check().faults
    assert faults[0] == (
        "Deconvolution at zero weights: upscore; all scores would be 0 for ever. Set them with nets.surgery.interp"
    )


def test_what_the_file_did_not_cover_is_listed(thin, drawn_once, tmp_path):
    first = thin.thin_training(drawn_once, tmp_path, 1)
    first.run(score_every=0, progress=False)
    found = thin.thin_training(drawn_once, tmp_path, model="voc-fcn16s", weights=first.weights).check()
    assert not found.faults
    assert lines(found, "weights") == [str(first.weights)]
    assert "            32 blobs copied, 0 coerced, 1 dropped" in found.lines
    assert any(line.strip().startswith("dropped  upscore [0] (21, 21, 64, 64): the new net") for line in found.lines)
    assert "            not in the file: score_pool4" in found.lines
    assert lines(found, "zero") == ["score_pool4: start at zero and learn from there, as released"]


def test_a_label_out_of_range_in_sbd(thin, drawn, tmp_path):
    file = drawn.sbdd_dir / "cls" / f"{drawn.train[1]}.mat"
    label = np.zeros(
        find_splits(tmp_path / "data", lookup("voc-fcn32s")).train.folder.read_label(drawn.train[1]).shape, np.uint8
    )
    label[3, 5] = 77
    file.write_bytes(encode_gtcls(label))
    with pytest.raises(DataError, match=rf"label '.*{file.name}'.*77"):
        thin.thin_training(tmp_path / "data", tmp_path / "runs").check()


def test_a_label_out_of_range_in_voc(thin, drawn, tmp_path):
    file = drawn.voc_dir / "SegmentationClass" / f"{drawn.val[1]}.png"
    label = find_splits(tmp_path / "data", lookup("voc-fcn32s")).test.folder.read_label(drawn.val[1]).copy()
    label[0, 0] = 21
    file.write_bytes(encode_label(label, voc_palette()))
    with pytest.raises(DataError, match=rf"label '.*{file.name}'.*21"):
        thin.thin_training(tmp_path / "data", tmp_path / "runs").check()


def test_labels_that_are_all_void(thin, drawn, tmp_path):
    folder = find_splits(tmp_path / "data", lookup("voc-fcn32s")).train.folder
    for one in drawn.train:
        label = np.full_like(folder.read_label(one), 255)
        folder.label_path(one).write_bytes(encode_gtcls(label))
    found = thin.thin_training(tmp_path / "data", tmp_path / "runs").check()
    assert lines(found, "labels")[0] == "classes none and void (255) in 3 opened; all within range"


def test_the_equivalent_rate_of_a_summed_loss(thin, drawn_once, tmp_path):
    mean = labelled(drawn_once)
    found = thin.thin_training(drawn_once, tmp_path).check()
    assert lines(found, "rate") == [
        f"base_lr 1e-08 on the sum over pixels = {1e-8 * mean:.2g} on the mean over {mean:,.0f} labelled pixels; "
        f"with momentum 0.9 steps add up to {1e-7 * mean:.2g}"
    ]


def test_the_rate_of_a_mean_loss_is_itself(thin, drawn_once, tmp_path):
    def averaged(net):
        thin.random_trunk(net)
        for layer in net.layer:
            layer.loss_param.normalize = True

    found = thin.thin_training(drawn_once, tmp_path, change_net=averaged).check()
    assert lines(found, "rate")[0].startswith("base_lr 1e-08 on the mean over pixels = 1e-08 on the mean over ")


@pytest.mark.parametrize(
    ("mode", "averaged"),
    [(LossParameter.VALID, True), (LossParameter.FULL, True), (LossParameter.BATCH_SIZE, False), (None, False)],
)
def test_normalization_wins_over_normalize(thin, drawn_once, tmp_path, mode, averaged):
    def change(net):
        if mode is not None:
            net.layer[-1].loss_param.normalization = mode

    assert averages_pixels(thin.thin_training(drawn_once, tmp_path, change_net=change).solver.net) is averaged


def test_looking_does_not_change_the_training(thin, drawn_once, tmp_path):
    tables = []
    for look in (True, False):
        training = thin.thin_training(drawn_once, tmp_path / str(look))
        if look:
            training.check()
        training.run(score_every=0, progress=False)
        tables.append(training.losses.path.read_text())
    assert tables[0] == tables[1]
    assert len(set(tables[0].splitlines())) == 5


def test_memory_grows_with_the_image_and_counts_weights_three_times(thin, drawn_once, tmp_path):
    training = thin.thin_training(drawn_once, tmp_path)
    net, param = training.solver.net, training.solver.param.train_net_param
    small, large = (cost_of_step(param, net, input_shapes(training.model, side, side)) for side in (64, 256))
    assert large.bytes > small.bytes
    assert large.seconds > small.seconds > 0
    weights = sum(blob.count for blob in net.learnable_params) * 12
    assert small.bytes > weights
