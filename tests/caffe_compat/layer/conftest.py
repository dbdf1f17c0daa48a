"""Build and run one layer without a net: ``make_layer``, ``run_layer``, ``check_gradients``."""

import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from google.protobuf import text_format

import caffe_compat.layer.catalogue  # noqa: F401  (registers every layer type)
from caffe_compat.device import generator
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import create_layer
from caffe_compat.proto import caffe_pb2 as pb


@pytest.fixture
def make_layer() -> Callable[..., Layer]:
    """make_layer(text, *bottom_shapes, phase=TEST): a layer that is set up, with its blobs filled.

    ``text`` is the inside of a prototxt's ``layer { }``. Where it names no layer, bottom or top, the name is "l", there
    is a bottom b0, b1, ... for each shape and one top y.
    """

    def make(text: str, *bottom_shapes: Sequence[int], phase: int = pb.TEST) -> Layer:
        param = text_format.Parse(text, pb.LayerParameter())
        param.name = param.name or "l"
        if not param.bottom:
            param.bottom.extend(f"b{i}" for i in range(len(bottom_shapes)))
        if not param.top:
            param.top.append("y")
        layer = create_layer(param, phase)
        layer.setup([tuple(shape) for shape in bottom_shapes])
        return layer

    return make


@pytest.fixture
def run_layer() -> Callable[..., list[torch.Tensor]]:
    """run_layer(layer, *bottoms, phase=the layer's, replay=False, in_place=False, blobs=None): reshape, then forward.

    Gives the tops, after comparing their shapes with what reshape promised. ``context.state`` lives as long as the
    layer. ``blobs`` are tensors to use in place of the layer's own (to take gradients, or in float64).
    """
    states: weakref.WeakKeyDictionary[Layer, dict] = weakref.WeakKeyDictionary()

    def run(
        layer: Layer,
        *bottoms: torch.Tensor,
        phase: int | None = None,
        replay: bool = False,
        in_place: bool = False,
        blobs: Sequence[torch.Tensor] | None = None,
    ) -> list[torch.Tensor]:
        promised = layer.reshape([tuple(b.shape) for b in bottoms])
        context = Context(
            phase=layer.phase if phase is None else phase,
            generator=generator(),
            state=states.setdefault(layer, {}),
            replay=replay,
            in_place=in_place,
        )
        used = [b.tensor() for b in layer.blobs] if blobs is None else blobs
        tops = layer.forward(list(bottoms), used, context)
        if promised is not None:
            assert [tuple(t.shape) for t in tops] == [tuple(s) for s in promised]
        return tops

    return run


@pytest.fixture
def check_gradients(run_layer: Callable[..., list[torch.Tensor]]) -> Callable[..., None]:
    """check_gradients(layer, *bottoms, phase=..., tops=None): compare with finite differences, in float64.

    ``bottoms`` are float64; those with requires_grad are checked, and so are all blobs. ``tops`` picks tops by index
    (all of them unless told). The run is a replay, so that nothing is drawn anew or counted between evaluations.
    """

    def check(
        layer: Layer, *bottoms: torch.Tensor, phase: int | None = None, tops: Sequence[int] | None = None
    ) -> None:
        blobs = [b.tensor().double().requires_grad_() for b in layer.blobs]
        run_layer(layer, *(b.detach() for b in bottoms), phase=phase, blobs=[b.detach() for b in blobs])

        def f(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            given, weights = inputs[: len(bottoms)], inputs[len(bottoms) :]
            out = run_layer(layer, *given, phase=phase, replay=True, blobs=weights)
            return tuple(out if tops is None else [out[i] for i in tops])

        assert torch.autograd.gradcheck(f, (*bottoms, *blobs))

    return check
