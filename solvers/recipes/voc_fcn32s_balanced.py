"""FCN-32s on PASCAL VOC with a class-balanced loss: background counts as much as all other classes together.

Command:   python solve.py voc-fcn32s-balanced --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an image on two cores).
Time:      100,000 iterations of 20 images each; about 8 days on a recent GPU.
Expected:  no figure was published: the paper found balancing unnecessary (CVPR, section 4.3).
Source:    CVPR 2015, section 4.3.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn32s-balanced",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-4, "momentum": 0.9, "iter_size": 20},
    notes=(
        "never released: settings as in voc-fcn32s-accumulated; the paper gives no weights: here 2/3 for background, "
        "about 3/4 of the pixels, and 2 for every other class",
    ),
)
