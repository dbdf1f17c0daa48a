"""Strides, receptive fields and sizes from the message alone: the paper's Table 1, and real nets of many sizes."""

import pytest

from caffe_compat.errors import NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from nets.catalogue import MODELS, lookup
from nets.geometry import crop_offset, places
from nets.size import parameter_count
from nets.sources import InputData

# conv layers, millions of learned parameters, receptive field, stride: CVPR 2015, Table 1
TABLE_1 = {
    "voc-fcn-alexnet": (8, 57, 355, 32),
    "voc-fcn32s": (16, 134, 404, 32),
    "voc-fcn-googlenet": (22, 6, 907, 32),
}


def thin(name, height, width):
    model = lookup(name)
    shapes = {top: (*shape[:2], height, width) for top, shape in model.deploy_shapes.items()}
    return model.build(InputData(shapes), classes=3, width=1 / 16)


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1(name):
    net = lookup(name).build(InputData({"data": (1, 3, 500, 500)}))
    coarse = places(net)["score_fr"]
    millions = round(parameter_count(net) / 1e6)
    assert (coarse.depth, millions, coarse.receptive_field_px, coarse.stride) == TABLE_1[name]


def test_strides_of_the_models_are_those_of_their_finest_scores():
    for model in MODELS.values():
        net = model.build(InputData(model.deploy_shapes), classes=model.classes)
        last = [layer for layer in net.layer if layer.type == "Deconvolution"][-1]
        assert places(net)[last.bottom[0]].stride == model.stride


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (90, 111)])
@pytest.mark.parametrize("name", MODELS)
def test_sizes_are_those_of_the_running_net(name, size):
    param = thin(name, *size)
    net = Net(param, TEST)
    for blob, place in places(param).items():
        assert (net.blobs[blob].shape[1], *net.blobs[blob].shape[2:]) == (place.channels, *place.size_px), blob
    assert all(net.blobs[task.score].shape[2:] == size for task in lookup(name).tasks)


@pytest.mark.parametrize("name", MODELS)
def test_parameter_counts_are_those_of_the_running_net(name):
    param = thin(name, 64, 64)
    running = sum(blob.count for blobs in Net(param, TEST).params.values() for blob in blobs)
    assert parameter_count(param, learned_only=False) == running


@pytest.mark.parametrize("name", [name for name in MODELS if name != "voc-fcn-googlenet"])
def test_offsets_agree_with_those_of_coord_map(name):
    param = thin(name, 64, 64)
    for index, layer in enumerate(param.layer):
        if layer.type == "Crop":
            before = type(param)(layer=param.layer[:index])
            assert crop_offset(before, *layer.bottom) == layer.crop_param.offset[0]


def dense(shape):
    n = NetSpec()
    n.data = L.Input(shape={"dim": shape})
    n.fc = L.InnerProduct(n.data, num_output=7)
    return n.to_proto()


def test_fully_connected_weights_are_counted_for_the_size_of_the_input():
    assert parameter_count(dense([1, 3, 4, 5])) == 3 * 4 * 5 * 7 + 7


def test_fully_connected_weights_over_an_unknown_size():
    net = dense([1, 3, 4, 5])
    net.layer[0].ClearField("input_param")
    with pytest.raises(NetError, match=r"layer 'fc' \(InnerProduct\): its weights depend on the image's size"):
        parameter_count(net)


def pooled(*poolings):
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 1, 16, 16]})
    for name, settings in poolings:
        n[name] = L.Pooling(n.data, **settings)
    return n.to_proto()


def test_crop_between_blobs_of_different_strides():
    net = pooled(("half", {"kernel_size": 2, "stride": 2}))
    with pytest.raises(NetError, match="crop of 'half' to 'data': strides 2 and 1; make them equal"):
        crop_offset(net, "half", "data")


@pytest.mark.parametrize(("kernel_size", "offset"), [(2, "-1/2"), (3, "-1")])
def test_crop_by_what_is_no_offset(kernel_size, offset):
    net = pooled(("slid", {"kernel_size": kernel_size, "stride": 1}))
    with pytest.raises(NetError, match=f"crop of 'slid' to 'data': offset {offset} is not a whole number from 0 on"):
        crop_offset(net, "slid", "data")
