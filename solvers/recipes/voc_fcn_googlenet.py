"""FCN-GoogLeNet on PASCAL VOC: Inception v1 made fully convolutional, without its auxiliary heads.

Command:   python solve.py voc-fcn-googlenet --data DATA --init bvlc_googlenet.caffemodel
Device:    one GPU of 6 GB, or CPU.
Time:      100,000 iterations of 20 images each; about 3 days on a recent GPU.
Expected:  mean IU 42.5 on seg11valid (CVPR, Table 1).
Source:    CVPR 2015, section 4.1; rate, momentum and batch from section 4.3.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn-googlenet",
    settings={**RELEASED_SETTINGS, "base_lr": 5e-5, "momentum": 0.9, "iter_size": 20},
    ilsvrc="bvlc_googlenet.caffemodel",
    notes=(
        "never released: batch, momentum and rate as in the CVPR paper; the loss is normalised by the labelled "
        "pixels, as in voc-fcn-alexnet; padding and the last Deconvolution's kernel are said in nets.unreleased",
    ),
)
