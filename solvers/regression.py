"""All published figures that the data and weights at hand allow to check, each measured and held against its own.

    python -m solvers.regression --data DATA --weights WEIGHTS        or: tox -e published -- --data DATA --weights ...

Four means are pixel accuracy / mean accuracy / mean IU / frequency-weighted IU in per cent. Every figure that is not
checked is listed with the reason. The exit status is 1 if anything measured lies outside its tolerance
(``solvers.published``) or could not be measured.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from caffe_compat.errors import CaffeError
from caffe_compat.glog import init_log
from solvers.device_option import device_option, use_device
from solvers.findings import Finding
from solvers.recipes import RECIPES, recipe
from solvers.regression_labels import check_labels
from solvers.regression_models import check_model
from solvers.regression_specs import check_specs

__all__ = ["regression", "regression_command"]


def regression(
    data: Path | None,
    weights: Path | None,
    models: tuple[str, ...] = RECIPES,
    read: str = "files",
    width: float = 1,
    progress: bool = True,
) -> Iterator[tuple[str, Iterator[Finding]]]:
    """The findings by section; each is measured when it is asked for.

    Args:
        data: the data folder, as for solve.py; None: what needs no data.
        weights: folder of weights; None: what needs no weights.
        models: which models' weights to look for.
        read: ``files`` or ``lmdb``.
        width: fraction of the channels, for weights of thin copies.
        progress: show bars on stderr.
    """
    yield "specs", check_specs()
    yield "labels", check_labels(data, progress)
    yield "models", (one for model in models for one in check_model(model, weights, data, read, width, progress))


@click.command("regression")
@click.argument("models", nargs=-1)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="As for solve.py.")
@click.option("--weights", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of caffemodels.")
@click.option("--read", type=click.Choice(["files", "lmdb"]), default="files", show_default=True, help="What to read.")
@device_option
def regression_command(
    models: tuple[str, ...], data: Path | None, weights: Path | None, read: str, device: str
) -> None:
    """Check the published figures of MODELS (all unless named), and those that need neither weights nor data."""
    init_log(2)
    counts: Counter[str] = Counter()
    wrong = 0
    try:
        for model in models:
            recipe(model)
        use_device(device)
        for title, findings in regression(data, weights, models or RECIPES, read):
            click.echo(title)
            for finding in findings:
                click.echo(str(finding))
                counts[finding.state] += 1
                wrong += finding.wrong
    except (CaffeError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    regression_command()
