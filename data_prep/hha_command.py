"""``python -m data_prep hha``: depth files to HHA images."""

from pathlib import Path

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.file_writer import write_files
from data_prep.hha.camera import CAMERAS, parse_camera
from data_prep.hha.folder import HHAWriter, depth_files
from data_prep.hha.reference import agreement_lines, find_references
from data_prep.options import PATH, jobs_option, strict_option, verify_option
from data_prep.prepare import SplitReport
from data_prep.summary import progress_bars, show_reports
from data_prep.verify import verified

__all__ = ["hha"]


@click.command()
@click.option("--depth", type=PATH, required=True, help="Folder of in-painted depth: 16-bit PNG, .npy or .mat.")
@click.option("--raw", type=PATH, help="Folder of raw depth by the same names; else DEPTH's zeros are missing.")
@click.option("--out", type=PATH, required=True, help="Folder that gets an HHA PNG for each.")
@click.option("--camera", help=f"{', '.join(CAMERAS)}, or fx,fy,cx,cy in pixels; else by the image's size.")
@click.option("--compare", type=PATH, help="Another program's HHA PNGs by the same names, or the only one's file.")
@click.option("--per-metre", type=click.FloatRange(0, min_open=True), default=1000.0, help="Units of whole numbers.")
@jobs_option
@strict_option
@verify_option
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
    """HHA images of depth images, without MATLAB.

    HHA is disparity, height above ground and angle with gravity. Whole numbers are millimetres (see --per-metre),
    floats in .npy and .mat metres. Images that are there already and were made of the same depth by the same settings
    are kept. OUT gets a manifest.json once all are there.

    With --compare the shares of pixels within 1, 2 and 5 levels of another program's images are told, per channel.
    Programs differ by their camera: rcnn-depth's is color-cropped, Depth2HHA's color, also for cropped images.
    """
    try:
        if raw is not None and not raw.is_dir():
            raise DataError(f"'{raw}' is no folder; give --raw the folder of raw depth, or leave it out")
        names = depth_files(depth)
        references = {} if compare is None else find_references(compare, names)
        if out.resolve() in {depth.resolve(), raw.resolve() if raw else None}:
            raise DataError(f"'{out}' holds the depth itself, which HHA files would overwrite; give another --out")
        files = HHAWriter(depth, raw, out, None if camera is None else parse_camera(camera), per_metre).files()
        with progress_bars() as begin:
            outcome = write_files(files, names, jobs=jobs, strict=strict, progress=begin("hha", len(names)))
            outcome = verified(outcome, jobs, begin) if verify else outcome
        faulty = {fault.image_id for fault in outcome.faults}
        compared = agreement_lines(out, {name: path for name, path in references.items() if name not in faulty})
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    show_reports([SplitReport("hha", None, outcome)], compared)
