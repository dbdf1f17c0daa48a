"""``python -m data_prep download``: datasets and weights from their public addresses, unpacked where they are read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from caffe_compat.errors import CaffeError
from data_prep.archives import is_placed, place
from data_prep.download import Patience, fetch
from data_prep.options import PATH
from data_prep.sources import Source, SourceFile, with_needed
from data_prep.sources_datasets import DATASETS
from data_prep.sources_weights import WEIGHTS

__all__ = ["SOURCES", "download"]

SOURCES: dict[str, Source] = {source.name: source for source in (*DATASETS, *WEIGHTS)}
"""All that can be downloaded, by name."""


@click.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--out", type=PATH, default=Path("data"), help="Folder of all data.")
@click.option("--list", "listing", is_flag=True, help="Show what there is; with NAMEs, all that is known of them.")
@click.option("--keep-archives", is_flag=True, help="Keep archives when they are unpacked.")
@click.option("--mirror", metavar="URL", help="A served copy of such a folder, archives kept; tried first.")
@click.option("--attempts", type=click.IntRange(1), default=5, help="In a row without progress.")
@click.option("--wait", type=click.FloatRange(0), default=1.0, help="After the first, seconds.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=60.0, help="Seconds.")
def download(
    names: tuple[str, ...],
    out: Path,
    listing: bool,
    keep_archives: bool,
    mirror: str | None,
    attempts: int,
    wait: float,
    timeout: float,
) -> None:
    """Download datasets and weights to where they are looked for.

    Archives are unpacked where the other verbs and solve.py look. A stopped download goes on where it was when run
    again. Sizes and checksums are verified where they are published; a checksum file NAME.sha256 is written beside each
    file and verified later. What cannot be downloaded is told, with what to get by hand and where to put it.
    """
    try:
        sources = with_needed(SOURCES, names)
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    if listing:
        click.echo("\n\n".join(map(_details, sources)) if sources else _table())
        return
    if not sources:
        raise click.UsageError(f"nothing named; NAME is one or more of {', '.join(SOURCES)} (see --list)")
    patience = Patience(attempts, wait, timeout)
    failed = [source.name for source in sources if not _get(source, out, keep_archives, mirror, patience)]
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(sources)} not downloaded: {', '.join(failed)}")


def _get(source: Source, out: Path, keep_archives: bool, mirror: str | None, patience: Patience) -> bool:
    """Make a source's files be there, all that can be; tells what became of them, and whether all are."""
    click.echo(f"{source.name}: {source.title}\n  terms: {source.terms}")
    whole = True
    for file in source.files:
        if mirror is not None:
            file = replace(file, urls=(f"{mirror.rstrip('/')}/{file.path(Path()).as_posix()}", *file.urls))
        try:
            click.echo(f"  {_get_file(file, out, keep_archives, patience)}")
        except CaffeError as error:
            whole = False
            click.echo(f"  {error}".replace("\n", "\n  "), err=True)
    if whole and source.then:
        click.echo(f"  next: {source.then.format(out=out)}")
    return whole


def _get_file(file: SourceFile, out: Path, keep_archives: bool, patience: Patience) -> str:
    """Make a file be there, unpacked where it is an archive; gives what became of it."""
    target, path = out / file.into, file.path(out)
    if file.holds and is_placed(target, file.holds):
        return f"'{target}' is there already; remove it to download it anew"
    with _bar(file.name, "B") as tell:
        state = fetch(file, path, patience, tell)
    if not file.holds:
        return f"'{path}' {'is there already, verified' if state == 'there' else 'downloaded'}"
    with _bar(f"unpacking {file.name}", "file") as tell:
        count = 0

        def one_more(members: int) -> None:
            nonlocal count
            count += members
            tell(count, None)

        place(path, target, file.holds, one_more)
    if state == "there" or keep_archives:
        return f"'{target}' unpacked; the archive is kept as '{path}'"
    path.unlink()
    return f"'{target}' downloaded and unpacked"


@contextmanager
def _bar(title: str, unit: str) -> Iterator[Callable[[int, int | None], Any]]:
    """A progress bar, as a function of what is done and of the total."""
    with tqdm(desc=title, unit=unit, unit_scale=unit == "B", unit_divisor=1024 if unit == "B" else 1000) as bar:

        def tell(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield tell


def _size(file: SourceFile) -> str:
    return "size not published" if file.size is None else f"{file.size} bytes"


def _table() -> str:
    """A line for each source."""
    rows = [(one.name, one.files[0].into, one.title) for one in SOURCES.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{name:{widths[0]}}  {into:{widths[1]}}  {title}" for name, into, title in rows]
    return "\n".join([f"{'NAME':{widths[0]}}  {'folder':{widths[1]}}  what", *lines])


def _details(source: Source) -> str:
    """All that is known of a source."""
    lines = [f"{source.name}: {source.title}", f"  terms: {source.terms}"]
    for file in source.files:
        kind = f"unpacked to {file.into}" if file.holds else f"to {file.into}"
        known = [f"{name} {value}" for name, value in file.checksums.items()]
        lines.append(f"  {file.name}: {kind}; {_size(file)}; {', '.join(known) or 'no published checksum'}")
        lines += [f"    {url}" for url in file.urls] or ["    no public address"]
        lines += [f"    by hand: {file.by_hand}"] if file.by_hand else []
    lines += [f"  then: {source.then.format(out='DATA')}"] if source.then else []
    return "\n".join(lines)
