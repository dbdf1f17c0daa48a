"""The name ``caffe`` for this package, so that scripts written for pycaffe run as they are.

``MODULES`` is the whole table of pycaffe's modules. Each old name leads to the very module object of this package:
there is no second copy of a class, a message or a registry, whichever name it was imported by. pycaffe's extension
module ``_caffe`` and its ``pycaffe.py`` are the package itself, which has all their names.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from caffe_compat.errors import CaffeError

__all__ = ["MODULES", "AliasError", "install_as_caffe", "old_module"]

MODULES = {
    "caffe": "caffe_compat",
    "caffe._caffe": "caffe_compat",
    "caffe.pycaffe": "caffe_compat",
    "caffe.io": "caffe_compat.io",
    "caffe.net_spec": "caffe_compat.spec.net_spec",
    "caffe.coord_map": "caffe_compat.spec.coord_map",
    "caffe.draw": "caffe_compat.spec.draw",
    "caffe.classifier": "caffe_compat.classifier",
    "caffe.detector": "caffe_compat.detector",
    "caffe.proto": "caffe_compat.proto",
    "caffe.proto.caffe_pb2": "caffe_compat.proto.caffe_pb2",
}


class AliasError(CaffeError, ModuleNotFoundError):
    """The name ``caffe`` is taken, or has no such module; a ModuleNotFoundError too, for scripts that try an import."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


def old_module(name: str) -> ModuleType:
    """The module that pycaffe calls ``name``, such as ``caffe.net_spec``; imported if need be.

    Raises:
        AliasError: pycaffe has no such module, or this version of the package does not have it yet.
    """
    if name not in MODULES:
        raise AliasError(f"{name}: caffe_compat has no such module; it has {', '.join(MODULES)}", name)
    target = MODULES[name]
    try:
        return importlib.import_module(target)
    except ModuleNotFoundError as error:
        if error.name != target:
            raise
        raise AliasError(f"{name}: this version of caffe_compat does not have {target}; do without it", name) from None


class _SameModule(Loader):
    """Gives an existing module under a second name, and leaves its ``__spec__`` as it was."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = old_module(spec.name)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec  # the import system has just put the alias's there


class _CaffeFinder(MetaPathFinder):
    """Answers for ``caffe`` and everything below it, so that nothing below it is ever found as a file."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "caffe":
            return None
        if fullname not in MODULES:
            old_module(fullname)  # raises; finding nothing would let the path finder load a second copy
        return ModuleSpec(fullname, _SameModule(), is_package=fullname in ("caffe", "caffe.proto"))


def install_as_caffe() -> None:
    """Let ``import caffe`` and its submodules mean this package, in this process, from now on.

    Python layers are then imported by their ``module`` name as Caffe does it. Calling it again changes nothing.

    Raises:
        AliasError: another ``caffe`` has been imported already.
    """
    from caffe_compat.layer.python_layer import import_python_layers_as_caffe

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "caffe" and module is not sys.modules.get(MODULES.get(name, "")):
            where = getattr(module, "__file__", None) or "an unknown place"
            raise AliasError(
                f"cannot stand in for caffe: {name} is already imported, from {where}; "
                "call caffe_compat.install_as_caffe() before the first import of caffe",
                name,
            )
    if not any(isinstance(finder, _CaffeFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _CaffeFinder())
    import_python_layers_as_caffe()
