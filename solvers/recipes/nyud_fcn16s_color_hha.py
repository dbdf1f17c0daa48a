"""FCN-16s on NYUDv2's color and HHA: the late fusion net with the mean of both pool4 scores added at stride 16.

Command:   python solve.py nyud-fcn16s-color-hha --data DATA --init nyud-fcn32s-color-hha.caffemodel   (or --stages)
Device:    one GPU of 12 GB (269M parameters), or CPU (about 8 s an iteration on two cores).
Time:      100,000 iterations; about 20 hours on a recent GPU, 9 days on two cores.
Expected:  mean IU 34.0 on NYUDv2 test (CVPR, Table 4).
Source:    CVPR 2015, Table 4.
"""

from solvers.recipe import NYUD_SETTINGS, Recipe

RECIPE = Recipe(
    model="nyud-fcn16s-color-hha",
    settings={**NYUD_SETTINGS, "base_lr": 1e-12},
    begins_from="nyud-fcn32s-color-hha",
    score_every=2000,
    notes=(
        "never released: the settings are those of nyud-fcn32s-color-hha, the rate too",
        "mean_bgr (116.190, 97.203, 92.318) looks like R, G, B order; kept as for the other NYUDv2 nets",
    ),
)
