"""The catalogue: importing this module registers every layer type of Caffe's that we have, family by family.

Families are Caffe's own: vision, linear (InnerProduct and its kin), normalization, neuron, common, utility, loss,
recurrent, data. A new module of layers goes into its family's line and into ``__all__``.
"""

__all__: list[str] = []
