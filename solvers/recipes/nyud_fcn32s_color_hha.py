"""FCN-32s on NYUDv2's color and HHA, each with a net of its own; their scores are averaged (late fusion).

Command:   python solve.py nyud-fcn32s-color-hha --data DATA --init COLOR.caffemodel --init HHA.caffemodel
Device:    one GPU of 12 GB (269M parameters), or CPU (about 8 s an iteration on two cores).
Time:      100,000 iterations; about 20 hours on a recent GPU, 9 days on two cores.
Expected:  mean IU 33.3 on NYUDv2 test (PAMI, Table 5), 32.8 (CVPR, Table 4).
Source:    shelhamer/fcn.berkeleyvision.org nyud-fcn32s-color-hha.
"""

from solvers.recipe import NYUD_LIST, NYUD_MEAN, NYUD_SETTINGS, STEPS_100K, Recipe

RECIPE = Recipe(
    model="nyud-fcn32s-color-hha",
    settings={**NYUD_SETTINGS, "base_lr": 1e-12},
    score_every=2000,
    fuses={"color": "nyud-fcn32s-color", "hha": "nyud-fcn32s-hha"},
    notes=(
        "it starts from the trained color and HHA nets; the released solve.py names them nyud-rgb-32s-28k and "
        "nyud-hha-32s-60k, which were never released; here those of the recipes nyud-fcn32s-color and nyud-fcn32s-hha",
        NYUD_LIST,
        NYUD_MEAN,
        STEPS_100K,
    ),
)
