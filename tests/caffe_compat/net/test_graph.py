"""Nets that cannot be built, each with its message."""

import pytest

from caffe_compat.errors import LayerError, NetError, ParseError
from caffe_compat.net.net import Net

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } } '


def test_unknown_layer_type_names_the_nearest_the_known_and_a_way_in(make_net):
    with pytest.raises(
        LayerError, match=r"layer 'c' \(Convolutoin\): unknown layer type \(did you mean Convolution\?\)"
    ):
        make_net(DATA + 'layer { name: "c" type: "Convolutoin" bottom: "data" top: "c" }')
    with pytest.raises(
        LayerError, match=r"unknown layer type; known types: .*Convolution, .*registry.register, or use"
    ):
        make_net(DATA + 'layer { name: "c" type: "Xyz" bottom: "data" top: "c" }')


def test_unknown_field_names_file_line_and_the_nearest(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text('name: "n"\nlayer { name: "c"\n  convolution_param { kernal_size: 3 } }\n')
    with pytest.raises(
        ParseError, match=r"net.prototxt:3:\d+: unknown field 'kernal_size' .*\(did you mean kernel_size\?\)"
    ):
        Net(path, 1)


def test_missing_bottom(make_net):
    with pytest.raises(LayerError, match=r"layer 'r' \(ReLU\): bottom 0 'dta' is not the top of any earlier layer; "):
        make_net(DATA + 'layer { name: "r" type: "ReLU" bottom: "dta" top: "r" }')


def test_duplicate_top(make_net):
    with pytest.raises(LayerError, match=r"layer 'r2' \(ReLU\): top 0 'r' is made by an earlier layer too; rename one"):
        make_net(
            DATA
            + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }'
            + 'layer { name: "r2" type: "ReLU" bottom: "data" top: "r" }'
        )


def test_wrong_numbers_of_bottoms_and_tops(make_net):
    with pytest.raises(LayerError, match=r"layer 'e' \(Eltwise\): 1 bottoms given; it takes at least 2; correct"):
        make_net(DATA + 'layer { name: "e" type: "Eltwise" bottom: "data" top: "e" }')
    with pytest.raises(
        LayerError, match=r"layer 'r' \(ReLU\): 2 tops given; it makes 1; correct the layer's top lines"
    ):
        make_net(DATA + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" top: "s" }')


def test_a_net_without_layers_in_its_phase(make_net):
    with pytest.raises(NetError, match="net 'n' has no layers in phase TEST"):
        make_net('name: "n" layer { name: "d" type: "Input" top: "d" include { phase: TRAIN } }')


def test_sizes_above_int_max_are_refused_before_anything_is_allocated(make_net):
    big = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 65536 dim: %d } } } '
    with pytest.raises(
        LayerError, match=r"layer 'd' \(Input\): .*'d'.* more than INT_MAX \(2147483647\); lower the ba"
    ):
        make_net(big % 32768)
    with pytest.raises(LayerError, match=r"layer 'c' \(Concat\): top 0 'c': shape .* more than INT_MAX"):
        make_net(
            big % 32767 + 'layer { name: "c" type: "Concat" bottom: "d" bottom: "d" top: "c" concat_param { axis: 1 } }'
        )
    with pytest.raises(
        LayerError, match=r"layer 'i' \(InnerProduct\): blob 0: shape \(4096, 2147418112\) has .* INT_MAX"
    ):
        make_net(
            big % 32767 + "layer { name: 'i' type: 'InnerProduct' bottom: 'd' top: 'i' "
            "inner_product_param { num_output: 4096 axis: 0 } }"
        )


def test_a_layers_own_phase_beats_the_nets(make_net):
    text = DATA + 'layer { name: "d" type: "Dropout" bottom: "data" top: "d" phase: TRAIN }'
    net = make_net(text, 1)
    net.blobs["data"].data[...] = 1
    assert set(net.forward()["d"].ravel()) <= {0, 2}


def test_old_forms_are_upgraded(make_net, tmp_path):
    path = tmp_path / "old.prototxt"
    path.write_text(
        'input: "x" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 5\n'
        'layers { name: "c" type: CONVOLUTION bottom: "x" top: "c" blobs_lr: 1 blobs_lr: 2\n'
        "  convolution_param { num_output: 2 kernel_size: 3 } }\n"
    )
    net = Net(path, 1)
    assert net.inputs == ["x"]
    assert net.forward()["c"].shape == (2, 2, 2, 3)
    assert net.params_lr == [1, 2]
