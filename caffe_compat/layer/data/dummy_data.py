"""DummyData: tops filled by fillers."""

from collections.abc import Sequence
from typing import TypeVar

from caffe_compat.errors import NetError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.contract import BlobLayer, Count
from caffe_compat.layer.filler import fill
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["DummyData"]

T = TypeVar("T")


@register
class DummyData(BlobLayer):
    """Constants, filled once when the net is built, and random values, drawn anew at every forward.

    Bottoms:  none.
    Tops:     one or more, of the shapes given.
    Params:   dummy_data_param.data_filler: none (zeros), one for all tops, or one per top; shape: one for all tops, or
              one per top; legacy: num, channels, height and width, each one for all tops or one per top.
    Raises:   LayerError: a number of fillers or shapes that does not fit the tops, both kinds of shape, an unknown
              filler.
    Source:   BVLC/caffe src/caffe/layers/dummy_data_layer.cpp.
    """

    type = "DummyData"
    bottoms = Count.exactly(0)
    tops = Count.at_least(1)

    def setup_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Shape the tops and fill the constant ones."""
        param = self.param.dummy_data_param
        fillers = list(param.data_filler) or [pb.FillerParameter()]
        self._fillers = self._one_each(fillers, len(top), "data_filler")
        for i, (blob, shape) in enumerate(zip(top, self._shapes(len(top)), strict=True)):
            try:
                blob.reshape(*shape)
            except NetError as error:
                raise self.error(f"dummy_data_param's shape for top '{self.param.top[i]}': {error}") from error
            if self._fillers[i].type == "constant":
                self._fill(blob, i)

    def reshape_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Nothing: the shapes are given once."""

    def forward_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Draw the random tops; constants stay, unless a lean net has freed them."""
        for i, blob in enumerate(top):
            if self._fillers[i].type != "constant" or not blob.has_data:
                self._fill(blob, i)

    def backward_blobs(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Nothing: there is no bottom."""

    def _fill(self, blob: Blob, i: int) -> None:
        try:
            fill(blob, self._fillers[i])
        except NetError as error:
            raise self.error(f"data_filler of top '{self.param.top[i]}': {error}") from error

    def _shapes(self, tops: int) -> list[list[int]]:
        param = self.param.dummy_data_param
        legacy = [list(getattr(param, name)) for name in ("num", "channels", "height", "width")]
        if not any(legacy):
            return [list(shape.dim) for shape in self._one_each(list(param.shape), tops, "shape")]
        if param.shape:
            raise self.error("dummy_data_param has shape and the legacy num, channels, height, width; give shape alone")
        names = ("num", "channels", "height", "width")
        columns = [self._one_each(dims, tops, name) for dims, name in zip(legacy, names, strict=True)]
        return [list(dims) for dims in zip(*columns, strict=True)]

    def _one_each(self, given: Sequence[T], tops: int, field: str) -> list[T]:
        if len(given) not in (1, tops):
            raise self.error(
                f"dummy_data_param has {len(given)} {field} for {tops} tops; give one for all, or one per top"
            )
        return list(given) if len(given) == tops else [given[0]] * tops
