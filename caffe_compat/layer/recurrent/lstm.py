"""LSTM, and LSTMUnit, one step of it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.recurrent.recurrent import Recurrent
from caffe_compat.layer.registry import register

__all__ = ["LSTM", "LSTMUnit"]


def _step(c: torch.Tensor, gates: torch.Tensor, goes_on: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The cell and the hidden state after one step.

    Args:
        c: the cell before, N x D.
        gates: N x 4 D: input, forget, output gate and candidate, before their nonlinearities.
        goes_on: N x 1, 0 where a sequence begins: the cell before is forgotten, even if it is not finite.
    """
    i, f, o, g = gates.chunk(4, -1)
    kept = torch.where(goes_on == 0, 0, goes_on * torch.sigmoid(f) * c)
    c = kept + torch.sigmoid(i) * torch.tanh(g)
    return c, torch.sigmoid(o) * torch.tanh(c)


@register
class LSTM(Recurrent):
    """A long short-term memory: u_t = W_hc (cont_t h_{t-1}) + W_xc x_t + b_c + W_xs s; then as LSTMUnit.

    Bottoms:  x: T x N x ...; cont: T x N, 0 where a sequence begins, else 1; s (optional): N x ..., a static input;
              h_0, c_0: 1 x N x num_output each, with expose_hidden. Gradients go to x and s only.
    Tops:     h: T x N x num_output, -1 to 1; h_T, c_T: 1 x N x num_output each, with expose_hidden, without gradient.
    Params:   recurrent_param.num_output, .weight_filler, .bias_filler, .expose_hidden.
    Blobs:    [0] W_xc: 4 num_output x inputs; [1] b_c; with a static input W_xs: 4 num_output x its inputs; last W_hc:
              4 num_output x num_output. Rows: input, forget, output gate, candidate.
    Raises:   LayerError: numbers or shapes other than these.
    Source:   BVLC/caffe src/caffe/layers/{recurrent,lstm}_layer.cpp, where it is a net within the net.
    """

    type = "LSTM"
    bottoms = Count(2, 5)
    tops = Count(1, 3)
    hidden_names = ("h", "c")

    def make_blobs(self) -> None:
        """The weights and the bias."""
        param = self.param.recurrent_param
        self.add_input_blobs(4 * param.num_output)
        self.add_blob((4 * param.num_output, param.num_output), param.weight_filler)

    def unroll(
        self,
        x: torch.Tensor,
        cont: torch.Tensor,
        static: torch.Tensor | None,
        hidden: list[torch.Tensor],
        blobs: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The steps one after the other."""
        sums, (w_hc,) = self.input_sums(x, static, blobs)
        (h, c), states = hidden, []
        for given, goes_on in zip(sums, cont[:, :, None], strict=True):
            c, h = _step(c, given + F.linear(h * goes_on, w_hc), goes_on)
            states.append(h)
        return torch.stack(states), [h, c]


@register
class LSTMUnit(Layer):
    """One step of an LSTM: c' = cont f c + i g, h' = o tanh(c'), with i, f, o sigmoids and g a tanh of x's quarters.

    Bottoms:  c: 1 x N x D, the cell before; x: 1 x N x 4 D: input, forget, output gate and candidate; cont: 1 x N, 0
              where a sequence begins, else 1; it gets no gradient.
    Tops:     c': 1 x N x D; h': 1 x N x D, -1 to 1.
    Raises:   LayerError: shapes other than these.
    Source:   BVLC/caffe src/caffe/layers/lstm_unit_layer.cpp, whose gradient for the forget gate is right only for a
              cont of 0 or 1; ours is the derivative for any.
    """

    type = "LSTMUnit"
    bottoms = Count.exactly(3)
    tops = Count.exactly(2)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The cell's shape, twice."""
        c, x, cont = bottom_shapes
        if len(c) != 3 or c[0] != 1 or x != (1, c[1], 4 * c[2]) or cont != c[:2]:
            raise self.error(
                f"bottoms have shapes {c}, {x} and {cont}; they need 1 x N x D, 1 x N x 4 D and 1 x N: one step"
            )
        return [c, c]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The cell and the hidden state."""
        c, gates, cont = bottoms
        return list(_step(c, gates, cont.detach()[:, :, None]))

    def allows_force_backward(self, bottom: int) -> bool:
        """Everything but cont."""
        return bottom != 2
