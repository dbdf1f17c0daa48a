"""FCN-16s on SIFT Flow: FCN-32s with pool4's scores added in both heads. Starts from FCN-32s.

Command:   python solve.py siftflow-fcn16s --data DATA --init siftflow-fcn32s.caffemodel   (or --stages)
Device:    one GPU of 8 GB, or CPU (about 2.5 s an iteration on two cores).
Time:      100,000 iterations; about 5 hours on a recent GPU, 3 days on two cores.
Expected:  mean IU 39.5 and geometric accuracy 94.3 on SIFT Flow test (CVPR, Table 5).
Source:    shelhamer/fcn.berkeleyvision.org siftflow-fcn16s.
"""

from solvers.recipe import SIFTFLOW_NOTES, SIFTFLOW_SETTINGS, Recipe

RECIPE = Recipe(
    model="siftflow-fcn16s",
    settings={**SIFTFLOW_SETTINGS, "base_lr": 1e-12},
    begins_from="siftflow-fcn32s",
    score_every=2000,
    notes=SIFTFLOW_NOTES,
)
