"""FCN-32s on NYUDv2's color and depth, stacked into four channels before the first convolution.

Command:   python solve.py nyud-fcn32s-color-d --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 31.7 on NYUDv2 test (PAMI, Table 5), 30.5 (CVPR, Table 4); weights were never released.
Source:    shelhamer/fcn.berkeleyvision.org nyud-fcn32s-color-d.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="nyud-fcn32s-color-d",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-10, "test_iter": 654, "snapshot": 2000, "max_iter": 300000},
    score_every=2000,
    widens={"conv1_1_bgrd": "conv1_1"},
    notes=(
        "its weights start from VGG-16: conv1_1_bgrd takes conv1_1's color kernels, and their mean for depth",
        "the released solve.py loads the list `test` and scores `val`, a name that is not there (NameError); here test",
        "the released solve.py names ../vgg16fc.caffemodel, which the release does not hold; here any VGG-16 serves",
        "mean_bgr (116.190, 97.203, 92.318) looks like R, G, B order; kept, for parity with the released weights",
        "max_iter is 300,000 in the released solver, and its solve.py steps 100,000; here 100,000 are run",
    ),
)
