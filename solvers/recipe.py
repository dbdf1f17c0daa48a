"""What a recipe says: one training of the paper, as data.

Which layers interpolate is said by their rate of 0 in the net, and the split to score on by the catalogue. A recipe is
a file of ``solvers/recipes/`` that defines ``RECIPE`` and whose docstring gives the command, the device,
the hours and the expected result. ``solve.py MODEL`` runs it; ``solve.py --list`` shows all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from caffe_compat.proto.caffe_pb2 import SolverParameter
from solvers.published import PUBLISHED, Row

__all__ = ["RELEASED_SETTINGS", "VOC_LIST", "Recipe"]

VOC_LIST = "the released solve.py reads ../data/segvalid11.txt; the list is data/pascal/seg11valid.txt, here computed"
"""The defect that the released VOC trainings share, as a note."""

RELEASED_SETTINGS: Mapping[str, float | int | str | bool] = {
    "test_iter": 736,
    "test_interval": 999999999,
    "display": 20,
    "average_loss": 20,
    "lr_policy": "fixed",
    "momentum": 0.99,
    "weight_decay": 0.0005,
    "snapshot": 4000,
    "snapshot_prefix": "snapshot/train",
    "test_initialization": False,
    "iter_size": 1,
    "max_iter": 100000,
}
"""Solver settings that the released VOC solvers share; a recipe gives base_lr and what differs."""


@dataclass(frozen=True)
class Recipe:
    """One training.

    Args:
        model: name in nets.catalogue.
        settings: solver fields, without nets; equal to the released solver.prototxt.
        iterations: how many the released solve.py steps.
        begins_from: the recipe whose result it starts from; None: an ILSVRC classifier.
        ilsvrc: that classifier's caffemodel, as published.
        fuses: for a net of several streams, the suffix of each stream's layers -> the recipe whose result fills it.
        widens: layer -> the layer of the starting weights whose kernels it takes, where it reads more channels than
            that one; each further channel takes the mean of those kernels.
        score_every: iterations between scorings on the test split.
        notes: defects of the release that matter here, and what we do about each.
    """

    model: str
    settings: Mapping[str, float | int | str | bool]
    iterations: int = 100000
    begins_from: str | None = None
    ilsvrc: str = "VGG_ILSVRC_16_layers.caffemodel"
    fuses: Mapping[str, str] = field(default_factory=dict)
    widens: Mapping[str, str] = field(default_factory=dict)
    score_every: int = 4000
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def snapshot_every(self) -> int:
        """Iterations between snapshots; those between scorings where the released solver takes none."""
        return int(self.settings.get("snapshot", self.score_every))

    @property
    def predecessors(self) -> tuple[str, ...]:
        """The recipes whose results it starts from; none where it starts from an ILSVRC classifier."""
        return tuple(self.fuses.values()) or ((self.begins_from,) if self.begins_from is not None else ())

    @property
    def published(self) -> tuple[Row, ...]:
        """What was published of its result: figures, table and tolerance by source and split."""
        return PUBLISHED[self.model]

    def solver(self, train_file: str | None = None, test_file: str | None = None) -> SolverParameter:
        """The solver message.

        Args:
            train_file: path of the train net; None leaves the nets to the caller, and with them test_iter.
            test_file: path of the test net.
        """
        param = SolverParameter()
        if train_file is not None and test_file is not None:
            param.train_net = train_file
            param.test_net.append(test_file)
        for name, value in self.settings.items():
            if name == "test_iter":
                if test_file is not None:
                    param.test_iter.append(int(value))
            else:
                setattr(param, name, value)
        return param
