"""FCN-32s on PASCAL VOC whose score layer alone learns; VGG-16 stays as it is.

Command:   python solve.py voc-fcn32s-fixed --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 1.7 s an iteration on two cores).
Time:      100,000 iterations; about 4 hours on a recent GPU, 2 days on two cores.
Expected:  mean IU 46.6 on seg11valid (PAMI, Table 3), 45.4 (CVPR, Table 2).
Source:    CVPR 2015, Table 2; PAMI 2016.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn32s-fixed",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-10},
    notes=("never released, and its settings were not published: those of voc-fcn32s",),
)
