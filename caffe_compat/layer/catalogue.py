"""The catalogue: importing this module registers every layer type of Caffe's that we have, family by family.

Families are Caffe's own: vision, linear (InnerProduct and its kin), normalization, neuron, common, utility, loss,
recurrent, data. A new module of layers goes into its family's line and into ``__all__``.
"""

from caffe_compat.layer import python_layer
from caffe_compat.layer.data import (
    data,
    dummy_data,
    hdf5_data,
    hdf5_output,
    image_data,
    input,
    memory_data,
    window_data,
)
from caffe_compat.layer.linear import bias, embed, inner_product, scale
from caffe_compat.layer.loss import accuracy, classification, regression, sigmoid_cross_entropy_loss, softmax_with_loss
from caffe_compat.layer.neuron import dropout, power, rectifier, saturating
from caffe_compat.layer.normalization import batch_norm, lrn, mvn
from caffe_compat.layer.recurrent import lstm, rnn
from caffe_compat.layer.utility import (
    argmax,
    concat_slice,
    eltwise,
    parameter,
    reduction,
    reshape,
    selection,
    softmax,
    split,
)
from caffe_compat.layer.vision import convolution, crop, deconvolution, im2col, pooling, spp

__all__ = [
    "accuracy",
    "argmax",
    "batch_norm",
    "bias",
    "classification",
    "concat_slice",
    "convolution",
    "crop",
    "data",
    "deconvolution",
    "dropout",
    "dummy_data",
    "eltwise",
    "embed",
    "hdf5_data",
    "hdf5_output",
    "im2col",
    "image_data",
    "inner_product",
    "input",
    "lrn",
    "lstm",
    "memory_data",
    "mvn",
    "parameter",
    "pooling",
    "power",
    "python_layer",
    "rectifier",
    "reduction",
    "regression",
    "reshape",
    "rnn",
    "saturating",
    "scale",
    "selection",
    "sigmoid_cross_entropy_loss",
    "softmax",
    "softmax_with_loss",
    "split",
    "spp",
    "window_data",
]
