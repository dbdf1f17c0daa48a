"""FCN-32s on PASCAL VOC with a sampled loss: a quarter of every image's 32 x 32 cells counts, on four times the images.

Command:   python solve.py voc-fcn32s-sampled --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an image on two cores).
Time:      100,000 iterations of 80 images each; about 32 days on a recent GPU.
Expected:  no figure was published: it converges as voc-fcn32s-accumulated does (CVPR, figure 5), in more time.
Source:    CVPR 2015, section 4.3 and figure 5: patchwise training is loss sampling.
"""

from nets.catalogue import SAMPLED_KEEP
from nets.loss_options import grown_batch
from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn32s-sampled",
    settings={
        **RELEASED_SETTINGS,
        "base_lr": 1e-4,
        "momentum": 0.9,
        "iter_size": grown_batch(20, keep=SAMPLED_KEEP),
    },
    notes=(
        "never released: rate, momentum and normalised loss as in voc-fcn32s-accumulated, whose batch of 20 is grown "
        "to 80, so that as many cells count in an iteration; the paper tried keep fractions of 0.5 and 0.25",
    ),
)
