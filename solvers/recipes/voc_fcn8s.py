"""FCN-8s on PASCAL VOC: FCN-16s with pool3's scores added at stride 8. Starts from FCN-16s.

Command:   python solve.py voc-fcn8s --data DATA --init voc-fcn16s.caffemodel   (or --stages)
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  mean IU 65.5 on seg11valid (release); others have retrained it to 65.5 to 65.8. 67.2 on VOC2012 test.
Source:    shelhamer/fcn.berkeleyvision.org voc-fcn8s.
"""

from solvers.recipe import RELEASED_SETTINGS, VOC_LIST, Recipe

RECIPE = Recipe(
    model="voc-fcn8s",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-14},
    begins_from="voc-fcn16s",
    notes=(
        VOC_LIST,
        "the released solve.py starts from ../fcn16s-heavy-72k.caffemodel (72,000 iterations, by its name), "
        "which the release does not hold; here from the end of that training, or from what --init names",
    ),
)
