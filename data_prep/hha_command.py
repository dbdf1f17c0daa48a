"""``python -m data_prep hha``: depth files to HHA images."""

from collections.abc import Sequence
from pathlib import Path

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.file_writer import write_files
from data_prep.hha.agreement import Agreement, compare_hha
from data_prep.hha.camera import CAMERAS, parse_camera
from data_prep.hha.folder import HHAWriter, depth_files
from data_prep.images import decode_image
from data_prep.png_files import read_file
from data_prep.prepare import SplitReport
from data_prep.summary import progress_bars, show_reports
from data_prep.verify import verified

__all__ = ["hha"]

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.option("--depth", type=_FOLDER, required=True, help="Folder of in-painted depth: 16-bit PNG, .npy or .mat.")
@click.option("--raw", type=_FOLDER, help="Folder of raw depth by the same names; else DEPTH's zeros are missing.")
@click.option("--out", type=_FOLDER, required=True, help="Folder that gets an HHA PNG for each.")
@click.option("--camera", help=f"{', '.join(CAMERAS)}, or fx,fy,cx,cy in pixels; else by the image's size.")
@click.option("--compare", type=_FOLDER, help="Another program's HHA PNGs by the same names, or the only one's file.")
@click.option("--per-metre", type=click.FloatRange(0, min_open=True), default=1000.0, help="Units of whole numbers.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes.")
@click.option("--strict", is_flag=True, help="Stop at the first faulty file.")
@click.option("--verify", is_flag=True, help="Read again all that is written there, now or before.")
def hha(
    depth: Path,
    raw: Path | None,
    out: Path,
    camera: str | None,
    compare: Path | None,
    per_metre: float,
    jobs: int,
    strict: bool,
    verify: bool,
) -> None:
    """HHA images (disparity, height above ground, angle with gravity) of depth images.

    Whole numbers are millimetres (see --per-metre), floats in .npy and .mat metres. Images that are there already and
    were made of the same depth by the same settings are kept. OUT gets a manifest.json once all are there.

    With --compare the shares of pixels within 1, 2 and 5 levels of another program's images are told, per channel.
    Programs differ by their camera: rcnn-depth's is color-cropped, Depth2HHA's color, also for cropped images.
    """
    try:
        if raw is not None and not raw.is_dir():
            raise DataError(f"'{raw}' is no folder; give --raw the folder of raw depth, or leave it out")
        names = depth_files(depth)
        references = {} if compare is None else _references(compare, names)
        if out.resolve() in {depth.resolve(), raw.resolve() if raw else None}:
            raise DataError(f"'{out}' holds the depth itself, which HHA files would overwrite; give another --out")
        files = HHAWriter(depth, raw, out, None if camera is None else parse_camera(camera), per_metre).files()
        with progress_bars() as begin:
            outcome = write_files(files, names, jobs=jobs, strict=strict, progress=begin("hha", len(names)))
            outcome = verified(outcome, jobs, begin) if verify else outcome
        faulty = {fault.image_id for fault in outcome.faults}
        agreements = [_agreement(out, name, path) for name, path in references.items() if name not in faulty]
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    compared = []
    if agreements:
        title = f"pixels of {len(agreements)} HHA image{'s' * (len(agreements) > 1)}"
        compared = [f"{title} by how many of 256 levels they differ from '{compare}':"]
        compared += sum(agreements[1:], agreements[0]).lines()
    show_reports([SplitReport("hha", None, outcome)], compared)


def _references(compare: Path, names: Sequence[str]) -> dict[str, Path]:
    """The reference images by the depth files' names."""
    if compare.is_file():
        if len(names) > 1:
            raise DataError(
                f"'{compare}' is one image, but there are {len(names)} depth files; give --compare a folder of "
                "images by the same names"
            )
        return {names[0]: compare}
    found = {name: path for name in names if (path := compare / f"{Path(name).stem}.png").is_file()}
    if not found:
        raise DataError(
            f"--compare '{compare}' holds no image for any of the {len(names)} depth files, such as "
            f"'{Path(names[0]).stem}.png'; give the folder of another program's HHA images, or one image"
        )
    return found


def _agreement(out: Path, name: str, reference: Path) -> Agreement:
    path = out / f"{Path(name).stem}.png"
    ours, theirs = (decode_image(read_file(one, "HHA"), str(one)) for one in (path, reference))
    return compare_hha(ours, theirs, str(reference))
