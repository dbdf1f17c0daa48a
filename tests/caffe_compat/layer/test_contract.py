"""Every registered type keeps the contract: its gradients are right, and what it cannot take it refuses by name.

Each type is in ``GRADIENTS`` (checked against finite differences in float64) or in ``NO_GRADIENT`` (with the reason),
and has a line in ``REFUSED`` or is in ``TAKES_ANYTHING``; a new type in neither fails here.
"""

import pytest
import torch
from google.protobuf import text_format

from caffe_compat.errors import CaffeError, LayerError
from caffe_compat.layer.contract import SourceLayer
from caffe_compat.layer.registry import create_layer, layer_class, layer_type_list
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


def random(*shape: int) -> torch.Tensor:
    """Standard normal, with a gradient."""
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def positive(*shape: int) -> torch.Tensor:
    """0.5 to 1.5, with a gradient."""
    return (torch.rand(shape, dtype=torch.float64) + 0.5).requires_grad_()


def apart(*shape: int) -> torch.Tensor:
    """A shuffled ramp: no two values closer than 0.1 and none closer than 0.05 to 0, with a gradient."""
    count = torch.Size(shape).numel()
    ramp = torch.arange(count, dtype=torch.float64) / 10 - count // 2 / 10 + 0.05
    return ramp[torch.randperm(count)].reshape(shape).requires_grad_()


def fixed(*values: float, shape: tuple[int, ...] | None = None) -> torch.Tensor:
    """These values, without a gradient: labels, indices, selectors."""
    return torch.tensor(values, dtype=torch.float64).reshape(shape or (len(values),))


GAUSSIAN = "weight_filler { type: 'gaussian' std: 1 } bias_filler { type: 'gaussian' std: 1 }"
CONVOLUTION = f"convolution_param {{ num_output: 4 kernel_size: 3 stride: 2 pad: 1 group: 2 {GAUSSIAN} }}"
RECURRENT = f"recurrent_param {{ num_output: 2 {GAUSSIAN} }}"
INFOGAIN = fixed(1, 0.5, 0.1, 0, 2, 0.3, 0.2, 0.1, 1, shape=(1, 1, 3, 3))
CONT = fixed(1, 0, 1, 1, 0, 1, shape=(3, 2))

