"""``python -m data_prep statistics``: means and class counts of samples, beside the released means."""

import json
from pathlib import Path
from typing import Any

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.lmdb_build import write_text
from data_prep.options import PATH, jobs_option
from data_prep.samples import DATASETS, open_samples, written_in
from data_prep.statistics import measure_samples
from data_prep.summary import faulty_samples, progress_bars, show_faults

__all__ = ["statistics"]


@click.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=PATH)
@click.option("--dataset", type=click.Choice(DATASETS), help="Which FOLDER is; else found out.")
@click.option("--split", help="List of a dataset's folder, or a list file; else the first of its usual ones.")
@click.option("--json", "json_file", type=PATH, help="File that gets the numbers of each FOLDER.")
@click.option("--mean-file", type=PATH, help="File that gets the mean picture, for mean_file (.binaryproto).")
@jobs_option
def statistics(
    folders: tuple[Path, ...],
    dataset: str | None,
    split: str | None,
    json_file: Path | None,
    mean_file: Path | None,
    jobs: int,
) -> None:
    """Means, deviations and class counts, beside released means.

    FOLDER is what another verb wrote (it or its subfolders hold a manifest.json), or a dataset's own. Means are those
    of all pixels: blue, green, red; disparity, height, angle; millimetres of depth and their logarithm.

    A mean picture, as caffe-compat compute_image_mean makes it, needs databases of images of equal size.
    """
    reports, faulty = [], 0
    wanted = [one for folder in folders for one in (written_in(folder) if split is None else [folder])]
    try:
        if mean_file is not None and len(wanted) != 1:
            raise DataError(f"--mean-file is of one list; named are {', '.join(map(str, wanted))}")
        with progress_bars() as begin:
            for folder in wanted:
                samples = open_samples(folder, dataset, split)
                report, faults = measure_samples(samples, jobs, begin(folder.name, len(samples.keys)))
                show_faults(str(folder), faults)
                reports.append(report)
                faulty += len(faults)
        if mean_file is not None:
            _write_mean_picture(wanted[0], mean_file)
        if json_file is not None:
            write_text(json_file, json.dumps(reports, indent=2) + "\n")
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    for report in reports:
        click.echo(_text(report))
    if faulty:
        raise click.ClickException(f"not counted: {faulty_samples(faulty)}; repair the files and run again")


def _write_mean_picture(folder: Path, file: Path) -> None:
    database = folder / "image_lmdb"
    if not database.is_dir():
        raise DataError(f"'{folder}' has no image_lmdb to make a mean picture of; build databases first")
    from caffe_compat.proto.blobs import write_blobproto
    from caffe_compat.tools.compute_image_mean import mean_picture

    try:
        mean, _ = mean_picture(str(database))
    except DataError as error:
        raise DataError(f"no mean picture: {error}; for images of several sizes take mean_value") from error
    write_blobproto(str(file), mean[None], legacy=True)


def _text(report: dict[str, Any]) -> str:
    dataset = f" ({report['dataset']})" if report["dataset"] else ""
    lines = [f"\n{report['folder']}{dataset}: {report['samples']} samples"]
    for name, part in report["parts"].items():
        rows = _label_rows(part) if part["holds"] == "label" else _channel_rows(part)
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        rows = [
            [cell.ljust(w) if i < 1 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
            for row in rows
        ]
        lines += [f"\n{name}", *(f"  {'  '.join(row)}".rstrip() for row in rows)]
        if "note" in part:
            lines.append(f"  {part['note']}")
    return "\n".join(lines)


def _channel_rows(part: dict[str, Any]) -> list[list[str]]:
    compared = "released_of" in part
    head = ["channel", "mean", "std", "min", "max"]
    rows = [[*head, f"released ({part['released_of']})", "difference"] if compared else head]
    for name, channel in part["channels"].items():
        cells = ["-" if channel[key] is None else f"{channel[key]:.3f}" for key in ("mean", "std", "min", "max")]
        if compared:
            cells += (
                [f"{channel['released']:g}", f"{channel['difference']:+.3f}"] if "released" in channel else ["", ""]
            )
        rows.append([name, *cells])
    return rows


def _label_rows(part: dict[str, Any]) -> list[list[str]]:
    total = sum(part["pixels"].values())
    rows = [["class", "number", "pixels", "share", "samples"]]
    for number in [*range(part["classes"] or 0), *([] if part["void"] is None else [part["void"]])]:
        pixels = part["pixels"].get(str(number), 0)
        name = "void" if number == part["void"] else part["names"][number] if part["names"] else "-"
        share = f"{100 * pixels / total:.2f} %" if total else "-"
        rows.append([name, str(number), f"{pixels:,}", share, str(part["samples"].get(str(number), 0))])
    return rows
