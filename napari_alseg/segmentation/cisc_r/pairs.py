"""Pairs of crops that hold the same class, for CISC-R."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from napari_alseg.arrays import (
    IGNORE,
    MAXIMUM_CLASSES,
    ImageTensor,
    Progress,
    TargetMap,
    TargetTensor,
    Task,
)
from napari_alseg.segmentation.fitting.batches import (
    Crop,
    Draw,
    Example,
    ahead,
    crop,
    crop_shape,
    draws,
    generator_of,
    plan,
    to_device,
)
from napari_alseg.settings import TrainingSettings

LEAST_SHARE = 0.03
"""An image holds a class that has at least this share of its labelled pixels."""

NO_CLASS = MAXIMUM_CLASSES
"""The shared class of a pair that shares none; no class has this index."""

STRONGER = 2.5
"""Colours of images without labels change this much more than those of others: by 0.5
at the usual jitter of 0.2, as in the authors' code."""

CHANGED = 0.8
"""Share of the images without labels whose colours change."""

GREY = 0.2
"""Share of the images without labels that turn grey."""


def shares(targets: TargetMap) -> np.ndarray:
    """Share of each class in the labelled pixels, 0..1; float64 (254,).

    The authors' images are labelled as a whole. Where only parts are, the share of all
    pixels would say how much was asked, not what the image shows.

    Examples
    --------
    >>> shares(np.array([[0, 0, 0, 2, 255]], np.uint8))[:3]
    array([0.75, 0.  , 0.25])
    """
    counts = np.bincount(targets.ravel(), minlength=IGNORE + 1)[:MAXIMUM_CLASSES]
    found: np.ndarray = counts / max(int(counts.sum()), 1)
    return found


def classes_held(
    examples: Sequence[Example], never: Sequence[int] = ()
) -> Task[np.ndarray]:
    """Whether each example holds each class; bool (n, 254).

    Yields one `Progress` an example.

    Parameters
    ----------
    examples : sequence of Example
    never : sequence of int
        Classes that say nothing about likeness and never make a pair, such as the
        background of Pascal VOC.
    """
    held = np.zeros((len(examples), MAXIMUM_CLASSES), bool)
    for index in range(len(examples)):
        held[index] = shares(examples[index].targets) >= LEAST_SHARE
        yield Progress(index + 1, len(examples), "looking for pairs")
    held[:, list(never)] = False
    return held


def partner(
    wanted: np.ndarray, queried: np.ndarray, number: float, own: int | None = None
) -> tuple[int, bool]:
    """Draw a labelled image, if possible with a shared class.

    The more classes it shares, the likelier it is. Where none shares any, each is as
    likely as the others. An image is its own partner only where there is no other, and
    shares nothing then.

    Parameters
    ----------
    wanted : bool array of shape (254,)
        Classes that the image holds.
    queried : bool array of shape (n, 254)
        Classes for which each labelled image may be taken.
    number : float
        Uniform in 0..1.
    own : int, optional
        Which of the labelled images is the image itself.

    Examples
    --------
    >>> held = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0]], bool)
    >>> partner(held[1], held, 0.3, own=1), partner(held[0], held, 0.3, own=0)
    ((2, True), (1, False))
    """
    common = queried[:, wanted].sum(1)  # (n,)
    if own is not None:
        common[own] = 0
    total = common.cumsum()
    if total[-1]:
        return int(np.searchsorted(total, number * total[-1], side="right")), True
    others = [index for index in range(len(queried)) if index != own]
    return (others[int(number * len(others))] if others else 0), False


def shared_class(
    first: np.ndarray, second: np.ndarray, queried: np.ndarray, number: float
) -> int:
    """Draw a class of both crops; `NO_CLASS` without any.

    Parameters
    ----------
    first, second : float arrays of shape (254,)
        As `shares` gives them.
    queried : bool array of shape (254,)
        Classes for which the second image may be taken.
    number : float
        Uniform in 0..1.

    Examples
    --------
    >>> both = np.array([0.9, 0.01, 0.09])
    >>> shared_class(both, both, np.array([True, True, True]), 0.5)
    2
    """
    held = (first >= LEAST_SHARE) & (second >= LEAST_SHARE) & queried
    common = np.flatnonzero(held)
    return int(common[int(number * len(common))]) if len(common) else NO_CLASS


@dataclass(frozen=True)
class Pairing:
    """Examples and the labelled ones that they may be paired with."""

    examples: Sequence[Example]
    partners: Sequence[Example]
    held: np.ndarray
    """Whether each example holds each class; bool (n, 254)."""
    queried: np.ndarray
    """Classes for which each partner may be taken; bool (m, 254)."""
    own: Sequence[int | None]
    """Which of the partners each example is, if it is one of them."""

    def partner(self, index: int, number: float) -> tuple[int, bool]:
        """Draw the partner of an example, as `partner` does."""
        return partner(self.held[index], self.queried, number, self.own[index])


class PairBatch(NamedTuple):
    """Crops, each with one of a labelled image.

    Their colours are those of the images.
    """

    images: ImageTensor
    """Colours 0..1, float32 (B, 3, h, w)."""
    targets: TargetTensor
    """uint8 (B, h, w)."""
    partners: ImageTensor
    partner_targets: TargetTensor
    shared: Tensor
    """A class that both hold, `NO_CLASS` if there is none; uint8 (B,)."""
    factors: Tensor
    """Of brightness, contrast and saturation, for the network that learns; (B, 3)."""
    partner_factors: Tensor


class _Pair(NamedTuple):
    """Two crops to be made, and the random numbers for them."""

    example: int
    draw: Draw
    partner: int
    partner_draw: Draw
    shares: bool
    choice: float
    changed: float
    grey: float


