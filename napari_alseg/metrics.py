"""How good a segmentation is: confusion matrix, IoU, its growth; how training went."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from skimage.measure import label as pieces

from .arrays import IGNORE, LabelMap, TargetMap


@dataclass(frozen=True)
class Scores:
    """What a confusion matrix says.

    Absent classes - in neither truth nor prediction - have no IoU and are left out
    of the mean.
    """

    iou: tuple[float | None, ...]
    """One entry a class, 0..1; None = absent."""

    @property
    def mean(self) -> float:
        """Mean IoU over the classes that occur, 0..1; nan if none does."""
        present = [value for value in self.iou if value is not None]
        return float(np.mean(present)) if present else float("nan")


@dataclass(frozen=True)
class CurvePoint:
    """What was known of a training at one step."""

    step: int
    epoch: int
    loss: float | None
    """Mean over the steps since the last point; None before the first step."""
    miou: float | None
    """Mean IoU on the validation images, 0..1; None where it was not measured."""


@dataclass(frozen=True)
class Report:
    """What a training led to."""

    round: int
    curve: tuple[CurvePoint, ...]
    weights_source: str
    """Where the encoder's weights really came from."""
    scores: Scores | None
    """On the validation images; None without any truth there."""


def confusion_matrix(
    truth: TargetMap, prediction: TargetMap, classes: int
) -> np.ndarray:
    """Count pixels by true and predicted class.

    Only pixels whose truth is ignored are dropped; predictions never are.

    Parameters
    ----------
    truth : uint8 array of shape (H, W)
        Class index, 255 = ignored.
    prediction : uint8 array of shape (H, W)
        Class index.
    classes : int
        Number of classes C.

    Returns
    -------
    int64 array of shape (C, C)
        Rows are true classes, columns predicted ones.

    Examples
    --------
    >>> truth = np.array([[0, 0, 1, 255]], np.uint8)
    >>> prediction = np.array([[0, 1, 1, 1]], np.uint8)
    >>> confusion_matrix(truth, prediction, 2)
    array([[1, 1],
           [0, 1]])
    """
    known = truth != IGNORE
    pairs = truth[known].astype(np.int64) * classes + prediction[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def scores(confusion: np.ndarray) -> Scores:
    """Intersection over union of each class: TP / (TP + FP + FN).

    Parameters
    ----------
    confusion : int array of shape (C, C)

    Examples
    --------
    >>> scores(np.array([[8, 2, 0], [0, 9, 0], [0, 0, 0]])).iou
    (0.8, 0.8181818181818182, None)
    """
    hits = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hits
    return Scores(
        tuple(
            float(hit / total) if total else None
            for hit, total in zip(hits, union, strict=True)
        )
    )


def area_under_curve(
    shares: Sequence[float], values: Sequence[float], start: float, stop: float
) -> float:
    """Mean height of a curve from one share of labels to another, in its own unit.

    Shares are taken on a logarithmic axis, where each doubling of the labels counts
    alike; between its points the curve is straight there.

    Parameters
    ----------
    shares : sequence of float
        Rising, above 0.
    values : sequence of float
        For example mIoU, one for each share.
    start, stop : float
        Within the shares, not equal.

    Examples
    --------
    >>> round(area_under_curve([0.01, 0.1, 1.0], [0.4, 0.6, 0.7], 0.01, 1.0), 6)
    0.575
    """
    places, ends = np.log(shares), np.log([start, stop])
    inner = places[(places > ends[0]) & (places < ends[1])]
    nodes = np.concatenate([ends[:1], inner, ends[1:]])
    heights = np.interp(nodes, places, values)
    return float(np.trapezoid(heights, nodes) / (ends[1] - ends[0]))


def clicks(patch: LabelMap) -> int:
    """Clicks of an answer with exact pixels: its connected pieces of one class.

    At least 1. Pixels of a class that touch at a side or a corner are one piece.

    Examples
    --------
    >>> clicks(np.array([[1, 2, 1], [1, 1, 0], [0, 0, 3]], np.uint8))
    3
    """
    return max(1, int(pieces(patch, background=0, connectivity=2).max()))
