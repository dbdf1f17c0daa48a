"""The registry: which class runs which layer type.

Your own type goes in with the decorator:

    @register
    class Cosine(Layer):
        type = "Cosine"
        ...

after which any prototxt may use ``type: "Cosine"``.
"""

from importlib import import_module

from caffe_compat.errors import LayerError
from caffe_compat.layer.contract import Layer
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.spelling import did_you_mean

__all__ = ["create_layer", "layer_class", "layer_type_list", "register"]

_classes: dict[str, type[Layer]] = {}


def register(cls: type[Layer]) -> type[Layer]:
    """Register a layer class under its ``type``; usable as a decorator.

    Raises:
        LayerError: another class has that type already.
    """
    if cls.type in _classes and _classes[cls.type].__qualname__ != cls.__qualname__:
        holder = _classes[cls.type].__qualname__
        raise LayerError(cls.__name__, cls.type, f"this type is already registered, by {holder}; choose another")
    _classes[cls.type] = cls
    return cls


def layer_type_list() -> list[str]:
    """Every layer type, in alphabetical order, as pycaffe's function of this name."""
    _register_caffes()
    return sorted(_classes)


def layer_class(name: str, type_: str) -> type[Layer]:
    """The class for a layer type.

    Raises:
        LayerError: unknown type; the message lists the known ones and shows how to add one.
    """
    if type_ not in _classes:
        _register_caffes()
    if type_ not in _classes:
        raise LayerError(
            name,
            type_,
            f"unknown layer type{did_you_mean(type_, _classes)}; known types: {', '.join(layer_type_list())}. "
            "A type of your own: subclass caffe_compat.layer.contract.Layer and decorate it with "
            "caffe_compat.layer.registry.register, or use a Python layer (LAYERS.md shows both)",
        )
    return _classes[type_]


def create_layer(param: pb.LayerParameter, phase: int) -> Layer:
    """A new layer for this message.

    Raises:
        LayerError: unknown type, or wrong numbers of bottoms or tops.
    """
    cls = layer_class(param.name, param.type)
    tops = max(len(param.top), cls.tops.least) if cls.is_loss else len(param.top)
    return cls(param, phase, tops)


def _register_caffes() -> None:
    """See that the types of Caffe's own are there, which register themselves when they are imported."""
    import_module("caffe_compat.layer.catalogue")
