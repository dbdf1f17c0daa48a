"""The built-in job: FCN in three stages on drawn shapes, with nothing to download.

    python solve.py voc-fcn8s --demo

draws a small dataset in the layouts of VOC and SBD, builds its LMDBs, trains thin copies of FCN-32s, 16s and 8s one from
the other (the released geometry: pad 100, strides, crops; a fraction of the channels), scores each on held-out images
and writes pictures and a learning curve. A few minutes on two cores.

It differs from the recipes where a thin net from random weights must: fillers, a loss normalised by pixels, and rates.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from PIL import Image

from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.proto.whole_file import replacing
from data_prep.labels import voc_palette
from data_prep.shapes import draw_dataset
from solvers.datasets import Split, find_splits
from solvers.infer import deploy_net, overlay, predict
from solvers.metrics import Scores
from solvers.recipe import Recipe
from solvers.recipes import chain
from solvers.report import learning_curve
from solvers.training import Training, Workplace, latest_snapshot, weights_of

__all__ = ["run_demo"]

_WIDTH = 1 / 8
_ITERATIONS = {"voc-fcn32s": 700, "voc-fcn16s": 250, "voc-fcn8s": 250}
_RATES = {"voc-fcn32s": 0.01, "voc-fcn16s": 0.002, "voc-fcn8s": 0.002}
_PICTURES = 6


def run_demo(model: str, folder: Path, seed: int = 1337, read: str = "lmdb", progress: bool = True) -> Scores:
    """Run the demo up to a model and say what came out.

    Args:
        model: the last stage: voc-fcn32s, voc-fcn16s or voc-fcn8s.
        folder: gets the data, each stage's folder, pictures and the learning curve.
        seed: of drawing, weights and data order.
        read: ``files`` or ``lmdb``.
        progress: show bars on stderr.

    Returns:
        The last stage's scores on the held-out images.
    """
    draw_dataset(folder / "data", seed=seed)
    workplace = Workplace(
        find_splits(folder / "data"), folder, read, seed, snapshot_every=10**9, width=_WIDTH, change_net=_for_scratch
    )
    weights: Path | None = None
    tables = {}
    scores: Scores | None = None
    for stage in chain(model):
        training = Training(_thin(stage), workplace, _ITERATIONS[stage.model], weights)
        click.echo(f"{stage.model}: {training.iterations} iterations at {_WIDTH:g} of the channels")
        click.echo(str(training.check()))
        scores = training.run(score_every=max(50, training.iterations // 4), progress=progress)
        tables[stage.model] = (training.losses, training.scores)
        state = latest_snapshot(training.folder)
        if scores is None or state is None:
            raise click.Abort
        weights = weights_of(state)
        click.echo(f"demo: {stage.model} held-out mean IU = {scores.mean_iu:.3f}")
    assert scores is not None and weights is not None
    learning_curve(folder / "learning_curve.png", tables)
    _draw_pictures(folder / "pictures.png", model, weights, workplace.splits.test)
    click.echo(f"pictures: {folder / 'pictures.png'}; learning curve: {folder / 'learning_curve.png'}")
    click.echo(f"demo: {model} held-out mean IU = {scores.mean_iu:.3f}")
    return scores


def _thin(recipe: Recipe) -> Recipe:
    """The recipe with what a thin net from random weights needs."""
    changed = {"base_lr": _RATES[recipe.model], "momentum": 0.9, "display": 50, "clip_gradients": 10.0}
    return replace(recipe, settings={**recipe.settings, **changed})


def _for_scratch(net: NetParameter) -> None:
    """Random weights in place of zeros, and a loss per pixel."""
    for layer in net.layer:
        if layer.type == "Convolution" and not layer.name.startswith("score"):
            layer.convolution_param.weight_filler.type = "msra"
        elif layer.type == "Deconvolution":
            layer.convolution_param.weight_filler.type = "bilinear"
            layer.convolution_param.group = layer.convolution_param.num_output
        elif layer.type == "SoftmaxWithLoss":
            layer.loss_param.normalize = True


def _draw_pictures(path: Path, model: str, weights: Path, split: Split) -> None:
    """A sheet of held-out images: picture, truth, prediction, side by side."""
    net = deploy_net(model, weights, classes=split.folder.classes, width=_WIDTH)
    rows: list[np.ndarray] = []
    for image_id in split.ids[:_PICTURES]:
        pair = split.folder.read_pair(image_id)
        predicted = predict(net, pair.image, (104.00699, 116.66877, 122.67892))
        truth = voc_palette()[pair.label]
        rows.append(np.concatenate([pair.image, truth, voc_palette()[predicted], overlay(pair.image, predicted)], axis=1))
    with replacing(path) as temporary:
        Image.fromarray(_stacked(rows)).save(temporary, format="PNG")


def _stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures under one another, padded with white to one width."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(padded)
