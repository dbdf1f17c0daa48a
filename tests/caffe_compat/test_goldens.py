"""Every recorded case of the original Caffe: forward, gradients and changed parameters, through Net.

Tolerance: max |ours - recorded| <= 1e-4 max |recorded| + 1e-6.
"""

import zlib
from pathlib import Path

import numpy as np
import pytest

import caffe_compat
from caffe_compat.layer.registry import layer_type_list
from caffe_compat.net.net import Net
from caffe_compat.proto.text import read_net

HERE = Path(__file__).resolve().parent.parent / "reference"
LAYER_CASES = sorted(p.stem for p in (HERE / "layers").glob("*.npz"))
NET_CASES = sorted(p.name for p in (HERE / "nets").iterdir())


def check_close(ours: np.ndarray, recorded: np.ndarray, what: str) -> None:
    assert ours.shape == recorded.shape, f"{what}: shape {ours.shape}, recorded {recorded.shape}"
    room = 1e-4 * np.abs(recorded).max(initial=0) + 1e-6
    worst = np.abs(ours.astype(np.float64) - recorded).max(initial=0)
    assert worst <= room, f"{what}: off by {worst:.3g}, {room:.3g} allowed"


def under(record: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in record.items() if key.startswith(prefix)}


def param(net: Net, key: str) -> caffe_compat.Blob:
    layer, index = key.rsplit("/", 1)
    return net.params[layer][int(index)]


@pytest.mark.parametrize("case", LAYER_CASES)
def test_layer(case: str):
    record = dict(np.load(HERE / "layers" / f"{case}.npz"))
    net = Net(str(HERE / "layers" / f"{case}.prototxt"), getattr(caffe_compat, str(record["phase"])))
    for key, values in under(record, "param/").items():
        param(net, key).data[...] = values
    for blob, values in under(record, "in/").items():
        net.blobs[blob].data[...] = values
    net.forward()
    for blob, values in under(record, "out/").items():
        check_close(net.blobs[blob].data, values, f"out/{blob}")
    for key, values in under(record, "param_after/").items():
        check_close(param(net, key).data, values, f"param_after/{key}")
    for blob, values in under(record, "top_diff/").items():
        net.blobs[blob].diff[...] = values
    if not any(key.startswith(("diff/", "pdiff/", "bdiff/")) for key in record):
        return
    net.backward()
    for prefix in ("diff/", "bdiff/"):
        for blob, values in under(record, prefix).items():
            check_close(net.blobs[blob].diff, values, prefix + blob)
    for key, values in under(record, "pdiff/").items():
        check_close(param(net, key).diff, values, f"pdiff/{key}")


def test_the_cases_reach_every_layer_type_they_name():
    named = {layer.type for case in LAYER_CASES for layer in read_net(HERE / "layers" / f"{case}.prototxt").layer}
    assert named <= set(layer_type_list())


def weight_by_name(layer: str, index: int, shape: tuple[int, ...], type_: str) -> np.ndarray | None:
    """The recorded nets' weights, made from the layer's name (tests/reference/README.md)."""
    if type_ == "Scale":
        return None
    if type_ == "Deconvolution":
        size = shape[2]
        factor = (size + 1) // 2
        centre = factor - 1 if size % 2 == 1 else factor - 0.5
        ramp = 1 - np.abs(np.arange(size) - centre) / factor
        weight = np.zeros(shape, np.float32)
        weight[range(shape[0]), range(shape[0])] = np.outer(ramp, ramp)
        return weight
    rng = np.random.RandomState(zlib.crc32(f"{layer}/{index}".encode()))
    scale = np.sqrt(2 / np.prod(shape[1:])) if index == 0 else 0.1
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def fill_by_name(net: Net) -> None:
    for layer, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            made = weight_by_name(layer, i, blob.shape, net.layer_dict[layer].type)
            if made is not None:
                blob.write(made)


def check_net(net: Net, record: dict[str, np.ndarray]) -> None:
    fill_by_name(net)
    for blob, values in under(record, "in/").items():
        net.blobs[blob].data[...] = values
    net.forward()
    for blob, values in under(record, "out/").items():
        check_close(net.blobs[blob].data, values, f"out/{blob}")
    diffs = under(record, "pdiff/")
    if diffs:
        net.backward()
    for key, values in diffs.items():
        check_close(param(net, key).diff, values, f"pdiff/{key}")


@pytest.mark.parametrize("case", NET_CASES)
def test_net(case: str):
    record = dict(np.load(HERE / "nets" / case / "record.npz"))
    check_net(Net(str(HERE / "nets" / case / "net.prototxt"), caffe_compat.TEST), record)


@pytest.mark.parametrize("case", NET_CASES)
def test_lean_forward(case: str):
    record = dict(np.load(HERE / "nets" / case / "record.npz"))
    forward = {key: values for key, values in record.items() if not key.startswith("pdiff/")}
    kept = list(under(record, "out/"))
    check_net(Net(str(HERE / "nets" / case / "net.prototxt"), caffe_compat.TEST, keep=kept), forward)


@pytest.mark.parametrize("case", NET_CASES)
def test_lean_training_step(case: str):
    """As recorded in phase TEST, where Dropout copies: here it is made to by a ratio of 0. Only the losses are kept."""
    record = dict(np.load(HERE / "nets" / case / "record.npz"))
    record = {key: values for key, values in record.items() if not key.startswith("out/") or "loss" in key}
    net = read_net(HERE / "nets" / case / "net.prototxt")
    for layer in net.layer:
        if layer.type == "Dropout":
            layer.dropout_param.dropout_ratio = 0
    check_net(Net(net, caffe_compat.TRAIN, keep=list(under(record, "out/"))), record)
