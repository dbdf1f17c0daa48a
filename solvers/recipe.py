"""What a recipe says: one training of the paper, as data.

Which layers interpolate is said by their rate of 0 in the net, and the split to score on by the catalogue. A recipe is
a file of ``solvers/recipes/`` that defines ``RECIPE`` and whose docstring gives the command, the device, the hours and
the expected result; what several share, settings of a dataset and defects of the release, is here. ``solve.py MODEL``
runs it; ``solve.py --list`` shows all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from caffe_compat.proto.caffe_pb2 import SolverParameter
from solvers.published import PUBLISHED, Row

__all__ = [
    "CONTEXT_NOTES",
    "CONTEXT_SETTINGS",
    "NYUD_LIST",
    "NYUD_MEAN",
    "NYUD_SETTINGS",
    "RELEASED_SETTINGS",
    "SIFTFLOW_NOTES",
    "SIFTFLOW_SETTINGS",
    "STEPS_100K",
    "VOC_LIST",
    "Recipe",
]

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

NYUD_SETTINGS = {**RELEASED_SETTINGS, "test_iter": 654, "snapshot": 2000, "max_iter": 300000}
SIFTFLOW_SETTINGS = {
    name: value
    for name, value in {**RELEASED_SETTINGS, "test_iter": 200, "max_iter": 300000}.items()
    if name not in ("snapshot", "snapshot_prefix")
}
CONTEXT_SETTINGS = {**RELEASED_SETTINGS, "test_iter": 5105, "max_iter": 300000}

# Defects of the release that several of its trainings share, as notes.
VOC_LIST = "the released solve.py reads ../data/segvalid11.txt; the list is data/pascal/seg11valid.txt, here computed"
STEPS_100K = "max_iter is 300,000 in the released solver, and its solve.py steps 100,000; here 100,000 are run"
NYUD_LIST = (
    "the released solve.py loads the list `test` and scores `val`, a name that is not there (NameError); here test"
)
NYUD_MEAN = "mean_bgr (116.190, 97.203, 92.318) looks like R, G, B order; kept, for parity with the released weights"
SIFTFLOW_NOTES = (
    "the released solver never snapshots; here one is taken with every scoring",
    "released score.py: IU 0 for cow, desert and moon, which the test split does not have; here they do not count",
    "highway_bost181 and street_urb506 lack labels: neither list of the release has them, and no score counts them",
    STEPS_100K,
)
CONTEXT_NOTES = (
    "max_iter is 300,000 in the released solver, and its solve.py steps 400,000; here 400,000 are run",
    "the released prototxts read ../../data where others read ../data; here all read ../data",
    "the data layer wants labels.txt and 59_labels.txt, the release holds classes-400.txt and classes-59.txt",
)


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