class _Cut(NamedTuple):
    """Two crops and the class that both hold."""

    first: Crop
    second: Crop
    shared: int


def _pairs(
    pairing: Pairing, settings: TrainingSettings, seed: int, start: int
) -> Iterator[list[_Pair]]:
    """Yield the pairs of each batch from `start` on.

    The first crops are those of `batches.batches` with the same seed.
    """
    steps = plan(len(pairing.examples), settings, seed, start)
    for step, (indices, firsts) in enumerate(steps, start):
        generator = generator_of(~seed, step)  # no seed of `plan` is negative
        numbers = torch.rand(len(indices), 4, generator=generator).tolist()
        seconds = draws(len(indices), generator)
        pairs = []
        for index, first, second, (number, *others) in zip(
            indices, firsts, seconds, numbers, strict=True
        ):
            place, shares = pairing.partner(index, number)
            pairs.append(_Pair(index, first, place, second, shares, *others))
        yield pairs


def _cut(
    pairing: Pairing, pair: _Pair, shape: tuple[int, int], settings: TrainingSettings
) -> _Cut:
    first = crop(pairing.examples[pair.example], shape, settings, pair.draw)
    other = pairing.partners[pair.partner]
    second = crop(other, shape, settings, pair.partner_draw)
    if not pair.shares:
        return _Cut(first, second, NO_CLASS)
    queried = pairing.queried[pair.partner]
    shared = shared_class(shares(first[1]), shares(second[1]), queried, pair.choice)
    return _Cut(first, second, shared)


def pair_batches(
    pairing: Pairing,
    settings: TrainingSettings,
    device: torch.device,
    *,
    seed: int,
    start: int = 0,
    strong: bool = False,
) -> Generator[PairBatch, None, None]:
    """Batches of pairs without end.

    A batch has as many pairs as those of other recipes have crops.

    Parameters
    ----------
    pairing : Pairing
    settings : TrainingSettings
    device : torch.device
    seed : int
        Same seed, same batches.
    start : int
        Batches to leave out, as if they had been taken before.
    strong : bool
        Change the colours of the first crops more (`strong_factors`).
    """
    some = (crop_shape(each, settings) for each in (pairing.examples, pairing.partners))
    shape = tuple(max(sides) for sides in zip(*some, strict=True))
    waiting: deque[list[_Pair]] = deque()

    def calls() -> Iterator[Callable[[], _Cut]]:
        for pairs in _pairs(pairing, settings, seed, start):
            waiting.append(pairs)
            for each in pairs:
                yield partial(_cut, pairing, each, shape, settings)

    with closing(ahead(calls(), settings)) as ready:
        for cuts in ready:
            factors = _factors(waiting.popleft(), settings.jitter, strong)
            yield _collated(cuts, *factors, device)


def _factors(
    pairs: Sequence[_Pair], jitter: float, strong: bool
) -> tuple[Tensor, Tensor]:
    """Factors of the first and of the second crops; (B, 3) each."""
    colours = torch.tensor([each.draw[-3:] for each in pairs])  # (B, 3)
    others = torch.tensor([each.partner_draw[-3:] for each in pairs])
    factors = weak_factors(colours, jitter)
    if strong:
        chances = torch.tensor([(each.changed, each.grey) for each in pairs])
        factors = strong_factors(colours, chances, jitter)
    return factors, weak_factors(others, jitter)


def _collated(
    cuts: Sequence[_Cut],
    factors: Tensor,
    partner_factors: Tensor,
    device: torch.device,
) -> PairBatch:
    """Put pairs on the device as one batch."""
    shared = torch.tensor([each.shared for each in cuts], dtype=torch.uint8)
    return PairBatch(
        *to_device([each.first for each in cuts], device),
        *to_device([each.second for each in cuts], device),
        shared.to(device),
        factors.to(device),
        partner_factors.to(device),
    )


def weak_factors(numbers: Tensor, jitter: float) -> Tensor:
    """Factors of brightness, contrast and saturation; (B, 3).

    Parameters
    ----------
    numbers : tensor of shape (B, 3)
        Uniform in 0..1.
    jitter : float
        Largest difference from 1.

    Examples
    --------
    >>> weak_factors(torch.tensor([[0.0, 0.5, 1.0]]), 0.2)
    tensor([[0.8000, 1.0000, 1.2000]])
    """
    return 1 + jitter * (2 * numbers - 1)


def strong_factors(numbers: Tensor, chances: Tensor, jitter: float) -> Tensor:
    """Factors for images without labels, far from 1.

    Some have no saturation.

    The authors also turn the hue and blur; those are left out. A jitter of 0 leaves
    all colours as they are, for images whose colours mean something.

    Parameters
    ----------
    numbers : tensor of shape (B, 3)
        Uniform in 0..1.
    chances : tensor of shape (B, 2)
        Uniform in 0..1: below `CHANGED` the colours change, below `GREY` they vanish.
    jitter : float
        Of images with labels.

    Examples
    --------
    >>> numbers = torch.tensor([[0.0, 0.5, 1.0]]).expand(3, 3)
    >>> strong_factors(numbers, torch.tensor([[0.5, 0.5], [0.9, 0.5], [0.5, 0.1]]), 0.2)
    tensor([[0.5000, 1.0000, 1.5000],
            [1.0000, 1.0000, 1.0000],
            [0.5000, 1.0000, 0.0000]])
    """
    factors = weak_factors(numbers, min(1.0, STRONGER * jitter))  # (B, 3)
    changed, grey = chances[:, :1] < CHANGED, chances[:, 1] < GREY
    factors = torch.where(changed, factors, 1.0)
    if jitter:
        factors[:, 2] = torch.where(grey, 0.0, factors[:, 2])
    return factors
