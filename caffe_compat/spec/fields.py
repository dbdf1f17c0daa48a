"""Plain Python values into the fields of Caffe's messages, with errors that name the field and the ones there are."""

from typing import Any

from google.protobuf.message import Message

from caffe_compat.errors import NetError
from caffe_compat.proto import caffe_pb2
from caffe_compat.spelling import did_you_mean

__all__ = ["FieldValueError", "UnknownFieldError", "assign_layer_field", "assign_proto", "param_name_dict"]


class UnknownFieldError(NetError, AttributeError):
    """A keyword that is no field of the message; an AttributeError too, as protobuf's own is."""


class FieldValueError(NetError, TypeError, ValueError):
    """A value that its field cannot hold; a TypeError and ValueError too, as protobuf's own are."""


def param_name_dict() -> dict[str, str]:
    """Layer types that have a message of their own, and the stem of its field: ``{"Pooling": "pooling", ...}``."""
    return {
        field.message_type.name.removesuffix("Parameter"): field.name.removesuffix("_param")
        for field in caffe_pb2.LayerParameter.DESCRIPTOR.fields
        if field.name.endswith("_param") and field.message_type is not None
    }


_param_names = param_name_dict()


def assign_proto(proto: Message, name: str, val: Any) -> None:
    """Set a field of a message from plain Python values.

    A dict becomes a message, a list or tuple a repeated field, and one value given to a repeated field a list of one.
    Values are added to what a repeated field holds, and dicts are merged into what a message holds.

    Raises:
        UnknownFieldError: the message, or one inside it, has no such field.
        FieldValueError: the field cannot hold the value.
    """
    _assign(proto, name, val, name)


def assign_layer_field(layer: caffe_pb2.LayerParameter, key: str, value: Any) -> None:
    """Set one keyword of a net spec's layer: in the message of the layer's type, or else in the layer itself.

    Args:
        layer: its ``name`` and ``type`` are set.
        key: a name that ends in ``param`` is the layer's; any other is looked up in the type's own message first.
        value: as in ``assign_proto``.

    Raises:
        UnknownFieldError: neither has such a field; the message names the layer and lists the fields of both.
        FieldValueError: the field cannot hold the value; the message names layer and field.
    """
    own = f"{_param_names[layer.type]}_param" if layer.type in _param_names else ""
    own_message = getattr(layer, own) if own else None
    try:
        if own_message is not None and not key.endswith("param") and key in _field_names(own_message):
            _assign(own_message, key, value, f"{own}.{key}")
        elif key in _field_names(layer):
            _assign(layer, key, value, key)
        else:
            raise UnknownFieldError(_unknown_keyword(key, own, own_message, layer))
    except (UnknownFieldError, FieldValueError) as error:
        raise type(error)(f"layer '{layer.name}' ({layer.type}): {error}") from error.__cause__


def _assign(proto: Message, name: str, val: Any, path: str) -> None:
    if name not in proto.DESCRIPTOR.fields_by_name:
        known = _field_names(proto)
        raise UnknownFieldError(
            f"no field '{path}'{did_you_mean(name, known)}; {proto.DESCRIPTOR.name} knows {', '.join(known)}"
        )
    present = getattr(proto, name)
    repeated = hasattr(present, "extend")
    try:
        if repeated:
            for item in val if isinstance(val, list | tuple) else [val]:
                if isinstance(item, dict) and hasattr(present, "add"):
                    _assign_dict(present.add(), item, path)
                else:
                    present.append(item)
        elif isinstance(present, Message) and isinstance(val, dict):
            _assign_dict(present, val, path)
        elif isinstance(present, Message):
            present.CopyFrom(val)
        else:
            setattr(proto, name, val)
    except (UnknownFieldError, FieldValueError):
        raise
    except (TypeError, ValueError) as error:
        form = "a list of values or dicts" if repeated else "a dict" if isinstance(present, Message) else "one value"
        raise FieldValueError(f"{path} = {val!r} does not fit, {path} takes {form}: {error}") from error


def _assign_dict(message: Message, values: dict[str, Any], path: str) -> None:
    for key, value in values.items():
        _assign(message, key, value, f"{path}.{key}")


def _field_names(message: Message) -> list[str]:
    return [field.name for field in message.DESCRIPTOR.fields]


def _unknown_keyword(key: str, own: str, own_message: Message | None, layer: Message) -> str:
    """The text for a keyword that neither the type's message nor the layer has."""
    of_layer = _field_names(layer)
    if own_message is None:
        return (
            f"no field '{key}' in the layer{did_you_mean(key, of_layer)}, and this type has no message of its own: "
            f"put it into a dict, such as convolution_param=dict(...); the layer knows {', '.join(of_layer)}"
        )
    of_own = _field_names(own_message)
    return (
        f"no field '{key}' in {own} or the layer{did_you_mean(key, of_own + of_layer)}; "
        f"{own} knows {', '.join(of_own)}; the layer knows {', '.join(of_layer)}"
    )
