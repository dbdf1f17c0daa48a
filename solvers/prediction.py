"""From pictures to palette PNGs and overlays, by a net whose input is one color image."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from caffe_compat.errors import DataError, NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.whole_file import replacing
from data_prep.images import decode_image
from data_prep.labels import voc_palette
from solvers.score import save_label

__all__ = ["IMAGE_SUFFIXES", "Prediction", "find_images", "infer", "overlay", "predict"]

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_OVERLAYS = "overlays"


@dataclass(frozen=True)
class Prediction:
    """What was written for one picture.

    Args:
        image: the picture.
        label: its class numbers, a palette PNG.
        overlay: the picture with the classes' colours; None if it was not asked for.
        others: class numbers of other tasks, by blob of scores.
    """

    image: Path
    label: Path
    overlay: Path | None
    others: Mapping[str, Path] = field(default_factory=dict)

    @property
    def written(self) -> list[Path]:
        """All files."""
        return [self.label, *([] if self.overlay is None else [self.overlay]), *self.others.values()]


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
    return _classes(net, layer, height, width)


def _classes(net: Net, layer: str, height: int, width: int) -> np.ndarray:
    """Of the present scores."""
    scores = net.blobs[layer].tensor()
    if tuple(scores.shape[2:]) != (height, width):
        raise NetError(
            f"infer: blob '{layer}' is {tuple(scores.shape)} for an image of {height} x {width} (height x width); "
            "wanted scores of the image's size: end the net with a Crop to the data"
        )
    return scores[0].argmax(dim=0).cpu().numpy()


def overlay(
    image: np.ndarray,
    label: np.ndarray,
    strength: float = 0.5,
    palette: np.ndarray | None = None,
    background: int | None = 0,
) -> np.ndarray:
    """The picture with the classes' colours laid over it; the background stays as it is.

    Args:
        image: H x W x 3 uint8, RGB.
        label: H x W, class numbers.
        strength: part of the colour, 0 to 1.
        palette: 256 x 3 uint8, RGB; the VOC palette unless given.
        background: class number; None: every class has its colour.

    Returns:
        H x W x 3 uint8, RGB.
    """
    colours = (voc_palette() if palette is None else palette)[label]
    blended = np.rint((1 - strength) * image + strength * colours).astype(np.uint8)
    return blended if background is None else np.where((label != background)[:, :, None], blended, image)


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
    others: Mapping[str, str] | None = None,
    overlays: bool = True,
    background: int | None = 0,
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
        others: further blobs of scores, each with the name of its folder in ``out``.
        overlays: write overlays too.
        background: class without a colour in them; None: every class has one.
        progress: show a bar on stderr.

    Returns:
        The written files, picture by picture.

    Raises:
        DataError: a picture is missing or unreadable, two have one name, or a result would overwrite a picture.
        NetError: the net has no such blobs, or its scores are not of the picture's size.
    """
    others = others or {}
    for name in (data, layer, *others):
        if name not in net.blobs:
            raise NetError(f"infer: the net has no blob '{name}'; it has {', '.join(net.blobs)}")
    given = [images] if isinstance(images, str | os.PathLike) else images
    found, folder = find_images(given), Path(out)
    results = [
        Prediction(
            image,
            folder / f"{image.stem}.png",
            folder / _OVERLAYS / f"{image.stem}.png" if overlays else None,
            {blob: folder / name / f"{image.stem}.png" for blob, name in others.items()},
        )
        for image in found
    ]
    _check_not_overwritten(results)
    for result in tqdm(results, desc="infer", unit="image", disable=not progress):
        picture = _read(result.image)
        label = predict(net, picture, mean_bgr, data=data, layer=layer)
        save_label(label, result.label)
        for blob, path in result.others.items():
            save_label(_classes(net, blob, *label.shape), path)
        if result.overlay is not None:
            _save_picture(overlay(picture, label, background=background), result.overlay)
    return results


def _check_not_overwritten(results: Sequence[Prediction]) -> None:
    images = {result.image.resolve() for result in results}
    for result in results:
        for written in result.written:
            if written.resolve() in images:
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
