"""Inference: pictures to palette PNGs and overlays, at the pictures' own size.

    python -m solvers.infer voc-fcn8s fcn8s-heavy-pascal.caffemodel photos/ --out predictions

writes ``predictions/NAME.png``, class numbers in the VOC palette, and ``predictions/overlays/NAME.png``, the picture
with the classes' colours laid over it, for every picture NAME.jpg in the folder.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image
from tqdm import tqdm

from caffe_compat.errors import CaffeError, DataError, NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.proto.whole_file import replacing
from data_prep.images import decode_image
from data_prep.labels import voc_palette
from nets.catalogue import MODELS, lookup
from nets.sources import InputData
from solvers.device_option import device_option, use_device
from solvers.score import save_label

__all__ = ["IMAGE_SUFFIXES", "Prediction", "deploy_net", "find_images", "infer", "infer_command", "overlay", "predict"]

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_OVERLAYS = "overlays"


@dataclass(frozen=True)
class Prediction:
    """What was written for one picture.

    Args:
        image: the picture.
        label: its class numbers, a palette PNG.
        overlay: the picture with the classes' colours; None if it was not asked for.
    """

    image: Path
    label: Path
    overlay: Path | None


def deploy_net(model: str, weights: str | os.PathLike[str], *, classes: int | None = None, width: float = 1) -> Net:
    """A model's deploy net with weights, lean: it keeps only data and score.

    Args:
        model: name in the catalogue.
        weights: a caffemodel, binary or HDF5.
        classes: number of classes; the model's own unless given.
        width: fraction of the channels.

    Raises:
        NetError: there is no such model.
        WeightsError: the weights cannot be read or do not fit.
    """
    known = lookup(model)
    source = InputData({top: (*shape[:2], 64, 64) for top, shape in known.deploy_shapes.items()})
    net = known.build(source, classes=classes or known.classes, width=width)
    return Net(net, TEST, weights=weights, keep=["score"])


def predict(
    net: Net, image: np.ndarray, mean_bgr: Sequence[float], *, data: str = "data", layer: str = "score"
) -> np.ndarray:
    """The classes of one picture.

    Args:
        net: takes ``data``, is reshaped to the picture.
        image: H x W x 3 uint8, RGB.
        mean_bgr: taken off the channels, in the order B, G, R; 0 to 255.
        data: input blob.
        layer: blob of scores, 1 x classes x H x W.

    Returns:
        H x W, int64: the class with the largest score, the first of equals.

    Raises:
        NetError: the scores are not of the picture's size.
    """
    height, width = image.shape[:2]
    bgr = image[:, :, ::-1].astype(np.float32) - np.asarray(mean_bgr, np.float32)
    net.blobs[data].reshape(1, 3, height, width)
    net.reshape()
    net.blobs[data].data[...] = bgr.transpose(2, 0, 1)
    net.forward()
    scores = net.blobs[layer].tensor()
    if tuple(scores.shape[2:]) != (height, width):
        raise NetError(
            f"infer: blob '{layer}' is {tuple(scores.shape)} for an image of {height} x {width} (height x width); "
            "wanted scores of the image's size: end the net with a Crop to the data"
        )
    return scores[0].argmax(dim=0).cpu().numpy()


def overlay(
    image: np.ndarray, label: np.ndarray, strength: float = 0.5, palette: np.ndarray | None = None
) -> np.ndarray:
    """The picture with the classes' colours laid over it; background (class 0) stays as it is.

    Args:
        image: H x W x 3 uint8, RGB.
        label: H x W, class numbers.
        strength: part of the colour, 0 to 1.
        palette: 256 x 3 uint8, RGB; the VOC palette unless given.

    Returns:
        H x W x 3 uint8, RGB.
    """
    colours = (voc_palette() if palette is None else palette)[label]
    blended = np.rint((1 - strength) * image + strength * colours).astype(np.uint8)
    return np.where((label > 0)[:, :, None], blended, image)


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The pictures among files and folders; a folder gives those directly in it, by name.

    Raises:
        DataError: a path is missing, a folder holds no picture, or two pictures have one name.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
            if not inside:
                raise DataError(f"infer: folder '{path}' holds no image; looked for {', '.join(IMAGE_SUFFIXES)}")
            found.extend(inside)
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"infer: '{path}' is not there; give an image or a folder of images")
    by_name: dict[str, Path] = {}
    for image in found:
        if image.stem in by_name:
            raise DataError(
                f"infer: '{by_name[image.stem]}' and '{image}' would both be written as {image.stem}.png; "
                "rename one, or give them one by one with another --out"
            )
        by_name[image.stem] = image
    return found


def infer(
    net: Net,
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    mean_bgr: Sequence[float],
    data: str = "data",
    layer: str = "score",
    overlays: bool = True,
    progress: bool = True,
) -> list[Prediction]:
    """Predict pictures and write palette PNGs, and overlays beside them.

    Args:
        net: a deploy net; it is reshaped to each picture.
        images: a picture, a folder of pictures, or several of either.
        out: folder for the results, made if absent; ``NAME.png`` and ``overlays/NAME.png`` for picture ``NAME.*``.
        mean_bgr: the mean that the net was trained with, B, G, R, 0 to 255.
        data: input blob.
        layer: blob of scores.
        overlays: write overlays too.
        progress: show a bar on stderr.

    Returns:
        The written files, picture by picture.

    Raises:
        DataError: a picture is missing or unreadable, two have one name, or a result would overwrite a picture.
        NetError: the net has no such blobs, or its scores are not of the picture's size.
    """
    for name in (data, layer):
        if name not in net.blobs:
            raise NetError(f"infer: the net has no blob '{name}'; it has {', '.join(net.blobs)}")
    given = [images] if isinstance(images, str | os.PathLike) else images
    found, folder = find_images(given), Path(out)
    results = [
        Prediction(image, folder / f"{image.stem}.png", folder / _OVERLAYS / f"{image.stem}.png" if overlays else None)
        for image in found
    ]
    _check_not_overwritten(results)
    for result in tqdm(results, desc="infer", unit="image", disable=not progress):
        picture = _read(result.image)
        label = predict(net, picture, mean_bgr, data=data, layer=layer)
        save_label(label, result.label)
        if result.overlay is not None:
            _save_picture(overlay(picture, label), result.overlay)
    return results


def _check_not_overwritten(results: Sequence[Prediction]) -> None:
    images = {result.image.resolve() for result in results}
    for result in results:
        for written in (result.label, result.overlay):
            if written is not None and written.resolve() in images:
                raise DataError(f"infer: the result '{written}' would overwrite that picture; choose another --out")


def _read(path: Path) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"image '{path}' cannot be read ({error.strerror})") from error
    return decode_image(content, str(path))


def _save_picture(picture: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


@click.command("infer")
@click.argument("model")
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("predictions"), show_default=True, help="Folder.")
@click.option("--classes", type=click.IntRange(1, 256), help="Number of classes, if not the model's own.")
@click.option("--width", type=float, default=1.0, show_default=True, help="Fraction of the channels, for thin copies.")
@click.option("--overlays/--no-overlays", default=True, show_default=True, help="Write overlays too.")
@device_option
def infer_command(
    model: str,
    weights: Path,
    images: tuple[Path, ...],
    out: Path,
    classes: int | None,
    width: float,
    overlays: bool,
    device: str,
) -> None:
    """Predict IMAGES (files or folders) with MODEL and WEIGHTS; write palette PNGs and overlays at their own size."""
    try:
        use_device(device)
        net = deploy_net(model, weights, classes=classes, width=width)
        results = infer(net, images, out, mean_bgr=MODELS[model].mean_bgr, overlays=overlays)
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    for result in results:
        click.echo(f"{result.image} -> {result.label}")


if __name__ == "__main__":
    infer_command()