GRADIENTS = {
    "AbsVal": [("", apart, [(2, 3)])],
    "BNLL": [("", random, [(2, 3)])],
    "BatchNorm": [("", random, [(4, 2, 3)])],
    "BatchReindex": [("", random, [(3, 2), fixed(2, 0, 2, 1)])],
    "Bias": [("bias_param { filler { type: 'gaussian' } }", random, [(2, 3, 4)]), ("", random, [(2, 3, 4), (3,)])],
    "Clip": [("clip_param { min: -0.3 max: 0.3 }", apart, [(2, 5)])],
    "Concat": [("", random, [(2, 1, 3), (2, 2, 3)])],
    "ContrastiveLoss": [
        ("contrastive_loss_param { legacy_version: true margin: 3 }", random, [(4, 3), (4, 3), fixed(1, 0, 0, 1)])
    ],
    "Convolution": [
        (CONVOLUTION, random, [(2, 4, 5, 6)]),
        (f"convolution_param {{ num_output: 2 kernel_size: 2 dilation: 2 {GAUSSIAN} }}", random, [(1, 2, 4, 3, 4)]),
    ],
    "Crop": [("crop_param { offset: 1 }", random, [(1, 2, 5, 6), torch.zeros(1, 2, 3, 4, dtype=torch.float64)])],
    "Deconvolution": [(CONVOLUTION, random, [(2, 4, 3, 2)])],
    "Dropout": [("", random, [(4, 6)])],
    "ELU": [("elu_param { alpha: 0.5 }", apart, [(2, 5)])],
    "Eltwise": [
        (f"eltwise_param {{ operation: {operation} }}", random, [(2, 3), (2, 3), (2, 3)])
        for operation in ("SUM coeff: 1 coeff: -2 coeff: 0.5", "PROD", "PROD stable_prod_grad: false", "MAX")
    ],
    "Embed": [(f"embed_param {{ num_output: 2 input_dim: 4 {GAUSSIAN} }}", random, [fixed(3, 0, 3)])],
    "EuclideanLoss": [("", random, [(3, 2), (3, 2)])],
    "Exp": [("exp_param { base: 2 scale: 0.5 shift: 1 }", random, [(2, 3)])],
    "Filter": [("", random, [(3, 2), fixed(1, 0, 1)])],
    "Flatten": [("", random, [(2, 3, 2)])],
    "HingeLoss": [(f"hinge_loss_param {{ norm: {norm} }}", apart, [(3, 4), fixed(0, 3, 1)]) for norm in ("L1", "L2")],
    "Im2col": [("convolution_param { kernel_size: 2 stride: 2 pad: 1 }", random, [(1, 2, 4, 5)])],
    "InfogainLoss": [("", random, [(4, 3), fixed(0, 2, 1, 1), INFOGAIN])],
    "InnerProduct": [
        (f"inner_product_param {{ num_output: 3 {GAUSSIAN} transpose: {transpose} }}", random, [(2, 2, 2)])
        for transpose in ("true", "false")
    ],
    "LRN": [
        (f"lrn_param {{ local_size: 3 alpha: 2 norm_region: {region} }}", random, [(1, 4, 3, 3)])
        for region in ("ACROSS_CHANNELS", "WITHIN_CHANNEL")
    ],
    "LSTM": [(RECURRENT, random, [(3, 2, 2), CONT, (2, 3)])],
    "LSTMUnit": [("top: 'c' top: 'h'", random, [(1, 2, 2), (1, 2, 8), fixed(1, 0, shape=(1, 2))])],
    "Log": [("log_param { base: 2 scale: 2 shift: 1 }", positive, [(2, 3)])],
    "MVN": [("", random, [(2, 2, 2, 3)]), ("mvn_param { normalize_variance: false }", random, [(2, 2, 2, 3)])],
    "MultinomialLogisticLoss": [("", positive, [(3, 4), fixed(0, 3, 1)])],
    "PReLU": [("", apart, [(2, 3, 2)]), ("prelu_param { channel_shared: true }", apart, [(2, 3, 2)])],
    "Parameter": [("parameter_param { shape { dim: 2 dim: 3 } }", random, [])],
    "Pooling": [
        (f"pooling_param {{ pool: {pool} kernel_size: 3 stride: 2 }}", values, [(2, 2, 6, 7)])
        for pool, values in (("MAX pad: 1", apart), ("AVE pad: 1", random), ("STOCHASTIC", positive))
    ],
    "Power": [("power_param { power: 3 scale: 0.5 shift: 2 }", positive, [(2, 3)])],
    "RNN": [(RECURRENT, random, [(3, 2, 2), CONT, (2, 3)])],
    "ReLU": [("", apart, [(2, 5)]), ("relu_param { negative_slope: 0.1 }", apart, [(2, 5)])],
    "Reduction": [
        (f"reduction_param {{ operation: {operation} axis: 1 coeff: 3 }}", apart, [(2, 3, 2)])
        for operation in ("SUM", "ASUM", "SUMSQ", "MEAN")
    ],
    "Reshape": [("reshape_param { shape { dim: -1 dim: 2 } }", random, [(2, 3, 2)])],
    "SPP": [(f"spp_param {{ pyramid_height: 2 pool: {pool} }}", apart, [(1, 2, 5, 4)]) for pool in ("MAX", "AVE")],
    "Scale": [
        ("scale_param { bias_term: true filler { type: 'gaussian' } }", random, [(2, 3, 4)]),
        ("", random, [(2, 3, 4), (3, 4)]),
    ],
    "Sigmoid": [("", random, [(2, 3)])],
    "SigmoidCrossEntropyLoss": [
        ("loss_param { ignore_label: -1 }", random, [(1, 4), fixed(0, 0.3, 1, -1, shape=(1, 4))])
    ],
    "Slice": [("top: 'a' top: 'b' slice_param { slice_point: 1 }", random, [(2, 3)])],
    "Softmax": [("", random, [(2, 3, 2)])],
    "SoftmaxWithLoss": [
        ("loss_param { ignore_label: 255 }", random, [(2, 3, 1, 2), fixed(0, 2, 255, 1, shape=(2, 2))])
    ],
    "Split": [("top: 'a' top: 'b'", random, [(2, 3)])],
    "Swish": [("swish_param { beta: 2 }", random, [(2, 3)])],
    "TanH": [("", random, [(2, 3)])],
    "Tile": [("tile_param { tiles: 3 }", random, [(2, 2, 2)])],
}

