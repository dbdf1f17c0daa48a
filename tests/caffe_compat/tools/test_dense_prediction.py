"""A strided net at every pixel: filter rarefaction and shift-and-stitch give equal maps."""

import numpy as np
import pytest
from PIL import Image

from caffe_compat import TEST, Net, set_random_seed
from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.proto.text import parse, read_net
from caffe_compat.tools.convolutionalize import convolutional_twin
from caffe_compat.tools.dense_prediction import largest_difference, run, shift_and_stitch, unpadded
from caffe_compat.tools.rarefaction import rarefied
from nets.classifiers import build
from nets.sources import InputData

FILL = 'weight_filler { type: "msra" } bias_filler { type: "gaussian" std: 1 }'
INPUT = 'name: "small" layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 2, 23, 30] } } }'
SIZE = (23, 30)


def conv(name, bottom, outputs, window, relu=True):
    made = f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
               convolution_param {{ num_output: {outputs} {window} {FILL} }} }}"""
    neuron = f'layer {{ name: "relu_{name}" type: "ReLU" bottom: "{name}" top: "{name}" }}' if relu else ""
    return made + neuron


def pool(name, bottom, window):
    return (
        f"""layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}" pooling_param {{ {window} }} }}"""
    )


def net_of(*layers):
    set_random_seed(0)
    return Net(parse(INPUT + "".join(layers), NetParameter(), "test"), TEST)


def maps(net, blob, largest_px=1, size=SIZE, channels=2):
    image = np.random.default_rng(1).normal(0, 1, (1, channels, *size)).astype(np.float32)
    dense = rarefied(net, blob, largest_px)
    return dense, run(dense.net, image, blob), shift_and_stitch(net, image, dense)


PLAIN = (
    conv("a", "data", 4, "kernel_size: 3"),
    pool("p", "a", "kernel_size: 2 stride: 2"),
    conv("b", "p", 4, "kernel_size: 3"),
    pool("q", "b", "kernel_size: 3 stride: 2"),
    conv("c", "q", 3, "kernel_size: 2", relu=False),
)


def test_a_net_without_padding_gives_equal_maps_everywhere():
    net = net_of(*PLAIN)
    dense, filled, stitched = maps(net, "c")
    assert {(axis.full_stride_px, axis.stride_px, axis.first_px, axis.extent_px) for axis in dense.axes} == {
        (4, 1, 0, 16)
    }
    assert filled.shape == (1, 3, 8, 15)  # every position of a 16 x 16 window
    assert [unpadded(axis, side) for axis, side in zip(dense.axes, SIZE, strict=True)] == [slice(0, 8), slice(0, 15)]
    np.testing.assert_allclose(stitched[:, :, :8, :15], filled, rtol=1e-4, atol=1e-5 * np.abs(filled).max())
    kinds = {layer.type for layer in dense.param.layer}
    assert kinds == {"Input", "Convolution", "ReLU", "Eltwise", "Pooling"}


def test_every_position_is_the_net_on_its_own_window():
    net = net_of(*PLAIN)
    dense, filled, _ = maps(net, "c")
    image = np.random.default_rng(1).normal(0, 1, (1, 2, *SIZE)).astype(np.float32)
    for row, column in ((0, 0), (3, 2), (7, 14), (5, 9)):
        window = run(net, image[:, :, row : row + 16, column : column + 16], "c")
        np.testing.assert_allclose(window[0, :, 0, 0], filled[0, :, row, column], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        (conv("a", "data", 4, "kernel_size: 5 stride: 2 pad: 2"), pool("c", "a", "kernel_size: 3 stride: 2 pad: 1")),
        (
            conv("a", "data", 4, "kernel_size: 3 stride: 3"),
            pool("p", "a", "pool: AVE kernel_size: 2 stride: 1"),
            conv("c", "p", 2, "kernel_size: 1"),
        ),
        (
            conv("a", "data", 4, "kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0"),
            pool("p", "a", "kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1"),
            conv("c", "p", 4, "kernel_size: 3 pad: 1 dilation: 2 group: 2"),
        ),
        (
            conv("a", "data", 4, "kernel_size: 2 stride: 2"),
            conv("b", "a", 2, "kernel_size: 1"),
            conv("d", "a", 3, "kernel_size: 3 pad: 1"),
            'layer { name: "both" type: "Concat" bottom: "b" bottom: "d" top: "both" }',
            'layer { name: "norm" type: "LRN" bottom: "both" top: "norm" lrn_param { local_size: 3 } }',
            pool("c", "norm", "kernel_size: 2 stride: 2"),
        ),
        (pool("p", "data", "kernel_size: 1 stride: 2"), pool("c", "p", "kernel_size: 1 stride: 2")),
    ],
    ids=["strided conv, padded", "average", "oblong, grouped, dilated", "branches", "subsampling"],
)
def test_forms_of_layers(layers):
    net = net_of(*layers)
    dense, filled, stitched = maps(net, "c")
    assert all(axis.stride_px == 1 for axis in dense.axes)
    assert largest_difference(filled, stitched, dense, SIZE) < 1e-5


