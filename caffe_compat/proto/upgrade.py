"""Old forms of nets and solvers to the current one.

Caffe's order: V0 layers (``layers { layer { type: "conv" } }``) to V1, transformation fields of V1 data layers, V1
layers (``layers { type: CONVOLUTION }``) to ``layer``, input fields to an Input layer, BatchNorm's three parameters
to lr_mult 0. Layers keep their blobs. Source: BVLC/caffe src/caffe/util/upgrade_proto.cpp.
"""

from dataclasses import dataclass, field

from google.protobuf.message import Message

from caffe_compat.errors import ParseError
from caffe_compat.proto.caffe_pb2 import (
    LayerParameter,
    NetParameter,
    ParamSpec,
    SolverParameter,
    V1LayerParameter,
)
from caffe_compat.proto.upgrade_v0 import upgrade_v0_net

__all__ = ["UpgradeReport", "upgrade_net", "upgrade_solver"]

# Spelled by Caffe otherwise than by the words of the enum's name.
_V1_TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}
_SOLVER_TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}
_DATA_LAYERS = {
    V1LayerParameter.DATA: "data_param",
    V1LayerParameter.IMAGE_DATA: "image_data_param",
    V1LayerParameter.WINDOW_DATA: "window_data_param",
}
_TRANSFORM_FIELDS = ("scale", "mean_file", "crop_size", "mirror")


@dataclass
class UpgradeReport:
    """What an upgrade did: ``changes`` names the old forms that it met, ``problems`` what it had to leave out."""

    changes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def upgrade_net(net: NetParameter, source: str) -> UpgradeReport:
    """Bring a net up to date in place; an up-to-date net is not touched.

    Args:
        net: as parsed from text or from a binary file.
        source: the file's name for error messages.

    Raises:
        ParseError: ``layer`` and ``layers`` in one net, an unknown V0 type, a padding layer that feeds something else
            than one convolution or pooling layer, too few input dimensions.
    """
    report = UpgradeReport()
    if any(layer.HasField("layer") for layer in net.layers):
        report.changes.append("V0 layers")
        upgrade_v0_net(net, source, report.problems)
    if any(_has_transform_fields(layer) for layer in net.layers):
        report.changes.append("data transformation fields")
        for old in net.layers:
            _move_transform_fields(old)
    if net.layers:
        report.changes.append("V1 layers")
        _upgrade_v1_net(net, source)
    if net.input:
        report.changes.append("input fields")
        _upgrade_input(net, source)
    batch_norms = [layer for layer in net.layer if layer.type == "BatchNorm" and len(layer.param) == 3]
    if any(not _is_frozen(layer) for layer in batch_norms):
        report.changes.append("BatchNorm parameters")
    for layer in batch_norms:
        for spec in layer.param:
            spec.lr_mult = spec.decay_mult = 0
    return report


def upgrade_solver(solver: SolverParameter, source: str) -> UpgradeReport:
    """Turn the enum ``solver_type`` into the string ``type``, in place.

    Raises:
        ParseError: both are given.
    """
    report = UpgradeReport()
    if solver.HasField("solver_type"):
        if solver.HasField("type"):
            raise ParseError(f'{source}: both solver_type and type "{solver.type}" are given; delete solver_type')
        solver.type = _SOLVER_TYPES[SolverParameter.SolverType.Name(solver.solver_type)]
        solver.ClearField("solver_type")
        report.changes.append("solver_type")
    return report


def _is_frozen(layer: LayerParameter) -> bool:
    return all(
        spec.HasField(name) and getattr(spec, name) == 0 for spec in layer.param for name in ("lr_mult", "decay_mult")
    )


def _has_transform_fields(layer: V1LayerParameter) -> bool:
    name = _DATA_LAYERS.get(layer.type)
    return name is not None and any(getattr(layer, name).HasField(moved) for moved in _TRANSFORM_FIELDS)


def _move_transform_fields(layer: V1LayerParameter) -> None:
    """Move scale, mean_file, crop_size and mirror of a data layer into its transform_param (made even if empty)."""
    name = _DATA_LAYERS.get(layer.type)
    if name is None:
        return
    data: Message = getattr(layer, name)
    data.SetInParent()
    layer.transform_param.SetInParent()
    for moved in _TRANSFORM_FIELDS:
        if data.HasField(moved):
            setattr(layer.transform_param, moved, getattr(data, moved))
            data.ClearField(moved)


def _upgrade_v1_net(net: NetParameter, source: str) -> None:
    if net.layer:
        raise ParseError(
            f"{source}: has both 'layer' and 'layers' fields; write the old 'layers {{ type: {_v1_enum(net)} }}' as "
            "'layer { type: \"...\" }'"
        )
    for old in net.layers:
        _upgrade_v1_layer(old, net.layer.add())
    net.ClearField("layers")


def _v1_enum(net: NetParameter) -> str:
    return V1LayerParameter.LayerType.Name(net.layers[0].type)


def _upgrade_v1_layer(old: V1LayerParameter, new: LayerParameter) -> None:
    """Copy every field to its namesake; type, param, blob_share_mode, blobs_lr and weight_decay change their form."""
    for descriptor, value in old.ListFields():
        name = descriptor.name
        if name == "type":
            new.type = _v1_type_name(value)
        elif name == "param":
            for i, shared in enumerate(value):
                _param(new, i).name = shared
        elif name == "blob_share_mode":
            for i, mode in enumerate(value):
                _param(new, i).share_mode = mode  # the two enums have the same numbers
        elif name == "blobs_lr":
            for i, factor in enumerate(value):
                _param(new, i).lr_mult = factor
        elif name == "weight_decay":
            for i, factor in enumerate(value):
                _param(new, i).decay_mult = factor
        elif isinstance(value, str):
            setattr(new, name, value)
        elif isinstance(value, Message):
            getattr(new, name).CopyFrom(value)
        else:
            getattr(new, name).extend(value)


def _param(layer: LayerParameter, i: int) -> ParamSpec:
    while len(layer.param) <= i:
        layer.param.add()
    return layer.param[i]


def _v1_type_name(number: int) -> str:
    name = V1LayerParameter.LayerType.Name(number)
    return _V1_TYPES.get(name, "".join(word.capitalize() for word in name.split("_")))


def _upgrade_input(net: NetParameter, source: str) -> None:
    """Put an Input layer called ``input`` in front; inputs without any shape or dims just lose their field."""
    shapes = [list(shape.dim) for shape in net.input_shape]
    if not shapes and net.input_dim:
        dims = list(net.input_dim)
        shapes = [dims[i : i + 4] for i in range(0, len(dims), 4)]
        if len(dims) < 4 * len(net.input):
            raise ParseError(
                f"{source}: {len(dims)} input_dim values for {len(net.input)} inputs; give four per input or one "
                "input_shape per input"
            )
    if shapes:
        if len(shapes) < len(net.input):
            raise ParseError(f"{source}: {len(shapes)} input_shape for {len(net.input)} inputs; give one per input")
        layer = LayerParameter(name="input", type="Input", top=net.input)
        for _, shape in zip(net.input, shapes, strict=False):  # Caffe ignores what is left over
            layer.input_param.shape.add(dim=shape)
        layers = [layer, *net.layer]
        net.ClearField("layer")
        net.layer.extend(layers)
    for name in ("input", "input_shape", "input_dim"):
        net.ClearField(name)
