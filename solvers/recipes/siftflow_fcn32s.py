"""FCN-32s on SIFT Flow, with one head for 33 semantic and one for 3 geometric classes.

Command:   python solve.py siftflow-fcn32s --data DATA --init VGG_ILSVRC_16_layers.caffemodel
Device:    one GPU of 8 GB, or CPU (about 2.5 s an iteration on two cores).
Time:      100,000 iterations; about 5 hours on a recent GPU, 3 days on two cores.
Expected:  mean IU not published; 16s 39.5 (CVPR, Table 5), 8s 41.2 (PAMI, Table 6).
Source:    shelhamer/fcn.berkeleyvision.org siftflow-fcn32s.
"""

from solvers.recipe import SIFTFLOW_NOTES, SIFTFLOW_SETTINGS, Recipe

RECIPE = Recipe(
    model="siftflow-fcn32s",
    settings={**SIFTFLOW_SETTINGS, "base_lr": 1e-10},
    score_every=2000,
    notes=SIFTFLOW_NOTES,
)
