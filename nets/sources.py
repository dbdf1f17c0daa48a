"""What feeds a net: the same spec is trained, scored and deployed by giving it another source.

A source adds its layers to a spec and so assigns the tops a net asks for, such as ``n.data`` and ``n.label``.
A source that gives no label makes the net a deploy net: no dropout and no loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from caffe_compat.errors import NetError
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L

__all__ = ["InputData", "LmdbData", "PythonData", "Source"]


class Source(Protocol):
    """Anything that can add data layers to a spec."""

    def add(self, n: NetSpec, tops: Sequence[str]) -> None:
        """Assign the named tops of ``n``: images first, labels last."""


@dataclass(frozen=True)
class PythonData:
    """One Python layer that makes all tops, as in the released train and val nets.

    Args:
        module: module of the layer's class: ``voc_layers`` as released, ``data_prep.layers`` for ours.
        layer: the class, such as ``SBDDSegDataLayer`` over a folder or ``LMDBSegDataLayer`` over LMDBs.
        params: what the layer's param_str holds; written as a Python literal.
    """

    module: str
    layer: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def add(self, n: NetSpec, tops: Sequence[str]) -> None:
        """Assign the tops; the layer bears the first one's name."""
        python_param = {"module": self.module, "layer": self.layer, "param_str": str(dict(self.params))}
        made = L.Python(python_param=python_param, ntop=len(tops))
        for name, top in zip(tops, (made,) if len(tops) == 1 else made, strict=True):
            n[name] = top


@dataclass(frozen=True)
class LmdbData:
    """One Data layer per top, each over an LMDB of Caffe Datums, read in the order of keys, which must be the same.

    Args:
        databases: path of the LMDB for each top, such as ``{"data": "train_image_lmdb", "label": "train_label_lmdb"}``.
        mean_bgr: what is taken off the first top's channels, in the order of the stored channels; 0 to 255.
        batch_size: images per batch; above 1 all must be of one size.
    """

    databases: Mapping[str, str]
    mean_bgr: tuple[float, ...] = ()
    batch_size: int = 1

    def add(self, n: NetSpec, tops: Sequence[str]) -> None:
        """Assign the tops.

        Raises:
            NetError: there is no database for a top.
        """
        for index, top in enumerate(tops):
            if top not in self.databases:
                raise NetError(f"LMDB source: no database for top '{top}'; databases given: {sorted(self.databases)}")
            settings: dict[str, Any] = {
                "data_param": {"source": self.databases[top], "backend": "LMDB", "batch_size": self.batch_size}
            }
            if index == 0 and self.mean_bgr:
                settings["transform_param"] = {"mean_value": list(self.mean_bgr)}
            n[top] = L.Data(**settings)


@dataclass(frozen=True)
class InputData:
    """Input layers, to be filled by the caller.

    Args:
        shapes: N x C x H x W for each top; tops without a shape are left out. ``{"data": (1, 3, 500, 500)}`` alone
            makes the released deploy form, whose one input layer is called ``input``.
    """

    shapes: Mapping[str, Sequence[int]]

    def add(self, n: NetSpec, tops: Sequence[str]) -> None:
        """Assign those of the tops that have a shape.

        Raises:
            NetError: a shape is given for a top that the net does not have, or none for its first.
        """
        unknown = [top for top in self.shapes if top not in tops]
        if unknown or tops[0] not in self.shapes:
            raise NetError(f"input source: shapes for {sorted(self.shapes)}; this net has the inputs {list(tops)}")
        name = {"name": "input"} if len(self.shapes) == 1 else {}
        for top in tops:
            if top in self.shapes:
                n[top] = L.Input(shape={"dim": list(self.shapes[top])}, **name)
