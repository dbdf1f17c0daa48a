"""A small dataset to try everything on without a download: drawn shapes in VOC's and SBD's layout.

Each image shows one or two large shapes of a class's colour and form on a grey textured ground. Labels use VOC's class
numbers, with a void border of three pixels around each shape. The training images go into an SBD folder
(``sbdd/dataset``), the held-out ones into a VOC folder (``pascal/VOC2011``), where the FCN release looks for them.
"""

import colorsys
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from caffe_compat.errors import DataError
from data_prep.images import encode_jpeg
from data_prep.labels import VOC_CLASSES, VOID, encode_label, voc_palette
from data_prep.lists import write_list
from data_prep.sbd import encode_gtcls

__all__ = ["DrawnDataset", "draw_dataset", "draw_pair"]

_DEFAULT_CLASSES = (1, 6, 8, 15)  # aeroplane, bus, cat, person: in name only
_SIDE_PX = (96, 128)
_RADIUS = (0.30, 0.42)  # of the shorter side
_FORMS = ("triangle", "square", "disc", "cross", "star", "ring")


@dataclass(frozen=True)
class DrawnDataset:
    """Where the drawn dataset is.

    Attributes:
        voc_dir: VOC folder; lists val and seg11valid (the same): held-out images.
        sbdd_dir: SBD dataset folder; list train.
        train: ids of the training images.
        val: ids of the held-out images.
    """

    voc_dir: Path
    sbdd_dir: Path
    train: list[str]
    val: list[str]


def draw_dataset(
    folder: Path, train: int = 80, val: int = 24, seed: int = 1337, classes: Sequence[int] = _DEFAULT_CLASSES
) -> DrawnDataset:
    """Draw the dataset, or leave it where it was drawn before with the same settings.

    Args:
        folder: gets ``pascal/VOC2011`` and ``sbdd/dataset``; it appears when all is drawn.
        train: number of training images.
        val: number of held-out images.
        seed: the same seed draws the same images.
        classes: VOC class numbers to draw, 1 to 20, at most 6; each gets a colour and a form.

    Returns:
        Where everything is.

    Raises:
        DataError: the settings are out of range, or ``folder`` holds something else.
    """
    if min(train, val) < 1 or not 1 <= len(set(classes)) == len(classes) <= len(_FORMS):
        raise DataError(
            f"drawn dataset: train {train}, val {val}, classes {tuple(classes)}; "
            f"wanted at least one image each and 1 to {len(_FORMS)} different classes"
        )
    if not all(1 <= number < len(VOC_CLASSES) for number in classes):
        raise DataError(f"drawn dataset: classes {tuple(classes)}; wanted VOC's, 1 to {len(VOC_CLASSES) - 1}")
    settings = {"format": 1, "train": train, "val": val, "seed": seed, "classes": list(classes)}
    drawn = DrawnDataset(
        folder / "pascal" / "VOC2011",
        folder / "sbdd" / "dataset",
        [f"2011_{number:06d}" for number in range(1, train + 1)],
        [f"2011_{number:06d}" for number in range(train + 1, train + val + 1)],
    )
    if folder.exists() and any(folder.iterdir()):
        if _settings_of(folder) != settings:
            raise DataError(
                f"'{folder}' holds something else than this drawn dataset; delete it or give another folder"
            )
        return drawn
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _write(partial, drawn, seed, classes)
    (partial / "drawn.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")
    if folder.exists():
        folder.rmdir()  # empty, as seen above
    partial.rename(folder)
    return drawn


