"""Record what a net computes under the real Caffe, for ``caffe-compat compare`` to hold this package against.

Runs where pycaffe is, on Python 3.7 or later with numpy and h5py; it needs nothing of caffe_compat, so copy this one
file there:

    python record_with_caffe.py deploy.prototxt net.caffemodel net_record.h5
    python record_with_caffe.py deploy.prototxt net.caffemodel net_record.h5 --input data=image.npy

and then, where caffe_compat is:

    caffe-compat compare deploy.prototxt net.caffemodel net_record.h5

Inputs that no file is given for are drawn from -128 to 128. One forward and one backward are run. Where the net has no
loss, it is built with force_backward and the diffs of its outputs are drawn. The record (HDF5):

    /inputs/<blob>      the tops of layers without bottoms, whole
    /seeds/<blob>       the drawn diffs of outputs, whole; none where the net has losses
    /blobs/<blob>/data  and /diff: flat, after forward and after backward
    /params/<layer>/<i>/data  and /diff: flat

Flat arrays of more than --most values hold every n-th one; attributes ``stride`` (n) and ``shape`` say so. Attributes
of the file: ``phase``, ``force_backward``, ``diffs`` (whether a backward was run).
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import tempfile
from typing import Any

import h5py
import numpy as np

NO_BACKWARD = ("Accuracy", "ArgMax", "Threshold", "HDF5Output")  # Caffe aborts if their backward is forced


def main() -> None:
    """Do what the command line says."""
    options = parse_options()
    caffe = importlib.import_module("caffe")
    if options.gpu is None:
        caffe.set_mode_cpu()
    else:
        caffe.set_device(options.gpu)
        caffe.set_mode_gpu()
    caffe.set_random_seed(options.seed)
    draw = np.random.RandomState(options.seed)
    phase = getattr(caffe, options.phase)
    net = caffe.Net(options.prototxt, options.weights, phase)
    types = [layer.type for layer in net.layers]
    has_loss = any(net.blob_loss_weights.values())
    wants_diffs = not options.no_diffs and (has_loss or not any(kind in NO_BACKWARD for kind in types))
    force = wants_diffs and not has_loss
    if force:
        net = forced(caffe, options, phase)
    fill_inputs(net, options.input, draw)
    inputs = run_forward(net)
    seeds = run_backward(net, has_loss, draw) if wants_diffs else {}
    write(
        options.record, net, inputs, seeds, wants_diffs, options.most, {"phase": options.phase, "force_backward": force}
    )
    print(f"{options.record}: {len(net.blobs)} blobs, {len(net.params)} layers with parameters")
    if not wants_diffs and not options.no_diffs:
        print(f"no diffs: the net has no loss and one of {', '.join(NO_BACKWARD)}, which Caffe runs no backward of")


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Record a net's numbers under the real Caffe.")
    parser.add_argument("prototxt")
    parser.add_argument("weights")
    parser.add_argument("record", help="the HDF5 file to write")
    parser.add_argument(
        "--phase", choices=("TRAIN", "TEST"), default="TEST", help="TRAIN draws random numbers in Dropout"
    )
    parser.add_argument("--input", action="append", default=[], metavar="BLOB=FILE.npy", help="values of an input blob")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gpu", type=int, help="device to run on; without it, the CPU")
    parser.add_argument("--most", type=int, default=1000000, help="values to keep of one blob or parameter")
    parser.add_argument("--no-diffs", action="store_true", help="run no backward")
    return parser.parse_args()


def forced(caffe: Any, options: argparse.Namespace, phase: int) -> Any:
    """The net built with force_backward, so that diffs reach the inputs."""
    with open(options.prototxt) as file:
        text = re.sub(r"^\s*force_backward\s*:\s*\w+", "", file.read(), flags=re.M)
    handle, path = tempfile.mkstemp(suffix=".prototxt")
    try:
        with os.fdopen(handle, "w") as copy:
            copy.write("force_backward: true\n" + text)
        return caffe.Net(path, options.weights, phase)
    finally:
        os.remove(path)


def fill_inputs(net: Any, given: list[str], draw: np.random.RandomState) -> None:
    """Put the given arrays, or drawn ones, into the input blobs."""
    arrays = {}
    for item in given:
        name, _, path = item.partition("=")
        if name not in net.inputs:
            raise SystemExit(
                f"--input {item}: the net has no input '{name}'; it has: {', '.join(net.inputs) or 'none'}"
            )
        arrays[name] = np.load(path)
    for name in net.inputs:
        blob = net.blobs[name]
        if name in arrays:
            blob.reshape(*arrays[name].shape)
            blob.data[...] = arrays[name]
        else:
            blob.data[...] = draw.uniform(-128, 128, blob.data.shape)
    net.reshape()


def run_forward(net: Any) -> dict[str, np.ndarray]:
    """Run every layer; gives the tops of those without bottoms as they were before later layers changed them."""
    inputs = {}
    for index, name in enumerate(net._layer_names):
        net._forward(index, index)
        if not net.bottom_names[name]:
            for top in net.top_names[name]:
                inputs[top] = net.blobs[top].data.copy()
    return inputs


def run_backward(net: Any, has_loss: bool, draw: np.random.RandomState) -> dict[str, np.ndarray]:
    """Run backward; gives the diffs that were drawn for outputs."""
    seeds = {}
    if not has_loss:
        for name in net.outputs:
            seeds[name] = draw.standard_normal(net.blobs[name].data.shape).astype(np.float32)
            net.blobs[name].diff[...] = seeds[name]
    net.clear_param_diffs()
    net._backward(len(net._layer_names) - 1, 0)
    return seeds


def write(
    path: str,
    net: Any,
    inputs: dict[str, np.ndarray],
    seeds: dict[str, np.ndarray],
    diffs: bool,
    most: int,
    facts: dict[str, Any],
) -> None:
    """Write the record; the file appears whole or not at all."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with h5py.File(temporary, "w") as file:
            file.attrs.update(diffs=diffs, **facts)
            for group, arrays in (("inputs", inputs), ("seeds", seeds)):
                file.create_group(group)
                for name, values in arrays.items():
                    file[group].create_dataset(name, data=values)
            for name, blob in net.blobs.items():
                put(file, f"blobs/{name}", blob, diffs, most)
            for name, blobs in net.params.items():
                for i, blob in enumerate(blobs):
                    put(file, f"params/{name}/{i}", blob, diffs, most)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def put(file: h5py.File, name: str, blob: Any, diffs: bool, most: int) -> None:
    """Add a blob's values and diffs, every n-th of them where there are too many."""
    for side in ("data", "diff") if diffs else ("data",):
        values = getattr(blob, side)
        stride = -(-values.size // most) | 1 if values.size > most else 1  # odd, so that rows are met at all columns
        dataset = file.create_dataset(f"{name}/{side}", data=values.reshape(-1)[::stride])
        dataset.attrs["stride"] = stride
        dataset.attrs["shape"] = np.array(values.shape, np.int64)


if __name__ == "__main__":
    main()
