"""FCN-8s over VGG-19 on PASCAL VOC, as TensorFlow ports have it: 'same' padding, upsampling that learns.

Command:   python solve.py voc-fcn8s-vgg19 --data DATA --init VGG_ILSVRC_19_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      100,000 iterations of 2 images each; about 12 hours on a recent GPU.
Expected:  nothing was published for PASCAL VOC.
Source:    TensorFlow ports of FCN, such as shekkizh/FCN.tensorflow.
"""

from solvers.recipe import RELEASED_SETTINGS, Recipe

RECIPE = Recipe(
    model="voc-fcn8s-vgg19",
    settings={**RELEASED_SETTINGS, "base_lr": 1e-4, "momentum": 0.9, "iter_size": 2},
    ilsvrc="VGG_ILSVRC_19_layers.caffemodel",
    notes=("the ports train with Adam at 1e-4 on batches of two; here SGD at that rate, on a loss per labelled pixel",),
)
