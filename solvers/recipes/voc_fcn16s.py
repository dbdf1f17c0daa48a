"""FCN-16s on PASCAL VOC: FCN-32s with pool4's scores added at stride 16. Starts from FCN-32s.

Command:   python solve.py voc-fcn16s --data DATA --init voc-fcn32s.caffemodel   (or --stages)
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 65.0 on seg11valid (release); others have retrained it to 64.9 to 65.4.
Source:    shelhamer/fcn.berkeleyvision.org voc-fcn16s.
"""

from solvers.recipe import RELEASED_SETTINGS, VOC_LIST, Recipe

RECIPE = Recipe(
    model="voc-fcn16s",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-12},
    begins_from="voc-fcn32s",
    notes=(
        VOC_LIST,
        "the released solve.py starts from ../fcn32s-heavy-88k.caffemodel (88,000 iterations, by its name), "
        "which the release does not hold; here from the end of that training, or from what --init names",
        "the released prototxts read ../../data where the others read ../data; here all read ../data",
    ),
)
