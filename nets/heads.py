"""From features to per-pixel scores: class scores, upsampling, fusion with finer layers, loss.

Every Crop offset is computed from the layers below it (``caffe_compat.spec.coord_map``), never typed in. A suffix ends
the names of a task's layers (``score_fr_sem``, ``score_pool4_semc``), for nets with several tasks.
"""

from collections.abc import Mapping

from caffe_compat.spec.coord_map import crop
from caffe_compat.spec.net_spec import NetSpec, Top
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P
from nets.geometry import crop_offset
from nets.trunks import LEARNED

__all__ = [
    "VOID_LABEL",
    "average",
    "class_scores",
    "crop_to",
    "fcn16s",
    "fcn32s",
    "fcn8s",
    "from_32s",
    "from_layer",
    "fuse",
    "learned_upsampling",
    "loss",
    "upsample",
]

VOID_LABEL = 255
_FIXED: list[dict[str, float]] = [{"lr_mult": 0}]


def class_scores(n: NetSpec, name: str, bottom: Top, classes: int) -> Top:
    """A 1 x 1 convolution to one channel per class."""
    n[name] = L.Convolution(bottom, num_output=classes, kernel_size=1, pad=0, param=LEARNED)
    return n[name]


def upsample(n: NetSpec, name: str, bottom: Top, classes: int, factor: int, kernel_size: int | None = None) -> Top:
    """A Deconvolution that does not learn; its weights are to be set by ``surgery.interp``."""
    settings = {
        "num_output": classes,
        "kernel_size": kernel_size or 2 * factor,
        "stride": factor,
        "bias_term": False,
    }
    n[name] = L.Deconvolution(bottom, convolution_param=settings, param=_FIXED)
    return n[name]


def _add_skip(n: NetSpec, pool: str, upsampled: Top, classes: int, suffix: str, scales: Mapping[str, float]) -> Top:
    """Score a finer layer, scaled first if ``scales`` says so, and add it to the coarser scores.

    Args:
        n: the spec.
        pool: the finer layer, such as ``pool4``.
        upsampled: coarser scores, brought to the finer layer's stride.
        classes: channels of both.
        suffix: of the task.
        scales: fixed factor on a finer layer before it is scored, for those it names.
    """
    skip = n[pool]
    if pool in scales:
        name = f"scale_{pool}{suffix}"
        skip = n[name] = L.Scale(skip, filler={"type": "constant", "value": scales[pool]}, param=_FIXED)
    scored = class_scores(n, f"score_{pool}{suffix}", skip, classes)
    return fuse(n, f"fuse_{pool}{suffix}", upsampled, scored, f"score_{pool}{suffix}c")


def fcn32s(
    n: NetSpec, features: Top, data: Top, classes: int, *, suffix: str = "", kernel_size: int | None = None
) -> Top:
    """Scores at stride 32, upsampled 32 times and cropped to the image.

    Args:
        n: the spec.
        features: stride 32, as a trunk returns them.
        data: the image, N x C x H x W.
        classes: channels of the scores.
        suffix: of the task.
        kernel_size: of the Deconvolution, pixels; 64 unless given.

    Returns:
        ``score``, N x classes x H x W, unnormalised.
    """
    coarse = class_scores(n, f"score_fr{suffix}", features, classes)
    return from_32s(n, coarse, data, classes, suffix=suffix, kernel_size=kernel_size)


def from_32s(
    n: NetSpec, coarse: Top, data: Top, classes: int, *, suffix: str = "", kernel_size: int | None = None
) -> Top:
    """The rest of ``fcn32s`` from class scores of stride 32 on; arguments and result as there."""
    upsampled = upsample(n, f"upscore{suffix}", coarse, classes, 32, kernel_size)
    n[f"score{suffix}"] = crop(upsampled, data)
    return n[f"score{suffix}"]


def from_layer(n: NetSpec, pool: str, data: Top, classes: int, stride: int) -> Top:
    """Scores of one pooling layer alone, upsampled at once: how much it knows by itself.

    Args:
        n: the spec.
        pool: the layer, such as ``pool4``.
        data: the image, N x C x H x W.
        classes: channels of the scores.
        stride: of the layer, pixels.

    Returns:
        ``score``, N x classes x H x W, unnormalised.
    """
    scored = class_scores(n, f"score_{pool}", n[pool], classes)
    upsampled = upsample(n, f"upscore{stride}", scored, classes, stride)
    n.score = crop(upsampled, data)
    return n.score