NO_GRADIENT = {
    "Accuracy": "a share of counts",
    "ArgMax": "indices",
    "Data": "reads data",
    "DummyData": "makes data",
    "HDF5Data": "reads data",
    "HDF5Output": "has no top",
    "ImageData": "reads data",
    "Input": "holds data",
    "MemoryData": "holds data",
    "Python": "the user's class brings its own backward: test_python_layer.py",
    "Silence": "has no top; its bottoms get zeros: below",
    "Threshold": "flat almost everywhere; Caffe has no backward for it",
    "WindowData": "reads data",
}


def test_every_type_is_checked_or_has_a_reason_not_to_be():
    assert not GRADIENTS.keys() & NO_GRADIENT.keys()
    assert sorted([*GRADIENTS, *NO_GRADIENT]) == layer_type_list()
    for type_ in NO_GRADIENT:
        if issubclass(layer_class("l", type_), SourceLayer):
            assert NO_GRADIENT[type_] in ("reads data", "holds data")


@pytest.mark.parametrize(
    ("type_", "text", "make", "bottoms"),
    [
        pytest.param(type_, *case, id=f"{type_}-{i}")
        for type_, cases in GRADIENTS.items()
        for i, case in enumerate(cases)
    ],
)
def test_gradients_are_those_of_finite_differences(make_layer, check_gradients, type_, text, make, bottoms):
    torch.manual_seed(0)
    values = [b if isinstance(b, torch.Tensor) else make(*b) for b in bottoms]
    layer = make_layer(f"type: '{type_}' {text}", *(v.shape for v in values), phase=pb.TRAIN)
    assert layer.blobs or any(v.requires_grad for v in values)
    check_gradients(layer, *values)


@pytest.mark.parametrize("type_", ["ArgMax", "Threshold"])
def test_a_type_without_a_gradient_gives_none(make_layer, run_layer, type_):
    assert not run_layer(make_layer(f"type: '{type_}'", (2, 3)), random(2, 3))[0].requires_grad


def test_silence_gives_its_bottom_a_gradient_of_zeros():
    net = pb.NetParameter(force_backward=True)
    net.layer.add(name="x", type="Input", top=["x"]).input_param.shape.add(dim=[2, 3])
    net.layer.add(name="y", type="Power", bottom=["x"], top=["y"]).power_param.scale = 2
    net.layer.add(name="s", type="Silence", bottom=["y"])
    net.layer.add(name="z", type="Power", bottom=["y"], top=["z"]).power_param.scale = 5
    made = Net(net, pb.TRAIN)
    made.forward()
    made.blobs["y_y_0_split_0"].diff[...] = made.blobs["x"].diff[...] = 7
    made.blobs["z"].diff[...] = 1
    made.backward()
    assert (made.blobs["y_y_0_split_0"].diff == 0).all()
    assert (made.blobs["x"].diff == 10).all()


LABELS = r"bottom\[1\] of shape \(3,\) does not hold one label for each position of bottom"

