"""A picture of samples, so that a person sees at a glance whether pairing, colours and void are right.

Each sample is shown as its image, HHA and depth, each label in the VOC palette's colours, and the image with the label
over it. Void is hatched. Captions give id, size, and the classes with their share of the pixels.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from caffe_compat.errors import DataError
from data_prep.contents import Contents
from data_prep.jobs import Fault, run_ordered
from data_prep.labels import pixel_counts, voc_palette
from data_prep.samples import Samples

__all__ = ["contact_sheet", "hatched", "spread"]

_PANEL_PX = (240, 180)  # width and height that each picture is fitted into
_GAP_PX = 8
_LINE_PX = 16
_SWATCH_PX = 11
_MOST_PANELS = 6  # beside each other
_MOST_LINES = 4  # of classes below a sample
_HATCH_PX = 4
_STRENGTH = 0.6  # of a label's colour over the image
_PAPER, _INK, _WARNING = (255, 255, 255), (20, 20, 20), (190, 0, 0)
_SHOWN = {"image": 0, "hha": 1, "depth": 2, "label": 3}  # kinds of parts, in their order


def spread(count: int, most: int) -> list[int]:
    """Positions of at most ``most`` of ``count`` samples, the first and the last among them, evenly apart."""
    return [round(i) for i in np.linspace(0, count - 1, min(count, most))]


def hatched(height: int, width: int) -> np.ndarray:
    """Diagonal stripes, which no palette has: H x W x 3 uint8, black and white."""
    rows, columns = np.mgrid[:height, :width]
    return np.repeat((((rows + columns) // _HATCH_PX % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)


def contact_sheet(samples: Samples, most: int = 12, jobs: int = 1) -> tuple[Image.Image, list[Fault]]:
    """Draw samples of a list, spread over it.

    Args:
        samples: see samples.py.
        most: how many.
        jobs: processes that read.

    Returns:
        The picture, and what is wrong with samples that could not be read; these are shown by their fault.

    Raises:
        DataError: there are none, or nothing that can be shown.
    """
    parts = sorted(
        (part for part, held in samples.contents.items() if held.holds in _SHOWN),
        key=lambda part: _SHOWN[samples.contents[part].holds],
    )
    if not samples.keys or not parts:
        raise DataError(f"'{samples.path}' holds no samples to show")
    chosen = [(i, samples.keys[i]) for i in spread(len(samples.keys), most)]
    blocks, faults = [], []
    panels = _panel_names(samples.contents, parts)
    for (_, key), result in run_ordered(samples.read, chosen, jobs):
        if isinstance(result, Fault):
            faults.append(result)
            blocks.append(_fault_block(result, len(panels)))
        else:
            blocks.append(_block(samples, key, {part: result[part] for part in parts}, panels))
    void = any(held.holds == "label" and held.void is not None for held in samples.contents.values())
    title = f"{samples.path} - {len(chosen)} of {len(samples.keys)} samples"
    return _arranged(blocks, title, void), faults


# -- one sample --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Class:
    """A label's value for the caption."""

    name: str
    colour: tuple[int, int, int] | None  # None: hatched


def _panel_names(contents: dict[str, Contents], parts: Sequence[str]) -> list[str]:
    image = any(contents[part].holds == "image" for part in parts)
    labels = [part for part in parts if contents[part].holds == "label"]
    return [*parts, *(f"image + {part}" for part in labels if image)]


