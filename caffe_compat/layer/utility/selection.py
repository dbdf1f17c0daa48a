"""BatchReindex and Filter: some items of a batch, chosen by the values of another bottom."""

from collections.abc import Sequence

import torch

from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register

__all__ = ["BatchReindex", "Filter"]


@register
class BatchReindex(Layer):
    """The items that an index names, in its order; an item may come several times, and its gradients are added.

    Bottoms:  x: N x ...; index: M whole numbers, 0 to N - 1 (fractions are cut towards 0). It gets no gradient.
    Tops:     y: M x ...
    Raises:   LayerError: the index has other than one axis, or x has none. DataError: an index is out of range.
    Source:   BVLC/caffe src/caffe/layers/batch_reindex_layer.cpp.
    """

    type = "BatchReindex"
    bottoms = Count.exactly(2)
    top_is_free = True

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """As many items as the index has."""
        x, index = bottom_shapes
        if len(index) != 1:
            raise self.error(f"bottom[1] has shape {index}; the index needs exactly one axis: reshape it")
        if not x:
            raise self.error("bottom[0] has shape (); it needs a first axis of items")
        return [(*index, *x[1:])]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The items."""
        x, index = bottoms[0], bottoms[1].detach()
        bad = ~((index > -1) & (index < x.shape[0]))
        if bad.any():
            first = int(bad.nonzero()[0])
            raise DataError(
                f"layer '{self.name}' ({self.type}): index {index[first].item():g} at position {first} of bottom "
                f"'{self.param.bottom[1]}' is outside the batch, 0 to {x.shape[0] - 1}; correct the index"
            )
        return [x.index_select(0, index.to(torch.int64))]

    def allows_force_backward(self, bottom: int) -> bool:
        """The index gets no gradient."""
        return bottom == 0


@register
class Filter(Layer):
    """Those items of each bottom whose selector is not 0.

    The number of items depends on the data; with none selected the tops are empty. Until the first forward the tops
    have the bottoms' shapes.

    Bottoms:  x1, x2, ...: N x ... each; last, the selector: N x 1 x ..., which gets no gradient.
    Tops:     y1, y2, ...: one for each bottom but the selector: selected items x ...
    Raises:   LayerError: another number of tops; a selector with more than one value for an item; batches of
              different sizes.
    Source:   BVLC/caffe src/caffe/layers/filter_layer.cpp.
    """

    type = "Filter"
    bottoms = Count.at_least(2)
    tops = Count.at_least(1)
    top_is_free = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the number of tops."""
        if self.top_count != len(bottom_shapes) - 1:
            raise self.error(
                f"{self.top_count} tops for {len(bottom_shapes)} bottoms; give one for each bottom but the last, "
                "which selects"
            )

    def reshape(self, bottom_shapes: Sequence[Shape]) -> None:
        """Nothing that is known before the selector is."""
        *items, selector = bottom_shapes
        if any(dim != 1 for dim in selector[1:]) or not selector:
            raise self.error(
                f"bottom[{len(items)}], the selector, has shape {selector}; it needs one value for each item: N x 1 ..."
            )
        for i, shape in enumerate(items):
            if shape[:1] != selector[:1]:
                raise self.error(
                    f"bottom[{i}] of shape {shape} has another batch than the selector of shape {selector}; "
                    "their first axes must be equal"
                )

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The selected items."""
        *items, selector = bottoms
        index = selector.detach().reshape(-1).nonzero().reshape(-1)
        return [x.index_select(0, index) for x in items]

    def allows_force_backward(self, bottom: int) -> bool:
        """The selector gets no gradient."""
        return bottom < len(self.param.bottom) - 1
