"""The options that say where and how nets compute: ``--device`` of every command, and ``--precision``."""

import re
from collections.abc import Callable
from typing import Any

import click

from caffe_compat.device import set_device, set_mode_cpu, set_mode_gpu
from caffe_compat.errors import DeviceError
from caffe_compat.net.plan.precision import PRECISIONS, is_fast

__all__ = ["device_option", "precision_option", "use_device", "warn_if_slow"]


def use_device(name: str) -> None:
    """Run nets there from now on.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, or a GPU's number.

    Raises:
        DeviceError: another name, or no such GPU.
    """
    found = re.fullmatch(r"cpu|(?:cuda|gpu)(?::(\d+))?|(\d+)", name)
    if not found:
        raise DeviceError(f"device '{name}' is unknown; give cpu, cuda, cuda:N or the GPU's number N")
    if name == "cpu":
        set_mode_cpu()
        return
    set_device(int(found[1] or found[2] or 0))
    set_mode_gpu()


def device_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command ``--device``."""
    return click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:N or N.")(command)


def precision_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command ``--precision``."""
    help_ = "Of large convolutions; bf16 is faster where the device computes in it."
    return click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True, help=help_)(
        command
    )


def warn_if_slow(precision: str) -> None:
    """Say so if the device that was chosen does not compute in this precision by itself."""
    if precision == "bf16" and not is_fast():
        click.echo("--precision bf16: this device has no bfloat16 arithmetic; right, but slower than fp32", err=True)