REFUSED = {
    "AbsVal": ("top: 'b0'", [(2,)], "in place"),
    "Accuracy": ("accuracy_param { top_k: 4 }", [(2, 3), (2,)], "top_k 4 is more than the 3 classes"),
    "ArgMax": ("argmax_param { top_k: 4 axis: 1 }", [(2, 3)], "top_k 4 is more than the 3 values"),
    "BatchNorm": ("param { lr_mult: 1 }", [(2, 3)], "param 0 has lr_mult 1; these blobs are statistics"),
    "BatchReindex": ("", [(2, 3), (2, 1)], r"bottom\[1\] has shape \(2, 1\); the index needs"),
    "Bias": ("bias_param { axis: 2 }", [(2, 3)], "bias_param.axis 2 is out of range"),
    "Clip": ("clip_param { min: 2 max: 1 }", [(2,)], "clip_param.min 2 is above max 1"),
    "Concat": ("", [(2, 1, 3), (2, 1, 4)], r"bottom\[1\] has shape \(2, 1, 4\)"),
    "ContrastiveLoss": ("", [(2, 3), (2, 4), (2,)], r"bottom\[0\] has shape \(2, 3\) and bottom\[1\] \(2, 4\)"),
    "Convolution": ("convolution_param { kernel_size: 3 }", [(1, 2, 5, 5)], "num_output is 0"),
    "Crop": ("crop_param { offset: 3 }", [(1, 2, 5, 5), (1, 2, 4, 4)], r"crop leaves axis 2: offset 3 \+ size 4 > 5"),
    "Data": ("", [], "data_param.backend is LEVELDB"),
    "Deconvolution": ("convolution_param { num_output: 2 }", [(1, 2, 5, 5)], "kernel_size is given 0 times"),
    "Dropout": ("dropout_param { dropout_ratio: 1 }", [(2,)], r"dropout_ratio is 1, outside \[0, 1\)"),
    "DummyData": ("dummy_data_param { data_filler {} data_filler {} }", [], "2 data_filler for 1 tops"),
    "Eltwise": ("", [(2, 3), (2, 1)], r"bottom\[1\] has shape \(2, 1\)"),
    "Embed": ("embed_param { num_output: 2 }", [(2,)], "input_dim is 0"),
    "EuclideanLoss": ("", [(2, 3), (3, 3)], r"bottom\[0\] has shape \(2, 3\) and bottom\[1\] \(3, 3\)"),
    "Exp": ("exp_param { base: -2 }", [(2,)], "exp_param.base is -2"),
    "Filter": ("", [(2, 3), (3,)], "another batch than the selector"),
    "Flatten": ("flatten_param { axis: 4 }", [(2, 3)], "flatten_param.axis 4 is out of range"),
    "HDF5Data": ("transform_param {}", [], "it does not transform data"),
    "HDF5Output": ("", [(2, 3), (2,)], "file_name is missing"),
    "HingeLoss": ("", [(2, 3), (3,)], LABELS),
    "Im2col": ("", [(1, 2, 5, 5)], "kernel_size is given 0 times"),
    "ImageData": ("top: 'a' top: 'b' image_data_param { new_height: 3 }", [], "new_height 3 and new_width 0"),
    "InfogainLoss": ("", [(2, 3), (2,)], "it has no matrix"),
    "InnerProduct": ("", [(2, 3)], "num_output is 0"),
    "Input": ("input_param { shape {} shape {} }", [], "input_param has 2 shapes for 1 tops"),
    "LRN": ("lrn_param { local_size: 4 }", [(1, 2, 3, 3)], "local_size is 4; it must be odd"),
    "LSTM": ("", [(2, 3, 4), (2, 3)], "num_output is 0"),
    "LSTMUnit": ("top: 'c' top: 'h'", [(1, 2, 3), (1, 2, 3), (1, 2)], "they need 1 x N x D"),
    "Log": ("log_param { base: -2 }", [(2,)], "log_param.base is -2"),
    "MVN": ("", [(1, 1, 1, 1, 1)], "at most 4 axes"),
    "MemoryData": (
        "top: 'a' top: 'b' memory_data_param { batch_size: 1 }",
        [],
        "memory_data_param needs batch_size, channels",
    ),
    "MultinomialLogisticLoss": ("", [(2, 3), (3,)], LABELS),
    "PReLU": ("", [(2,)], "it needs 2 axes or more"),
    "Pooling": ("", [(1, 2, 5, 5)], "kernel is missing"),
    "Python": ("", [], "python_param needs both module and layer"),
    "RNN": ("recurrent_param { num_output: 2 }", [(2, 3, 4), (2, 4)], r"cont, has shape \(2, 4\)"),
    "Reduction": ("reduction_param { axis: 2 }", [(2, 3)], "reduction_param.axis 2 is out of range"),
    "Reshape": ("reshape_param { shape { dim: 4 } }", [(2, 3)], r"has 6 values, but \(4,\) has 4"),
    "SPP": ("", [(1, 2, 5, 5)], "pyramid_height is 0"),
    "Scale": ("scale_param { axis: 2 }", [(2, 3)], "scale_param.axis 2 is out of range"),
    "SigmoidCrossEntropyLoss": ("", [(2, 3), (2, 4)], "there must be one target for each score"),
    "Slice": ("top: 'a' top: 'b' slice_param { slice_point: 4 }", [(2, 3)], "past the end of an axis of size 3"),
    "Softmax": ("softmax_param { axis: 2 }", [(2, 3)], "softmax_param.axis 2 is out of range"),
    "SoftmaxWithLoss": ("", [(2, 3), (3,)], LABELS),
    "Split": ("top: 'b0'", [(2,)], "in place"),
    "Tile": ("", [(2, 3)], "tile_param.tiles is not set"),
    "WindowData": ("top: 'a' top: 'b'", [], "it needs window_data_param.batch_size and transform_param.crop_size"),
}

