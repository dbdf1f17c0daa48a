"""FCN-32s on NYUDv2's HHA images (disparity, height above ground, angle with gravity).

Command:   python solve.py nyud-fcn32s-hha --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 25.2 on NYUDv2 test (PAMI, Table 5), 24.2 (CVPR, Table 4).
Source:    shelhamer/fcn.berkeleyvision.org nyud-fcn32s-hha.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="nyud-fcn32s-hha",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-10, "test_iter": 654, "snapshot": 2000, "max_iter": 300000},
    score_every=2000,
    notes=(
        "the released solve.py loads the list `test` and scores `val`, a name that is not there (NameError); here test",
        "max_iter is 300,000 in the released solver, and its solve.py steps 100,000; here 100,000 are run",
    ),
)
