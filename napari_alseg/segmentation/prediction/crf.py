"""A dense CRF: neighbours of like colour are of one class.

`refine` makes a probability smoother along edges, `spread` hands labels on. Both do so
by the mean field of `mean_field.py`.

Kasarla et al., WACV 2019, improve superpixels by "a CRF" (SP + CRF) without saying what
it does: `refine` is one reading, `spread` the other. Which CRF and which parameters
they took is not confirmed.
"""

import math

import numpy as np
import torch
from torch import Tensor

from napari_alseg.acquisition.probability import checked
from napari_alseg.arrays import IGNORE, Image, Labels, ProbabilityTensor, TargetTensor
from napari_alseg.errors import BadValue

from .mean_field import kernel_of, mean_field


def refine(
    probability: ProbabilityTensor,
    image: Image,
    *,
    iterations: int,
    radius: int,
    colour: float,
    weight: float,
) -> ProbabilityTensor:
    """Probability after every pixel has heard its neighbours, 0..1.

    It sums to 1 over classes. ``Q = softmax(log p + weight * m)``, where m is the mean
    of Q over the neighbours as far as they look alike; Q starts as p. Beside the
    probability it takes its memory twice again, and two bytes a pixel for half of
    the neighbours: 0.6 GB for 19 x 1024 x 2048 and a radius of 16.

    Parameters
    ----------
    probability : float tensor of shape (C, H, W)
        On any device.
    image : uint8 array of shape (H, W, K)
    iterations : int
        Times that each pixel hears its neighbours; 0 returns the input.
    radius : int
        Pixels from a pixel to the sides of the square of neighbours that it hears.
        The weight falls as a Gaussian of half of it.
    colour : float
        Difference in colour, root mean square over the channels of 0..255, at which a
        neighbour counts for 0.61; at three times this it counts for 0.01.
    weight : float
        Log odds that neighbours who all agree add to their class. 0 leaves the
        probability as it is.

    Returns
    -------
    float32 tensor of shape (C, H, W)

    Raises
    ------
    BadValue
        If the probability is not a valid distribution, the image has another size, or
        a parameter is below its range.

    Examples
    --------
    >>> probability = torch.tensor([[[0.9, 0.9, 0.4]], [[0.1, 0.1, 0.6]]])
    >>> image = np.zeros((1, 3, 3), np.uint8)
    >>> refine(probability, image, iterations=1, radius=2, colour=9, weight=2)[0]
    tensor([[0.9605, 0.9425, 0.7676]])
    """
    _check_parameters(iterations, radius, colour, weight)
    probability = checked(probability.detach()).float()
    _check_image(image, probability.shape[1:])
    if iterations == 0:
        return probability
    with torch.no_grad():
        probability = probability.contiguous()  # shifts along rows are slow otherwise
        kernel = kernel_of(image, radius, colour, probability.device)
        share = probability.new_ones(len(probability), 1, 1)
        return mean_field(probability, share, kernel, iterations, weight)


def spread(
    targets: Labels,
    image: Image,
    classes: int,
    *,
    iterations: int,
    radius: int,
    colour: float,
    weight: float,
    confidence: float,
) -> Labels:
    """Targets handed on to unlabelled pixels that look alike.

    Labelled pixels are certain and stay as they are. The others start uniform and hear
    their neighbours as in `refine`, with nothing to say against it. Those surer of a
    class than `confidence` at the end take it, the others stay `IGNORE`.

    Beside the classes stand some that nobody has bought, so that there are more than
    `weight` in all. Below that number mean field sides with the slightest majority, and
    with two classes a single label would run over every edge.

    Parameters
    ----------
    targets : uint8 array or tensor of shape (H, W)
        Class index 0..C-1, 255 = ignored; not changed in place.
    image : uint8 array of shape (H, W, K)
    classes : int
        Number of classes C.
    iterations : int
        A label travels up to `radius` pixels in each.
    radius, colour, weight
        As for `refine`. A weight of 10 lets a label pass where half of the
        neighbours have it, one of 5 only where most have.
    confidence : float
        0.5 to 1.

    Returns
    -------
    Array or tensor of the shape and type of the targets

    Raises
    ------
    BadValue
        If a target is no class, the image has another size, or a parameter is out of
        its range.

    Examples
    --------
    >>> image = np.array([[0, 0, 0, 255, 255, 255]], np.uint8).repeat(3, 0)[..., None]
    >>> targets = np.full((3, 6), 255, np.uint8)
    >>> targets[:, 0] = 1
    >>> parameters = {"iterations": 5, "radius": 2, "colour": 9, "weight": 10}
    >>> spread(targets, image, 2, **parameters, confidence=0.9)[1]
    array([  1,   1,   1, 255, 255, 255], dtype=uint8)
    """
    _check_parameters(iterations, radius, colour, weight)
    if not 0.5 <= confidence <= 1:
        raise BadValue(f"a confidence is from 0.5 to 1, got {confidence}")
    how = (iterations, radius, colour, weight, confidence)
    if isinstance(targets, np.ndarray):
        given = torch.from_numpy(np.array(targets))
        return _spread(given, image, classes, *how).numpy()
    return _spread(targets, image, classes, *how)