@pytest.mark.parametrize(("largest_px", "stride"), [(1, 1), (2, 2), (3, 2), (4, 4), (9, 4)])
def test_strides_are_kept_up_to_the_wanted_one(largest_px, stride):
    net = net_of(*PLAIN)
    dense, filled, stitched = maps(net, "c", largest_px)
    assert [axis.stride_px for axis in dense.axes] == [stride] * 2
    assert largest_difference(filled, stitched, dense, SIZE) < 1e-5
    if stride == 4:
        np.testing.assert_array_equal(filled, stitched)  # one pass of the net itself


def test_where_padding_is_seen_the_maps_may_differ_and_are_not_compared():
    net = net_of(conv("a", "data", 3, "kernel_size: 3 pad: 1"), pool("p", "a", "kernel_size: 2 stride: 2"),
                 conv("c", "p", 3, "kernel_size: 3 pad: 1"))  # fmt: skip
    dense, filled, stitched = maps(net, "c")
    assert {(axis.first_px, axis.extent_px) for axis in dense.axes} == {(-3, 8)}
    rows, columns = (unpadded(axis, side) for axis, side in zip(dense.axes, SIZE, strict=True))
    assert (rows, columns) == (slice(4, 19), slice(4, 26))
    assert largest_difference(filled, stitched, dense, SIZE) < 1e-5
    common = stitched[:, :, : filled.shape[2], : filled.shape[3]]
    assert np.nanmax(np.abs(common - filled[:, :, : common.shape[2], : common.shape[3]])) > 0.01


def test_a_difference_is_seen():
    net = net_of(*PLAIN)
    dense, filled, stitched = maps(net, "c")
    stitched[0, 0, 4, 4] += 1
    assert largest_difference(filled, stitched, dense, SIZE) > 0.01


def test_thin_alexnet_made_fully_convolutional():
    """Strides 4, 2, 2 and 2, three of them in pooling; groups, LRN, and a window of 6 x 6 that was fully connected."""
    set_random_seed(1)
    classifier = Net(build("caffenet", InputData({"data": (1, 3, 227, 227)}), classes=5, width=1 / 16), TEST)
    _, net = convolutional_twin(classifier)
    dense, filled, stitched = maps(net, "fc8", 8, (420, 425), 3)
    assert [(axis.full_stride_px, axis.stride_px, axis.extent_px) for axis in dense.axes] == [(32, 8, 355)] * 2
    assert largest_difference(filled, stitched, dense, (420, 425)) < 1e-4


def test_thin_googlenet_up_to_its_first_modules():
    """Branches side by side, with pooling and convolutions of padding 1 and 2 in them, over dilated features."""
    set_random_seed(2)
    net = Net(build("googlenet", InputData({"data": (1, 3, 224, 224)}), classes=5, width=1 / 8), TEST)
    dense, filled, stitched = maps(net, "inception_3b/output", 2, (224, 230), 3)
    assert [(axis.full_stride_px, axis.stride_px) for axis in dense.axes] == [(8, 2)] * 2
    assert largest_difference(filled, stitched, dense, (224, 230)) < 1e-4


# -- the verb ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    net = net_of(*PLAIN)
    (tmp_path / "net.prototxt").write_text(INPUT + "".join(PLAIN))
    net.save(tmp_path / "net.caffemodel")
    return tmp_path / "net.prototxt", tmp_path / "net.caffemodel"


