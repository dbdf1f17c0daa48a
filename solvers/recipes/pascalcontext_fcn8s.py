"""FCN-8s on PASCAL-Context: FCN-16s with pool3's scores added at stride 8. Starts from FCN-16s.

Command:   python solve.py pascalcontext-fcn8s --data DATA --init pascalcontext-fcn16s.caffemodel   (or --stages)
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      400,000 iterations; about 40 hours on a recent GPU, 20 days on two cores.
Expected:  mean IU 39.1 (PAMI, Table 7), 35.1 (CVPR, Table 6) on PASCAL-Context val.
Source:    shelhamer/fcn.berkeleyvision.org pascalcontext-fcn8s.
"""

from solvers.recipe import CONTEXT_NOTES, CONTEXT_SETTINGS, Recipe

RECIPE = Recipe(
    model="pascalcontext-fcn8s",
    settings={**CONTEXT_SETTINGS, "base_lr": 1e-14},
    iterations=400000,
    begins_from="pascalcontext-fcn16s",
    score_every=8000,
    notes=CONTEXT_NOTES,
)
