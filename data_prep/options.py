"""Options that several verbs take, spelled and explained once."""

from pathlib import Path

import click

from data_prep.records import LABEL_FORMS

__all__ = [
    "PATH",
    "check_verify",
    "jobs_option",
    "labels_option",
    "list_file_option",
    "split_option",
    "strict_option",
    "verify_option",
]

PATH = click.Path(path_type=Path)
"""Type of an option that names a file or a folder; whether it is there is looked at where it is read."""

split_option = click.option("--split", "splits", multiple=True, help="Only this list of the dataset; may be repeated.")
list_file_option = click.option(
    "--list-file", "files", multiple=True, type=PATH, help="A list of your own, an image id to a line; may be repeated."
)
labels_option = click.option("--labels", type=click.Choice(LABEL_FORMS), default="raw", help="Bytes, or grey PNG.")
jobs_option = click.option("--jobs", type=click.IntRange(1), default=1, help="Processes.")
strict_option = click.option("--strict", is_flag=True, help="Stop at the first faulty sample.")
verify_option = click.option("--verify", is_flag=True, help="Read again all that is written, now or before.")


def check_verify(verify: bool, writes: bool) -> None:
    """Refuse --verify where nothing is written.

    Raises:
        UsageError: it is asked for and nothing is.
    """
    if verify and not writes:
        raise click.UsageError("--verify reads again what is written, and --no-lmdb writes nothing; leave one out")
