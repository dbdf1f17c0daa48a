"""Nets as Python expressions: pycaffe's ``NetSpec``, ``layers`` (``L``) and ``params`` (``P``).

    n = NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 3, 500, 500]))
    n.conv1 = L.Convolution(n.data, num_output=64, kernel_size=3, param=[dict(lr_mult=1), dict(lr_mult=2)])
    n.relu1 = L.ReLU(n.conv1, in_place=True)
    n.to_proto()  # a NetParameter

A keyword that ends in ``param`` is a field of the layer; any other is a field of the message that belongs to the
layer's type (``convolution_param`` for Convolution), or of the layer where that message has no such field. ``ntop``
and ``in_place`` are not fields. A type without a message of its own (Deconvolution, LSTM) takes its settings as
``convolution_param=dict(...)``, ``recurrent_param=dict(...)``.

Names: a top or layer assigned to the spec bears the attribute's name. Every other gets its type and a running number
(``Convolution1``), and a layer bears the name of its first top. A layer in place has its bottoms' names as tops.

Source: BVLC/caffe python/caffe/net_spec.py. Where we differ: an unknown field or a wrong value is an error that names
the layer and the fields there are; tuples count as lists, and messages can be given where dicts can; ``to_proto`` takes
a layer without a top; depth is not limited by Python's recursion.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from caffe_compat.errors import NetError
from caffe_compat.proto import caffe_pb2
from caffe_compat.spec.fields import (
    FieldValueError,
    UnknownFieldError,
    assign_layer_field,
    assign_proto,
    param_name_dict,
)
from caffe_compat.spelling import did_you_mean

__all__ = [
    "FieldValueError",
    "Function",
    "Layers",
    "NetSpec",
    "Parameters",
    "Top",
    "UnknownFieldError",
    "UnknownTopError",
    "assign_proto",
    "layers",
    "param_name_dict",
    "params",
    "to_proto",
]


class UnknownTopError(NetError, AttributeError, KeyError):
    """A name that the spec does not have; a KeyError too, as pycaffe's is."""

    __str__ = NetError.__str__  # KeyError's own would quote the message


