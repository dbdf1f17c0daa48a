"""FCN-AlexNet on PASCAL VOC: CaffeNet made fully convolutional, scores upsampled 32 times at once. Trained on SBD.

Command:   python solve.py voc-fcn-alexnet --data DATA --init bvlc_reference_caffenet.caffemodel
Device:    one GPU of 4 GB, or CPU.
Time:      100,000 iterations of 20 images each; about 2 days on a recent GPU.
Expected:  mean IU 48.0 on seg11valid (release); 39.8 (CVPR, Table 1).
Source:    shelhamer/fcn.berkeleyvision.org voc-fcn-alexnet.
"""

from solvers.recipe import RELEASED_SETTINGS, VOC_LIST, Recipe

RECIPE = Recipe(
    model="voc-fcn-alexnet",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-4, "momentum": 0.9, "iter_size": 20},
    ilsvrc="bvlc_reference_caffenet.caffemodel",
    notes=(
        VOC_LIST,
        "the released solve.py names ../alexnetfc.caffemodel, which the release does not hold; here CaffeNet's own "
        "weights, made convolutions",
        "unlike in the other released nets the loss is normalised by the labelled pixels, and gradients add up",
    ),
)
