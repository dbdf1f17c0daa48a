"""Every error this package raises on purpose.

    CaffeError                 base of all; a RuntimeError, as pycaffe's own failures are
    ├── ParseError             prototxt text or a protobuf message that cannot be read: names file, line, field
    ├── WeightsError           weights, a snapshot or a mean that is damaged or does not fit: names file, layer, shapes
    ├── NetError               a net that cannot be built or run as asked: names layer or blob
    │   └── LayerError         one layer's bottoms, shapes or parameters are wrong: names layer and type
    ├── SolverError            solver settings or a solver state that cannot be used
    ├── DataError              a dataset, database, image or label that is damaged or out of range: names file or key
    └── DeviceError            a device that was asked for and is not there

A message says who, what was found, what was wanted and what to change, in that order. Exceptions raised by a user's own
Python layer or callback pass through unchanged.
"""

__all__ = [
    "CaffeError",
    "DataError",
    "DeviceError",
    "LayerError",
    "NetError",
    "ParseError",
    "SolverError",
    "WeightsError",
]


class CaffeError(RuntimeError):
    """Base of every error this package raises on purpose."""


class ParseError(CaffeError):
    """A prototxt or protobuf message that cannot be read."""


class WeightsError(CaffeError):
    """Weights, a snapshot or a mean file that is damaged or does not fit."""


class NetError(CaffeError):
    """A net that cannot be built or run as asked."""


class LayerError(NetError):
    """One layer's bottoms, shapes or parameters are wrong.

    Args:
        name: the layer's name in the prototxt.
        type_: the layer's type, such as ``Convolution``.
        message: what was found, what was wanted, what to change.
    """

    def __init__(self, name: str, type_: str, message: str) -> None:
        super().__init__(f"layer '{name}' ({type_}): {message}")
        self.layer_name = name
        self.layer_type = type_


class SolverError(CaffeError):
    """Solver settings or a solver state that cannot be used."""


class DataError(CaffeError):
    """A dataset, database, image or label that is damaged or out of range."""


class DeviceError(CaffeError):
    """A device that was asked for and is not there."""
