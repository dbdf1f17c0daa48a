"""The built-in job: FCN in three stages on drawn shapes, with nothing to download.

    python solve.py voc-fcn8s --demo

draws a small dataset in the layouts of VOC and SBD, builds its LMDBs, trains thin copies of FCN-32s, 16s and 8s one
from the other (the released geometry: pad 100, strides, crops; a fraction of the channels), scores each on held-out
images and writes pictures and a learning curve. A few minutes on two cores.

It differs from the recipes where a thin net from random weights must: fillers, a loss normalised by pixels, rates that
fall to zero, less dropout.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

import click
import numpy as np
from PIL import Image

from caffe_compat.errors import SolverError
from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.proto.whole_file import replacing
from data_prep.labels import voc_palette
from data_prep.shapes import DrawnDataset, draw_dataset
from data_prep.voc import VOCFolder
from nets.catalogue import lookup
from solvers.datasets import find_splits
from solvers.infer import deploy_net
from solvers.metrics import Scores
from solvers.prediction import overlay, predict
from solvers.recipe import Recipe
from solvers.recipes import chain as stages_of
from solvers.report import learning_curve
from solvers.training import Training, Workplace

__all__ = ["run_demo"]

_WIDTH = 1 / 8
_ITERATIONS = {"voc-fcn32s": 700, "voc-fcn16s": 250, "voc-fcn8s": 300}
_RATES = {"voc-fcn32s": 0.005, "voc-fcn16s": 0.003, "voc-fcn8s": 0.003}
_DROPOUT = 0.2  # a thin layer has few channels to spare
_FIRST_STD = 0.01  # of conv1_1's weights: brings pixels of -128 to 151 to activations near 1
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

    Raises:
        SolverError: the model is another one.
    """
    if model not in _ITERATIONS:
        raise SolverError(f"--demo: no demo of {model}; there is one of {', '.join(_ITERATIONS)}")
    folder = _unused(folder)
    drawn = draw_dataset(folder / "data", seed=seed)
    splits = find_splits(folder / "data", lookup(model), read)
    workplace = Workplace(splits, folder, seed, snapshot_every=10**9, width=_WIDTH, change_net=_for_scratch)
    weights: Path | None = None
    tables = {}
    results: list[Scores] = []
    for stage in stages_of(model):
        training = Training(_thin(stage), workplace, _ITERATIONS[stage.model], weights)
        click.echo(f"{stage.model}: {training.iterations} iterations at {_WIDTH:g} of the channels")
        click.echo(str(training.check()))
        scores = training.run(score_every=math.ceil(training.iterations / 4), progress=progress)
        if scores is None:
            raise click.Abort  # interrupted
        results.append(scores[""])
        tables[stage.model] = (training.losses, training.scores)
        weights = training.weights
    learning_curve(folder / "learning_curve.png", tables)
    _draw_pictures(folder / "pictures.png", model, training.weights, drawn)
    click.echo(f"pictures: {folder / 'pictures.png'} (image, truth, prediction, overlay)")
    click.echo(f"learning curve: {folder / 'learning_curve.png'}")
    click.echo(f"demo: {model} held-out mean IU = {results[-1].mean_iu:.3f}")
    return results[-1]


def _unused(folder: Path) -> Path:
    """The folder, or, where a demo was run before, one beside it with the next number."""
    names = chain([folder.name], (f"{folder.name}-{number}" for number in count(2)))
    return next(free for name in names if not (free := folder.with_name(name)).exists())


def _thin(recipe: Recipe) -> Recipe:
    """The recipe with what a thin net from random weights needs."""
    changed: dict[str, float | str] = {
        "base_lr": _RATES[recipe.model],
        "lr_policy": "poly",
        "power": 0.9,
        "momentum": 0.9,
        "clip_gradients": 1.0,
    }
    return replace(recipe, settings={**recipe.settings, **changed})


def _for_scratch(net: NetParameter) -> None:
    """Random weights in place of zeros, and a loss per pixel."""
    for layer in net.layer:
        if layer.type == "Convolution" and not layer.name.startswith("score"):
            filler = layer.convolution_param.weight_filler
            filler.type = "msra"
            if layer.name == "conv1_1":
                filler.type, filler.std = "gaussian", _FIRST_STD
        elif layer.type == "Dropout":
            layer.dropout_param.dropout_ratio = _DROPOUT
        elif layer.type == "SoftmaxWithLoss":
            layer.loss_param.normalize = True


def _draw_pictures(path: Path, model: str, weights: Path, drawn: DrawnDataset) -> None:
    """A sheet of held-out images: picture, truth, prediction, side by side."""
    net, folder = deploy_net(model, weights, width=_WIDTH), VOCFolder(drawn.voc_dir)
    rows: list[np.ndarray] = []
    for image_id in drawn.val[:_PICTURES]:
        pair = folder.read_pair(image_id)
        predicted = predict(net, pair.image, lookup(model).mean_bgr)
        truth = voc_palette()[pair.label]
        rows.append(
            np.concatenate([pair.image, truth, voc_palette()[predicted], overlay(pair.image, predicted)], axis=1)
        )
    with replacing(path) as temporary:
        Image.fromarray(_stacked(rows)).save(temporary, format="PNG")


def _stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures under one another, padded with white to one width."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(padded)