def test_the_verb_says_what_it_saw_and_writes_map_and_net(verb, files, tmp_path):
    out = {name: tmp_path / f"dense.{name.rpartition('_')[2]}" for name in ("out", "out_prototxt", "out_caffemodel")}
    done = verb("dense_prediction", *files, *(f"-{name}={path}" for name, path in out.items()))
    assert done.code == 0
    first, second, third = done.out.splitlines()
    assert first == "c: 1 x 3 x 8 x 15 at stride 1 x 1 (the net's is 4 x 4) for 1 x 2 x 23 x 30 pixels"
    assert second.endswith(" s in 16 passes")
    assert float(third.split()[2]) < 1e-5
    net = Net(read_net(out["out_prototxt"]), TEST, weights=out["out_caffemodel"])
    image = np.random.default_rng(0).normal(0, 50, (1, 2, 23, 30)).astype(np.float32)
    np.testing.assert_array_equal(run(net, image, "c")[0], np.load(out["out"]))


def test_the_verb_takes_a_picture_another_blob_and_a_stride(verb, tmp_path):
    layers = (INPUT.replace("1, 2, 23, 30", "1, 3, 16, 16"), *PLAIN)
    (tmp_path / "net.prototxt").write_text("".join(layers))
    set_random_seed(0)
    Net(str(tmp_path / "net.prototxt"), TEST).save(tmp_path / "net.caffemodel")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 21, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    names = [tmp_path / name for name in ("net.prototxt", "net.caffemodel")]
    options = ("-blob", "q", "-stride", "2", "-image", tmp_path / "picture.png", "-mean", "1,2,3")
    done = verb("dense_prediction", *names, *options, "-out", tmp_path / "map.npy")
    assert done.code == 0
    assert done.out.startswith("q: 1 x 4 x 5 x 6 at stride 2 x 2 (the net's is 4 x 4) for 1 x 3 x 20 x 21 pixels")
    net = Net(str(names[0]), TEST, weights=str(names[1]))
    image = (pixels[:, :, ::-1].astype(np.float32) - [1, 2, 3]).transpose(2, 0, 1)[None]
    strided = run(net, image, "q")[0]
    np.testing.assert_allclose(np.load(tmp_path / "map.npy")[:, ::2, ::2][:, :2, :2], strided[:, :2, :2], rtol=1e-4)
    done = verb("dense_prediction", *names, *options[:-1], "1,2")
    assert "-mean=1,2: give three numbers, B,G,R" in done.err


def test_noise_is_as_large_as_a_position_sees(verb, tmp_path):
    """A classifier's input is smaller than what its positions see in every shift."""
    (tmp_path / "net.prototxt").write_text((INPUT + "".join(PLAIN)).replace("23, 30", "17, 30"))
    Net(str(tmp_path / "net.prototxt"), TEST).save(tmp_path / "net.caffemodel")
    done = verb("dense_prediction", tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
    assert done.code == 0, done.err
    assert "for 1 x 2 x 20 x 30 pixels" in done.out


DENSE_LAYER = """layer { name: "f" type: "InnerProduct" bottom: "c" top: "f"
                 inner_product_param { num_output: 2 } }"""
CANNOT = {
    "no blob": (PLAIN, "d", "net 'small': no blob 'd' in it; it has data, a, p, b, q, c"),
    "fully connected": (
        (*PLAIN, DENSE_LAYER),
        "f",
        r"layer 'f' \(InnerProduct\): what it makes has no positions that could become denser; convolutionalize",
    ),
    "global": (
        (pool("f", "data", "pool: AVE global_pooling: true"),),
        "f",
        r"layer 'f' \(Pooling\): what it makes has no positions",
    ),
    "stochastic": (
        (pool("p", "data", "kernel_size: 1 stride: 2"), pool("q", "p", "pool: STOCHASTIC kernel_size: 2")),
        "q",
        r"layer 'q' \(Pooling\): only MAX and AVE pooling have positions that can become denser",
    ),
    "different strides": (
        (
            conv("a", "data", 2, "kernel_h: 12 kernel_w: 15"),
            pool("p", "data", "kernel_size: 1 stride: 2"),
            'layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "p" top: "sum" }',
        ),
        "sum",
        r"layer 'sum' \(Eltwise\): its bottoms have different strides; end the net before it with -blob",
    ),
}


@pytest.mark.parametrize("case", CANNOT)
def test_what_cannot_become_denser(case):
    layers, blob, message = CANNOT[case]
    with pytest.raises(NetError, match=message):
        rarefied(net_of(*layers), blob)


def test_an_image_that_is_too_small():
    net = net_of(*PLAIN)
    dense, filled, stitched = maps(net, "c")
    with pytest.raises(
        NetError, match="blob 'c': no position of a 12 x 30 image sees image alone; give one of 20 x 20 "
    ):
        largest_difference(filled, stitched, dense, (12, 30))
