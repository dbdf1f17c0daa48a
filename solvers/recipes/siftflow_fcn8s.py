"""FCN-8s on SIFT Flow: FCN-16s with pool3's scores added in both heads. Starts from FCN-16s.

Command:   python solve.py siftflow-fcn8s --data DATA --init siftflow-fcn16s.caffemodel   (or --stages)
Device:    one GPU of 8 GB, or CPU (about 2.5 s an iteration on two cores).
Time:      100,000 iterations; about 5 hours on a recent GPU, 3 days on two cores.
Expected:  mean IU 41.2 and geometric accuracy 94.6 on SIFT Flow test (PAMI, Table 6).
Source:    shelhamer/fcn.berkeleyvision.org siftflow-fcn8s.
"""

from solvers.recipe import SIFTFLOW_NOTES, SIFTFLOW_SETTINGS, Recipe

RECIPE = Recipe(
    model="siftflow-fcn8s",
    settings={**SIFTFLOW_SETTINGS, "base_lr": 1e-12},
    begins_from="siftflow-fcn16s",
    score_every=2000,
    notes=SIFTFLOW_NOTES,
)
