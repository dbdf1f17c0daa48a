"""RNN."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from caffe_compat.layer.contract import Count
from caffe_compat.layer.recurrent.recurrent import Recurrent
from caffe_compat.layer.registry import register

__all__ = ["RNN"]


@register
class RNN(Recurrent):
    """A plain recurrent net: h_t = tanh(W_hh (cont_t h_{t-1}) + W_xh x_t + b_h + W_xs s), o_t = tanh(W_ho h_t + b_o).

    Bottoms:  x: T x N x ...; cont: T x N, 0 where a sequence begins, else 1; s (optional): N x ..., a static input;
              h_0: 1 x N x num_output, with expose_hidden. Gradients go to x and s only.
    Tops:     o: T x N x num_output, -1 to 1; h_T: 1 x N x num_output, with expose_hidden, without gradient.
    Params:   recurrent_param.num_output, .weight_filler, .bias_filler, .expose_hidden.
    Blobs:    [0] W_xh: num_output x inputs; [1] b_h; with a static input W_xs: num_output x its inputs; then W_hh and
              W_ho: num_output x num_output; b_o.
    Raises:   LayerError: numbers or shapes other than these.
    Source:   BVLC/caffe src/caffe/layers/{recurrent,rnn}_layer.cpp, where it is a net within the net.
    """

    type = "RNN"
    bottoms = Count(2, 4)
    tops = Count(1, 2)
    hidden_names = ("h",)

    def make_blobs(self) -> None:
        """The weights and biases."""
        param = self.param.recurrent_param
        outputs = param.num_output
        self.add_input_blobs(outputs)
        self.add_blob((outputs, outputs), param.weight_filler)
        self.add_blob((outputs, outputs), param.weight_filler)
        self.add_blob((outputs,), param.bias_filler)

    def unroll(
        self,
        x: torch.Tensor,
        cont: torch.Tensor,
        static: torch.Tensor | None,
        hidden: list[torch.Tensor],
        blobs: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The steps one after the other, the outputs in one product behind them."""
        sums, (w_hh, w_ho, b_o) = self.input_sums(x, static, blobs)
        h, states = hidden[0], []
        for given, goes_on in zip(sums, cont, strict=True):
            h = torch.tanh(given + F.linear(h * goes_on[:, None], w_hh))
            states.append(h)
        return torch.tanh(F.linear(torch.stack(states), w_ho, b_o)), [h]
