"""FCN-32s on PASCAL VOC with gradients accumulated over 20 images: FCN-VGG16 of the CVPR paper's Table 1.

Command:   python solve.py voc-fcn32s-accumulated --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations of 20 images each; about 8 days on a recent GPU.
Expected:  mean IU 56.0 on seg11valid (CVPR, Table 1), 51.9 (PAMI, Table 2).
Source:    CVPR 2015, section 4.3; PAMI 2016.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn32s-accumulated",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-4, "momentum": 0.9, "iter_size": 20},
    notes=(
        "never released: batch, momentum and rate (1e-4) as in the CVPR paper; the loss is normalised by the labelled "
        "pixels, as in the one released net that accumulates, voc-fcn-alexnet",
        "PAMI's lower figure is of a comparison with online learning in which all see the same 100,000 images, that is "
        "5,000 iterations here, with an unnormalised loss (as commonly cited)",
    ),
)
