"""What a loss is divided by: loss_param.normalization and its old form, normalize."""

from caffe_compat.layer.contract import Layer
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["normalization_mode", "normalizer"]


def normalization_mode(layer: Layer, default: int | None = None) -> int:
    """The mode that the layer's loss_param asks for.

    ``normalization`` wins over the old ``normalize``, where true is VALID and false BATCH_SIZE: divided by the batch
    size, not summed.

    Args:
        layer: whose loss_param it is.
        default: the mode where neither is set; None for the schema's.
    """
    param = layer.param.loss_param
    if not param.HasField("normalization"):
        if param.HasField("normalize"):
            return pb.LossParameter.VALID if param.normalize else pb.LossParameter.BATCH_SIZE
        if default is not None:
            return default
    return param.normalization


def normalizer(mode: int, batch: int, positions: int, valid: int) -> int:
    """The divisor, at least 1.

    Args:
        mode: of pb.LossParameter.NormalizationMode.
        batch: number of items, all axes before the class axis.
        positions: labels in all.
        valid: labels that are not ignored.
    """
    divisors: dict[int, int] = {
        pb.LossParameter.FULL: positions,
        pb.LossParameter.VALID: valid,
        pb.LossParameter.BATCH_SIZE: batch,
        pb.LossParameter.NONE: 1,
    }
    return max(1, divisors[mode])
