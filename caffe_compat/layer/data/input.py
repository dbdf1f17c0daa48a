"""Input: blobs that the program fills."""

from caffe_compat.errors import NetError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.contract import BlobLayer, Count
from caffe_compat.layer.registry import register

__all__ = ["Input"]


@register
class Input(BlobLayer):
    """Tops that keep what the program writes to them; forward leaves them alone.

    The shape is given once, when the net is built, so a later ``net.blobs['data'].reshape(...)`` stays.

    Bottoms:  none.
    Tops:     one or more, zeros until written.
    Params:   input_param.shape: one for all tops, or one per top; without any, the tops stay empty until reshaped.
    Raises:   LayerError: a number of shapes that is neither 0, 1 nor the number of tops; a shape that cannot be.
    Source:   BVLC/caffe src/caffe/layers/input_layer.cpp.
    """

    type = "Input"
    bottoms = Count.exactly(0)
    tops = Count.at_least(1)

    def setup_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Shape the tops."""
        shapes = self.param.input_param.shape
        if len(shapes) not in (0, 1, len(top)):
            raise self.error(
                f"input_param has {len(shapes)} shapes for {len(top)} tops; give one for all, or one per top"
            )
        for i, blob in enumerate(top if shapes else []):
            try:
                blob.reshape(*shapes[i if len(shapes) > 1 else 0].dim)
            except NetError as error:
                raise self.error(f"input_param.shape for top '{self.param.top[i]}': {error}") from error

    def reshape_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Nothing: the program may have reshaped the tops."""

    def forward_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Nothing: the tops hold what the program wrote."""

    def backward_blobs(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Nothing: there is no bottom."""