def average(n: NetSpec, name: str, first: Top, second: Top) -> Top:
    """The mean of two blobs of scores: late fusion."""
    n[name] = L.Eltwise(first, second, operation=P.Eltwise.SUM, coeff=[0.5, 0.5])
    return n[name]


def fuse(n: NetSpec, name: str, upsampled: Top, finer: Top, cropped: str) -> Top:
    """Add the scores of a finer layer, cropped to the coarser ones.

    Args:
        n: the spec.
        name: of the sum.
        upsampled: coarser scores, brought to the finer layer's stride.
        finer: the finer scores.
        cropped: name of the Crop.
    """
    n[cropped] = crop(finer, upsampled)
    n[name] = L.Eltwise(upsampled, n[cropped], operation=P.Eltwise.SUM)
    return n[name]


def _through_pool4(n: NetSpec, features: Top, classes: int, suffix: str, scales: Mapping[str, float]) -> Top:
    """Scores at stride 16: those of stride 32 upsampled, plus pool4's."""
    coarse = class_scores(n, f"score_fr{suffix}", features, classes)
    upsampled = upsample(n, f"upscore2{suffix}", coarse, classes, 2)
    return _add_skip(n, "pool4", upsampled, classes, suffix, scales)


def fcn16s(
    n: NetSpec, features: Top, data: Top, classes: int, *, suffix: str = "", scales: Mapping[str, float] | None = None
) -> Top:
    """Scores at stride 32 and of pool4, fused at stride 16; arguments and result as for ``fcn32s`` and ``fcn8s``."""
    fused = _through_pool4(n, features, classes, suffix, scales or {})
    upsampled = upsample(n, f"upscore16{suffix}", fused, classes, 16)
    n[f"score{suffix}"] = crop(upsampled, data)
    return n[f"score{suffix}"]


def fcn8s(
    n: NetSpec, features: Top, data: Top, classes: int, *, suffix: str = "", scales: Mapping[str, float] | None = None
) -> Top:
    """Scores at stride 32, of pool4 and of pool3, fused at stride 8.

    Args:
        n: the spec; it has ``pool3`` and ``pool4``.
        features: stride 32, as a trunk returns them.
        data: the image, N x C x H x W.
        classes: channels of the scores.
        suffix: of the task.
        scales: fixed factors on pool3 and pool4 before they are scored, as all-at-once training needs.

    Returns:
        ``score``, N x classes x H x W, unnormalised.
    """
    fused = _through_pool4(n, features, classes, suffix, scales or {})
    upsampled = upsample(n, f"upscore_pool4{suffix}", fused, classes, 2)
    fused = _add_skip(n, "pool3", upsampled, classes, suffix, scales or {})
    upsampled = upsample(n, f"upscore8{suffix}", fused, classes, 8)
    n[f"score{suffix}"] = crop(upsampled, data)
    return n[f"score{suffix}"]


def loss(n: NetSpec, score: Top, label: Top, *, name: str = "loss", normalize: bool = False) -> Top:
    """Softmax loss over the pixels whose label is not void.

    Args:
        n: the spec.
        score: N x classes x H x W.
        label: N x 1 x H x W, 0 to classes - 1, or ``VOID_LABEL``.
        name: of layer and top.
        normalize: divide by the number of pixels that count; if not, by the batch size.
    """
    n[name] = L.SoftmaxWithLoss(score, label, loss_param={"normalize": normalize, "ignore_label": VOID_LABEL})
    return n[name]


def learned_upsampling(n: NetSpec, name: str, bottom: Top, channels: int, factor: int) -> Top:
    """A Deconvolution that learns: kernel 2 * factor, with bias, and padded so that sizes grow by the factor."""
    settings = {
        "num_output": channels,
        "kernel_size": 2 * factor,
        "stride": factor,
        "pad": factor // 2,
        "weight_filler": {"type": "gaussian", "std": 0.02},
    }
    n[name] = L.Deconvolution(bottom, convolution_param=settings, param=LEARNED)
    return n[name]


def crop_to(n: NetSpec, name: str, bottom: str, reference: str) -> Top:
    """A Crop whose offset comes from ``nets.geometry``: for ways through Concat, which ``coord_map`` does not follow.

    Args:
        n: the spec.
        name: of layer and top.
        bottom: what is cut.
        reference: what it is cut to.
    """
    offset = crop_offset(n.to_proto(), bottom, reference)
    n[name] = L.Crop(n[bottom], n[reference], crop_param={"axis": 2, "offset": [offset]})
    return n[name]
