"""Scoring a net over a split, in the steps and with the printed lines of the release.

    net = Net("val.prototxt", weights, TEST, keep=["score", "label", "loss"])
    scores = score(net, read_list(Path("seg11valid.txt")), save_dir="predictions")
    print_scores(scores, iteration=100000)

Source: shelhamer/fcn.berkeleyvision.org score.py. Where we differ: every element of a batch counts, not only the first;
the folder for pictures may be there already; pictures have the VOC palette.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from caffe_compat.errors import DataError, NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.whole_file import replacing
from data_prep.labels import encode_label, voc_palette
from solvers.metrics import Scores, confusion_matrix

__all__ = ["labels_and_predictions", "print_scores", "save_label", "score", "seg_tests"]


class SegSolver(Protocol):
    """A solver with a test net: pycaffe's, or ours."""

    net: Net
    test_nets: Sequence[Net]
    iter: int


def score(
    net: Net,
    dataset: int | Iterable[str],
    layer: str = "score",
    gt: str = "label",
    *,
    loss: str = "loss",
    save_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Scores:
    """Run a net over a split and count how its predictions meet the labels.

    Images may differ in size from one forward pass to the next.

    Args:
        net: its data layer gives images and labels, from its present position on; a lean net keeps ``layer``, ``gt``
            and ``loss``.
        dataset: the ids of the images in the order of the data layer, or a number of forward passes. With a batch of N
            each pass takes N ids; what a last batch holds beyond the ids does not count.
        layer: blob of scores, N x classes x H x W; the largest wins, the first of equals.
        gt: blob of labels, N x 1 x H x W; values outside 0 to classes - 1 do not count.
        loss: blob of the loss; a net need not have it.
        save_dir: folder for the predictions as palette PNGs, named by id, or by number from 000000 on; made if absent.
        progress: show a bar on stderr.

    Returns:
        The confusion matrix with its metrics, and the mean loss per pass.

    Raises:
        NetError: the net lacks a blob, or scores and labels differ in size.
        DataError: no id, or no pass, is asked for.
    """
    for name in (layer, gt):
        if name not in net.blobs:
            raise NetError(f"score: the net has no blob '{name}'; it has {', '.join(net.blobs)}")
    ids = None if isinstance(dataset, int) else list(dataset)
    wanted = dataset if isinstance(dataset, int) else len(ids or ())
    if wanted < 1:
        raise DataError(f"score: {wanted} images or passes to score; give at least one")
    hist: np.ndarray | None = None
    losses: list[float] = []
    images = done = 0
    with tqdm(total=wanted, desc="score", unit="pass" if ids is None else "image", disable=not progress) as bar:
        while done < wanted:
            net.forward()
            truth, predicted, classes = labels_and_predictions(net, layer, gt)
            if ids is not None:
                truth, predicted = truth[: wanted - done], predicted[: wanted - done]
            counted = confusion_matrix(truth, predicted, classes)
            hist = counted if hist is None else hist + counted
            if loss in net.blobs:
                losses.append(float(net.blobs[loss].tensor().sum()))
            if save_dir is not None:
                for element, label in enumerate(predicted):
                    name = f"{images + element:06d}" if ids is None else ids[done + element]
                    save_label(label, Path(save_dir) / f"{name}.png")
            images += len(predicted)
            step = 1 if ids is None else len(predicted)
            done += step
            bar.update(step)
    assert hist is not None
    return Scores(hist, images, sum(losses) / len(losses) if losses else None)


def labels_and_predictions(net: Net, layer: str, gt: str) -> tuple[np.ndarray, np.ndarray, int]:
    """True and predicted classes of the batch, both N x H x W, and the number of classes.

    Raises:
        NetError: scores and labels differ in size.
    """
    scores, labels = net.blobs[layer].tensor(), net.blobs[gt].tensor()
    if scores.ndim != 4 or labels.numel() != scores.numel() // max(1, scores.shape[1]):
        raise NetError(
            f"score: blob '{layer}' is {tuple(scores.shape)} and '{gt}' is {tuple(labels.shape)}; "
            "wanted N x classes x H x W and N x 1 x H x W of the same N, H and W"
        )
    predicted = scores.argmax(dim=1)  # N x H x W
    return labels.reshape(predicted.shape).cpu().numpy(), predicted.cpu().numpy(), scores.shape[1]


def save_label(label: np.ndarray, path: Path) -> None:
    """Write classes (H x W, 0 to 255) as a PNG in the VOC palette, whole or not at all; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(encode_label(label.astype(np.uint8), voc_palette()))


def print_scores(scores: Scores, iteration: int, echo: Callable[[str], object] = print, task: str = "") -> None:
    """Print the release's lines: ``>>> date time Iteration N overall accuracy x`` and so on, in parts of 1.

    The name of a task, of a net with several, comes after the iteration. One line more tells the released mean IU where
    classes that are not in the truth were predicted.
    """
    lines = {
        "loss": scores.loss,
        "overall accuracy": scores.pixel_accuracy,
        "mean accuracy": scores.mean_accuracy,
        "mean IU": scores.mean_iu,
        "fwavacc": scores.fw_iu,
    }
    if scores.released_mean_iu != scores.mean_iu and scores.hist.any():
        lines["mean IU with absent classes as 0, as the released score.py has it"] = scores.released_mean_iu
    for name, value in lines.items():
        if value is not None:
            echo(f">>> {datetime.now()} Iteration {iteration} {f'{task} ' if task else ''}{name} {value}")


def seg_tests(
    solver: SegSolver,
    save_format: str | None,
    dataset: int | Iterable[str],
    layer: str = "score",
    gt: str = "label",
    *,
    progress: bool = True,
) -> Scores:
    """Score a solver's first test net with the weights of its training net, and print the release's lines.

    Args:
        solver: has at least one test net.
        save_format: folder for pictures, with ``{}`` for the iteration; None or empty for none.
        dataset: as for ``score``.
        layer: as for ``score``.
        gt: as for ``score``.
        progress: show a bar on stderr.

    Raises:
        NetError: the solver has no test net; or as for ``score``.
    """
    if not solver.test_nets:
        raise NetError("seg_tests: the solver has no test net; give its settings a test_net")
    print(f">>> {datetime.now()} Begin seg tests")
    net = solver.test_nets[0]
    net.share_with(solver.net)
    save_dir = save_format.format(solver.iter) if save_format else None
    scores = score(net, dataset, layer, gt, save_dir=save_dir, progress=progress)
    print_scores(scores, solver.iter)
    return scores
