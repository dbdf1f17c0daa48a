"""``export NET.prototxt WEIGHTS OUT.onnx``: a net and its weights as one ONNX file, for other runtimes. Needs onnx.

    caffe-compat export deploy.prototxt fcn8s-heavy-pascal.caffemodel fcn8s.onnx
    caffe-compat export deploy.prototxt fcn8s-heavy-pascal.caffemodel fcn8s.onnx -shape 1,3,375,500

Every layer is recorded as the PyTorch operations that it runs, at one shape of input: crops and rounded pooling sizes
are numbers in the file, so another size of image needs another file. ``torch_module`` gives the same net as a module
for programs of one's own:

    module = torch_module(caffe_compat.Net("deploy.prototxt", "fcn8s-heavy-pascal.caffemodel", caffe_compat.TEST))
    (score,) = module(torch.zeros(1, 3, 500, 500))
"""

import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from caffe_compat.device import generator
from caffe_compat.errors import DataError, NetError
from caffe_compat.layer.contract import BlobLayer, Context, SourceLayer
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.proto.whole_file import replacing
from caffe_compat.tools.flags import FlagCommand, flag

__all__ = ["TorchNet", "export", "export_onnx", "torch_module"]


class TorchNet(torch.nn.Module):
    """A net as a PyTorch module: takes the net's inputs and gives its outputs, in the order of their names in the net.

    Parameters are the net's own tensors and do not ask for gradients; each has its layer's name in ``state_dict``
    (dots in it become underscores), as ``weight``, ``bias``, ``blob2``, ... Make it with ``torch_module``.
    """

    def __init__(self, net: Net) -> None:
        super().__init__()
        self._inputs, self._outputs = list(net.inputs), list(net.outputs)
        self._nodes = [node for node in net._graph.nodes if node.layer.type != "Input"]
        self._parts: list[str | None] = []
        for node in self._nodes:
            part = torch.nn.Module()
            for i, blob in enumerate(node.layer.blobs):
                name = ("weight", "bias")[i] if i < 2 else f"blob{i}"
                part.register_parameter(name, torch.nn.Parameter(blob.tensor().detach(), requires_grad=False))
            name = node.layer.name.replace(".", "_")
            while name in self._modules or hasattr(self, name):
                name += "_"
            self._parts.append(name if node.layer.blobs else None)
            if node.layer.blobs:
                self.add_module(name, part)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs for these inputs."""
        made = dict(zip(self._inputs, inputs, strict=True))
        for node, part in zip(self._nodes, self._parts, strict=True):
            blobs = [] if part is None else list(self.get_submodule(part).parameters())
            context = Context(TEST, generator(), state=node.state, same_blob=node.in_place)
            bottoms = [made[name] for name in node.bottom_names]
            if node.layer.type == "BatchNorm" and torch.jit.is_tracing():  # ONNX's needs the channels as a number
                bottoms = [x.reshape([int(side) for side in x.shape]) for x in bottoms]
            tops = node.layer.forward(bottoms, blobs, context)
            made.update(zip(node.top_names, tops, strict=True))
        return tuple(made[name] for name in self._outputs)


def torch_module(net: Net) -> TorchNet:
    """The net as a PyTorch module.

    Args:
        net: in phase TEST, with Input layers in place of data layers; a lean one does as well.

    Raises:
        NetError: it has no Input layer, or is of phase TRAIN.
        LayerError: a layer reads data, or is written in Python.
    """
    if not net.inputs or net.phase != TEST:
        found = "is in phase TRAIN" if net.phase != TEST else "has no Input layer"
        raise NetError(f"net '{net.name}' {found}; build the deploy prototxt in phase TEST")
    for node in net._graph.nodes:
        if isinstance(node.layer, BlobLayer | SourceLayer) and node.layer.type != "Input":
            raise node.layer.error("is not made of PyTorch operations alone; give a prototxt without it")
    return TorchNet(net).eval()


@click.command(cls=FlagCommand)
@click.argument("prototxt", metavar="NET.prototxt")
@click.argument("weights", metavar="WEIGHTS")
@click.argument("target", metavar="OUT.onnx")
@flag("shape", "Of the net's input, such as 1,3,375,500; the prototxt's unless given.")
def export(prototxt: str, weights: str, target: str, shape: str) -> None:
    """Write a deploy net with its weights as ONNX, for ONNX Runtime, OpenVINO, OpenCV and others.

    The file is for one shape of input. This needs the package onnx. Where onnxruntime is installed too, it runs the
    file, and its outputs are held to the net's.
    """
    if Path(target).suffix != ".onnx":
        raise click.UsageError(f"{target}: the suffix must be .onnx; for weights alone use caffe-compat convert")
    net = Net(prototxt, weights, TEST)
    if shape:
        _reshape(net, shape)
    difference = export_onnx(net, target)
    shapes = ", ".join(f"{name} {' x '.join(map(str, net.blobs[name].shape))}" for name in [*net.inputs, *net.outputs])
    click.echo(f"{target}: {shapes}")
    if difference is None:
        click.echo("not run: pip install onnxruntime to have it held to the net")
    else:
        click.echo(f"onnxruntime's outputs differ by {difference:.1e} of the largest at most")


def _reshape(net: Net, shape: str) -> None:
    sides = shape.split(",")
    if not all(side.strip().isdecimal() and int(side) for side in sides):
        raise click.UsageError(f"-shape={shape}: give whole numbers above 0 with commas between them, as 1,3,375,500")
    if len(net.inputs) != 1:
        raise click.UsageError(f"-shape: the net has {len(net.inputs)} inputs; set their shapes in the prototxt")
    net.blobs[net.inputs[0]].reshape(*map(int, sides))
    net.reshape()


def export_onnx(net: Net, target: str) -> float | None:
    """Write an ONNX file for the present shapes of a net's inputs.

    Returns:
        The largest difference between the outputs of onnxruntime and the net's, over the largest value of each output;
        None where onnxruntime is not installed.

    Raises:
        NetError, LayerError: as for ``torch_module``; what a layer does depends on values, so that a record of it is
            not the layer; ONNX has no form for an operation; onnxruntime's outputs are others; the package onnx is
            not installed.
        DataError: the file cannot be written.
    """
    module = torch_module(net)
    if find_spec("onnx") is None:
        raise NetError("writing ONNX needs the package onnx, which is not installed; pip install onnx")
    draw = torch.Generator().manual_seed(0)
    first, second = ([torch.randn(net.blobs[n].shape, generator=draw) for n in net.inputs] for _ in range(2))
    try:
        with warnings.catch_warnings(), torch.no_grad(), replacing(target) as temporary:
            warnings.simplefilter("ignore")  # that the tracer is old, and of branches, which the next line looks for
            traced = torch.jit.trace(module, tuple(first), check_trace=False)
            wanted = module(*second)
            _hold(net, traced(*second), wanted, "recorded, it gives other values for other inputs")
            torch.onnx.export(
                module, tuple(first), temporary, dynamo=False, input_names=net.inputs, output_names=net.outputs
            )
            if find_spec("onnxruntime") is None:
                return None
            found = _run(temporary, dict(zip(net.inputs, second, strict=True)))
            return _hold(net, found, wanted, "onnxruntime gives other values for the file")
    except torch.onnx.errors.OnnxExporterError as error:
        raise NetError(f"net '{net.name}': ONNX has no form for part of it: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror or error}") from error


def _run(file: Path, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    onnxruntime: Any = import_module("onnxruntime")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: values.numpy() for name, values in inputs.items()})
    return [torch.from_numpy(np.asarray(values)) for values in found]


def _hold(net: Net, found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor], fault: str) -> float:
    """The largest relative difference; NetError where one is above 1e-4."""
    worst = 0.0
    for name, ours, theirs in zip(net.outputs, wanted, found, strict=True):
        difference, largest = float("inf"), float(ours.abs().max())
        if ours.shape == theirs.shape:
            difference = float((ours - theirs).abs().max())
        if not difference <= 1e-4 * largest + 1e-6:
            raise NetError(f"net '{net.name}', output '{name}': {fault}; it cannot be exported")
        worst = max(worst, difference / largest if largest else difference)
    return worst
