"""The catalogue: importing this module registers every layer type of Caffe's that we have, family by family.

Families are Caffe's own: vision, linear (InnerProduct and its kin), normalization, neuron, common, utility, loss,
recurrent, data. A new module of layers goes into its family's line and into ``__all__``.
"""

from caffe_compat.layer.vision import convolution, crop, deconvolution, pooling

__all__ = [
    "convolution",
    "crop",
    "deconvolution",
    "pooling",
]