TAKES_ANYTHING = {  # a bottom of any shape, and any value of their parameters
    "BNLL",
    "ELU",
    "Parameter",
    "Power",
    "ReLU",
    "Sigmoid",
    "Silence",
    "Swish",
    "TanH",
    "Threshold",
}


def layer_text(type_: str, text: str, shapes: list[tuple[int, ...]]) -> pb.LayerParameter:
    param = text_format.Parse(f"name: 'l' type: '{type_}' {text}", pb.LayerParameter())
    param.bottom.extend(f"b{i}" for i in range(len(shapes)))
    if not param.top and 0 not in layer_class("l", type_).tops:
        param.top.append("y")
    return param


def test_every_type_has_something_to_refuse_or_takes_anything():
    assert not REFUSED.keys() & TAKES_ANYTHING
    assert sorted([*REFUSED, *TAKES_ANYTHING]) == layer_type_list()


@pytest.mark.parametrize("type_", REFUSED)
def test_bad_shapes_and_parameters_are_refused_by_name(type_):
    text, shapes, message = REFUSED[type_]
    net = pb.NetParameter()
    for i, shape in enumerate(shapes):
        net.layer.add(name=f"in{i}", type="Input", top=[f"b{i}"]).input_param.shape.add(dim=shape)
    net.layer.append(layer_text(type_, text, shapes))
    with pytest.raises(CaffeError, match=rf"layer 'l' \({type_}\): .*({message})"):
        Net(net, pb.TRAIN)


@pytest.mark.parametrize("type_", layer_type_list())
def test_wrong_numbers_of_bottoms_and_tops_are_refused_by_name(type_):
    cls = layer_class("l", type_)
    tried = 0
    for names, count in (("bottom", cls.bottoms), ("top", cls.tops)):
        other = cls.tops if names == "bottom" else cls.bottoms
        wrong = [
            n for n in (count.least - 1, None if count.most is None else count.most + 1) if n is not None and n >= 0
        ]
        for n in wrong:
            if names == "top" and cls.is_loss and n < count.least:
                continue  # a loss's top is made where the prototxt names none
            param = pb.LayerParameter(name="l", type=type_)
            getattr(param, names).extend(f"{names}{i}" for i in range(n))
            getattr(param, "top" if names == "bottom" else "bottom").extend(f"x{i}" for i in range(other.least))
            with pytest.raises(LayerError, match=rf"layer 'l' \({type_}\): {n} {names}s given; it \w+ {count};"):
                create_layer(param, pb.TEST)
            tried += 1
    assert tried or type_ == "Python"  # which takes any number of both
