"""V0 nets (2013, ``layers { layer { type: "conv" } bottom: ... }``) to V1.

Padding layers are folded into the layer that they feed; a field goes to the V1 message of its layer's type.
"""

from typing import Any

from google.protobuf.message import Message

from caffe_compat.errors import ParseError
from caffe_compat.proto.caffe_pb2 import NetParameter, V0LayerParameter, V1LayerParameter

__all__ = ["upgrade_v0_net"]

_TYPES = {
    "accuracy": V1LayerParameter.ACCURACY,
    "bnll": V1LayerParameter.BNLL,
    "concat": V1LayerParameter.CONCAT,
    "conv": V1LayerParameter.CONVOLUTION,
    "data": V1LayerParameter.DATA,
    "dropout": V1LayerParameter.DROPOUT,
    "euclidean_loss": V1LayerParameter.EUCLIDEAN_LOSS,
    "flatten": V1LayerParameter.FLATTEN,
    "hdf5_data": V1LayerParameter.HDF5_DATA,
    "hdf5_output": V1LayerParameter.HDF5_OUTPUT,
    "im2col": V1LayerParameter.IM2COL,
    "images": V1LayerParameter.IMAGE_DATA,
    "infogain_loss": V1LayerParameter.INFOGAIN_LOSS,
    "innerproduct": V1LayerParameter.INNER_PRODUCT,
    "lrn": V1LayerParameter.LRN,
    "multinomial_logistic_loss": V1LayerParameter.MULTINOMIAL_LOGISTIC_LOSS,
    "pool": V1LayerParameter.POOLING,
    "relu": V1LayerParameter.RELU,
    "sigmoid": V1LayerParameter.SIGMOID,
    "softmax": V1LayerParameter.SOFTMAX,
    "softmax_loss": V1LayerParameter.SOFTMAX_LOSS,
    "split": V1LayerParameter.SPLIT,
    "tanh": V1LayerParameter.TANH,
    "window_data": V1LayerParameter.WINDOW_DATA,
}

_CONV = ("conv", "convolution_param")
_INNER = ("innerproduct", "inner_product_param")
_POOL = ("pool", "pooling_param")
_DATA = ("data", "data_param")
_HDF5 = ("hdf5_data", "hdf5_data_param")
_IMAGES = ("images", "image_data_param")
_WINDOW = ("window_data", "window_data_param")

# V0 field: its V1 name, and for each V0 type that takes it the V1 message that holds it.
_TYPED_FIELDS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "num_output": ("num_output", (_CONV, _INNER)),
    "biasterm": ("bias_term", (_CONV, _INNER)),
    "weight_filler": ("weight_filler", (_CONV, _INNER)),
    "bias_filler": ("bias_filler", (_CONV, _INNER)),
    "pad": ("pad", (_CONV, _POOL)),
    "kernelsize": ("kernel_size", (_CONV, _POOL)),
    "group": ("group", (_CONV,)),
    "stride": ("stride", (_CONV, _POOL)),
    "pool": ("pool", (_POOL,)),  # the two enums have the same numbers
    "dropout_ratio": ("dropout_ratio", (("dropout", "dropout_param"),)),
    "local_size": ("local_size", (("lrn", "lrn_param"),)),
    "alpha": ("alpha", (("lrn", "lrn_param"),)),
    "beta": ("beta", (("lrn", "lrn_param"),)),
    "k": ("k", (("lrn", "lrn_param"),)),
    "source": ("source", (_DATA, _HDF5, _IMAGES, _WINDOW, ("infogain_loss", "infogain_loss_param"))),
    "batchsize": ("batch_size", (_DATA, _HDF5, _IMAGES, _WINDOW)),
    "rand_skip": ("rand_skip", (_DATA, _IMAGES)),
    "shuffle_images": ("shuffle", (_IMAGES,)),
    "new_height": ("new_height", (_IMAGES,)),
    "new_width": ("new_width", (_IMAGES,)),
    "concat_dim": ("concat_dim", (("concat", "concat_param"),)),
    "det_fg_threshold": ("fg_threshold", (_WINDOW,)),
    "det_bg_threshold": ("bg_threshold", (_WINDOW,)),
    "det_fg_fraction": ("fg_fraction", (_WINDOW,)),
    "det_context_pad": ("context_pad", (_WINDOW,)),
    "det_crop_mode": ("crop_mode", (_WINDOW,)),
}
_TRANSFORM_FIELDS = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}
_NEVER_READ = ("new_num", "new_channels")


