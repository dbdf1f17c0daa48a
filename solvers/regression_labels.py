"""Published figures that hang on label files alone: background everywhere on two splits, and the released demo.

Looked for in the data folder: VOC2011 and VOC2012 where data_prep finds them; ``labels_seg11valid``, the 736 label PNGs
of seg11valid alone; ``fcn_demo`` or ``demo`` with label.png and output.png of the release.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from caffe_compat.errors import DataError
from data_prep.labels import VOC_CLASSES, label_from_colours, read_label
from data_prep.prepare import seg11valid
from data_prep.sbd import find_sbd, sbd_root
from data_prep.voc import VOCFolder, voc_years
from solvers.findings import Finding, difference
from solvers.metrics import FIGURES, Scores, confusion_matrix
from solvers.published import ALL_BACKGROUND, DEMO_LABEL, SPLIT_IMAGES

__all__ = ["background_everywhere", "check_labels"]

_FLAT, _DEMO = "labels_seg11valid", ("fcn_demo", "demo")
_VOC2011_LABELS = 5e-4
"""Tolerance for VOC2011's own labels: the figure was computed from those of VOC2012 and SBD."""


def check_labels(data: Path | None, progress: bool = True) -> Iterator[Finding]:
    """What can be held against the published figures, and what is not there.

    Args:
        data: the data folder.
        progress: show a bar on stderr.
    """
    if data is None:
        yield Finding("skipped", "figures of labels alone", "no --data")
        return
    for split, places in (("seg11valid", _seg11valid(data)), ("VOC2012 val", _voc2012_val(data))):
        looked_for = f"all background on {split}"
        reasons = []
        for found, labels, tolerance in places:
            if len(labels) != SPLIT_IMAGES[split]:
                reasons.append(f"{found} has {len(labels)} of {SPLIT_IMAGES[split]} labels")
                continue
            yield _background(looked_for, found, labels, split, tolerance, progress)
            break
        else:
            yield Finding("skipped", looked_for, "; ".join(reasons) or f"nothing of it in '{data}'")
    yield _demo(data)


def background_everywhere(labels: Sequence[Path], progress: bool = True) -> Scores:
    """The score of a prediction of background everywhere.

    Args:
        labels: label PNGs of VOC's classes.
        progress: show a bar on stderr.

    Raises:
        DataError: a label is missing, damaged or holds another value.
    """
    hist = np.zeros((len(VOC_CLASSES),) * 2, np.int64)
    for path in tqdm(labels, desc="labels", unit="image", disable=not progress):
        label = read_label(path)
        hist += confusion_matrix(label, np.zeros_like(label), len(VOC_CLASSES))
    return Scores(hist, len(labels))


_Place = tuple[str, list[Path], float | None]


def _seg11valid(data: Path) -> Iterator[_Place]:
    """Where labels of seg11valid may be, and another tolerance than the published one."""
    flat = data / _FLAT
    if flat.is_dir():
        yield f"'{flat}'", sorted(flat.glob("*.png")), None
    for voc in voc_years(data):
        if voc.name in ("voc2011", "voc2012"):
            ids = _ids(data, voc)
            yield f"'{voc.root}'", _present(voc, ids), _VOC2011_LABELS if voc.name == "voc2011" else None


def _ids(data: Path, voc: VOCFolder) -> list[str]:
    try:
        if "seg11valid" in voc.splits():
            return voc.ids("seg11valid")
        if voc.name == "voc2011" and sbd_root(data) is not None:
            return seg11valid(voc, find_sbd(data))
    except DataError:
        pass  # a list or SBD is not whole: as if it were not there
    return []


def _voc2012_val(data: Path) -> Iterator[_Place]:
    for voc in voc_years(data):
        if voc.name == "voc2012" and "val" in voc.splits():
            yield f"'{voc.root}'", _present(voc, voc.ids("val")), None


def _present(voc: VOCFolder, ids: Sequence[str]) -> list[Path]:
    return [path for path in map(voc.label_path, ids) if path.is_file()]


def _background(
    looked_for: str, found: str, labels: Sequence[Path], split: str, tolerance: float | None, progress: bool
) -> Finding:
    row = ALL_BACKGROUND[split]
    try:
        scores = background_everywhere(labels, progress)
    except DataError as error:
        return Finding("failed", looked_for, str(error))
    measured, published = ({word: getattr(one, name) for name, word in FIGURES.items()} for one in (scores, row))
    state, text = difference(measured, published, row.tolerance if tolerance is None else tolerance)
    return Finding(state, looked_for, f"{text} ({found})")


def _demo(data: Path) -> Finding:
    """The released demo's picture against its label."""
    name = "the demo's output against its label"
    folder = next((data / one for one in _DEMO if (data / one / "label.png").is_file()), None)
    if folder is None or not (folder / "output.png").is_file():
        return Finding("skipped", name, f"no {' or '.join(_DEMO)} with label.png and output.png in '{data}'")
    try:
        truth = read_label(folder / "label.png")
        with Image.open(folder / "output.png") as picture:
            output = label_from_colours(np.array(picture.convert("RGB")), str(folder / "output.png"))
        scores = Scores(confusion_matrix(truth, output, len(VOC_CLASSES)), 1)
    except (DataError, OSError) as error:
        return Finding("failed", name, str(error))
    measured = {"pixel accuracy": scores.pixel_accuracy}
    measured |= {f"IU of class {one}": float(scores.class_iu[one]) for one in DEMO_LABEL.class_iu}
    published = {"pixel accuracy": DEMO_LABEL.pixel_accuracy}
    published |= {f"IU of class {one}": iu for one, iu in DEMO_LABEL.class_iu.items()}
    state, text = difference(measured, published, DEMO_LABEL.tolerance)
    return Finding(state, name, text)
