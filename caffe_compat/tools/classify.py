"""``classify INPUT OUTPUT.npy``: class probabilities of pictures.

    caffe-compat classify cat.jpg out.npy -model_def deploy.prototxt -pretrained_model net.caffemodel

INPUT is a picture, a folder of pictures, or a .npy of N x H x W x C, 0 to 1. Without -center_only each is the mean of
ten crops. -print_results shows the likeliest classes, by number or, with -labels_file, by name. As in Caffe's script, a
mean picture is reduced to one value for each channel.

Where we differ: nothing is taken by default from Caffe's own folders (model, weights, mean, labels), a net of one
channel gets gray pictures (give it an empty -channel_swap), the pictures of a folder are read in the order of their
names, results are printed for every picture, and the lines of the labels file stand for the classes in order.

Source: BVLC/caffe python/classify.py.
"""

import time
from pathlib import Path

import click
import numpy as np

from caffe_compat.classifier import Classifier
from caffe_compat.errors import DataError
from caffe_compat.io import load_image
from caffe_compat.proto.whole_file import replacing
from caffe_compat.tools.flags import FlagCommand, flag, switch
from caffe_compat.tools.picture_flags import choose_mode, numbers, picture_flags, read_mean

__all__ = ["classify"]


@click.command(cls=FlagCommand)
@click.argument("input_file", metavar="INPUT")
@click.argument("output_file", metavar="OUTPUT.npy")
@picture_flags
@switch("center_only", "Take the centre crop alone, not the mean over ten.")
@flag("images_dim", "Height and width to which pictures are resized.", "256,256")
@flag("ext", "Extension of the pictures in a folder.", "jpg")
@flag("labels_file", "Names of the classes, one per line; a WordNet id before a name is left out.")
@switch("print_results", "Print the five likeliest classes of each picture.")
def classify(
    input_file: str,
    output_file: str,
    model_def: str,
    pretrained_model: str,
    gpu: bool,
    mean_file: str,
    input_scale: float | None,
    raw_scale: float,
    channel_swap: str,
    center_only: bool,
    images_dim: str,
    ext: str,
    labels_file: str,
    print_results: bool,
) -> None:
    """Write the class probabilities of the picture, folder of pictures or .npy INPUT to OUTPUT.npy, N x classes."""
    dims = numbers(images_dim, "images_dim")
    if dims is not None and (len(dims) != 2 or min(dims) < 1):
        raise click.UsageError(f"-images_dim={images_dim}: give height,width in pixels")
    labels = _read_labels(labels_file) if labels_file else None
    choose_mode(gpu)
    swap = numbers(channel_swap, "channel_swap")
    classifier = Classifier(model_def, pretrained_model, dims, read_mean(mean_file), input_scale, raw_scale, swap)
    channels = classifier.blobs[classifier.inputs[0]].shape[1]
    names, inputs = _read_inputs(Path(input_file).expanduser(), ext, color=channels != 1)
    click.echo(f"Classifying {len(inputs)} inputs.")
    began = time.perf_counter()
    predictions = classifier.predict(inputs, not center_only)
    click.echo(f"Done in {time.perf_counter() - began:.2f} s.")
    if print_results:
        for name, prediction in zip(names, predictions.reshape(len(names), -1), strict=True):
            click.echo(f"{name}: {_best(prediction, labels)}")
    click.echo(f"Saving results into {output_file}")
    try:
        with replacing(output_file) as temporary, temporary.open("wb") as file:
            np.save(file, predictions)
    except OSError as error:
        raise DataError(f"{output_file}: cannot be written: {error.strerror or error}") from error


def _read_inputs(path: Path, extension: str, color: bool) -> tuple[list[str], list[np.ndarray]]:
    """Names and pictures."""
    if path.suffix == ".npy":
        click.echo(f"Loading file: {path}")
        try:
            pictures = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cannot be read: {error}; an array of N x H x W x C was expected") from None
        if pictures.ndim != 4:
            raise DataError(f"{path}: has shape {pictures.shape}; N x H x W x C was expected")
        return [f"{path}[{i}]" for i in range(len(pictures))], list(pictures)
    files = [path]
    if path.is_dir():
        click.echo(f"Loading folder: {path}")
        files = sorted(path.glob(f"*.{extension}"))
        if not files:
            raise DataError(f"{path}: holds no .{extension} pictures; give -ext, or another folder")
    else:
        click.echo(f"Loading file: {path}")
    return [str(file) for file in files], [load_image(file, color) for file in files]


def _read_labels(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"-labels_file: {path} cannot be read: {error}") from None
    names = []
    for line in lines:
        first, _, rest = line.strip().partition(" ")
        is_id = first[:1] == "n" and first[1:].isdecimal() and rest
        names.append((rest if is_id else line.strip()).split(",")[0])
    return names


def _best(prediction: np.ndarray, labels: list[str] | None) -> str:
    """The five likeliest classes with their probabilities."""
    if labels is not None and len(labels) < len(prediction):
        raise DataError(f"-labels_file: {len(labels)} lines for {len(prediction)} classes; give one line per class")
    best = np.argsort(-prediction, kind="stable")[:5]
    return ", ".join(f"{labels[i] if labels else i} {prediction[i]:.5f}" for i in best)
