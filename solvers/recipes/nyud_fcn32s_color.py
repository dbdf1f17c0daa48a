"""FCN-32s on NYUDv2's color images, 40 classes.

Command:   python solve.py nyud-fcn32s-color --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 31.6 on NYUDv2 test (PAMI, Table 5), 29.2 (CVPR, Table 4).
Source:    shelhamer/fcn.berkeleyvision.org nyud-fcn32s-color.
"""

from solvers.recipe import NYUD_LIST, NYUD_MEAN, NYUD_SETTINGS, STEPS_100K, Recipe

RECIPE = Recipe(
    model="nyud-fcn32s-color",
    settings={**NYUD_SETTINGS, "base_lr": 1e-10},
    score_every=2000,
    notes=(
        NYUD_LIST,
        NYUD_MEAN,
        STEPS_100K,
    ),
)
