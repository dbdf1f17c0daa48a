"""FCN-32s on NYUDv2's color and depth, stacked into four channels before the first convolution.

Command:   python solve.py nyud-fcn32s-color-d --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 31.7 on NYUDv2 test (PAMI, Table 5), 30.5 (CVPR, Table 4); weights were never released.
Source:    shelhamer/fcn.berkeleyvision.org nyud-fcn32s-color-d.
"""

from solvers.recipe import NYUD_LIST, NYUD_MEAN, NYUD_SETTINGS, STEPS_100K, Recipe

RECIPE = Recipe(
    model="nyud-fcn32s-color-d",
    settings={**NYUD_SETTINGS, "base_lr": 1e-10},
    score_every=2000,
    widens={"conv1_1_bgrd": "conv1_1"},
    notes=(
        "its weights start from VGG-16: conv1_1_bgrd takes conv1_1's color kernels, and their mean for depth",
        NYUD_LIST,
        "the released solve.py names ../vgg16fc.caffemodel, which the release does not hold; here any VGG-16 serves",
        NYUD_MEAN,
        STEPS_100K,
    ),
)
