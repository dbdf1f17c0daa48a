"""Layers written in Python by the user: pycaffe's ``caffe.Layer`` and the ``Python`` layer type that runs them.

    import caffe_compat

    class Halve(caffe_compat.Layer):
        def setup(self, bottom, top):
            self.factor = float(self.param_str)        # always text; parse it as you like
        def reshape(self, bottom, top):
            top[0].reshape(*bottom[0].shape)
        def forward(self, bottom, top):
            top[0].data[...] = bottom[0].data * self.factor
        def backward(self, top, propagate_down, bottom):
            bottom[0].diff[...] = top[0].diff * self.factor

in a module ``halving`` is the prototxt's

    layer { name: "half" type: "Python" bottom: "a" top: "b"
            python_param { module: "halving" layer: "Halve" param_str: "0.5" } }

A prototxt must not be able to run any code it likes, so a module is used only when the program has imported it already,
or allowed it with ``allow_python_layers("halving")``. ``install_as_caffe()``, the ``run`` verb and the tools' flag
``-python_layers`` import every module that a prototxt names, as Caffe does.
"""

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, TypeAlias

from caffe_compat.errors import LayerError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.contract import BlobLayer, Count
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["BlobVec", "PyLayer", "Python", "allow_python_layers", "import_python_layers_as_caffe"]

_allowed: set[str] = set()
_import_any = False


def allow_python_layers(*modules: str) -> None:
    """Let prototxts use the Python layers of these modules, which are imported when a net first names them.

    Args:
        modules: full module names; a package allows the modules below it too.
    """
    _allowed.update(modules)


def import_python_layers_as_caffe() -> None:
    """From now on import whatever module a prototxt's Python layer names, as Caffe does."""
    global _import_any
    _import_any = True


class BlobVec(list[Blob]):
    """A list of blobs that can make its own, as pycaffe's ``layer.blobs``."""

    def add_blob(self, *shape: int) -> None:
        """Append a blob of zeros of this shape."""
        self.append(Blob(shape))


class PyLayer:
    """Base class of a user's layer, ``caffe_compat.Layer``; write the four methods, and no ``__init__``.

    In all four, ``bottom`` and ``top`` are lists of Blob: ``.data`` and ``.diff`` are live float arrays, and
    ``.reshape(*shape)`` sets a top's shape. A layer that keeps something between calls which a bit-equal resume needs
    may also have ``state_dict()`` and ``load_state_dict(state)``.

    ``net.layers`` and ``net.layer_dict`` hold the object itself, so that a program can call methods of its own on it.

    Attributes:
        param_str: python_param.param_str, text ('' where the prototxt has none).
        phase: pb.TRAIN (0) or pb.TEST (1).
        name, param: the layer's name and whole message.
        blobs: the layer's parameters; ``self.blobs.add_blob(*shape)`` in ``setup`` makes one, which the solver trains
            with the gradient that ``backward`` adds to its ``diff``.
    """

    type = "Python"
    is_loss = False
    name: str
    param: pb.LayerParameter
    param_str: str
    phase: int

    def __init__(self, param: pb.LayerParameter | None = None) -> None:
        param = param or pb.LayerParameter()
        self.param_str = param.python_param.param_str
        self.phase = param.phase
        self.blobs = BlobVec()

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Once, when the net is built: check the bottoms, read param_str, make blobs."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Before every forward: give each top its shape."""
        raise self._lacks("reshape(self, bottom, top)")

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write the tops' data."""
        raise self._lacks("forward(self, bottom, top)")

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Write the bottoms' diffs where propagate_down says so, and add to the diffs of blobs."""
        raise self._lacks("backward(self, top, propagate_down, bottom)")

    def _lacks(self, method: str) -> LayerError:
        cls = self.__class__
        return LayerError(cls.__name__, "Python", f"class {cls.__module__}.{cls.__name__} has no {method}; define it")


PyLayerClass: TypeAlias = type[PyLayer]  # written out below, `type` would be the layer's


@register
class Python(BlobLayer):
    """Whatever the user's class makes of the bottoms.

    The user's own exceptions pass through unchanged. ``share_in_parallel`` has no effect: each solver is a process of
    its own.

    Bottoms:  any number, of any shape.
    Tops:     any number, of the shapes that the class's reshape gives them.
    Params:   python_param.module, layer: where the class is; param_str: text handed to it.
    Blobs:    those that the class adds.
    Raises:   LayerError: the module may not be imported or is not there; it has no such class; the class is not a
              caffe_compat.Layer.
    Source:   BVLC/caffe include/caffe/layers/python_layer.hpp, src/caffe/layer_factory.cpp.
    """

    type = "Python"
    bottoms = Count.at_least(0)
    tops = Count.at_least(0)

    def __init__(self, param: pb.LayerParameter, phase: int, top_count: int | None = None) -> None:
        super().__init__(param, phase, top_count)
        self.instance: PyLayer = self._find_class()(param)
        self.instance.name, self.instance.param = param.name, param
        self.instance.param_str = param.python_param.param_str
        self.instance.phase = phase

    def setup_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Run the user's setup."""
        self.instance.setup(bottom, top)
        self.blobs = self.instance.blobs

    def reshape_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Run the user's reshape."""
        self.instance.reshape(bottom, top)

    def forward_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Run the user's forward."""
        self.instance.forward(bottom, top)

    def backward_blobs(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Run the user's backward."""
        self.instance.backward(top, propagate_down, bottom)

    def state_dict(self) -> dict[str, Any]:
        """The user's layer's own, where it has one."""
        own = getattr(self.instance, "state_dict", None)
        return own() if own is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hand the state to the user's layer, where it takes one."""
        own = getattr(self.instance, "load_state_dict", None)
        if own is not None:
            own(state)

    def _find_class(self) -> PyLayerClass:
        wanted = self.param.python_param
        if not wanted.module or not wanted.layer:
            raise self.error("python_param needs both module and layer; name the module and the class in it")
        module = self._find_module(wanted.module)
        cls = getattr(module, wanted.layer, None)
        if cls is None:
            there = sorted(
                name
                for name, value in vars(module).items()
                if isinstance(value, type) and issubclass(value, PyLayer) and value is not PyLayer
            )
            raise self.error(
                f"module '{wanted.module}' has no class '{wanted.layer}'; "
                f"the Layer classes in it: {', '.join(there) or 'none'}; correct python_param.layer"
            )
        if not (isinstance(cls, type) and issubclass(cls, PyLayer)):
            raise self.error(
                f"'{wanted.layer}' in module '{wanted.module}' is not a Layer class; derive it from caffe_compat.Layer"
            )
        return cls

    def _find_module(self, name: str) -> ModuleType:
        imported = sys.modules.get(name)
        if imported is not None:
            return imported
        if not (_import_any or any(name == one or name.startswith(f"{one}.") for one in _allowed)):
            raise self.error(
                f"module '{name}' is not imported, and a prototxt may not import it on its own; "
                f"import it first, or call caffe_compat.allow_python_layers('{name}'), "
                "or run the script with python -m caffe_compat run; Caffe's tools take -python_layers"
            )
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # something that the user's module imports
            raise self.error(
                f"there is no module '{name}' on the import path; put its folder on PYTHONPATH or correct python_param"
            ) from error