def upgrade_v0_net(net: NetParameter, source: str, problems: list[str]) -> None:
    """Turn every layer into its V1 form, in place. Of the net itself name, inputs, input_dim and force_backward stay.

    Args:
        net: its ``layers`` hold V0 layers; what a V1 layer among them says is dropped, except bottoms and tops.
        source: the file's name for error messages.
        problems: gets a line for each field that the layer's type does not take.

    Raises:
        ParseError: an unknown type; a padding layer of unknown bottom or that feeds something else than one conv or
            pool layer.
    """
    kept = NetParameter(input=net.input, input_dim=net.input_dim)
    for name in ("name", "force_backward"):
        if net.HasField(name):
            setattr(kept, name, getattr(net, name))
    for old in _fold_padding(net, source):
        _upgrade_layer(old, kept.layers.add(), source, problems)
    net.CopyFrom(kept)


def _fold_padding(net: NetParameter, source: str) -> list[V1LayerParameter]:
    """The layers without the padding ones, whose pad went to the layers that read them."""
    made_by: dict[str, V1LayerParameter | None] = dict.fromkeys(net.input)
    kept = []
    for original in net.layers:
        layer = V1LayerParameter()
        layer.CopyFrom(original)
        for i, bottom in enumerate(original.bottom):
            if bottom not in made_by:
                raise ParseError(f"{source}: layer '{layer.layer.name}': no layer before it makes bottom '{bottom}'")
            maker = made_by[bottom]
            if maker is not None and maker.layer.type == "padding":
                _check_padding(maker, original, source)
                layer.layer.pad = maker.layer.pad
                layer.bottom[i] = maker.bottom[0]
        if original.layer.type != "padding":
            kept.append(layer)
        made_by.update(dict.fromkeys(original.top, original))
    return kept


def _check_padding(padding: V1LayerParameter, reader: V1LayerParameter, source: str) -> None:
    where = f"{source}: padding layer '{padding.layer.name}'"
    if reader.layer.type not in ("conv", "pool"):
        raise ParseError(
            f"{where} feeds layer '{reader.layer.name}' of type {reader.layer.type or 'none'}; only conv and pool "
            "layers take padding"
        )
    if len(reader.bottom) != 1:
        raise ParseError(f"{where} feeds layer '{reader.layer.name}' with {len(reader.bottom)} bottoms; want 1")
    if len(padding.bottom) != 1 or len(padding.top) != 1:
        raise ParseError(f"{where} has {len(padding.bottom)} bottoms and {len(padding.top)} tops; want 1 of each")


def _upgrade_layer(old: V1LayerParameter, new: V1LayerParameter, source: str, problems: list[str]) -> None:
    new.bottom.extend(old.bottom)
    new.top.extend(old.top)
    if not old.HasField("layer"):
        return
    layer: V0LayerParameter = old.layer
    for descriptor, value in layer.ListFields():
        name = descriptor.name
        if name == "name":
            new.name = value
        elif name == "type":
            if value not in _TYPES:
                raise ParseError(
                    f"{source}: layer '{layer.name}': unknown V0 type '{value}'; known: {', '.join(sorted(_TYPES))}"
                )
            new.type = _TYPES[value]
        elif name in ("blobs", "blobs_lr", "weight_decay"):
            getattr(new, name).extend(value)
        elif name in _TRANSFORM_FIELDS:
            setattr(new.transform_param, _TRANSFORM_FIELDS[name], value)
        elif name == "hdf5_output_param" and layer.type == "hdf5_output":
            new.hdf5_output_param.CopyFrom(value)
        elif name not in _NEVER_READ and not _set_typed(new, layer.type, name, value):
            problems.append(f"layer '{layer.name}': unknown parameter {name} for layer type {layer.type}; left out")


def _set_typed(new: V1LayerParameter, type_: str, name: str, value: Any) -> bool:
    """Put a V0 field where V1 has it for this layer type; False if the type does not take the field."""
    v1_name, homes = _TYPED_FIELDS.get(name, ("", ()))
    home = dict(homes).get(type_)
    if home is None:
        return False
    target = getattr(new, home)
    present = getattr(target, v1_name)
    if isinstance(value, Message):
        present.CopyFrom(value)
    elif hasattr(present, "append"):  # repeated: pad, kernel_size and stride of convolution_param
        present.append(value)
    else:
        setattr(target, v1_name, value)
    return True
