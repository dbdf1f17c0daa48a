"""FCN-32s on PASCAL VOC, one image at a time with momentum 0.9. With momentum 0.99 it is voc-fcn32s (heavy).

Command:   python solve.py voc-fcn32s-online --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 60.7 on seg11valid (PAMI, Table 2).
Source:    PAMI 2016.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn32s-online",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-10, "momentum": 0.9},
    notes=("never released; the rate was not published: that of voc-fcn32s",),
)
