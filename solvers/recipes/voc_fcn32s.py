"""FCN-32s on PASCAL VOC: VGG-16 made fully convolutional, scores upsampled 32 times at once. Trained on SBD.

Command:   python solve.py voc-fcn32s --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 63.6 on seg11valid (release); others have retrained it to 62.3 to 63.8.
Source:    shelhamer/fcn.berkeleyvision.org voc-fcn32s.
"""

from solvers.recipe import RELEASED_SETTINGS, VOC_LIST, Recipe

RECIPE = Recipe(
    model="voc-fcn32s",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-10},
    notes=(
        VOC_LIST,
        "normalize: false divides the loss by the batch size; with batches of one image that is the plain sum",
    ),
)
