"""Fillers: the starting values of parameters, by Caffe's seven names.

Draws come from torch's stream, so they have Caffe's distributions, not its very numbers. The default filler is constant
0, for weights too: a layer without weight_filler stays silent until its weights are loaded.

n is fan_in = count / shape[0], fan_out = count / shape[1] or their mean, as variance_norm says. For Deconvolution
shape[0] is the input's channels, so its "fan_in" counts outputs; Caffe does so too.

Source: BVLC/caffe include/caffe/filler.hpp.
"""

import math
from collections.abc import Callable

import torch

from caffe_compat.device import generator
from caffe_compat.errors import NetError
from caffe_compat.layer.blob import Blob, Shape
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["FILLERS", "bilinear_kernel", "fill"]

CPU = torch.device("cpu")


def fill(blob: Blob, param: pb.FillerParameter) -> None:
    """Write a blob's starting values.

    Raises:
        NetError: unknown filler type, or a shape or field the filler cannot use.
    """
    if param.type not in FILLERS:
        raise NetError(f"unknown filler type '{param.type}'; known: {', '.join(sorted(FILLERS))}")
    if param.sparse != -1 and param.type != "gaussian":
        raise NetError(f"filler '{param.type}' does not take sparse; only gaussian does")
    if blob.count == 0:
        raise NetError(f"filler '{param.type}' was given a blob of shape {blob.shape}, which has no elements")
    counts_outputs = param.type in ("msra", "positive_unitball", "xavier")
    if not blob.shape and (counts_outputs or (param.type == "gaussian" and param.sparse != -1)):
        raise NetError(
            f"filler '{param.type}' counts outputs along the first axis, and this blob is one number without axes; "
            "use constant, uniform or gaussian without sparse"
        )
    if param.type == "constant" and param.value == 0:
        return  # an unwritten blob reads as zeros; nothing to allocate yet
    blob.write(FILLERS[param.type](blob.shape, param))


def _constant(shape: Shape, param: pb.FillerParameter) -> torch.Tensor:
    return torch.full(shape, param.value)


def _uniform(shape: Shape, param: pb.FillerParameter) -> torch.Tensor:
    return torch.empty(shape).uniform_(param.min, param.max, generator=generator(CPU))


def _gaussian(shape: Shape, param: pb.FillerParameter) -> torch.Tensor:
    """Normal values; with sparse, each is kept with probability sparse / shape[0]."""
    values = torch.empty(shape).normal_(param.mean, param.std, generator=generator(CPU))
    if param.sparse < -1:
        raise NetError(f"gaussian filler: sparse {param.sparse} is negative; give the non-zero inputs per output")
    if param.sparse >= 0:
        kept = param.sparse / shape[0]
        if kept > 1:
            raise NetError(f"gaussian filler: sparse {param.sparse} is more than the {shape[0]} outputs")
        values *= torch.empty(shape).bernoulli_(kept, generator=generator(CPU))
    return values


def _positive_unitball(shape: Shape, param: pb.FillerParameter) -> torch.Tensor:
    """Uniform in 0 to 1, scaled so that each output's values sum to 1."""
    values = torch.empty(shape).uniform_(0, 1, generator=generator(CPU)).view(shape[0], -1)
    return (values / values.sum(1, keepdim=True)).view(shape)


def _fan(shape: Shape, param: pb.FillerParameter) -> float:
    count = math.prod(shape)
    fan_in = count // shape[0]
    fan_out = count // shape[1] if len(shape) > 1 else count
    if param.variance_norm == pb.FillerParameter.AVERAGE:
        return (fan_in + fan_out) / 2
    return fan_out if param.variance_norm == pb.FillerParameter.FAN_OUT else fan_in


def _xavier(shape: Shape, param: pb.FillerParameter) -> torch.Tensor:
    bound = math.sqrt(3 / _fan(shape, param))
    return torch.empty(shape).uniform_(-bound, bound, generator=generator(CPU))


def _msra(shape: Shape, param: pb.FillerParameter) -> torch.Tensor:
    return torch.empty(shape).normal_(0, math.sqrt(2 / _fan(shape, param)), generator=generator(CPU))


def bilinear_kernel(size: int) -> torch.Tensor:
    """The size x size kernel that upsamples by linear interpolation, float32.

    f = ceil(size / 2), c = (size - 1) / (2 f), weight (1 - |x/f - c|) (1 - |y/f - c|).
    """
    f = math.ceil(size / 2)
    ramp = 1 - (torch.arange(size, dtype=torch.float64) / f - (size - 1) / (2 * f)).abs()
    return torch.outer(ramp, ramp).float()


def _bilinear(shape: Shape, param: pb.FillerParameter) -> torch.Tensor:
    """The same bilinear kernel for every channel pair, so only right with group = num_output."""
    if len(shape) != 4 or shape[2] != shape[3]:
        raise NetError(f"bilinear filler needs a 4-axis blob with a square kernel; this one is {shape}")
    return bilinear_kernel(shape[2]).expand(shape)


FILLERS: dict[str, Callable[[Shape, pb.FillerParameter], torch.Tensor]] = {
    "bilinear": _bilinear,
    "constant": _constant,
    "gaussian": _gaussian,
    "msra": _msra,
    "positive_unitball": _positive_unitball,
    "uniform": _uniform,
    "xavier": _xavier,
}
