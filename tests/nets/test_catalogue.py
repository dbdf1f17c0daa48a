"""The published facts of the nets, and what the catalogue does with wrong or other wishes."""

import pytest

from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import LossParameter
from nets.catalogue import MODELS, lookup
from nets.size import parameter_count
from nets.sources import InputData, LmdbData, PythonData

OFFSETS = {
    "voc-fcn32s": [19],
    "voc-fcn16s": [5, 27],
    "voc-fcn8s": [5, 9, 31],
    "voc-fcn8s-atonce": [5, 9, 31],
    "voc-fcn-alexnet": [18],
    "nyud-fcn32s-color": [19],
    "nyud-fcn32s-color-d": [19],
    "nyud-fcn32s-hha": [19],
    "nyud-fcn32s-color-hha": [19],
    "siftflow-fcn32s": [19, 19],
    "siftflow-fcn16s": [5, 27, 5, 27],
    "siftflow-fcn8s": [5, 9, 31, 5, 9, 31],
    "pascalcontext-fcn32s": [19],
    "pascalcontext-fcn16s": [5, 27],
    "pascalcontext-fcn8s": [5, 9, 31],
    "voc-fcn32s-fixed": [19],
    "voc-fcn32s-accumulated": [19],
    "voc-fcn32s-online": [19],
    "voc-fcn-pool5": [115],
    "voc-fcn-pool4": [107],
    "voc-fcn-pool3": [103],
    "voc-fcn-googlenet": [2],
    "nyud-fcn16s-color-hha": [5, 27],
    "voc-fcn8s-vgg19": [0, 0, 0],
    "voc-fcn32s-sampled": [19],
    "voc-fcn32s-balanced": [19],
    "voc-fcn8s-learned": [5, 9, 31],
}
NORMALISED = {
    *("voc-fcn-alexnet", "voc-fcn32s-accumulated", "voc-fcn-googlenet", "voc-fcn8s-vgg19"),
    *("voc-fcn32s-sampled", "voc-fcn32s-balanced"),
}


def layers_of(net, type_):
    return [layer for layer in net.layer if layer.type == type_]


@pytest.fixture
def image():
    return InputData({"data": (1, 3, 500, 500)})


@pytest.fixture
def image_and_label():
    return InputData({"data": (1, 3, 500, 500), "label": (1, 1, 500, 500)})


def deploy(name, **settings):
    model = lookup(name)
    return model.build(InputData(model.deploy_shapes), classes=model.classes, **settings)


@pytest.mark.parametrize("name", OFFSETS)
def test_crop_offsets_are_those_published_or_follow_from_the_geometry(name):
    crops = layers_of(deploy(name), "Crop")
    assert [list(crop.crop_param.offset) for crop in crops] == [[offset] for offset in OFFSETS[name]]


def test_every_model_has_its_offsets_checked():
    assert set(OFFSETS) == set(MODELS)


def test_parameter_count_with_fixed_interpolation_to_the_last_one(image):
    vgg16_without_fc8, score = 138_357_544 - 4_097_000, 4096 * 21 + 21
    net = lookup("voc-fcn32s").build(image)
    assert parameter_count(net) == vgg16_without_fc8 + score
    assert parameter_count(net, learned_only=False) == vgg16_without_fc8 + score + 21 * 21 * 64 * 64


def test_scale_layers_count_but_are_not_learned(image):
    at_once, staged = (lookup(name).build(image) for name in ("voc-fcn8s-atonce", "voc-fcn8s"))
    assert parameter_count(at_once) == parameter_count(staged)
    both = [parameter_count(net, learned_only=False) for net in (at_once, staged)]
    assert both[0] - both[1] == 512 + 256


def test_parameter_count_refuses_what_it_does_not_know(image):
    net = lookup("voc-fcn8s").build(image)
    net.layer[1].type = "LSTM"
    with pytest.raises(NetError, match=r"layer 'conv1_1' \(LSTM\): sizes and weights of this type are not counted"):
        parameter_count(net)


def test_layers_of_fcn8s(image, image_and_label):
    assert len(lookup("voc-fcn8s").build(image_and_label).layer) == 51
    assert len(lookup("voc-fcn8s").build(image).layer) == 47  # no label, two Dropouts, loss


def test_a_source_without_labels_gives_the_deploy_form(image):
    net = lookup("voc-fcn16s").build(image)
    assert (net.layer[0].name, list(net.layer[0].top)) == ("input", ["data"])
    assert not layers_of(net, "Dropout")
    assert not layers_of(net, "SoftmaxWithLoss")


def test_width_scales_the_trunk_and_not_the_classes(image):
    net = lookup("voc-fcn8s").build(image, width=1 / 16, classes=5)
    outputs = {layer.name: layer.convolution_param.num_output for layer in layers_of(net, "Convolution")}
    assert (outputs["conv1_1"], outputs["conv5_3"], outputs["fc7"]) == (4, 32, 256)
    assert (outputs["score_fr"], outputs["score_pool4"], outputs["score_pool3"]) == (5, 5, 5)
    assert {layer.convolution_param.num_output for layer in layers_of(net, "Deconvolution")} == {5}


