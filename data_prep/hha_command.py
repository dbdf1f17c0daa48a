"""``python -m data_prep hha``: depth files to HHA images."""

from pathlib import Path

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.hha.camera import CAMERAS, parse_camera
from data_prep.hha.folder import HHAWriter, depth_files
from data_prep.jobs import Fault, run_ordered
from data_prep.lmdb_build import disk_errors
from data_prep.summary import progress_bars, show_faults

__all__ = ["hha"]

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.option("--depth", type=_FOLDER, required=True, help="Folder of in-painted depth: 16-bit PNG or .npy.")
@click.option("--raw", type=_FOLDER, help="Folder of raw depth by the same names; else DEPTH's zeros are missing.")
@click.option("--out", type=_FOLDER, required=True, help="Folder that gets an HHA PNG for each.")
@click.option("--camera", help=f"{', '.join(CAMERAS)}, or fx,fy,cx,cy in pixels; else by the image's size.")
@click.option("--per-metre", type=click.FloatRange(0, min_open=True), default=1000.0, help="Units of whole numbers.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes.")
@click.option("--strict", is_flag=True, help="Stop at the first faulty file.")
def hha(
    depth: Path, raw: Path | None, out: Path, camera: str | None, per_metre: float, jobs: int, strict: bool
) -> None:
    """HHA images (disparity, height above ground, angle with gravity) of depth images.

    Whole numbers are millimetres (see --per-metre), floats in .npy metres. Images that are there already and were
    made of the same depth by the same settings are kept.
    """
    counts = {"written": 0, "kept": 0}
    faults: list[Fault] = []
    try:
        if raw is not None and not raw.is_dir():
            raise DataError(f"'{raw}' is no folder; give --raw the folder of raw depth, or leave it out")
        names = depth_files(depth)
        writer = HHAWriter(depth, raw, out, None if camera is None else parse_camera(camera), per_metre)
        with progress_bars() as begin, disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            if out.resolve() in {depth.resolve(), raw.resolve() if raw else None}:
                raise DataError(f"'{out}' holds the depth itself, which HHA files would overwrite; give another --out")
            tell = begin("hha", len(names))
            for _, result in run_ordered(writer, list(enumerate(names)), jobs):
                if isinstance(result, Fault):
                    if strict:
                        raise DataError(result.message)
                    faults.append(result)
                else:
                    counts[result] += 1
                tell(1)
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    show_faults("hha", faults)
    click.echo(f"{counts['written']} HHA images written to '{out}', {counts['kept']} were there, {len(faults)} faults")
    if faults:
        raise click.ClickException(f"{len(faults)} faulty files; repair or remove them, and run again")
