"""The segmentation metrics of the paper, from a confusion matrix.

With n_ij the number of pixels of class i that were given class j, t_i = sum_j n_ij, and k the number of classes that
occur in the truth:

    pixel accuracy            sum_i n_ii / sum_i t_i
    mean accuracy             1/k sum_i n_ii / t_i
    IU of class i             n_ii / (t_i + sum_j n_ji - n_ii)
    mean IU                   1/k sum_i IU_i
    frequency-weighted IU     sum_i t_i IU_i / sum_i t_i

A class without a pixel in the truth has no accuracy and no IU (NaN) and takes no part in the means. The released
score.py agrees unless such a class was predicted somewhere: then it counts as IU 0 in the mean. ``released_mean_iu`` is
that number, for comparison with its logs.

Source: the paper, section 5; shelhamer/fcn.berkeleyvision.org score.py.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from caffe_compat.errors import DataError

__all__ = ["FIGURES", "Scores", "confusion_matrix", "four_figures"]

FIGURES: Mapping[str, str] = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iu": "mean IU",
    "fw_iu": "frequency-weighted IU",
}
"""The four means of a score, as attributes, and their names in words."""


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        truth: labels, any shape; values outside 0 to classes - 1, such as void (255), do not count.
        predicted: classes of the same shape; where the truth counts, 0 to classes - 1.
        classes: number of classes.

    Returns:
        classes x classes, int64: rows are true classes, columns predicted ones.

    Raises:
        DataError: the shapes differ, or a counted prediction is no class.
    """
    if truth.shape != predicted.shape:
        raise DataError(
            f"confusion matrix: the truth has shape {truth.shape} and the prediction {predicted.shape}; "
            "give both for the same pixels"
        )
    counted = (truth >= 0) & (truth < classes)
    true_class, predicted_class = truth[counted].astype(np.int64), predicted[counted].astype(np.int64)
    wrong = predicted_class[(predicted_class < 0) | (predicted_class >= classes)]
    if wrong.size:
        raise DataError(
            f"confusion matrix: the prediction holds {wrong[0]}; wanted 0 to {classes - 1}, the {classes} classes"
        )
    flat = np.bincount(classes * true_class + predicted_class, minlength=classes**2)
    return flat.reshape(classes, classes)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The quotients; NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    """Mean of those that are not NaN; NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says, all between 0 and 1.

    Args:
        hist: classes x classes pixel counts, rows true, columns predicted.
        images: number of images counted.
        loss: mean loss per forward pass; None where the net has none.
    """

    hist: np.ndarray
    images: int = 0
    loss: float | None = None

    @property
    def classes(self) -> int:
        """Number of classes, those absent included."""
        return len(self.hist)

    @property
    def class_pixels(self) -> np.ndarray:
        """True pixels of each class: t_i."""
        return self.hist.sum(axis=1)

    @property
    def class_accuracy(self) -> np.ndarray:
        """Part of each class's true pixels that were predicted so; NaN for classes absent from the truth."""
        return _ratio(np.diag(self.hist), self.class_pixels)

    @property
    def _union(self) -> np.ndarray:
        return self.class_pixels + self.hist.sum(axis=0) - np.diag(self.hist)

    @property
    def class_iu(self) -> np.ndarray:
        """Intersection over union of each class; NaN for classes absent from the truth."""
        return np.where(self.class_pixels > 0, _ratio(np.diag(self.hist), self._union), np.nan)

    @property
    def pixel_accuracy(self) -> float:
        """Part of all pixels that are right; NaN if none was counted."""
        total = int(self.hist.sum())
        return float(np.diag(self.hist).sum() / total) if total else float("nan")

    @property
    def mean_accuracy(self) -> float:
        """Mean of ``class_accuracy`` over the classes in the truth."""
        return _mean(self.class_accuracy)

    @property
    def mean_iu(self) -> float:
        """Mean of ``class_iu`` over the classes in the truth."""
        return _mean(self.class_iu)

    @property
    def released_mean_iu(self) -> float:
        """Mean IU as the released score.py has it: classes predicted but absent from the truth count as 0."""
        return _mean(_ratio(np.diag(self.hist), self._union))

    @property
    def fw_iu(self) -> float:
        """Frequency-weighted IU; NaN if no pixel was counted."""
        present = self.class_pixels > 0
        if not present.any():
            return float("nan")
        frequency = self.class_pixels[present] / self.class_pixels.sum()
        return float((frequency * self.class_iu[present]).sum())

    def without(self, classes: Collection[int]) -> "Scores":
        """Scores that leave out these classes' true pixels; what was wrongly given to them still counts as wrong."""
        hist = self.hist.copy()
        hist[list(classes)] = 0
        return Scores(hist, self.images, self.loss)

    def __add__(self, other: "Scores") -> "Scores":
        """Scores over the images of both; the loss is the mean weighted by images."""
        images = self.images + other.images
        loss = None
        if self.loss is not None and other.loss is not None and images:
            loss = (self.loss * self.images + other.loss * other.images) / images
        return Scores(self.hist + other.hist, images, loss)

    def table(self, names: Sequence[str] | None = None) -> str:
        """One line per class with its true pixels, accuracy and IU, and a last line with the means, in percent.

        Raises:
            DataError: not as many names as classes.
        """
        names = [str(index) for index in range(self.classes)] if names is None else names
        if len(names) != self.classes:
            raise DataError(f"table of scores: {len(names)} class names for {self.classes} classes; give one for each")
        width = max(5, *map(len, names))
        lines = [f"{'class':{width}}  {'true pixels':>12}  {'accuracy':>8}  {'IU':>6}"]
        rows = zip(names, self.class_pixels, self.class_accuracy, self.class_iu, strict=True)
        for name, pixels, accuracy, iu in rows:
            figures = f"{100 * accuracy:8.2f}  {100 * iu:6.2f}" if pixels else f"{'-':>8}  {'-':>6}"
            lines.append(f"{name:{width}}  {pixels:12d}  {figures}")
        lines.append("  ".join(f"{words} {100 * getattr(self, name):.3f}" for name, words in FIGURES.items()))
        return "\n".join(lines)


def four_figures(scores: object) -> str:
    """The four means in per cent, ``91.221/77.615/65.513/84.545``; a dash where there is none (None).

    Args:
        scores: has the attributes of ``FIGURES``: a score, or a row of ``solvers.published``.
    """
    values = [getattr(scores, name) for name in FIGURES]
    return "/".join("-" if value is None else f"{100 * value:.5g}" for value in values)
