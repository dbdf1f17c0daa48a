"""Classifiers and their fully convolutional twins: the same scores at the same size, maps of them at larger ones."""

import numpy as np
import pytest

from caffe_compat import TEST, Net, set_random_seed
from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.proto.text import parse, read_net
from caffe_compat.tools.convolutionalize import convolutional_twin, largest_difference

FILL = 'weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "gaussian" std: 1 }'
INPUT = 'name: "small" layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 2, 10, 8] } } }'
CONV = f"""layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
           convolution_param {{ num_output: 3 kernel_size: 3 {FILL} }} }}
           layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}"""  # 3 x 8 x 6
POOL = """layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
          pooling_param { kernel_size: 2 stride: 2 } }"""  # 3 x 4 x 3


def dense(name, bottom, outputs, more=""):
    return f"""layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"
               param {{ lr_mult: 3 }} inner_product_param {{ num_output: {outputs} {FILL} {more} }} }}"""


HEAD = dense("fc1", "pool", 5) + dense("fc2", "fc1", 4)
PROB = 'layer { name: "prob" type: "Softmax" bottom: "fc2" top: "prob" }'


def classifier(*layers):
    set_random_seed(0)
    return Net(parse(INPUT + "".join(layers), NetParameter(), "test"), TEST)


def types(param):
    return {layer.name: layer.type for layer in param.layer}


def test_the_same_scores_and_a_map_that_is_the_classifier_at_each_window():
    net = classifier(CONV, POOL, HEAD, PROB)
    param, twin = convolutional_twin(net)
    assert types(param) == {
        **{"data": "Input", "conv": "Convolution", "relu": "ReLU", "pool": "Pooling"},
        **{"fc1": "Convolution", "fc2": "Convolution", "prob": "Softmax"},
    }
    fc1, fc2 = (layer for layer in param.layer if layer.name.startswith("fc"))
    assert (fc1.convolution_param.kernel_h, fc1.convolution_param.kernel_w) == (4, 3)
    assert list(fc2.convolution_param.kernel_size) == [1]
    assert [spec.lr_mult for spec in fc1.param] == [3]
    assert fc1.convolution_param.weight_filler.type == "gaussian"
    assert largest_difference(net, twin) < 1e-6
    image = np.random.default_rng(1).normal(0, 1, (1, 2, 14, 14)).astype(np.float32)
    twin.blobs["data"].reshape(*image.shape)
    twin.reshape()
    scores = twin.forward(data=image)["prob"]
    assert scores.shape == (1, 4, 3, 4)
    for row in range(3):
        for column in range(4):
            window = image[:, :, 2 * row : 2 * row + 10, 2 * column : 2 * column + 8]
            np.testing.assert_allclose(
                scores[:, :, row, column], net.forward(data=window)["prob"], rtol=1e-4, atol=1e-6
            )


@pytest.mark.parametrize(
    "head",
    [
        dense("fc1", "pool", 5, "bias_term: false"),
        dense("fc1", "pool", 5, "transpose: true"),
        'layer { name: "flat" type: "Flatten" bottom: "pool" top: "flat" }' + dense("fc1", "flat", 5),
        dense("fc1", "pool", 5) + dense("fc2", "pool", 3),  # two readers of one blob
    ],
    ids=["no bias", "transposed", "flattened", "two heads"],
)
def test_forms_of_inner_product(head):
    net = classifier(CONV, POOL, head)
    param, twin = convolutional_twin(net)
    assert set(types(param).values()) == {"Input", "Convolution", "ReLU", "Pooling"}
    assert largest_difference(net, twin) < 1e-6


def test_global_pooling_becomes_a_window():
    everywhere = """layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
                    pooling_param { pool: AVE global_pooling: true } }"""
    net = classifier(CONV, everywhere, dense("fc1", "pool", 5))
    param, twin = convolutional_twin(net)
    pooling = param.layer[3].pooling_param
    assert (pooling.kernel_h, pooling.kernel_w, pooling.stride, pooling.global_pooling) == (8, 6, 1, False)
    assert largest_difference(net, twin) < 1e-6
    twin.blobs["data"].reshape(1, 2, 12, 8)
    twin.reshape()
    assert tuple(twin.blobs["fc1"].shape) == (1, 5, 3, 1)


def test_the_difference_is_seen():
    net = classifier(CONV, POOL, HEAD)
    _, twin = convolutional_twin(net)
    twin.params["fc2"][1].data[...] += 1
    assert largest_difference(net, twin) > 0.01


def test_the_verb_writes_both_files_and_says_what_it_saw(verb, tmp_path):
    net = classifier(CONV, POOL, HEAD, PROB)
    (tmp_path / "in.prototxt").write_text(INPUT + CONV + POOL + HEAD + PROB)
    net.save(tmp_path / "in.caffemodel")
    out = tmp_path / "out.prototxt", tmp_path / "out.caffemodel"
    done = verb("convolutionalize", tmp_path / "in.prototxt", tmp_path / "in.caffemodel", *out, "-larger", "4")
    assert done.code == 0
    first, second = done.out.splitlines()
    assert first.startswith("1 x 2 x 10 x 8 pixels: prob 1 x 4 x 1 x 1; largest difference ")
    assert second == "1 x 2 x 14 x 12 pixels: prob 1 x 4 x 3 x 3"
    twin = Net(read_net(out[0]), TEST, weights=out[1])
    assert largest_difference(net, twin) < 1e-6


def test_a_real_classifier(verb, realdata, tmp_path):
    folder = realdata / "caffemodels" / "everpeace_lenet_v1"
    files = folder / "lenet.prototxt", folder / "lenet_iter_10000.caffemodel"
    out = tmp_path / "out.prototxt", tmp_path / "out.caffemodel"
    done = verb("convolutionalize", *files, *out, "-larger", "8")
    assert done.code == 0
    assert " pixels: prob " in done.out
    assert done.out.splitlines()[1].endswith(" x 10 x 3 x 3")
    net, twin = (Net(read_net(param), TEST, weights=weights) for param, weights in (files, out))
    assert largest_difference(net, twin) < 1e-5


def test_a_net_that_takes_any_size_already():
    with pytest.raises(NetError, match="net 'small': no InnerProduct and no global pooling in it; it takes any image"):
        convolutional_twin(classifier(CONV, POOL))


def test_a_reshape_cannot_be_kept():
    reshape = 'layer { name: "r" type: "Reshape" bottom: "pool" top: "r" reshape_param { shape { dim: [0, -1] } } }'
    with pytest.raises(NetError, match=r"layer 'r' \(Reshape\): what it makes has no positions any more"):
        convolutional_twin(classifier(CONV, POOL, reshape, dense("fc1", "r", 5)))


def test_inner_product_along_another_axis():
    with pytest.raises(
        NetError, match=r"layer 'fc1' \(InnerProduct\): axis 2 of a bottom of shape 1 x 3 x 4 x 3; only"
    ):
        convolutional_twin(classifier(CONV, POOL, dense("fc1", "pool", 5, "axis: 2")))


def test_a_net_without_images():
    flat = 'name: "flat" layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 6] } } }'
    net = Net(parse(flat + dense("fc", "x", 2), NetParameter(), "test"), TEST)
    with pytest.raises(NetError, match="net 'flat': its first input is not N x C x H x W; give the deploy prototxt"):
        convolutional_twin(net)