def _block(samples: Samples, key: str, values: dict[str, np.ndarray], panels: Sequence[str]) -> Image.Image:
    """A sample's pictures in a row with captions."""
    height, width = next(iter(values.values())).shape[1:]
    scale = min(_PANEL_PX[0] / width, _PANEL_PX[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pictures, image, captions = [], None, []
    labels: list[np.ndarray] = []
    for part, one in values.items():
        held = samples.contents[part]
        if held.holds == "label":
            label = np.array(Image.fromarray(one[0].astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
            labels.append(_coloured(label, held))
            pictures.append(Image.fromarray(labels[-1]))
            captions.append((part, _classes(one[0].astype(np.uint8), held, samples.names.get(part, ()))))
        else:
            pictures.append(_picture(held, one).resize(size, Image.Resampling.LANCZOS))
            image = np.array(pictures[-1]) if held.holds == "image" else image
    if image is not None:
        pictures += [Image.fromarray(_mixed(image, label)) for label in labels]
    return _captioned(f"{key}   {width} x {height}", pictures, panels, captions)


def _picture(held: Contents, values: np.ndarray) -> Image.Image:
    """An image, HHA, or depth as grey from near (light) to far."""
    if held.holds == "depth":
        depth = values[0].astype(np.float64)
        far, near = depth.max(), depth.min()
        return Image.fromarray(np.uint8(255 * (far - depth) / max(far - near, 1))).convert("RGB")
    rgb = values[::-1] if held.holds == "image" else values  # BGR -> RGB
    return Image.fromarray(np.ascontiguousarray(rgb.transpose(1, 2, 0).astype(np.uint8)))  # 3 x H x W -> H x W x 3


def _coloured(label: np.ndarray, held: Contents) -> np.ndarray:
    colours = voc_palette()[label]
    if held.void is not None:
        void = label == held.void
        colours[void] = hatched(*label.shape)[void]
    return colours


def _mixed(image: np.ndarray, colours: np.ndarray) -> np.ndarray:
    return np.rint(image * (1 - _STRENGTH) + colours * _STRENGTH).astype(np.uint8)


def _classes(label: np.ndarray, held: Contents, names: tuple[str, ...]) -> list[_Class]:
    """The classes that occur, the largest first, and void."""
    counts = pixel_counts(label)
    palette, classes = voc_palette(), []
    for value in sorted(counts, key=lambda one: (one == held.void, -counts[one])):
        name = "void" if value == held.void else names[value] if value < len(names) else f"class {value}"
        red, green, blue = (int(one) for one in palette[value])
        shown = f"{name} {100 * counts[value] / label.size:.1f} %"
        classes.append(_Class(shown, None if value == held.void else (red, green, blue)))
    return classes


# -- drawing -----------------------------------------------------------------------------------------------------------


def _font(size: int = 12) -> ImageFont.FreeTypeFont:
    import matplotlib  # slow to import; its font has the letters of most languages, Pillow's own has few

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def _block_width(panels: int) -> int:
    return panels * (_PANEL_PX[0] + _GAP_PX) - _GAP_PX


def _captioned(
    title: str, pictures: Sequence[Image.Image], panels: Sequence[str], captions: Sequence[tuple[str, list[_Class]]]
) -> Image.Image:
    font, width = _font(), _block_width(len(panels))
    lines = [line for part, classes in captions for line in _lines(part, classes, font, width, len(captions) > 1)]
    tallest = max(picture.height for picture in pictures)
    block = Image.new("RGB", (width, 2 * _LINE_PX + tallest + 4 + len(lines) * _LINE_PX), _PAPER)
    draw = ImageDraw.Draw(block)
    draw.text((0, 0), title, _INK, font)
    for i, (picture, name) in enumerate(zip(pictures, panels, strict=True)):
        left = i * (_PANEL_PX[0] + _GAP_PX)
        draw.text((left, _LINE_PX), name, _INK, font)
        block.paste(picture, (left, 2 * _LINE_PX))
    for i, line in enumerate(lines):
        _draw_line(block, draw, line, 2 * _LINE_PX + tallest + 4 + i * _LINE_PX, font)
    return block


_Line = list[tuple[int, str, _Class | None]]


def _lines(part: str, classes: list[_Class], font: ImageFont.FreeTypeFont, width: int, several: bool) -> list[_Line]:
    """Classes with their places, on as few lines as they take; what goes beyond the most lines is counted."""
    lines: list[_Line] = [[]]
    left = 0
    if several:
        lines[0].append((0, f"{part}:", None))
        left = int(font.getlength(f"{part}:")) + _GAP_PX
    for i, one in enumerate(classes):
        needed = _SWATCH_PX + 4 + int(font.getlength(one.name)) + 2 * _GAP_PX
        if left and left + needed > width:
            if len(lines) == _MOST_LINES:
                lines.append([(0, f"and {len(classes) - i} more", None)])
                return lines
            lines.append([])
            left = 0
        lines[-1].append((left, one.name, one))
        left += needed
    return lines


def _draw_line(
    block: Image.Image, draw: ImageDraw.ImageDraw, line: _Line, top: int, font: ImageFont.FreeTypeFont
) -> None:
    for left, text, one in line:
        if one is None:
            draw.text((left, top), text, _INK, font)
            continue
        box = (left, top + 2, left + _SWATCH_PX, top + 2 + _SWATCH_PX)
        if one.colour is None:
            block.paste(Image.fromarray(hatched(_SWATCH_PX, _SWATCH_PX)), box)
        else:
            draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=one.colour, outline=_INK)
        draw.text((left + _SWATCH_PX + 4, top), text, _INK, font)


def _fault_block(fault: Fault, panels: int) -> Image.Image:
    """What stands in the place of a sample that cannot be read."""
    width = _block_width(panels)
    lines = [fault.image_id, *textwrap.wrap(fault.message, max(20, width // 8))]
    block = Image.new("RGB", (width, _LINE_PX * (len(lines) + 1)), _PAPER)
    draw = ImageDraw.Draw(block)
    for i, line in enumerate(lines):
        draw.text((0, i * _LINE_PX), line, _WARNING if i else _INK, _font())
    return block


def _arranged(blocks: list[Image.Image], title: str, void: bool) -> Image.Image:
    """Blocks in rows under a title."""
    wide = max(1, (_MOST_PANELS * (_PANEL_PX[0] + _GAP_PX)) // (blocks[0].width + _GAP_PX))
    rows = list(_rows(blocks, min(wide, len(blocks))))
    margin = 2 * _GAP_PX
    width = max(sum(one.width + 2 * margin for one in row) for row in rows)
    height = 3 * _LINE_PX + sum(max(one.height for one in row) + margin for row in rows)
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw, font = ImageDraw.Draw(sheet), _font(13)
    draw.text((margin, _GAP_PX), title, _INK, font)
    if void:
        left, top = margin, _GAP_PX + _LINE_PX
        sheet.paste(Image.fromarray(hatched(_SWATCH_PX, 2 * _SWATCH_PX)), (left, top + 3))
        draw.text((left + 2 * _SWATCH_PX + 6, top), "void: does not count", _INK, font)
    top = 3 * _LINE_PX
    for row in rows:
        left = margin
        for one in row:
            sheet.paste(one, (left, top))
            left += one.width + 2 * margin
        top += max(one.height for one in row) + margin
    return sheet


def _rows(blocks: list[Image.Image], wide: int) -> Iterator[list[Image.Image]]:
    for begin in range(0, len(blocks), wide):
        yield blocks[begin : begin + wide]
