"""Scores of VGG-16's pool5 alone on PASCAL VOC, stride 32: what one layer knows by itself.

Command:   python solve.py voc-fcn-pool5 --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 50.0 on seg11valid (PAMI, Table 3).
Source:    PAMI 2016.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn-pool5",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-10},
    notes=("never released, and its settings were not published: those of voc-fcn32s",),
)
