"""The parameters of a net: which are learned, by what multipliers, and which are one because they bear one name.

A parameter spec (``param { name: lr_mult: decay_mult: share_mode: }``) that names a parameter another layer has named
before shares that layer's blob: values and gradients are one, so gradients add. The first bearer is the owner.

Source: BVLC/caffe src/caffe/net.cpp, Net::AppendParam.
"""

from dataclasses import dataclass

from caffe_compat.layer.blob import Blob
from caffe_compat.layer.contract import Layer
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["ParamTable"]


@dataclass
class _Learned:
    """A parameter that has its own values."""

    blob: Blob
    layer: Layer
    lr_mult: float | None
    decay_mult: float | None


class ParamTable:
    """Collects parameters in the order of layers.

    Attributes:
        owned: (layer, index) of every parameter that owns its values, in Caffe's order.
    """

    def __init__(self) -> None:
        self._learned: list[_Learned] = []
        self._by_name: dict[str, int] = {}
        self.owned: set[tuple[str, int]] = set()

    @property
    def blobs(self) -> list[Blob]:
        """The blobs to learn, owners only."""
        return [p.blob for p in self._learned]

    @property
    def lr_mults(self) -> list[float]:
        """Learning rate multiplier of each."""
        return [1.0 if p.lr_mult is None else p.lr_mult for p in self._learned]

    @property
    def decay_mults(self) -> list[float]:
        """Weight decay multiplier of each."""
        return [1.0 if p.decay_mult is None else p.decay_mult for p in self._learned]

    @staticmethod
    def spec(layer: Layer, index: int) -> pb.ParamSpec:
        """The layer's spec for its parameter, or the default one."""
        return layer.param.param[index] if index < len(layer.param.param) else pb.ParamSpec()

    @staticmethod
    def check_count(layer: Layer) -> None:
        """Hold a layer to at most one spec for each of its parameters.

        Raises:
            LayerError: there are more.
        """
        if len(layer.param.param) > len(layer.blobs):
            raise layer.error(
                f"{len(layer.param.param)} param specs for {len(layer.blobs)} parameter blobs; remove the extra ones"
            )

    def append(self, layer: Layer, index: int) -> bool:
        """Take in one parameter; returns whether its own spec lets it learn.

        Raises:
            LayerError: a shared one whose shape or multipliers differ from the owner's.
        """
        spec, blob = self.spec(layer, index), layer.blobs[index]
        lr = spec.lr_mult if spec.HasField("lr_mult") else None
        decay = spec.decay_mult if spec.HasField("decay_mult") else None
        if not spec.name or spec.name not in self._by_name:
            if spec.name:
                self._by_name[spec.name] = len(self._learned)
            self._learned.append(_Learned(blob, layer, lr, decay))
            self.owned.add((layer.name, index))
            return spec.lr_mult != 0
        owner = self._learned[self._by_name[spec.name]]
        self._check_shapes(layer, index, spec, owner)
        blob.share_data(owner.blob)
        blob.share_diff(owner.blob)
        owner.lr_mult = self._agreed(layer, spec.name, "lr_mult", owner.lr_mult, lr)
        owner.decay_mult = self._agreed(layer, spec.name, "decay_mult", owner.decay_mult, decay)
        return spec.lr_mult != 0

    @staticmethod
    def _check_shapes(layer: Layer, index: int, spec: pb.ParamSpec, owner: _Learned) -> None:
        blob = layer.blobs[index]
        permissive = spec.share_mode == pb.ParamSpec.PERMISSIVE
        fits = blob.count == owner.blob.count if permissive else blob.shape == owner.blob.shape
        if not fits:
            raise layer.error(
                f"cannot share parameter '{spec.name}' of layer '{owner.layer.name}': the owner's shape is "
                f"{owner.blob.shape}, this layer's is {blob.shape}; "
                + ("the counts must be equal" if permissive else "make them equal or set share_mode: PERMISSIVE")
            )

    @staticmethod
    def _agreed(layer: Layer, name: str, what: str, owner: float | None, sharer: float | None) -> float | None:
        if owner is not None and sharer is not None and owner != sharer:
            raise layer.error(
                f"shared parameter '{name}' has {what} {sharer} here and {owner} at its owner; make them equal"
            )
        return sharer if owner is None else owner
