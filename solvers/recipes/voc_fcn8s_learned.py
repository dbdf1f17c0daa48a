"""FCN-8s on PASCAL VOC whose inner upsampling learns, from bilinear kernels on; the last one stays bilinear.

Command:   python solve.py voc-fcn8s-learned --data DATA --init voc-fcn16s.caffemodel   (or --stages)
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations; about 10 hours on a recent GPU, 5 days on two cores.
Expected:  no figure was published for this training; as voc-fcn8s (the release's README finds no difference).
Source:    CVPR 2015, section 4.1; the FAQ in the release's README.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn8s-learned",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-14},
    begins_from="voc-fcn16s",
    notes=("never released: settings of voc-fcn8s; one kernel for each class, as the release's README has it",),
)
