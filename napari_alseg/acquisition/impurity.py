"""RIPU's maps: how mixed and unsure surroundings are.

Xie et al., CVPR 2022. A window is the square of 2 * radius + 1 pixels around a pixel,
cut off where the image ends; shares and means divide by the pixels inside. On the CPU
a window slides along each row and adds a column in front and drops one behind, so that
the time does not depend on the radius; elsewhere windows are average poolings.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from napari_alseg.arrays import ClassIndexTensor, ProbabilityTensor, ScoreTensor
from napari_alseg.errors import BadValue

from ._kernels import doubt_rows, impurity_rows, mean_rows
from .probability import checked
from .uncertainty import entropy

ROWS = 256
"""Rows a thread takes at a time; the same for any number of threads, and so the
result."""


def impurity(prediction: ClassIndexTensor, classes: int, radius: int) -> ScoreTensor:
    """Entropy of the predicted classes in each window.

    Divided by ln C, 0..1; 0 = one class only. RIPU's region impurity; its code divides
    by ln 19 whatever C.

    Parameters
    ----------
    prediction : int tensor of shape (H, W)
        Class index 0..C-1, as the network predicts it.
    classes : int
        Number of classes C, two or more.
    radius : int
        Zero or more.

    Raises
    ------
    BadValue
        If there are fewer than two classes or no pixels, a class index lies outside of
        them, or the radius is negative.

    Examples
    --------
    >>> impurity(torch.tensor([[0, 0, 1]]), classes=2, radius=1)
    tensor([[0.0000, 0.9183, 1.0000]])
    """
    _check_radius(radius)
    if classes < 2 or not prediction.numel():
        raise BadValue(
            f"impurity needs two classes or more and an image, got {classes} classes "
            f"and the shape {tuple(prediction.shape)}"
        )
    low, high = (int(end) for end in torch.aminmax(prediction))
    if low < 0 or high >= classes:
        raise BadValue(
            f"a class index lies in 0..{classes - 1}, got {low} to {high}: pass the "
            "prediction, not labels"
        )
    if prediction.device.type != "cpu":
        return _pooled_impurity(prediction, classes, radius)
    return _sliding_impurity(prediction.to(torch.int16).numpy(), classes, radius)


def predicted_impurity(probability: ProbabilityTensor, radius: int) -> ScoreTensor:
    """Impurity of the most probable classes, 0..1.

    Of a tie the lowest class counts.

    Parameters
    ----------
    probability : float tensor of shape (C, H, W)
    radius : int
        Zero or more.

    Raises
    ------
    BadValue
        If the probability is not a valid distribution or the radius is negative.

    Examples
    --------
    >>> probability = torch.tensor([[[0.9, 0.6, 0.2]], [[0.1, 0.4, 0.8]]])
    >>> predicted_impurity(probability, radius=1)
    tensor([[0.0000, 0.9183, 1.0000]])
    """
    _check_radius(radius)
    best = _best_class(checked(probability))
    return impurity(best, probability.shape[0], radius)


def region_uncertainty(probability: ProbabilityTensor, radius: int) -> ScoreTensor:
    """Mean entropy in the window around each pixel.

    Divided by ln C, 0..1: RIPU's prediction uncertainty of a region.

    Parameters
    ----------
    probability : float tensor of shape (C, H, W)
    radius : int
        Zero or more.

    Raises
    ------
    BadValue
        If the probability is not a valid distribution or the radius is negative.

    Examples
    --------
    >>> probability = torch.tensor([[[0.5, 1.0]], [[0.5, 0.0]]])
    >>> region_uncertainty(probability, radius=1)
    tensor([[0.5000, 0.5000]])
    """
    _check_radius(radius)
    return _window_mean(_doubt_and_class(probability)[0], radius)


def ripu(probability: ProbabilityTensor, radius: int) -> ScoreTensor:
    """Region impurity times region uncertainty, 0..1.

    RIPU's score of a region (RA).

    Parameters
    ----------
    probability : float tensor of shape (C, H, W)
    radius : int
        Zero or more; RIPU takes 1.

    Raises
    ------
    BadValue
        If the probability is not a valid distribution or the radius is negative.

    Examples
    --------
    >>> certain = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> ripu(certain, radius=1)
    tensor([[0., 0.]])
    """
    _check_radius(radius)
    doubt, best = _doubt_and_class(probability)
    mixed = impurity(best, probability.shape[0], radius)
    return mixed.mul_(_window_mean(doubt, radius))


def ripu_pixel(probability: ProbabilityTensor, radius: int) -> ScoreTensor:
    """Entropy of a pixel times the impurity around it.

    RIPU's PA, with the entropy divided by ln C: 0..1. The authors' code divides neither
    by ln C, which changes no order.

    Parameters
    ----------
    probability : float tensor of shape (C, H, W)
    radius : int
        Zero or more; RIPU takes 32.

    Raises
    ------
    BadValue
        If the probability is not a valid distribution or the radius is negative.

    Examples
    --------
    >>> probability = torch.tensor([[[0.5, 0.2]], [[0.5, 0.8]]])
    >>> ripu_pixel(probability, radius=1)
    tensor([[1.0000, 0.7219]])
    """
    _check_radius(radius)
    doubt, best = _doubt_and_class(probability)
    return impurity(best, probability.shape[0], radius).mul_(doubt)


def _check_radius(radius: int) -> None:
    if radius < 0:
        raise BadValue(f"a radius must be zero or more, got {radius}")


def _doubt_and_class(
    probability: ProbabilityTensor,
) -> tuple[ScoreTensor, ClassIndexTensor]:
    """Return the entropy and the most probable class.

    The entropy is divided by ln C; of a tie the lowest class counts. On the CPU one
    pass reads each probability once, and no step waits for all threads: that matters
    while a person uses the same processor.
    """
    if probability.device.type != "cpu":
        return entropy(probability), _best_class(probability)
    values = checked(probability).numpy()
    doubt = np.empty(values.shape[1:], np.float32)
    best = np.empty(values.shape[1:], np.int16)
    _in_bands(len(doubt), lambda *band: doubt_rows(values, doubt, best, *band))
    return torch.from_numpy(doubt), torch.from_numpy(best)


def _best_class(probability: ProbabilityTensor) -> ClassIndexTensor:
    """Return the most probable class, the lowest of a tie.

    ``argmax`` leaves ties open.
    """
    best = probability[0].clone()
    index = torch.zeros(best.shape, dtype=torch.int16, device=best.device)
    for other in range(1, probability.shape[0]):
        better = probability[other] > best
        index.masked_fill_(better, other)
        torch.maximum(best, probability[other], out=best)
    return index


def _sliding_impurity(prediction: np.ndarray, classes: int, radius: int) -> Tensor:
    """Return the impurity by windows that slide along the rows."""
    pixels = np.arange(math.prod(min(2 * radius + 1, n) for n in prediction.shape) + 1)
    weights = pixels * np.log(np.maximum(pixels, 1)) / math.log(classes)
    result = np.empty(prediction.shape, np.float32)
    _in_bands(
        len(result),
        lambda *band: impurity_rows(
            prediction, classes, radius, weights, result, *band
        ),
    )
    return torch.from_numpy(result)


def _window_mean(doubt: ScoreTensor, radius: int) -> ScoreTensor:
    """Return the mean over the window around each pixel."""
    if doubt.device.type != "cpu":
        return _box_mean(doubt, radius)
    values, result = doubt.numpy(), np.empty(doubt.shape, np.float32)
    _in_bands(len(result), lambda *band: mean_rows(values, radius, result, *band))
    return torch.from_numpy(result)


def _in_bands(height: int, compute: Callable[[int, int], None]) -> None:
    """Compute all rows in bands, on torch's number of threads."""
    starts = range(0, height, ROWS)
    stops = [min(start + ROWS, height) for start in starts]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in pool.map(compute, starts, stops):
            pass  # taking each result lets an error out


def _pooled_impurity(
    prediction: ClassIndexTensor, classes: int, radius: int
) -> ScoreTensor:
    """Return the impurity by average pooling, one class at a time."""
    total = torch.zeros(prediction.shape, device=prediction.device)
    for index in range(classes):
        share = _box_mean((prediction == index).float(), radius)
        total += torch.special.entr(share)
    return total.div_(math.log(classes)).clamp_(0, 1)


def _box_mean(values: ScoreTensor, radius: int) -> ScoreTensor:
    """Return the mean over the window around each pixel.

    First down the columns, then along the rows. The window is a rectangle also where it
    is cut off, so that the mean of means is the mean.
    """
    width = 2 * radius + 1
    down = avg_pool2d(
        values[None, None], (width, 1), 1, (radius, 0), count_include_pad=False
    )
    along = avg_pool2d(down, (1, width), 1, (0, radius), count_include_pad=False)
    return along[0, 0]
