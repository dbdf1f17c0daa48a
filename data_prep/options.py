"""Options that several verbs take, spelled and explained once."""

from pathlib import Path

import click

__all__ = ["PATH", "check_verify", "jobs_option", "strict_option", "verify_option"]

PATH = click.Path(path_type=Path)
"""Type of an option that names a file or a folder; whether it is there is looked at where it is read."""

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
