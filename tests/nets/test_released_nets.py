"""Our nets against the released prototxts and against the nets of the recordings, as messages."""

import json

import pytest
from google.protobuf import json_format

from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.proto.text import read_net
from nets.catalogue import MODELS, lookup
from nets.sources import InputData


def without_defaults(net):
    """The net's layers with fields that merely repeat the schema's default taken out, and no net name."""
    net = NetParameter(layer=net.layer)
    for layer in net.layer:
        settings = layer.convolution_param
        if settings.HasField("group") and settings.group == 1:
            settings.ClearField("group")
    return net


def released(realdata, model, file):
    nets = json.loads((realdata / "released.json").read_text())
    return json_format.ParseDict(nets[model][file], NetParameter())


RELEASED = [
    *("voc-fcn32s", "voc-fcn16s", "voc-fcn8s", "voc-fcn8s-atonce", "voc-fcn-alexnet"),
    *("nyud-fcn32s-color", "nyud-fcn32s-color-d", "nyud-fcn32s-hha", "nyud-fcn32s-color-hha"),
    *("siftflow-fcn32s", "siftflow-fcn16s", "siftflow-fcn8s"),
    *("pascalcontext-fcn32s", "pascalcontext-fcn16s", "pascalcontext-fcn8s"),
]


def test_the_released_models_are_all_here_and_first(realdata):
    assert list(MODELS)[:15] == RELEASED
    assert sorted(RELEASED) == sorted(json.loads((realdata / "released.json").read_text()))


@pytest.mark.parametrize("name", RELEASED)
def test_equal_to_the_released_train_and_test_nets(realdata, name):
    model = lookup(name)
    ours = model.prototxts()
    for file in (model.train_file, model.test_file):
        theirs = released(realdata, name, file)
        assert theirs.layer[0].type == ours[file].layer[0].type == "Python"
        assert list(ours[file].layer[1:]) == list(theirs.layer[1:])
        assert len(ours[file].layer) == len(theirs.layer)


def test_equal_to_the_released_deploy_net(realdata):
    assert lookup("voc-fcn8s").prototxts()["deploy.prototxt"] == released(realdata, "voc-fcn8s", "deploy.prototxt")


@pytest.mark.parametrize("name", RELEASED)
def test_data_layers_name_the_released_classes_and_splits(realdata, name):
    for file, ours in lookup(name).prototxts().items():
        if file == "deploy.prototxt":
            continue
        theirs = released(realdata, name, file).layer[0]
        ours_layer = ours.layer[0]
        assert (ours_layer.name, list(ours_layer.top)) == (theirs.name, list(theirs.top))
        assert ours_layer.python_param.layer == theirs.python_param.layer
        # voc-fcn16s and PASCAL-Context were released with folders one level further up
        assert ours_layer.python_param.param_str == theirs.python_param.param_str.replace("../../data", "../data")
        assert ours_layer.python_param.module == theirs.python_param.module


RECORDED = [
    *("voc-fcn32s", "voc-fcn16s", "voc-fcn8s", "voc-fcn8s-atonce", "voc-fcn-alexnet", "voc-fcn8s-full"),
    *("nyud-fcn32s-color-d", "nyud-fcn32s-color-hha", "siftflow-fcn8s"),
]


@pytest.mark.parametrize("name", RECORDED)
def test_equal_to_the_nets_of_the_recordings(reference, name):
    theirs = read_net(reference / "nets" / name / "net.prototxt")
    shapes = {layer.top[0]: list(layer.input_param.shape[0].dim) for layer in theirs.layer if layer.type == "Input"}
    full = name.endswith("-full")
    ours = lookup(name.removesuffix("-full")).build(InputData(shapes), width=1 if full else 1 / 16)
    ours, theirs = without_defaults(ours), without_defaults(theirs)
    if name == "voc-fcn-alexnet":  # its recording gives rates to the trunk, which the released net does not
        for layer in [*ours.layer, *theirs.layer]:
            layer.ClearField("param")
    assert ours == theirs
