"""What classify and detect share: the flags of a net that takes pictures, and how its mean is read."""

from collections.abc import Callable
from typing import Any

import click
import numpy as np

from caffe_compat.device import set_mode_cpu, set_mode_gpu
from caffe_compat.errors import DataError, WeightsError
from caffe_compat.proto.blobs import read_blobproto
from caffe_compat.tools.flags import flag, switch

__all__ = ["choose_mode", "numbers", "picture_flags", "read_mean"]


def picture_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags -model_def, -pretrained_model, -gpu, -mean_file, -input_scale, -raw_scale, -channel_swap."""
    for decorate in (
        flag("channel_swap", "Order of the channels; '' leaves RGB.", "2,1,0"),
        flag("raw_scale", "Factor before the mean is subtracted.", 255.0, float),
        flag("input_scale", "Factor after the mean is subtracted.", None, float),
        flag("mean_file", "Mean to subtract, .npy or .binaryproto, C x H x W or C values; none by default."),
        switch("gpu", "Run on the GPU."),
        click.option("--pretrained_model", required=True, help="The weights."),
        click.option("--model_def", required=True, help="The deploy prototxt."),
    ):
        command = decorate(command)
    return command


def choose_mode(gpu: bool) -> None:
    """Switch to the GPU or the CPU, and say so.

    Raises:
        DeviceError: there is no GPU.
    """
    (set_mode_gpu if gpu else set_mode_cpu)()
    click.echo("GPU mode" if gpu else "CPU mode")


def numbers(text: str, name: str) -> list[int] | None:
    """The whole numbers in a flag such as ``256,256``; None where it is empty.

    Raises:
        click.UsageError: something else.
    """
    if not text:
        return None
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise click.UsageError(f"-{name}={text}: give whole numbers separated by commas")
    return [int(part) for part in text.split(",")]


def read_mean(path: str) -> np.ndarray | None:
    """The mean of each channel, C values; None where no file is named.

    Raises:
        DataError: the file cannot be read, or holds no mean.
    """
    if not path:
        return None
    try:
        mean = np.load(path, allow_pickle=False) if path.endswith(".npy") else np.array(read_blobproto(path))
    except (OSError, ValueError, EOFError, WeightsError) as error:
        raise DataError(f"-mean_file: {path} cannot be read: {error}; give a .npy or .binaryproto file") from None
    while mean.ndim > 3 and len(mean) == 1:
        mean = mean[0]
    if mean.ndim not in (1, 3):
        raise DataError(f"-mean_file: {path} has shape {mean.shape}; C x H x W, or C values, were expected")
    values: np.ndarray = mean if mean.ndim == 1 else mean.mean((1, 2))
    return values
