"""The means that the released nets take off their inputs, by dataset and kind of input.

Source: shelhamer/fcn.berkeleyvision.org, the data layers and their prototxts.
"""

__all__ = [
    "NYUD_MEAN_BGR",
    "NYUD_MEAN_HHA",
    "NYUD_MEAN_LOG_DEPTH",
    "PASCALCONTEXT_MEAN_BGR",
    "RELEASED_MEANS",
    "SIFTFLOW_MEAN_BGR",
    "VOC_MEAN_BGR",
]

VOC_MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""Of ImageNet's training images, 0 to 255."""

PASCALCONTEXT_MEAN_BGR = (104.007, 116.669, 122.679)
"""Likewise, with fewer digits."""

SIFTFLOW_MEAN_BGR = (114.578, 115.294, 108.353)
"""Of the training images, 0 to 255."""

NYUD_MEAN_BGR = (116.190, 97.203, 92.318)
"""Of the training images, 0 to 255; taken off B, G and R in this order, though they look like those of R, G and B."""

NYUD_MEAN_HHA = (132.431, 94.076, 118.477)
"""Disparity, height and angle."""

NYUD_MEAN_LOG_DEPTH = 7.844
"""Of the logarithm of depth in millimetres."""

RELEASED_MEANS: dict[str, dict[str, tuple[float, ...]]] = {
    "voc": {"image": VOC_MEAN_BGR},
    "pascalcontext": {"image": PASCALCONTEXT_MEAN_BGR},
    "siftflow": {"image": SIFTFLOW_MEAN_BGR},
    "nyud": {"image": NYUD_MEAN_BGR, "hha": NYUD_MEAN_HHA, "depth": (NYUD_MEAN_LOG_DEPTH,)},
}
"""By dataset (SBD is trained and scored with VOC's) and by what a database holds; of depth that of its logarithm."""
