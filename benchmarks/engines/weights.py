"""The weights that every engine runs with: drawn by layer name, so that no file needs to be passed; NumPy only."""

import zlib

import numpy as np

__all__ = ["draw_bias", "draw_weight", "set_interpolation"]

_BIAS_STD = 0.1
_FIRST, _FIRST_FACTOR = "conv1_1", 1 / 64  # brings pixels of -124 to 151 to activations near 1


def draw_weight(layer: str, weight: np.ndarray) -> None:
    """Fill a Convolution's weight, O x I x kh x kw float32, in place: normal, He's spread."""
    _rng(layer, 0).standard_normal(out=weight, dtype=np.float32)
    weight *= np.float32((2 / np.prod(weight.shape[1:])) ** 0.5 * (_FIRST_FACTOR if layer == _FIRST else 1))


def draw_bias(layer: str, bias: np.ndarray) -> None:
    """Fill a Convolution's bias, O float32, in place."""
    _rng(layer, 1).standard_normal(out=bias, dtype=np.float32)
    bias *= np.float32(_BIAS_STD)


def set_interpolation(weight: np.ndarray) -> None:
    """Fill a Deconvolution's weight, C x C x k x k, k even, in place: bilinear from each channel to itself."""
    channels, _, size, _ = weight.shape
    line = 1 - np.abs(np.arange(size) - (size - 1) / 2) / (size / 2)
    weight[...] = 0
    weight[range(channels), range(channels)] = np.outer(line, line)


def _rng(layer: str, blob: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(layer.encode()), blob])