def _spread(
    targets: TargetTensor,
    image: Image,
    classes: int,
    iterations: int,
    radius: int,
    colour: float,
    weight: float,
    confidence: float,
) -> TargetTensor:
    """Return targets handed on, as `spread` says."""
    known = targets != IGNORE  # (H, W)
    bought = torch.unique(targets[known])  # type: ignore[no-untyped-call]  # (n,)
    _check_targets(targets, bought, classes)
    _check_image(image, targets.shape)
    if known.all() or not known.any():
        return targets.clone()
    with torch.no_grad():
        # All classes without a label are alike: one channel holds them together.
        share = torch.ones(len(bought) + 1, 1, 1, device=targets.device)
        share[-1] = max(classes, int(weight)) + 1 - len(bought)
        likelihood = _likelihood(targets, bought, share)
        kernel = kernel_of(image, radius, colour, targets.device)
        belief = mean_field(likelihood, share, kernel, iterations, weight)
    best, index = belief[:-1].max(0)
    # A labelled pixel is sure of its own class: the others have a likelihood of 0.
    return torch.where(best > confidence, bought[index], targets)


def _likelihood(targets: TargetTensor, bought: Tensor, share: Tensor) -> Tensor:
    """Return what each pixel says for itself; (n + 1, H, W).

    1 for the class of a labelled pixel, the shares for an open one.

    Parameters
    ----------
    targets : int tensor of shape (H, W)
    bought : int tensor of shape (n,)
        Classes that have a label, sorted.
    share : float32 tensor of shape (n + 1, 1, 1)
        How many classes each of them and the last channel stands for.
    """
    channels = torch.arange(len(bought), device=targets.device)
    own = torch.searchsorted(bought, targets.contiguous())  # n where IGNORE
    one_hot = (channels[:, None, None] == own).to(share.dtype)  # (n, H, W)
    silent = torch.zeros_like(one_hot[:1])
    return torch.where(own < len(bought), torch.cat([one_hot, silent]), share)


# --- checks ---------------------------------------------------------------------------


def _check_parameters(
    iterations: int, radius: int, colour: float, weight: float
) -> None:
    if iterations < 0 or radius < 0:
        raise BadValue(
            f"iterations and a radius are zero or more, got {iterations} and {radius}"
        )
    if not (0 < colour < math.inf and 0 <= weight < math.inf):  # NaN fails
        raise BadValue(
            "a difference in colour is above zero and a weight zero or more, got "
            f"{colour} and {weight}"
        )


def _check_image(image: Image, shape: torch.Size) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[:2] != tuple(shape):
        raise BadValue(
            f"to {shape[0]} x {shape[1]} pixels belongs an uint8 image of that many "
            f"rows and columns and its channels, got {image.dtype} {image.shape}"
        )


def _check_targets(targets: Tensor, bought: Tensor, classes: int) -> None:
    """Check the shape and the classes of targets."""
    if targets.ndim != 2 or not targets.numel() or targets.is_floating_point():
        raise BadValue(
            "targets are whole numbers in rows and columns, got "
            f"{targets.dtype} {tuple(targets.shape)}"
        )
    if len(bought) and not (0 <= bought[0] and bought[-1] < classes):
        raise BadValue(
            f"a target is a class index 0..{classes - 1} or {IGNORE}, got "
            f"{bought[0]} to {bought[-1]}: pass targets, not labels"
        )
