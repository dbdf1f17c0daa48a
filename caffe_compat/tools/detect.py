"""``detect INPUT OUTPUT``: a net run on windows of pictures, as R-CNN does.

    caffe-compat detect windows.csv found.csv -crop_mode list -model_def deploy.prototxt -pretrained_model w.caffemodel

INPUT is a CSV with the columns filename, ymin, xmin, ymax, xmax (-crop_mode list), or a text file of picture names
(-crop_mode selective_search, which needs selective_search_ijcv_with_python and MATLAB). OUTPUT is a CSV with those
columns and class0, class1, ..., or an HDF5 file with the datasets filename, window (N x 4), prediction (N x classes).

Where we differ from Caffe's script: the CSV's rows keep their order, an HDF5 file is plain, not one of pandas, and
nothing is taken by default from Caffe's own folders.

Source: BVLC/caffe python/detect.py.
"""

import csv
import itertools
import time
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np

from caffe_compat.detector import Detector
from caffe_compat.errors import DataError
from caffe_compat.proto.whole_file import replacing
from caffe_compat.tools.flags import FlagCommand, flag
from caffe_compat.tools.picture_flags import choose_mode, numbers, picture_flags, read_mean

__all__ = ["detect"]

COORDINATES = ("ymin", "xmin", "ymax", "xmax")
Windows = list[tuple[str, tuple[float, ...]]]


@click.command(cls=FlagCommand)
@click.argument("input_file", metavar="INPUT")
@click.argument("output_file", metavar="OUTPUT")
@picture_flags
@flag("crop_mode", "Where windows come from.", "selective_search", click.Choice(("list", "selective_search")))
@flag("context_pad", "Pixels of context around the window, at the net's input.", 0, click.IntRange(min=0))
def detect(
    input_file: str,
    output_file: str,
    model_def: str,
    pretrained_model: str,
    gpu: bool,
    mean_file: str,
    input_scale: float | None,
    raw_scale: float,
    channel_swap: str,
    crop_mode: str,
    context_pad: int,
) -> None:
    """Write the net's output for each window of the pictures in INPUT (.csv or .txt) to OUTPUT (.csv or .h5)."""
    if Path(output_file).suffix not in (".csv", ".h5", ".hdf5"):
        raise click.UsageError(f"{output_file}: the suffix must be .csv or .h5")
    began = time.perf_counter()
    click.echo("Loading input...")
    windows = _read_windows(input_file) if crop_mode == "list" else []
    choose_mode(gpu)
    swap = numbers(channel_swap, "channel_swap")
    detector = Detector(model_def, pretrained_model, read_mean(mean_file), input_scale, raw_scale, swap, context_pad)
    if crop_mode == "list":
        grouped = itertools.groupby(windows, key=lambda one: one[0])
        found = detector.detect_windows((name, [window for _, window in group]) for name, group in grouped)
    else:
        found = detector.detect_selective_search(_read_names(input_file))
    click.echo(f"Processed {len(found)} windows in {time.perf_counter() - began:.3f} s.")
    try:
        with replacing(output_file) as temporary:
            (_write_csv if output_file.endswith(".csv") else _write_hdf5)(temporary, found)
    except OSError as error:
        raise DataError(f"{output_file}: cannot be written: {error.strerror or error}") from error
    click.echo(f"Saved to {output_file}.")


def _read_names(path: str) -> list[str]:
    try:
        names = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}; a text file of picture names was expected") from None
    if not names:
        raise DataError(f"{path}: names no pictures; write one per line")
    return names


def _read_windows(path: str) -> Windows:
    windows: Windows = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            missing = {"filename", *COORDINATES} - set(rows.fieldnames or ())
            if missing:
                raise DataError(f"{path}: has no column {', '.join(sorted(missing))}; its first line must name them")
            for row in rows:
                try:
                    windows.append((row["filename"], tuple(float(row[name]) for name in COORDINATES)))
                except (TypeError, ValueError):
                    wanted = f"four numbers, {', '.join(COORDINATES)}, were expected"
                    raise DataError(f"{path}: line {rows.line_num}: no window in {row}; {wanted}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}; a CSV of windows was expected") from None
    if not windows:
        raise DataError(f"{path}: lists no windows")
    return windows


def _write_csv(path: Path, found: list[dict[str, Any]]) -> None:
    classes = np.size(found[0]["prediction"]) if found else 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", *COORDINATES, *(f"class{i}" for i in range(classes))])
        for one in found:
            values = np.ravel(one["prediction"]).tolist()
            writer.writerow([one["filename"], *map(float, one["window"]), *values])


def _write_hdf5(path: Path, found: list[dict[str, Any]]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("filename", data=[str(one["filename"]) for one in found], dtype=h5py.string_dtype())
        file["window"] = np.array([one["window"] for one in found], np.float64).reshape(-1, 4)
        file["prediction"] = np.array([one["prediction"] for one in found], np.float32)
