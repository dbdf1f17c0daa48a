"""FCN-32s on NYUDv2's HHA images (disparity, height above ground, angle with gravity).

Command:   python solve.py nyud-fcn32s-hha --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 25.2 on NYUDv2 test (PAMI, Table 5), 24.2 (CVPR, Table 4).
Source:    shelhamer/fcn.berkeleyvision.org nyud-fcn32s-hha.
"""

from solvers.recipe import NYUD_LIST, NYUD_SETTINGS, STEPS_100K, Recipe

RECIPE = Recipe(
    model="nyud-fcn32s-hha",
    settings={**NYUD_SETTINGS, "base_lr": 1e-10},
    score_every=2000,
    notes=(
        NYUD_LIST,
        STEPS_100K,
    ),
)
