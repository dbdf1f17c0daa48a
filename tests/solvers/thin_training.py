"""A thin training on drawn shapes: a function for tests, and a program for them to kill.

    python thin_training.py DATA WORKDIR ITERATIONS

DATA is a drawn dataset; the program snapshots every second iteration.
"""

import sys
from dataclasses import replace
from pathlib import Path

from nets.catalogue import lookup
from solvers.datasets import find_splits
from solvers.recipes import recipe
from solvers.training import Training, Workplace

WIDTH = 1 / 32


def random_trunk(net):
    """Random weights where the released net waits for a classifier's."""
    for layer in net.layer:
        if layer.type == "Convolution" and not layer.name.startswith("score"):
            layer.convolution_param.weight_filler.type = "msra"


def thin_recipe(model="voc-fcn32s"):
    """The recipe with a rate at which a few iterations change a thin net; the loss stays a sum over pixels."""
    released = recipe(model)
    return replace(released, settings={**released.settings, "base_lr": 1e-8, "momentum": 0.9})


def thin_workplace(data, folder, *, model="voc-fcn32s", read="files", **settings):
    settings = {"seed": 5, "snapshot_every": 2, "width": WIDTH, "change_net": random_trunk, **settings}
    return Workplace(find_splits(data, lookup(model), read), folder, **settings)


def thin_training(data, folder, iterations=4, *, model="voc-fcn32s", weights=None, resume=False, **settings):
    """Set up, not run yet; ``settings`` are those of ``thin_workplace``."""
    return Training(
        thin_recipe(model), thin_workplace(data, folder, model=model, **settings), iterations, weights, resume
    )


if __name__ == "__main__":
    thin_training(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])).run(score_every=0, progress=False)
