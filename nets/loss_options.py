"""What the paper tried of the loss and of upsampling, for any net here: sampling, class balancing, learned kernels.

    build = with_options(voc.fcn32s, LossOptions(keep=0.25, cell_px=32))

Patchwise training is loss sampling: each final layer cell is ignored with probability 1 - keep, and the batch grows by
1 / keep (``grown_batch``). The options change nets with a loss; a deploy net has the learned kernels only.

Source: CVPR 2015, sections 3.4 and 4.3 (sampling, class balancing), 3.3 and 4.1 (upsampling).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import LayerParameter, LossParameter, NetParameter
from nets import loss_layers
from nets.sources import Source
from nets.voc import Builder

__all__ = ["LossOptions", "grown_batch", "with_options"]

_LEARNED = ("none", "inner", "all")


@dataclass(frozen=True)
class LossOptions:
    """What to change.

    Args:
        keep: probability of a cell of the labels to count, above 0 to 1.
        cell_px: side of a cell, pixels; the net's stride makes it a cell of its final layer.
        seed: of these draws.
        class_weights: how much each class counts, one number for each; none: all alike. The loss is divided as before,
            by the pixels or images that count, whatever their weights.
        learned: interpolation that learns, from bilinear kernels on, one for each channel: ``none``; ``inner``, all but
            the last, as in the CVPR paper; ``all``.

    Raises:
        NetError: ``keep``, ``cell_px`` or ``learned`` is none of these.
    """

    keep: float = 1
    cell_px: int = 1
    seed: int = 1337
    class_weights: tuple[float, ...] = ()
    learned: str = "none"

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1 or self.cell_px < 1 or self.learned not in _LEARNED:
            raise NetError(
                f"loss options: keep {self.keep:g}, cell_px {self.cell_px}, learned '{self.learned}'; wanted keep "
                f"above 0 to 1, cells of 1 pixel or more, and learned one of {', '.join(_LEARNED)}"
            )


def grown_batch(images: int, keep: float) -> int:
    """The images per batch at which as many cells count as without sampling: ``images / keep``.

    Raises:
        NetError: it is no whole number.
    """
    grown = images / keep
    if abs(grown - round(grown)) > 1e-9:
        raise NetError(f"a batch of {images} images of which {keep:g} counts: {grown:g} is no whole number of images")
    return round(grown)


def with_options(build: Builder, options: LossOptions) -> Builder:
    """The builder of the same net with these options."""

    def build_changed(source: Source, **settings: float | int | bool) -> NetParameter:
        net = build(source, **settings)  # type: ignore[arg-type]
        _learn_interpolation(net, options.learned)
        _change_losses(net, options, int(settings.get("classes", len(options.class_weights))))
        return net

    return build_changed


def _change_losses(net: NetParameter, options: LossOptions, classes: int) -> None:
    """Put sampling in front of every loss and weights into it."""
    layers = []
    for layer in net.layer:
        if layer.type == "SoftmaxWithLoss":
            if options.keep < 1:
                layers.append(_sampled(layer, options))
            if options.class_weights:
                if len(options.class_weights) != classes:
                    raise NetError(
                        f"loss options: {len(options.class_weights)} class weights for {classes} classes; "
                        "give one for each"
                    )
                layers.append(_weighted(layer, options.class_weights))
        layers.append(layer)
    changed = NetParameter(layer=layers)
    del net.layer[:]
    net.layer.extend(changed.layer)


def _sampled(loss: LayerParameter, options: LossOptions) -> LayerParameter:
    """The layer that samples a loss's labels; the loss is made to read it."""
    label = loss.bottom[1]
    made = _python(loss_layers.LabelSampling.__name__, f"{label}_sampled", label)
    settings = {"keep": options.keep, "cell_px": options.cell_px, "seed": options.seed}
    made.python_param.param_str = str(settings)
    loss.bottom[1] = made.top[0]
    return made


def _weighted(loss: LayerParameter, weights: Sequence[float]) -> LayerParameter:
    """The layer that gives a loss's class weights; the loss is made InfogainLoss and reads it."""
    made = _python(loss_layers.ClassWeights.__name__, f"{loss.name}_weights", loss.bottom[1])
    made.python_param.param_str = str({"weights": list(weights)})
    loss.type = "InfogainLoss"
    loss.bottom.append(made.top[0])
    normalize = loss.loss_param.normalize
    loss.loss_param.ClearField("normalize")
    loss.loss_param.normalization = LossParameter.VALID if normalize else LossParameter.BATCH_SIZE
    return made


def _python(class_name: str, name: str, bottom: str) -> LayerParameter:
    made = LayerParameter(name=name, type="Python", bottom=[bottom], top=[name])
    made.python_param.module = loss_layers.__name__
    made.python_param.layer = class_name
    return made


def _learn_interpolation(net: NetParameter, which: str) -> None:
    """Let fixed Deconvolutions learn, each channel by itself; their biases do not exist and their kernels do not decay.

    The last of a chain is the one whose output is cropped, to the image; the others' outputs are what is cropped to.
    """
    cropped = {layer.bottom[0] for layer in net.layer if layer.type == "Crop"}
    for layer in net.layer:
        if layer.type != "Deconvolution" or layer.param[0].lr_mult != 0 or which == "none":
            continue
        if which == "inner" and layer.top[0] in cropped:
            continue
        settings = layer.convolution_param
        if settings.kernel_size[0] % 2:
            raise NetError(
                f"layer '{layer.name}' (Deconvolution): kernel_size {settings.kernel_size[0]} is odd; Caffe's bilinear "
                "filler, from which kernels learn, is for even sizes"
            )
        settings.group = settings.num_output
        settings.weight_filler.type = "bilinear"
        layer.param[0].lr_mult, layer.param[0].decay_mult = 1, 0
