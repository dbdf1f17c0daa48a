"""FCN-32s on PASCAL-Context: 59 classes and background.

Command:   python solve.py pascalcontext-fcn32s --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      400,000 iterations; about 40 hours on a recent GPU, 20 days on two cores.
Expected:  mean IU 36.7 (PAMI, Table 7), 31.8 (CVPR, Table 6) on PASCAL-Context val.
Source:    shelhamer/fcn.berkeleyvision.org pascalcontext-fcn32s.
"""

from solvers.recipe import CONTEXT_NOTES, CONTEXT_SETTINGS, Recipe

RECIPE = Recipe(
    model="pascalcontext-fcn32s",
    settings={**CONTEXT_SETTINGS, "base_lr": 1e-10},
    iterations=400000,
    score_every=8000,
    notes=CONTEXT_NOTES,
)
