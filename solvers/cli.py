"""The command line of ``solve.py`` (installed as ``fcn-solve``): train, score, predict, emit, demonstrate.

Each option does one thing; what they do together is in ``solvers.training``.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from caffe_compat.errors import CaffeError, SolverError
from caffe_compat.glog import init_log
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.proto.text import write_text
from nets.catalogue import DEPLOY_FILE, lookup
from nets.classifiers import CLASSIFIERS, INPUT_SHAPE, build
from nets.size import parameter_count
from nets.sources import InputData
from solvers.datasets import Split, find_splits
from solvers.demo import run_demo
from solvers.device_option import device_option, use_device
from solvers.infer import deploy_net, infer
from solvers.initial import check_covered
from solvers.metrics import Scores
from solvers.published import PUBLISHED, SOURCES, judge
from solvers.recipe import Recipe
from solvers.recipes import RECIPES, chain, recipe, recipe_text
from solvers.score import print_scores, score
from solvers.training import Training, Workplace, iteration_of, latest_snapshot, weights_of

__all__ = ["main"]

_PATH = click.Path(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("model", required=False)
@click.option("--list", "list_models", is_flag=True, help="List the models, or tell all about MODEL, and stop.")
@click.option("--demo", is_flag=True, help="Train a thin copy on drawn shapes: nothing to download, a few minutes.")
@click.option("--data", type=_PATH, help="Folder with pascal/VOC2011 and sbdd/dataset, or what the archives unpack to.")
@click.option("--read", type=click.Choice(["files", "lmdb"]), default="files", show_default=True, help="What to read.")
@click.option(
    "--init", type=_PATH, multiple=True, help="Weights to start from: a caffemodel; one for each stream of a fused net."
)
@click.option("--workdir", type=_PATH, default=Path("runs"), show_default=True, help="Gets a folder for each model.")
@click.option("--iterations", type=click.IntRange(1), help="How many; the recipe's unless given.")
@click.option("--snapshot", type=click.IntRange(1), help="Iterations between snapshots; the recipe's unless given.")
@click.option("--resume", is_flag=True, help="Go on from the latest snapshot.")
@click.option("--stages", is_flag=True, help="Run the whole chain, such as 32s, 16s, 8s; finished stages are skipped.")
@click.option("--seed", type=click.IntRange(0), default=1337, show_default=True, help="Of data order and Dropout.")
@click.option("--check", is_flag=True, help="Only look over data, weights, rates and cost.")
@click.option(
    "--score", "score_weights", type=_PATH, help="Score these weights on the test split, beside the published."
)
@click.option("--infer", "images", type=_PATH, help="Predict an image or a folder, with the weights of --init.")
@click.option(
    "--emit-prototxt",
    type=_PATH,
    help="Write nets and solver into this folder; of vgg-a to vgg-e, caffenet, alexnet and googlenet the deploy net.",
)
@device_option
def command(
    model: str | None,
    list_models: bool,
    demo: bool,
    data: Path | None,
    read: str,
    init: tuple[Path, ...],
    workdir: Path,
    iterations: int | None,
    snapshot: int | None,
    resume: bool,
    stages: bool,
    seed: int,
    check: bool,
    score_weights: Path | None,
    images: Path | None,
    emit_prototxt: Path | None,
    device: str,
) -> None:
    r"""Train MODEL of "Fully Convolutional Networks for Semantic Segmentation", or score it, or predict with it.

    \b
    solve.py voc-fcn8s --demo
    solve.py voc-fcn8s --stages --data DATA --init VGG_ILSVRC_16_layers.caffemodel
    solve.py voc-fcn8s --score fcn8s-heavy-pascal.caffemodel --data DATA
    solve.py voc-fcn8s --infer photos/ --init fcn8s-heavy-pascal.caffemodel
    """
    init_log(1)  # Caffe's lines go to train.log; the terminal has the bar
    if list_models or model is None:
        _list(model)
        return
    _one_of(demo, score_weights is not None, images is not None, emit_prototxt is not None, check)
    if emit_prototxt is not None and model in CLASSIFIERS:
        _emit_classifier(model, emit_prototxt)
        return
    this = recipe(model)
    use_device(device)
    if emit_prototxt is not None:
        _emit(this, emit_prototxt)
    elif demo:
        run_demo(model, workdir / "demo", seed, "lmdb")
    elif images is not None:
        _infer(model, init, images, workdir)
    else:
        if lookup(model).dataset != "voc":
            raise SolverError(
                f"{model}: its data is {lookup(model).dataset}, and --data reads PASCAL VOC and SBD only; "
                "--emit-prototxt writes its nets and solver"
            )
        if data is None:
            raise SolverError("no data: give --data DIR (VOC2011 and SBD; see README), or try --demo first")
        splits = find_splits(data, lookup(model).classes)
        if score_weights is not None:
            _score(model, score_weights, splits.test)
            return
        workplace = Workplace(splits, workdir, read, seed, snapshot)
        _train(this, workplace, iterations, init, resume, stages, check)


def main() -> None:
    """Run the command; an error of ours, or of the file system, is one line on stderr and exit status 1."""
    try:
        command()
    except (CaffeError, OSError) as error:
        raise SystemExit(f"solve.py: {error}") from None


def _one_of(*given: bool) -> None:
    if sum(given) > 1:
        raise click.UsageError("--demo, --score, --infer, --emit-prototxt and --check exclude each other; give one")


def _list(model: str | None) -> None:
    if model is not None:
        click.echo(f"{model}\n\n{_known(model)}")
        return
    for name in RECIPES:
        known = lookup(name)
        net = known.build(InputData(known.deploy_shapes), classes=known.classes)
        millions = parameter_count(net) / 1e6
        size = f"{millions:.0f}M" if millions > 1 else f"{millions:.2f}M"
        best = max((row.mean_iu or 0 for row in PUBLISHED[name] if not row.split.startswith("VOC")), default=0)
        told = f"published mean IU {100 * best:.1f}" if best else "no published mean IU"
        click.echo(
            f"{name:<23} {recipe_text(name).splitlines()[0]}\n{'':<23} {known.dataset}, "
            f"{size} parameters, stride {known.stride}, {known.classes} classes, {told}"
        )
    click.echo("\nsolve.py MODEL --list tells more; solve.py --help has the options; try solve.py voc-fcn8s --demo")


def _known(model: str) -> str:
    text = recipe_text(model)
    notes = "".join(f"\nNote:      {note}" for note in recipe(model).notes)
    return text.rstrip() + notes


def _emit(this: Recipe, folder: Path) -> None:
    known = lookup(this.model)
    folder.mkdir(parents=True, exist_ok=True)
    for name, net in known.prototxts().items():
        write_text(folder / name, net)
    write_text(folder / "solver.prototxt", this.solver(known.train_file, known.test_file))
    click.echo(f"{folder}: {known.train_file}, {known.test_file}, {DEPLOY_FILE}, solver.prototxt")


def _emit_classifier(name: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / DEPLOY_FILE, build(name, InputData({"data": INPUT_SHAPE})))
    click.echo(f"{folder}: {DEPLOY_FILE}")


def _infer(model: str, init: tuple[Path, ...], images: Path, workdir: Path) -> None:
    if not init:
        raise SolverError("--infer: no weights; give --init WEIGHTS.caffemodel")
    weights = init[-1]
    net = deploy_net(model, weights)
    check_covered(net, weights)
    results = infer(net, images, workdir / model / "predictions", mean_bgr=lookup(model).mean_bgr)
    for result in results:
        click.echo(f"{result.image} -> {result.label}")


def _score(model: str, weights: Path, test: Split) -> None:
    known = lookup(model)
    with TemporaryDirectory() as folder:
        nets = known.prototxts(test_source=test.source("files", Path(folder), known.mean_bgr, 1337))
        net = Net(nets[known.test_file], phase=TEST, weights=weights, keep=["score", "label", "loss"])
        check_covered(net, weights)
        scores = score(net, test.ids)
    print_scores(scores, 0)
    _print_beside_published(model, scores, len(test.ids), test.published_size)


def _print_beside_published(model: str, scores: Scores, images: int, wanted: int | None) -> None:
    click.echo(f"\n{'in per cent':<16}{'pixel acc.':>12}{'mean acc.':>12}{'mean IU':>12}{'f.w. IU':>12}")
    measured = (scores.pixel_accuracy, scores.mean_accuracy, scores.mean_iu, scores.fw_iu)
    click.echo(f"{f'measured ({images})':<16}" + "".join(f"{100 * value:>12.3f}" for value in measured))
    for row in PUBLISHED[model]:
        if row.split != "seg11valid":
            continue
        values = (row.pixel_accuracy, row.mean_accuracy, row.mean_iu, row.fw_iu)
        cells = (f"{'-':>12}" if value is None else f"{100 * value:>12.3f}" for value in values)
        click.echo(f"{f'published {row.source}':<16}" + "".join(cells))
    sources = dict.fromkeys(row.source for row in PUBLISHED[model])
    click.echo("; ".join(f"{source}: {SOURCES[source]}" for source in sources))
    if wanted != images:
        click.echo(f"note: the published figures are of seg11valid, 736 images; these are {images}")
    else:
        click.echo(judge(model, scores))


def _train(
    this: Recipe,
    workplace: Workplace,
    iterations: int | None,
    init: tuple[Path, ...],
    resume: bool,
    stages: bool,
    check: bool,
) -> None:
    todo = chain(this.model) if stages else [this]
    results: dict[str, Path] = {}
    for stage in todo:
        weights = [results[name] for name in stage.predecessors if name in results] or list(init)
        state = latest_snapshot(workplace.folder / stage.model)
        planned = stage.iterations if iterations is None else iterations
        if stages and state is not None and iteration_of(state) >= planned:
            click.echo(f"{stage.model}: finished before ({state.name})")
            results[stage.model] = weights_of(state)
            continue
        again = resume and (state is not None or not stages)
        if state is None and not weights:
            weights = _previous(stage, workplace)
        training = Training(stage, workplace, planned, weights, again)
        found = training.check()
        click.echo(f"{stage.model}: check before training\n{found}")
        if found.faults:
            raise SolverError(f"{stage.model}: the check above found faults ({len(found.faults)}); mend them first")
        if check:
            return
        training.run()
        if not training.finished:
            click.echo("the same command with --resume goes on from there")
            return
        click.echo(f"{stage.model}: finished; {training.weights}")
        results[stage.model] = training.weights


def _previous(stage: Recipe, workplace: Workplace) -> list[Path]:
    """The weights of the stages before, if all of them were trained in the same workdir."""
    states = [latest_snapshot(workplace.folder / name) for name in stage.predecessors]
    found = [weights_of(state) for state in states if state is not None]
    if len(found) < len(states):
        return []
    for weights in found:
        click.echo(f"{stage.model}: starts from {weights}")
    return found


if __name__ == "__main__":
    main()
