"""Inference: pictures to palette PNGs and overlays, at the pictures' own size.

    python -m solvers.infer voc-fcn8s fcn8s-heavy-pascal.caffemodel photos/ --out predictions

writes ``predictions/NAME.png``, class numbers in the VOC palette, and ``predictions/overlays/NAME.png``, the picture
with the classes' colours laid over it, for every picture NAME.jpg in the folder. Of a net with several tasks these are
of the first; those of the others are ``predictions/TASK/NAME.png``, such as ``predictions/geometric/NAME.png``.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import click

from caffe_compat.errors import CaffeError, NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from nets.catalogue import Model, lookup
from nets.sources import InputData
from solvers.device_option import device_option, precision_option, use_device, warn_if_slow
from solvers.evaluation import EVALUATIONS
from solvers.initial import check_covered, check_there
from solvers.prediction import Prediction, infer

__all__ = ["deploy_net", "infer_command", "infer_model"]


def deploy_net(
    model: str,
    weights: str | os.PathLike[str],
    *,
    classes: int | None = None,
    width: float = 1,
    precision: str = "fp32",
) -> Net:
    """A model's deploy net with weights, lean: it keeps only data and scores.

    Args:
        model: name in the catalogue.
        weights: a caffemodel, binary or HDF5.
        classes: number of classes; the model's own unless given.
        width: fraction of the channels.
        precision: ``fp32`` or ``bf16``.

    Raises:
        NetError: there is no such model.
        WeightsError: the weights are not there, cannot be read or do not fit.
    """
    known = lookup(model)
    check_there(weights)
    source = InputData({top: (*shape[:2], 64, 64) for top, shape in known.deploy_shapes.items()})
    net = known.build(source, classes=classes or known.classes, width=width)
    return Net(net, TEST, weights=weights, keep=[task.score for task in known.tasks], precision=precision)


def infer_model(
    model: str,
    weights: Path,
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: Path,
    *,
    classes: int | None = None,
    width: float = 1,
    overlays: bool = True,
    precision: str = "fp32",
) -> list[Prediction]:
    """Predict pictures with a model's weights: all its tasks, by ``infer``; other arguments as for ``deploy_net``.

    Raises:
        NetError: there is no such model, or its input is not one color image.
        WeightsError: the weights cannot be read, do not fit, or leave a layer at zero.
        DataError: as ``infer``.
    """
    known = lookup(model)
    mean_bgr = _mean_of_pictures(known)
    net = deploy_net(model, weights, classes=classes, width=width, precision=precision)
    check_covered(net, weights)
    first, *others = known.tasks
    return infer(
        net,
        images,
        out,
        mean_bgr=mean_bgr,
        layer=first.score,
        others={task.score: task.name for task in others},
        overlays=overlays,
        background=0 if EVALUATIONS[known.dataset].class_names[first.name][0] == "background" else None,
    )


def _mean_of_pictures(model: Model) -> tuple[float, float, float]:
    kinds = [image.kind for image in model.images.values()]
    if kinds != ["color"]:
        raise NetError(
            f"infer: {model.name} reads {' and '.join(kinds)}, and a picture is color alone; take a model that reads "
            "color, or score it on its dataset with --score"
        )
    return model.mean_bgr


@click.command("infer")
@click.argument("model")
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("predictions"), show_default=True, help="Folder.")
@click.option("--classes", type=click.IntRange(1, 256), help="Number of classes, if not the model's own.")
@click.option("--width", type=float, default=1.0, show_default=True, help="Fraction of the channels, for thin copies.")
@click.option("--overlays/--no-overlays", default=True, show_default=True, help="Write overlays too.")
@device_option
@precision_option
def infer_command(
    model: str,
    weights: Path,
    images: tuple[Path, ...],
    out: Path,
    classes: int | None,
    width: float,
    overlays: bool,
    device: str,
    precision: str,
) -> None:
    """Predict IMAGES (files or folders) with MODEL and WEIGHTS; write palette PNGs and overlays at their own size."""
    try:
        use_device(device)
        warn_if_slow(precision)
        results = infer_model(
            model, weights, images, out, classes=classes, width=width, overlays=overlays, precision=precision
        )
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    for result in results:
        click.echo(f"{result.image} -> {result.label}")


if __name__ == "__main__":
    infer_command()
