"""FCN-16s on PASCAL-Context: FCN-32s with pool4's scores added at stride 16. Starts from FCN-32s.

Command:   python solve.py pascalcontext-fcn16s --data DATA --init pascalcontext-fcn32s.caffemodel   (or --stages)
Device:    one GPU of 8 GB, or CPU (about 4 s an iteration on two cores).
Time:      400,000 iterations; about 40 hours on a recent GPU, 20 days on two cores.
Expected:  mean IU 38.4 (PAMI, Table 7), 34.8 (CVPR, Table 6) on PASCAL-Context val.
Source:    shelhamer/fcn.berkeleyvision.org pascalcontext-fcn16s.
"""

from solvers.recipe import CONTEXT_NOTES, CONTEXT_SETTINGS, Recipe

RECIPE = Recipe(
    model="pascalcontext-fcn16s",
    settings={**CONTEXT_SETTINGS, "base_lr": 1e-12},
    iterations=400000,
    begins_from="pascalcontext-fcn32s",
    score_every=8000,
    notes=CONTEXT_NOTES,
)
