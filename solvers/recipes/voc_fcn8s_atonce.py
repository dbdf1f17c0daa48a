"""FCN-8s on PASCAL VOC in one stage: pool4 and pool3 are scaled down before they are scored. Trained on SBD.

Command:   python solve.py voc-fcn8s-atonce --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      300,000 iterations; about 30 hours on a recent GPU, 15 days on two cores.
Expected:  mean IU 65.4 on seg11valid (release); others have retrained it to 64.0 to 65.3.
Source:    shelhamer/fcn.berkeleyvision.org voc-fcn8s-atonce.
"""

from solvers.recipe import RELEASED_SETTINGS, VOC_LIST, Recipe

RECIPE = Recipe(
    model="voc-fcn8s-atonce",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-10, "max_iter": 300000},
    iterations=300000,
    notes=(VOC_LIST,),
)