class Top:
    """One output of a layer, to be used as another's bottom.

    Args:
        fn: the layer.
        n: which of its tops, from 0.
    """

    def __init__(self, fn: "Function", n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> caffe_pb2.NetParameter:
        """The net of all layers that this top needs, named automatically."""
        return to_proto(self)

    def _update(self, params: dict[str, Any]) -> None:
        self.fn._update(params)

    def _to_proto(self, layers: "_Layers", names: "_Names", autonames: "Counter[str]") -> None:
        self.fn._to_proto(layers, names, autonames)


class Function:
    """A layer: its type, bottoms and settings.

    Args:
        type_name: the layer's type, such as ``Convolution``; not checked here.
        inputs: its bottoms.
        params: keywords as in ``L.Convolution(...)``; ``ntop`` (1) and ``in_place`` (False) are taken out.

    Raises:
        FieldValueError: a bottom that is not a Top (a TypeError too, as pycaffe's is).
    """

    def __init__(self, type_name: str, inputs: Sequence[Top], params: dict[str, Any]) -> None:
        self.type_name = type_name
        for index, bottom in enumerate(inputs):
            if not isinstance(bottom, Top):  # pycaffe's words: its scripts and tests match them
                raise FieldValueError(f"{type_name} input {index} is not a Top (type is {type(bottom)})")
        self.inputs = inputs
        self.params = params
        self.ntop: int = params.pop("ntop", 1)
        self.in_place: bool = params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _update(self, params: dict[str, Any]) -> None:
        self.params.update(params)

    def _to_proto(self, layers: "_Layers", names: "_Names", autonames: "Counter[str]") -> None:
        pending = [self]
        while pending:
            fn = pending[-1]
            below = next((bottom.fn for bottom in fn.inputs if bottom.fn not in layers), None)
            if fn in layers:
                pending.pop()
            elif below is not None:
                pending.append(below)
            else:
                layers[fn] = fn._message(layers, names, autonames)

    def _message(self, layers: "_Layers", names: "_Names", autonames: "Counter[str]") -> caffe_pb2.LayerParameter:
        def name_of(named: "Top | Function") -> str:
            if named not in names:
                autonames[self.type_name] += 1
                names[named] = f"{self.type_name}{autonames[self.type_name]}"
            return names[named]

        layer = caffe_pb2.LayerParameter(type=self.type_name)
        layer.bottom.extend(layers[bottom.fn].top[bottom.n] for bottom in self.inputs)
        layer.top.extend(layer.bottom if self.in_place else [name_of(top) for top in self.tops])
        layer.name = name_of(self if self in names or not self.tops else self.tops[0])
        for key, value in self.params.items():
            assign_layer_field(layer, key, value)
        return layer


_Layers = dict[Function, caffe_pb2.LayerParameter]
_Names = dict[Top | Function, str]


def to_proto(*tops: Top | Function) -> caffe_pb2.NetParameter:
    """The net of all layers that the given tops (or layers without a top) need, named automatically.

    Raises:
        UnknownFieldError: a keyword that is no field of the layer; the message names both.
        FieldValueError: a value that its field cannot hold.
    """
    layers: _Layers = {}
    autonames: Counter[str] = Counter()
    for top in tops:
        top._to_proto(layers, {}, autonames)
    return caffe_pb2.NetParameter(layer=layers.values())


class NetSpec:
    """Named tops and layers in the order in which they were assigned, as attributes or as items.

    Names that are no Python names are given as items: ``n['conv/1'] = L.Convolution(n.data, ...)``.
    """

    tops: dict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", {})

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        tops = self.__dict__.get("tops", {})
        if name not in tops:
            raise UnknownTopError(f"the net spec has no top '{name}'{did_you_mean(name, tops)}; assign it first")
        return tops[name]

    def __delattr__(self, name: str) -> None:
        self.__getattr__(name)
        del self.tops[name]

    __setitem__ = __setattr__
    __getitem__ = __getattr__
    __delitem__ = __delattr__

    def __contains__(self, name: object) -> bool:
        return name in self.tops

    def __iter__(self) -> Iterator[str]:
        return iter(self.tops)

    def keys(self) -> list[str]:
        """The names assigned so far, in order."""
        return list(self.tops)

    def vals(self) -> list[Any]:
        """The tops and layers assigned so far, in order."""
        return list(self.tops.values())

    def update(self, name: str, params: dict[str, Any]) -> None:
        """Set further keywords of the layer that makes the named top; present ones are replaced."""
        self.__getattr__(name)._update(params)

    def to_proto(self) -> caffe_pb2.NetParameter:
        """The net of all layers that the assigned tops need, in the order of assignment, each after what it needs.

        Raises:
            NetError: what was assigned is not one top or layer.
            UnknownFieldError: a keyword that is no field of the layer; the message names both.
            FieldValueError: a value that its field cannot hold.
        """
        for name, top in self.tops.items():
            if not isinstance(top, Top | Function):
                raise NetError(
                    f"net spec: '{name}' is a {type(top).__name__}, not a top or layer; "
                    "unpack a layer of several tops, as in n.data, n.label = L.Data(..., ntop=2)"
                )
        names: _Names = {top: name for name, top in self.tops.items()}
        layers: _Layers = {}
        autonames: Counter[str] = Counter()
        for top in self.tops.values():
            top._to_proto(layers, names, autonames)
        return caffe_pb2.NetParameter(layer=layers.values())


class Layers:
    """``L``: any attribute is a function that makes a layer of that type.

    ``L.Convolution(bottom, num_output=8)`` gives a Top, with ``ntop=2`` a tuple of two, with ``ntop=0`` a Function.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):  # what Python itself looks for, such as __deepcopy__, is no layer type
            raise AttributeError(name)

        def layer_fn(*args: Top, **kwargs: Any) -> Top | tuple[Top, ...] | Function:
            fn = Function(name, args, kwargs)
            if fn.ntop == 0:
                return fn
            return fn.tops[0] if fn.ntop == 1 else fn.tops

        return layer_fn


class _Constants:
    """The enum values of one layer type's message, as attributes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, constant: str) -> Any:
        if constant.startswith("__"):
            raise AttributeError(constant)
        message = getattr(caffe_pb2, f"{self._name}Parameter", None)
        if message is None:
            raise UnknownFieldError(f"P.{self._name}.{constant}: the schema has no {self._name}Parameter")
        if not hasattr(message, constant):
            known = [value.name for enum in message.DESCRIPTOR.enum_types for value in enum.values]
            raise UnknownFieldError(
                f"P.{self._name}.{constant}: {self._name}Parameter has no such constant; "
                f"it has {', '.join(known) or 'none'}"
            )
        return getattr(message, constant)


class Parameters:
    """``P``: the constants of layer messages, as in ``P.Pooling.MAX`` and ``P.Loss.VALID``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Constants(name)


layers = Layers()
params = Parameters()