def test_width_must_be_positive(image):
    with pytest.raises(NetError, match=r"width 0: must be above 0; 1 is the full net, 1/16 a thin copy"):
        lookup("voc-fcn8s").build(image, width=0)


def test_normalize_is_the_release_s_choice_unless_given(image_and_label):
    for name, model in MODELS.items():
        net = model.prototxts()[model.train_file]
        losses = [*layers_of(net, "SoftmaxWithLoss"), *layers_of(net, "InfogainLoss")]
        means = {loss.loss_param.normalize or loss.type == "InfogainLoss" for loss in losses}
        assert means == {name in NORMALISED}
        assert {loss.loss_param.normalization for loss in losses} == {LossParameter.VALID}
        assert [loss.top[0] for loss in losses] == [task.loss for task in model.tasks]
    assert lookup("voc-fcn8s").build(image_and_label, normalize=True).layer[-1].loss_param.normalize


def test_prototxts_take_other_sources_and_classes():
    mine = PythonData("my_layers", "MyLayer", {"dir": "x"})
    nets = lookup("voc-fcn32s").prototxts(train_source=mine, classes=4)
    assert list(nets) == ["train.prototxt", "val.prototxt", "deploy.prototxt"]
    train = nets["train.prototxt"].layer[0]
    assert (train.name, list(train.top)) == ("data", ["data", "label"])
    assert train.python_param.module == "my_layers"
    assert train.python_param.param_str == "{'dir': 'x'}"
    assert nets["val.prototxt"].layer[0].python_param.layer == "VOCSegDataLayer"
    assert layers_of(nets["deploy.prototxt"], "Crop")
    assert {layers_of(net, "Deconvolution")[0].convolution_param.num_output for net in nets.values()} == {4}


def test_lmdb_source_makes_one_data_layer_per_top():
    source = LmdbData({"data": "images", "label": "labels"}, mean_bgr=(104, 117, 123))
    data, label = lookup("voc-fcn32s").build(source).layer[:2]
    assert (data.data_param.source, label.data_param.source) == ("images", "labels")
    assert data.data_param.batch_size == label.data_param.batch_size == 1
    assert data.data_param.backend == data.data_param.LMDB
    assert list(data.transform_param.mean_value) == [104, 117, 123]
    assert not label.HasField("transform_param")


def test_lmdb_source_without_a_database():
    with pytest.raises(NetError, match=r"no database for top 'label'; databases given: \['data'\]"):
        lookup("voc-fcn32s").build(LmdbData({"data": "images"}))


@pytest.mark.parametrize("shapes", [{"label": (1, 1, 5, 5)}, {"data": (1, 3, 5, 5), "sem": (1, 1, 5, 5)}])
def test_input_source_of_other_blobs(shapes):
    with pytest.raises(NetError, match=r"this net has the inputs \['data', 'label'\]"):
        lookup("voc-fcn32s").build(InputData(shapes))


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(NetError, match=r"unknown model 'voc-fcn8' \(did you mean voc-fcn8s\?\); known: voc-fcn32s, "):
        lookup("voc-fcn8")


def test_mean_is_that_of_a_single_color_image():
    assert lookup("siftflow-fcn8s").mean_bgr == (114.578, 115.294, 108.353)
    assert lookup("nyud-fcn32s-color").mean_bgr == (116.190, 97.203, 92.318)
    with pytest.raises(NetError, match="model 'nyud-fcn32s-color-d' reads color and depth, not one color image; give"):
        _ = lookup("nyud-fcn32s-color-d").mean_bgr
    with pytest.raises(NetError, match="model 'nyud-fcn32s-hha' reads hha, not one color image"):
        _ = lookup("nyud-fcn32s-hha").mean_bgr


def test_tasks_name_blobs_of_the_net():
    for model in MODELS.values():
        net = model.prototxts()[model.train_file]
        tops = {top for layer in net.layer for top in layer.top}
        assert {*model.images, *(name for task in model.tasks for name in (task.score, task.label, task.loss))} <= tops
        channels = {layer.name: layer.convolution_param.num_output for layer in layers_of(net, "Deconvolution")}
        assert set(channels.values()) == {task.classes for task in model.tasks} or model.name == "voc-fcn8s-vgg19"


def test_frozen_trunk_leaves_the_score_layer_alone_to_learn(image):
    net = lookup("voc-fcn32s-fixed").build(image)
    learned = [
        layer.name for layer in layers_of(net, "Convolution") if layer.param[0].lr_mult or layer.param[1].lr_mult
    ]
    assert learned == ["score_fr"]
