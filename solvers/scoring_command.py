"""Scoring given weights on their model's own test split, all tasks in one pass.

measured = score_weights("voc-fcn8s", Path("fcn8s-heavy-pascal.caffemodel"), Path("data"))
measured.scores[""].mean_iu
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from nets.catalogue import lookup
from solvers.datasets import find_test_split
from solvers.evaluation import evaluate
from solvers.initial import check_covered
from solvers.metrics import Scores

__all__ = ["Measured", "score_weights"]

_SEED = 1337


@dataclass(frozen=True)
class Measured:
    """What given weights score.

    Args:
        model: its name.
        weights: their file.
        split: name of the list.
        images: how many it has.
        scores: by the task's name; that of a net with one task is empty.
    """

    model: str
    weights: Path
    split: str
    images: int
    scores: dict[str, Scores]


def score_weights(
    model: str, weights: Path, data: Path, read: str = "files", width: float = 1, progress: bool = True
) -> Measured:
    """Score weights on the test split of their model's dataset.

    Args:
        model: name in the catalogue.
        weights: a caffemodel.
        data: the data folder; nothing to train on need be there.
        read: ``files`` or ``lmdb``.
        width: fraction of the channels, for thin copies.
        progress: show a bar on stderr.

    Raises:
        DataError: the data is not there or faulty.
        WeightsError: the weights cannot be read, do not fit, or leave a layer at zero.
    """
    known = lookup(model)
    split = find_test_split(data, known, read)
    with TemporaryDirectory() as folder:
        nets = known.prototxts(test_source=split.source(known, Path(folder), _SEED), width=width)
        keep = [blob for task in known.tasks for blob in (task.score, task.label, task.loss)]
        net = Net(nets[known.test_file], phase=TEST, weights=weights, keep=keep)
        check_covered(net, weights)
        scores = evaluate(net, known, split.ids, progress=progress)
    return Measured(model, weights, split.name, len(split.ids), scores)
