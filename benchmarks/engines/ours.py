"""This project's nets, lean, as solve.py runs them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from caffe_compat import TEST, Blob, Net
from caffe_compat.proto.caffe_pb2 import NetParameter, SolverParameter
from caffe_compat.solver import SGDSolver
from engines import torch_device
from engines.images import labels
from engines.weights import draw_bias, draw_weight, set_interpolation
from engines.work import Work
from nets.catalogue import lookup
from nets.sources import InputData
from solvers.device_option import use_device

__all__ = [
    "begin",
    "deploy_param",
    "forward",
    "forward_in_memory",
    "lean_net",
    "set_weights",
    "solver",
    "step",
    "training_solver",
]


def deploy_param(work: Work) -> NetParameter:
    """voc-fcn8s without labels."""
    return lookup("voc-fcn8s").build(InputData({"data": work.shape}), width=work.channels)


def begin(work: Work) -> None:
    """Set threads and device for the nets that are made next; call before any is."""
    torch_device.begin(work)
    use_device(work.device)


def set_weights(net: Net) -> None:
    """The weights that all engines have; on the CPU written where they are: no copy that would count as ours."""
    for layer in net.layers:
        if layer.type == "Convolution":
            _set(layer.blobs[0], partial(draw_weight, layer.name))
            _set(layer.blobs[1], partial(draw_bias, layer.name))
        elif layer.type == "Deconvolution":
            _set(layer.blobs[0], set_interpolation)


def _set(blob: Blob, fill: Callable[[np.ndarray], None]) -> None:
    tensor = blob.tensor()
    if tensor.device.type == "cpu" and tensor.dtype == torch.float32:
        fill(tensor.numpy())
    else:
        values = np.empty(blob.shape, np.float32)
        fill(values)
        tensor.copy_(torch.from_numpy(values))
    blob.mark_changed()


def lean_net(work: Work) -> Net:
    """A TEST net that keeps ``score``, with the weights of net.caffemodel in work.folder."""
    return Net(
        deploy_param(work), TEST, weights=f"{work.folder}/net.caffemodel", keep=["score"], precision=work.precision
    )


def forward(work: Work) -> Callable[[np.ndarray], np.ndarray]:
    """A lean net whose weights come from a caffemodel, as a user's do."""
    begin(work)
    return _runs(lean_net(work))


def forward_in_memory(work: Work) -> Callable[[np.ndarray], np.ndarray]:
    """A lean net whose weights are set in place, and come from no file."""
    begin(work)
    net = Net(deploy_param(work), TEST, keep=["score"], precision=work.precision)
    set_weights(net)
    return _runs(net)


def _runs(net: Net) -> Callable[[np.ndarray], np.ndarray]:
    def run(image: np.ndarray) -> np.ndarray:
        net.blobs["data"].data[...] = image
        return net.forward()["score"]

    return run


def solver(work: Work, param: NetParameter, **changed: float) -> SGDSolver:
    """Caffe's SGD over a lean train net, weights set in place.

    Args:
        work: channels and precision.
        param: the net.
        changed: settings that are not as released.
    """
    released: dict[str, Any] = {"base_lr": 1e-14, "momentum": 0.99, "weight_decay": 5e-4, "lr_policy": "fixed"}
    settings = SolverParameter(**(released | changed))
    settings.train_net_param.CopyFrom(param)
    made = SGDSolver(settings, keep=[], precision=work.precision)
    set_weights(made.net)
    return made


def training_solver(work: Work) -> SGDSolver:
    """Caffe's SGD over voc-fcn8s with inputs to be filled; the labels are."""
    shapes = {"data": work.shape, "label": work.label_shape}
    made = solver(work, lookup("voc-fcn8s").build(InputData(shapes), width=work.channels))
    made.net.blobs["label"].data[...] = labels(work.label_shape)
    return made


def step(work: Work) -> Callable[[np.ndarray], float]:
    """One solver step: forward, backward, update. A call gives the loss."""
    begin(work)
    made = training_solver(work)

    def run(image: np.ndarray) -> float:
        made.net.blobs["data"].data[...] = image
        made.step(1)
        torch_device.finish(work)
        return float(made.loss)

    return run
