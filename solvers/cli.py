"""The command line of ``solve.py`` (installed as ``fcn-solve``): train, score, predict, emit, demonstrate.

Each option does one thing; what they do together is in ``solvers.training``.
"""

from pathlib import Path

import click

from caffe_compat.errors import CaffeError, SolverError
from caffe_compat.glog import init_log
from data_prep.sources import download_hint
from data_prep.sources_weights import weights_hint
from nets.catalogue import lookup
from nets.classifiers import CLASSIFIERS
from solvers.datasets import FAMILIES, find_splits
from solvers.demo import run_demo
from solvers.device_option import device_option, precision_option, use_device, warn_if_slow
from solvers.infer import infer_model
from solvers.listing import emit, emit_classifier, show_models
from solvers.measured import score_weights, show_beside_published
from solvers.recipes import recipe
from solvers.stages import train
from solvers.training import Workplace

__all__ = ["main"]

_PATH = click.Path(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("model", required=False)
@click.option("--list", "list_models", is_flag=True, help="List the models, or tell all about MODEL, and stop.")
@click.option("--demo", is_flag=True, help="Train a thin copy on drawn shapes: nothing to download, a few minutes.")
@click.option("--data", type=_PATH, help="Folder of the model's dataset; see README.")
@click.option("--read", type=click.Choice(["files", "lmdb"]), default="files", show_default=True, help="What to read.")
@click.option(
    "--init", type=_PATH, multiple=True, help="Weights to start from: a caffemodel; one for each stream of a fused net."
)
@click.option("--classes", type=click.IntRange(2, 255), help="Of labels of your own, for the voc models; see README.")
@click.option("--workdir", type=_PATH, default=Path("runs"), show_default=True, help="Gets a folder for each model.")
@click.option("--iterations", type=click.IntRange(1), help="How many; the recipe's unless given.")
@click.option("--snapshot", type=click.IntRange(1), help="Iterations between snapshots; the recipe's unless given.")
@click.option("--resume", is_flag=True, help="Go on from the latest snapshot.")
@click.option("--stages", is_flag=True, help="Run the whole chain, such as 32s, 16s, 8s; finished stages are skipped.")
@click.option("--seed", type=click.IntRange(0), default=1337, show_default=True, help="Of data order and Dropout.")
@click.option("--check", is_flag=True, help="Only look over data, weights, rates and cost.")
@click.option(
    "--score", "weights", type=_PATH, help="Score these weights on the test split, beside what was published."
)
@click.option("--infer", "images", type=_PATH, help="Predict an image or a folder, with the weights of --init.")
@click.option(
    "--emit-prototxt",
    type=_PATH,
    help="Write nets and solver into this folder; of vgg-a to vgg-e, caffenet, alexnet and googlenet the two nets.",
)
@device_option
@precision_option
def command(
    model: str | None,
    list_models: bool,
    demo: bool,
    data: Path | None,
    read: str,
    init: tuple[Path, ...],
    classes: int | None,
    workdir: Path,
    iterations: int | None,
    snapshot: int | None,
    resume: bool,
    stages: bool,
    seed: int,
    check: bool,
    weights: Path | None,
    images: Path | None,
    emit_prototxt: Path | None,
    device: str,
    precision: str,
) -> None:
    """Train MODEL of "Fully Convolutional Networks for Semantic Segmentation", or score it, or predict with it.

    \b
    solve.py voc-fcn8s --demo
    solve.py voc-fcn8s --stages --data DATA --init VGG_ILSVRC_16_layers.caffemodel
    solve.py voc-fcn8s --score fcn8s-heavy-pascal.caffemodel --data DATA
    solve.py voc-fcn8s --infer photos/ --init fcn8s-heavy-pascal.caffemodel
    """  # noqa: D301  click's mark for lines that stay as they are
    init_log(1)  # Caffe's lines go to train.log; the terminal has the bar
    if model is None and (demo or resume or stages or check or init or data or weights or images or emit_prototxt):
        raise click.UsageError("MODEL is missing; solve.py --list shows the models")
    if list_models or model is None:
        show_models(model)
        return
    _one_of(demo, weights is not None, images is not None, emit_prototxt is not None, check)
    if classes is not None and (demo or weights is not None):
        raise click.UsageError("--classes goes with training, --check, --infer and --emit-prototxt")
    if emit_prototxt is not None and model in CLASSIFIERS:
        emit_classifier(model, emit_prototxt)
        return
    if model in CLASSIFIERS:
        raise SolverError(
            f"'{model}' is a classifier that FCNs start from; it has --emit-prototxt DIR and nothing else"
        )
    this = recipe(model)
    known = lookup(model) if classes is None else lookup(model).with_classes(classes)
    use_device(device)
    warn_if_slow(precision)
    if emit_prototxt is not None:
        emit(this, known, emit_prototxt)
    elif demo:
        run_demo(model, workdir / "demo", seed, "lmdb")
    elif images is not None:
        _infer(model, init, images, workdir, classes, precision)
    elif data is None:
        family = FAMILIES[lookup(model).dataset]
        gets = download_hint(*family.downloads)
        raise SolverError(f"no data: give --data DATA with {family.title} ({gets}), or try --demo first")
    elif weights is not None:
        show_beside_published(score_weights(model, weights, data, read, precision=precision))
    else:
        workplace = Workplace(
            find_splits(data, known, read), workdir, seed, snapshot, precision=precision, classes=classes
        )
        train(this, workplace, iterations, init, resume, stages, check)


def main() -> None:
    """Run the command; an error of ours, or of the file system, is one line on stderr and exit status 1."""
    try:
        command()
    except (CaffeError, OSError) as error:
        raise SystemExit(f"solve.py: {error}") from None


def _one_of(*given: bool) -> None:
    if sum(given) > 1:
        raise click.UsageError("--demo, --score, --infer, --emit-prototxt and --check exclude each other; give one")


def _infer(
    model: str, init: tuple[Path, ...], images: Path, workdir: Path, classes: int | None, precision: str
) -> None:
    if not init:
        raise SolverError(f"--infer: no weights; give --init WEIGHTS.caffemodel{weights_hint(model)}")
    out = workdir / model / "predictions"
    for result in infer_model(model, init[-1], images, out, classes=classes, precision=precision):
        click.echo(f"{result.image} -> {result.label}")


if __name__ == "__main__":
    main()
