"""FCN-32s on NYUDv2's color and HHA, each with a net of its own; their scores are averaged (late fusion).

Command:   python solve.py nyud-fcn32s-color-hha --data DATA --init COLOR.caffemodel --init HHA.caffemodel
Device:    one GPU of 12 GB (269M parameters), or CPU (about 8 s an iteration on two cores).
Time:      100,000 iterations; about 20 hours on a recent GPU, 9 days on two cores.
Expected:  mean IU 33.3 on NYUDv2 test (PAMI, Table 5), 32.8 (CVPR, Table 4).
Source:    shelhamer/fcn.berkeleyvision.org nyud-fcn32s-color-hha.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="nyud-fcn32s-color-hha",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-12, "test_iter": 654, "snapshot": 2000, "max_iter": 300000},
    score_every=2000,
    fuses={"color": "nyud-fcn32s-color", "hha": "nyud-fcn32s-hha"},
    notes=(
        "it starts from the trained color and HHA nets; the released solve.py names them nyud-rgb-32s-28k and "
        "nyud-hha-32s-60k, which were never released; here those of the recipes nyud-fcn32s-color and nyud-fcn32s-hha",
        "the released solve.py loads the list `test` and scores `val`, a name that is not there (NameError); here test",
        "mean_bgr (116.190, 97.203, 92.318) looks like R, G, B order; kept, for parity with the released weights",
        "max_iter is 300,000 in the released solver, and its solve.py steps 100,000; here 100,000 are run",
    ),
)
