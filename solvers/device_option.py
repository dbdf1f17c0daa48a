"""The ``--device`` option of every command: where nets run."""

import re
from collections.abc import Callable
from typing import Any

import click

from caffe_compat.device import set_device, set_mode_cpu, set_mode_gpu
from caffe_compat.errors import DeviceError

__all__ = ["device_option", "use_device"]


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
