"""Python layers of the loss options (``nets.loss_options``): which labels count, and how much each class does."""

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from caffe_compat.errors import LayerError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.python_layer import PyLayer

__all__ = ["ClassWeights", "LabelSampling"]

_VOID_LABEL = 255


def _settings(layer: PyLayer, wanted: tuple[str, ...]) -> dict[str, Any]:
    """What param_str holds, a Python literal."""
    try:
        found = ast.literal_eval(layer.param_str)
    except (SyntaxError, ValueError) as error:
        raise LayerError(
            layer.name, "Python", f"param_str {layer.param_str!r} is no Python literal ({error})"
        ) from None
    if not isinstance(found, dict) or set(found) != set(wanted):
        raise LayerError(
            layer.name, "Python", f"param_str {layer.param_str!r}; wanted a dictionary with {', '.join(wanted)}"
        )
    return found


class LabelSampling(PyLayer):
    """When training, keeps each square cell of the labels with a probability and makes the others void.

    Cells are counted from the upper left corner; each is drawn by itself, anew in every pass. When testing, all labels
    are kept.

    Bottoms:  label: N x 1 x H x W.
    Tops:     sampled: N x 1 x H x W, the label or 255.
    Params:   param_str: {"keep": probability, "cell_px": side of a cell in pixels, "seed": of the draws}.
    Raises:   LayerError: param_str is of another form; keep outside 0 to 1; cell_px below 1.
    Source:   CVPR 2015, section 3.4: patchwise training is loss sampling.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read param_str."""
        settings = _settings(self, ("keep", "cell_px", "seed"))
        self.keep, self.cell_px = float(settings["keep"]), int(settings["cell_px"])
        if not 0 < self.keep <= 1 or self.cell_px < 1:
            raise LayerError(
                self.name,
                "Python",
                f"keep {self.keep:g}, cell_px {self.cell_px}; wanted keep above 0 to 1, and cells of 1 pixel or more",
            )
        self.draws = np.random.Generator(np.random.PCG64(int(settings["seed"])))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """As the label."""
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Copy the labels and make those of cells that are not kept void."""
        top[0].data[...] = bottom[0].data
        if self.phase != 0 or self.keep == 1:
            return
        *leading, height, width = bottom[0].shape
        side = self.cell_px
        drawn = self.draws.random((*leading, -(-height // side), -(-width // side))) >= self.keep
        dropped = drawn.repeat(side, axis=-2).repeat(side, axis=-1)[..., :height, :width]
        top[0].data[dropped] = _VOID_LABEL

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Labels have no gradient."""

    def state_dict(self) -> dict[str, Any]:
        """Where the draws are, as values that JSON can hold."""
        return {"draws": self.draws.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.draws.bit_generator.state = state["draws"]


class ClassWeights(PyLayer):
    """The matrix that makes InfogainLoss a softmax loss in which each class counts by its weight.

    Bottoms:  any one blob, which is not read: it makes the layer no data layer.
    Tops:     weights: 1 x 1 x C x C, zero off the diagonal.
    Params:   param_str: {"weights": a number for each class}.
    Raises:   LayerError: param_str is of another form, or a weight is negative.
    """

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read param_str."""
        self.weights = np.asarray(_settings(self, ("weights",))["weights"], np.float32)
        if self.weights.ndim != 1 or not self.weights.size or not (self.weights >= 0).all():
            raise LayerError(
                self.name, "Python", f"weights {self.weights.tolist()}; wanted a number from 0 on for each class"
            )

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Classes x classes."""
        top[0].reshape(1, 1, self.weights.size, self.weights.size)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write the matrix."""
        top[0].data[...] = np.diag(self.weights)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Nothing that learns lies below."""