def _settings_of(folder: Path) -> object:
    try:
        return json.loads((folder / "drawn.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(root: Path, drawn: DrawnDataset, seed: int, classes: Sequence[int]) -> None:
    voc, sbd = root / "pascal" / "VOC2011", root / "sbdd" / "dataset"
    lists = voc / "ImageSets" / "Segmentation"
    for folder in (voc / "JPEGImages", voc / "SegmentationClass", lists, sbd / "img", sbd / "cls"):
        folder.mkdir(parents=True)
    for number, image_id in enumerate(drawn.train + drawn.val):
        image, label = draw_pair(np.random.RandomState((seed + 7919 * number) % 2**32), classes)
        if number < len(drawn.train):
            (sbd / "img" / f"{image_id}.jpg").write_bytes(encode_jpeg(image))
            (sbd / "cls" / f"{image_id}.mat").write_bytes(encode_gtcls(label))
        else:
            (voc / "JPEGImages" / f"{image_id}.jpg").write_bytes(encode_jpeg(image))
            (voc / "SegmentationClass" / f"{image_id}.png").write_bytes(encode_label(label, voc_palette()))
    write_list(sbd / "train.txt", drawn.train)
    write_list(lists / "val.txt", drawn.val)
    write_list(lists / "seg11valid.txt", drawn.val)


def draw_pair(random: np.random.RandomState, classes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """One image and its label.

    Args:
        random: stream of draws (RandomState, whose draws are the same in every NumPy).
        classes: class numbers to choose from.

    Returns:
        H x W x 3 uint8 RGB and H x W uint8; H and W from 96 to 128.
    """
    height, width = (int(side) for side in random.randint(_SIDE_PX[0], _SIDE_PX[1] + 1, 2))
    tint = random.uniform(-12, 12, 3)
    pixels = random.uniform(70, 180) + _texture(random, height, width, 30)[..., None] + tint  # H x W x 3
    label = np.zeros((height, width), np.uint8)
    many = min(1 + int(random.randint(2)), len(classes))
    for rank in random.permutation(len(classes))[:many]:
        inside = _placed(random, _FORMS[rank], label != 0)
        hue = (rank / len(classes) + random.uniform(-0.03, 0.03)) % 1
        colour = np.array(colorsys.hsv_to_rgb(hue, random.uniform(0.7, 1), random.uniform(0.7, 1))) * 255
        shaded = colour + _texture(random, height, width, 20)[..., None]
        pixels[inside] = shaded[inside]
        label[ndimage.binary_dilation(inside, np.ones((3, 3)), 2)] = VOID
        label[ndimage.binary_erosion(inside, np.ones((3, 3)), border_value=1)] = classes[rank]
    pixels += random.normal(0, 5, pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), label


def _texture(random: np.random.RandomState, height: int, width: int, strength: float) -> np.ndarray:
    """Smooth noise, H x W, about -strength to strength."""
    rows, columns = (int(random.randint(3, 9)) for _ in range(2))
    coarse = random.uniform(-strength, strength, (rows, columns))
    return ndimage.zoom(coarse, (height / rows, width / columns), order=1, mode="nearest", grid_mode=True)


def _placed(random: np.random.RandomState, form: str, taken: np.ndarray) -> np.ndarray:
    """The least covering of a few tries to place a shape beside what is there: H x W bool."""
    tries = [_form(random, form, *taken.shape) for _ in range(6 if taken.any() else 1)]
    return min(tries, key=lambda inside: np.count_nonzero(inside & taken))


def _form(random: np.random.RandomState, form: str, height: int, width: int) -> np.ndarray:
    """Mask of a shape, turned and placed at random, wholly inside where it fits: H x W bool."""
    radius = random.uniform(*_RADIUS) * min(height, width)
    y, x = (random.uniform(min(radius, side - radius), max(radius, side - radius)) for side in (height, width))
    turn = random.uniform(0, 2 * math.pi)
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    if form in ("disc", "ring"):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
        if form == "ring":
            inner = radius * 0.45
            draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=0)
    else:
        corners = [(radius * r, turn + math.radians(a)) for r, a in _CORNERS[form]]
        draw.polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in corners], fill=1)
    return np.array(canvas, bool)


def _cross_corners() -> list[tuple[float, float]]:
    outer = math.degrees(math.atan2(0.38, 1))
    return [(r, 90 * arm + a) for arm in range(4) for r, a in ((1.0, -outer), (1.0, outer), (0.5, 45))]


_CORNERS: dict[str, list[tuple[float, float]]] = {
    "triangle": [(1.1, 120 * i) for i in range(3)],
    "square": [(1.15, 90 * i) for i in range(4)],
    "cross": _cross_corners(),
    "star": [(1.1 if i % 2 == 0 else 0.5, 36 * i) for i in range(10)],
}
"""Corners of the straight-edged forms: distance from the centre in radii, angle in degrees."""
