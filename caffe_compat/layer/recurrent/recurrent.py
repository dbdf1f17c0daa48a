"""What RNN and LSTM share: their bottoms and tops, and the hidden state that goes on from one batch to the next."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer

__all__ = ["Recurrent"]


class Recurrent(Layer):
    """A layer that goes through T time steps of N independent streams.

    cont is 0 where a sequence begins, which forgets the hidden state, and 1 where it goes on. Without expose_hidden the
    state after the last step is where the next forward starts; gradients do not go back into earlier batches. A replay
    starts where the last real forward started.

    Subclasses name their hidden states in ``hidden_names`` and compute in ``unroll``.
    """

    hidden_names: tuple[str, ...]
    _end: list[torch.Tensor] | None = None  # after the last real forward
    _start_states: list[torch.Tensor] | None = None  # where that forward started

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check numbers and parameters, and make the blobs."""
        param, states = self.param.recurrent_param, len(self.hidden_names)
        if param.num_output < 1:
            raise self.error("recurrent_param.num_output is 0; give 1 or more")
        hidden = states if param.expose_hidden else 0
        setting = f"with expose_hidden {str(param.expose_hidden).lower()}"
        if len(bottom_shapes) not in (2 + hidden, 3 + hidden):
            raise self.error(
                f"{len(bottom_shapes)} bottoms given; {setting} it takes {2 + hidden}, "
                f"or {3 + hidden} with a static input"
            )
        if self.top_count != 1 + hidden:
            raise self.error(f"{self.top_count} tops given; {setting} it makes {1 + hidden}")
        self.has_static = len(bottom_shapes) == 3 + hidden
        self._check(bottom_shapes)
        self.inputs = math.prod(bottom_shapes[0][2:])
        self.static_inputs = math.prod(bottom_shapes[2][1:]) if self.has_static else 0
        self.make_blobs()

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """T x N x num_output, and the hidden states' shape for each that is exposed."""
        self._check(bottom_shapes)
        x, static = bottom_shapes[0], bottom_shapes[2] if self.has_static else ()
        if math.prod(x[2:]) != self.inputs or math.prod(static[1:]) != (self.static_inputs or 1):
            raise self.error(
                f"bottom[0] has shape {x}" + (f" and bottom[2] {static}" if static else "") + f", but the weights were "
                f"made for {self.inputs} inputs" + (f" and {self.static_inputs} static ones" if static else "")
            )
        steps, streams, outputs = *x[:2], self.param.recurrent_param.num_output
        return [(steps, streams, outputs), *[(1, streams, outputs)] * (self.top_count - 1)]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The outputs of all steps, and the last hidden states where they are exposed."""
        x, cont = bottoms[0], bottoms[1].detach()
        static = bottoms[2].flatten(1) if self.has_static else None
        exposed = self.param.recurrent_param.expose_hidden
        if exposed:
            hidden = [h.detach()[0] for h in bottoms[len(bottoms) - len(self.hidden_names) :]]
        else:
            hidden = self._start(x, context.replay)
        outputs, hidden = self.unroll(x.flatten(2), cont, static, hidden, blobs)
        if exposed:
            return [outputs, *(h.detach()[None].clone() for h in hidden)]
        if not context.replay:
            self._end = [h.detach() for h in hidden]
        return [outputs]

    def allows_force_backward(self, bottom: int) -> bool:
        """Everything but cont."""
        return bottom != 1

    def state_dict(self) -> dict[str, Any]:
        """The hidden states that the next forward starts from, N x num_output each; nothing before the first."""
        return {} if self._end is None else {"end": [h.cpu().numpy().copy() for h in self._end]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start the next forward from these hidden states.

        Raises:
            LayerError: another number of them than this layer has.
        """
        if len(state["end"]) != len(self.hidden_names):
            raise self.error(
                f"the state to resume from has {len(state['end'])} hidden states; it has {len(self.hidden_names)}: "
                "resume with the same net"
            )
        self._end = [torch.tensor(h) for h in state["end"]]

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def make_blobs(self) -> None:
        """Make the parameters for ``self.inputs`` and ``self.static_inputs`` (0: no static input)."""
        raise NotImplementedError

    def unroll(
        self,
        x: torch.Tensor,
        cont: torch.Tensor,
        static: torch.Tensor | None,
        hidden: list[torch.Tensor],
        blobs: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Go through the steps.

        Args:
            x: T x N x inputs.
            cont: T x N.
            static: N x static inputs, or None.
            hidden: N x num_output each, in the order of ``hidden_names``.
            blobs: the parameters.

        Returns:
            The outputs, T x N x num_output, and the hidden states after the last step.
        """
        raise NotImplementedError

    def add_input_blobs(self, outputs: int) -> None:
        """Append the weights and bias of the input and the weights of the static input, if there is one."""
        param = self.param.recurrent_param
        self.add_blob((outputs, self.inputs), param.weight_filler)
        self.add_blob((outputs,), param.bias_filler)
        if self.has_static:
            self.add_blob((outputs, self.static_inputs), param.weight_filler)

    def input_sums(
        self, x: torch.Tensor, static: torch.Tensor | None, blobs: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """What the inputs add to each step, T x N x outputs, and the blobs that are left."""
        sums = F.linear(x, blobs[0], blobs[1])
        if static is None:
            return sums, blobs[2:]
        return sums + F.linear(static, blobs[2]), blobs[3:]

    # -- private -------------------------------------------------------------------------------------------------------

    def _start(self, x: torch.Tensor, replay: bool) -> list[torch.Tensor]:
        """The hidden states that this forward starts from: zero at first, or when the number of streams changes."""
        shape = (x.shape[1], self.param.recurrent_param.num_output)
        if not replay:
            self._start_states = self._end
        start = self._start_states
        if start is None or start[0].shape != shape:
            return [x.new_zeros(shape) for _ in self.hidden_names]
        return [h.to(x) for h in start]

    def _check(self, shapes: Sequence[Shape]) -> None:
        x, cont = shapes[:2]
        if len(x) < 3:
            raise self.error(f"bottom[0] has shape {x}; it needs T x N x ...: steps, streams, inputs")
        if cont != x[:2]:
            raise self.error(f"bottom[1], cont, has shape {cont}; for bottom[0] of shape {x} it needs {x[:2]}")
        if self.has_static and (len(shapes[2]) < 2 or shapes[2][0] != x[1]):
            raise self.error(
                f"bottom[2], the static input, has shape {shapes[2]}; it needs N x ... with N = {x[1]} streams"
            )
        wanted = (1, x[1], self.param.recurrent_param.num_output)
        for i in range(3 if self.has_static else 2, len(shapes)):
            if shapes[i] != wanted:
                raise self.error(f"bottom[{i}], a hidden state, has shape {shapes[i]}; it needs {wanted}")
