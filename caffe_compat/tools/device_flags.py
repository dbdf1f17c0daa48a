"""The flags that train, test, time and device_query share, and what they choose: device, net state, precision, layers.

Source: BVLC/caffe tools/caffe.cpp (get_gpus, get_stages_from_flags).
"""

from collections.abc import Callable, Sequence
from typing import Any

import click
import torch

from caffe_compat import glog
from caffe_compat.aliases import install_as_caffe
from caffe_compat.device import set_device, set_mode_cpu, set_mode_gpu
from caffe_compat.errors import DeviceError
from caffe_compat.net.plan.precision import PRECISIONS
from caffe_compat.tools.flags import flag

__all__ = ["chosen_gpus", "precision_flag", "python_layers_flag", "stages_of", "state_flags", "use_one_device"]


def state_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags -gpu, -level, -stage and -python_layers, of which the last is not handed on."""
    for decorate in (
        python_layers_flag,
        flag("stage", "Stages of the net's state, separated by commas."),
        flag("level", "Level of the net's state.", 0, int),
        flag("gpu", "Run on this CUDA device (a number, or 'all'); without it, on the CPU."),
    ):
        command = decorate(command)
    return command


def python_layers_flag(command: Callable[..., Any]) -> Callable[..., Any]:
    """The switch -python_layers, which takes effect by itself."""
    help_ = (
        "Import the modules that the net's Python layers name, as Caffe does; their 'import caffe' means caffe_compat."
    )
    return click.option(
        "--python_layers/--nopython_layers", help=help_, expose_value=False, callback=_use_python_layers
    )(command)


def _use_python_layers(_: click.Context, __: click.Parameter, wanted: bool) -> None:
    if wanted:
        install_as_caffe()


def precision_flag(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flag -precision, which Caffe does not have."""
    help_ = "Of large convolutions: fp32, or bf16, which is faster where the device computes in it."
    return flag("precision", help_, "fp32", click.Choice(PRECISIONS))(command)


def stages_of(stage: str) -> list[str]:
    """The stages that -stage lists; an empty one stands for none, as in Caffe's logs."""
    return stage.split(",")


def chosen_gpus(gpu: str) -> list[int]:
    """The devices that -gpu lists.

    Raises:
        DeviceError: 'all' where there is no CUDA device.
        click.UsageError: not numbers.
    """
    if gpu == "all":
        if not torch.cuda.is_available():
            raise DeviceError(f"-gpu all: this PyTorch ({torch.__version__}) finds no CUDA device; leave -gpu out")
        return list(range(torch.cuda.device_count()))
    if not gpu:
        return []
    if not all(part.strip().isdecimal() for part in gpu.split(",")):
        raise click.UsageError(f"-gpu={gpu}: give numbers separated by commas, or all")
    return [int(part) for part in gpu.split(",")]


def use_one_device(gpus: Sequence[int], cpu_place: str) -> None:
    """Switch to the first of these devices, or to the CPU if there are none, and log it.

    Args:
        gpus: as ``chosen_gpus`` gives them.
        cpu_place: where in Caffe the line "Use CPU." comes from, such as ``caffe.cpp:275``.

    Raises:
        DeviceError: there is no such device.
    """
    for unused in reversed(gpus[1:]):
        glog.info("caffe.cpp:258", f"Not using GPU #{unused} for single-GPU function")
    if not gpus:
        glog.info(cpu_place, "Use CPU.")
        set_mode_cpu()
        return
    set_device(gpus[0])
    set_mode_gpu()
    glog.info("caffe.cpp:264", f"Use GPU with device ID {gpus[0]}")
    glog.info("caffe.cpp:268", f"GPU device name: {torch.cuda.get_device_name(gpus[0])}")
