"""``python -m data_prep contact-sheet``: a picture of samples with their labels."""

import io
from pathlib import Path

import click

from caffe_compat.errors import CaffeError, DataError
from caffe_compat.proto.whole_file import replacing
from data_prep.contact_sheet import contact_sheet as draw_sheet
from data_prep.lmdb_build import disk_errors
from data_prep.options import PATH, jobs_option
from data_prep.samples import DATASETS, open_samples, written_in
from data_prep.summary import faulty_samples, show_faults

__all__ = ["contact_sheet"]


@click.command()
@click.argument("folder", metavar="FOLDER", type=PATH)
@click.option("--out", type=PATH, required=True, help="File that gets the picture (.png).")
@click.option("--samples", "most", type=click.IntRange(1, 400), default=12, help="How many.")
@click.option("--dataset", type=click.Choice(DATASETS), help="Which FOLDER is; else found out.")
@click.option("--split", help="List of a dataset's folder, or a list file; else the first of its usual ones.")
@jobs_option
def contact_sheet(folder: Path, out: Path, most: int, dataset: str | None, split: str | None, jobs: int) -> None:
    """Draw samples with their labels in colour.

    FOLDER is what another verb wrote (it holds a manifest.json), or a dataset's own; its samples are spread over the
    list. Void is hatched; captions name the classes. Depth is light where it is near.
    """
    try:
        written = written_in(folder) if split is None else [folder]
        if len(written) > 1 and written[0] != folder:
            raise DataError(
                f"'{folder}' holds several lists: {', '.join(one.name for one in written)}; name one of them"
            )
        sheet, faults = draw_sheet(open_samples(written[0], dataset, split), most, jobs)
        content = io.BytesIO()
        sheet.save(content, format="PNG")
        with disk_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            with replacing(out) as temporary:
                temporary.write_bytes(content.getvalue())
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    show_faults(str(folder), faults)
    click.echo(f"{out}: {sheet.width} x {sheet.height} pixels")
    if faults:
        raise click.ClickException(f"{faulty_samples(len(faults))}, shown by what is wrong")
