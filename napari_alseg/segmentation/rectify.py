"""Images without labels teach as well, and labelled ones say how much each pixel may.

CISC-R (Wu et al., TPAMI 2023) learns in stages. `Pairwise` teaches a first network to
give like pixels like features. Its predictions become pseudo labels (`pseudo_labels`);
the half of the images whose pseudo labels suit the features best (`unreliability`,
`reliable_half`) teaches a second network by `Rectified`; that one labels the other half
anew, and all images teach a third. Labels are never changed: what is rectified is how
much each pseudo label counts, by its likeness to a class in a labelled partner image.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image as PictureFile
from PIL.Image import Resampling
from torch import Tensor
from torch.nn import functional

from napari_alseg.arrays import (
    IGNORE,
    MAXIMUM_CLASSES,
    FeatureTensor,
    Image,
    ImageTensor,
    LogitTensor,
    Progress,
    ScoreMap,
    TargetMap,
    TargetTensor,
    Task,
    finish,
)
from napari_alseg.errors import NothingToLearn
from napari_alseg.settings import PredictionSettings, RecipeSettings, TrainingSettings

from .batches import (
    Crop,
    Draw,
    Example,
    ahead,
    crop,
    crop_shape,
    draws,
    generator_of,
    jitter,
    plan,
    steps_per_epoch,
    threads,
    to_device,
)
from .dropout import features_of
from .lessons import Partial, logits_of
from .network import Network
from .predict import predict
from .similarity import (
    cross_entropies,
    prototype,
    prototypes,
    rectified_cross_entropy,
    rectified_weight,
    similarities,
    similarity,
    similarity_loss,
)

LEAST_SHARE = 0.03
"""An image holds a class that has at least this share of its labelled pixels."""

NO_CLASS = MAXIMUM_CLASSES
"""The shared class of a pair that shares none; no class has this index."""

SCALES = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Sizes at which an image is seen for its pseudo labels."""

STRONGER = 2.5
"""Colours of images without labels change this much more than those of others: by 0.5
at the usual jitter of 0.2, as in the authors' code."""

CHANGED = 0.8
"""Share of the images without labels whose colours change."""

GREY = 0.2
"""Share of the images without labels that turn grey."""


# --- which images go together ---------------------------------------------------------


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
    """Draw a labelled image that shares a class, and say whether one does.

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
    """Draw a class that both crops hold, `NO_CLASS` if they share none.

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
        """Draw the partner of an example, and say whether they share a class."""
        return partner(self.held[index], self.queried, number, self.own[index])


class PairBatch(NamedTuple):
    """Crops, each with one of a labelled image; colours as they are."""

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
    """Batches of pairs without end; as many pairs as other recipes have crops.

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

    def jobs() -> Iterator[list[Callable[[], _Cut]]]:
        for pairs in _pairs(pairing, settings, seed, start):
            waiting.append(pairs)
            yield [partial(_cut, pairing, each, shape, settings) for each in pairs]

    with closing(ahead(jobs(), threads(settings))) as ready:
        for cuts in ready:
            pairs = waiting.popleft()
            colours = torch.tensor([each.draw[-3:] for each in pairs])
            others = torch.tensor([each.partner_draw[-3:] for each in pairs])
            factors = weak_factors(colours, settings.jitter)
            if strong:
                chances = torch.tensor([(each.changed, each.grey) for each in pairs])
                factors = strong_factors(colours, chances, settings.jitter)
            yield PairBatch(
                *to_device([each.first for each in cuts], device),
                *to_device([each.second for each in cuts], device),
                torch.tensor([each.shared for each in cuts], dtype=torch.uint8).to(
                    device
                ),
                factors.to(device),
                weak_factors(others, settings.jitter).to(device),
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
    """Factors for images that have no labels: far from 1, some without saturation.

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


# --- lessons --------------------------------------------------------------------------


class Pairwise(Partial):
    """Cross entropy of two labelled images, and likeness of what they share.

    The first stage of CISC-R. Each image is cut out with another that shares a class;
    the pixels of that class are to be similar to their prototype in the other image,
    and no others. A step has as many pairs as other recipes have crops, so that an
    epoch has as many steps. Images may be labelled in part: only labelled pixels make
    a prototype, and only they are to be similar or not.

    Parameters
    ----------
    examples : sequence of Example
        Each with at least one labelled pixel.
    settings : TrainingSettings
    seed : int
        Same seed: same batches.
    held : bool array of shape (n, 254), optional
        As `classes_held` gives it; found out here if it is missing.
    recipe : RecipeSettings, optional
    class_weight : tensor of shape (C,), optional

    Raises
    ------
    NothingToLearn
        If there are no examples.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        settings: TrainingSettings,
        seed: int = 0,
        *,
        held: np.ndarray | None = None,
        recipe: RecipeSettings | None = None,
        class_weight: Tensor | None = None,
    ) -> None:
        super().__init__(
            examples, settings, seed, recipe=recipe, class_weight=class_weight
        )
        if held is None:
            held = finish(classes_held(examples))
        self.pairing = Pairing(examples, examples, held, held, range(len(examples)))

    def batches(  # type: ignore[override]
        self, start: int, device: torch.device
    ) -> Generator[PairBatch, None, None]:
        """Yield batches without end, beginning with number `start`."""
        return pair_batches(
            self.pairing, self.settings, device, seed=self.seed, start=start
        )

    def loss(self, network: Network, batch: PairBatch) -> Tensor:  # type: ignore[override]
        """Return the cross entropy of both images and that of likeness."""
        images = jitter(
            torch.cat([batch.images, batch.partners]),
            torch.cat([batch.factors, batch.partner_factors]),
        )  # (2B, 3, h, w)
        targets = torch.cat([batch.targets, batch.partner_targets])  # (2B, h, w)
        masks = targets == batch.shared.repeat(2)[:, None, None]
        logits, features = _seen(network, images)
        own = _prototype(network, features, masks)  # (2B, D)
        others = own.roll(len(batch.images), 0)  # that of the partner
        near = _similarity(network, features, others, targets.shape[1:])  # (2B, h, w)
        parts = zip(
            *(each.chunk(2) for each in (logits, targets, near, masks)), strict=True
        )
        losses = [
            self.cross_entropy(logits, targets)
            + self.recipe.similarity * similarity_loss(near, masks, targets)
            for logits, targets, near, masks in parts
        ]
        return losses[0] + losses[1]


class Rectified(Partial):
    """Cross entropy of labelled images and of pseudo labels, each as far as it fits.

    Stages 4 and 6 of CISC-R. Each image without labels is cut out with a labelled one
    that shares a class; a frozen teacher says how similar its pixels are to that
    class (`rectified_weight`). The teacher sees both crops in their own colours, the
    network that learns sees changed ones, much changed where there are no labels; the
    authors show the changed ones to both.

    An image that is labelled in part belongs to both lists: its pixels with a label
    are ignored in its pseudo labels (`where_unlabelled`).

    Parameters
    ----------
    unlabelled : sequence of Example
        With pseudo labels as targets.
    labelled : sequence of Example
        Each with at least one labelled pixel.
    teacher : Network
        It is put into evaluation mode and on the device of the batches.
    settings : TrainingSettings
    seed : int
        Same seed: same batches.
    held : bool array of shape (n, 254), optional
        Of the pseudo labels, as `classes_held` gives it; found out here if missing.
    queried : bool array of shape (m, 254), optional
        Classes for which each labelled image may be taken (`query_half`); all that it
        holds if missing.
    own : sequence of int or None, optional
        Which of the labelled images each unlabelled one is, if it is one of them.
    class_weight : tensor of shape (C,), optional

    Raises
    ------
    NothingToLearn
        If there are no examples of either kind.
    """

    def __init__(
        self,
        unlabelled: Sequence[Example],
        labelled: Sequence[Example],
        teacher: Network,
        settings: TrainingSettings,
        seed: int = 0,
        *,
        held: np.ndarray | None = None,
        queried: np.ndarray | None = None,
        own: Sequence[int | None] | None = None,
        class_weight: Tensor | None = None,
    ) -> None:
        super().__init__(labelled, settings, seed, class_weight=class_weight)
        if not len(unlabelled):
            raise NothingToLearn(
                "no image is without labels, so that there are no pseudo labels to "
                "learn from; add images, or take the recipe 'partial'"
            )
        if held is None:
            held = finish(classes_held(unlabelled))
        if queried is None:
            queried = finish(classes_held(labelled))
        own = own or [None] * len(unlabelled)
        self.pairing = Pairing(unlabelled, labelled, held, queried, own)
        self.teacher = teacher.eval()

    @property
    def steps(self) -> int:
        """Batches in which each image without labels comes up at least once."""
        return steps_per_epoch(len(self.pairing.examples), self.settings)

    def batches(  # type: ignore[override]
        self, start: int, device: torch.device
    ) -> Generator[PairBatch, None, None]:
        """Yield batches without end, beginning with number `start`."""
        self.teacher.to(device)
        return pair_batches(
            self.pairing,
            self.settings,
            device,
            seed=self.seed,
            start=start,
            strong=True,
        )

    def loss(self, network: Network, batch: PairBatch) -> Tensor:  # type: ignore[override]
        """Return the cross entropy of labels and the weighted one of pseudo labels."""
        weight = self.weight(batch)  # (B, h, w)
        images = torch.cat([batch.images, batch.partners])
        factors = torch.cat([batch.factors, batch.partner_factors])
        logits, known = logits_of(network, jitter(images, factors)).chunk(2)
        classes = self.class_weight
        if classes is not None:
            classes = classes.to(logits.device)
        return self.cross_entropy(
            known, batch.partner_targets
        ) + rectified_cross_entropy(logits, batch.targets, weight, classes)

    @torch.no_grad()
    def weight(self, batch: PairBatch) -> Tensor:
        """How much each pseudo label counts, 0..1; (B, h, w)."""
        shared = batch.shared[:, None, None]
        both = torch.cat([batch.images, batch.partners])
        _, features = _seen(self.teacher, both)
        own, other = features.chunk(2)  # (B, D, h, w) each
        vectors = _prototype(self.teacher, other, batch.partner_targets == shared)
        near = _similarity(self.teacher, own, vectors, batch.targets.shape[1:])
        return rectified_weight(near, batch.targets == shared)


def _seen(network: Network, images: ImageTensor) -> tuple[LogitTensor, Tensor]:
    """Logits of a batch and the decoder's features; (B, C, H, W) and (B, D, h, w)."""
    kept: list[Tensor] = []
    with features_of(network, kept):
        logits = logits_of(network, images)
    return logits, kept[0]


def _prototype(network: Network, features: Tensor, masks: Tensor) -> Tensor:
    """Prototype of masks as large as the images, which the network may pad."""
    below, right = (-side % network.stride for side in masks.shape[-2:])
    return prototype(features, functional.pad(masks, (0, right, 0, below)))


def _similarity(
    network: Network, features: Tensor, vectors: Tensor, size: Sequence[int]
) -> Tensor:
    """Similarity at each pixel of the images, which the network may have padded."""
    height, width = (side + -side % network.stride for side in size)
    near = similarity(features, vectors, (height, width))
    return near[..., : size[0], : size[1]]


# --- between the stages ---------------------------------------------------------------


def pseudo_labels(
    network: Network, image: Image, settings: PredictionSettings
) -> tuple[TargetMap, ScoreMap]:
    """Class of each pixel in the mean of several sizes of an image and its mirror.

    No pixel is left out for want of confidence; it is told, so that a person can see
    it. One size is in memory at a time.

    Parameters
    ----------
    network : Network
    image : uint8 array of shape (H, W, 3)
    settings : PredictionSettings

    Returns
    -------
    targets : uint8 array of shape (H, W)
        Class index.
    confidence : float32 array of shape (H, W)
        Mean probability of that class, 1/C..1.
    """
    height, width = image.shape[:2]
    total: Tensor | float = 0.0
    for scale in SCALES:
        seen = predict(network, _resized(image, scale), settings, needs={"mirrored"})
        assert seen.mirrored is not None
        both = (seen.probability + seen.mirrored)[None]  # (1, C, h, w)
        total = total + functional.interpolate(both, (height, width), mode="bilinear")
    assert isinstance(total, Tensor)
    highest = (total[0] / (2 * len(SCALES))).max(0)
    classes = highest.indices.to(torch.uint8)
    return classes.cpu().numpy(), highest.values.clamp(max=1.0).cpu().numpy()


def _resized(image: Image, scale: float) -> Image:
    if scale == 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    picture = PictureFile.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), Resampling.BILINEAR))


def where_unlabelled(pseudo: TargetMap, targets: TargetMap) -> TargetMap:
    """Pseudo labels of the pixels that no person has labelled, the others ignored.

    Examples
    --------
    >>> pseudo = np.array([1, 2, 3], np.uint8)
    >>> where_unlabelled(pseudo, np.array([255, 0, 3], np.uint8))
    array([  1, 255, 255], dtype=uint8)
    """
    return np.where(targets == IGNORE, pseudo, np.uint8(IGNORE))


@dataclass(frozen=True)
class Anchors:
    """What a network makes of each class."""

    vectors: Tensor
    """Mean prototype over the labelled images that show the class; (C, D)."""
    seen: np.ndarray
    """Whether any image shows the class; bool (C,)."""


def class_anchors(
    network: Network, examples: Sequence[Example], settings: PredictionSettings
) -> Task[Anchors]:
    """Mean prototype of each class over labelled images.

    Yields one `Progress` an image. A class that none of them shows has no anchor, and
    nothing is compared with it; in the authors' code it has one of 0.

    Parameters
    ----------
    network : Network
    examples : sequence of Example
        May be labelled in part.
    settings : PredictionSettings
    """
    total: Tensor | None = None
    counts = np.zeros(network.classes, int)
    for index in range(len(examples)):
        example = examples[index]
        classes, masks = _masks(example.targets, network.device)
        features = _features(network, example.image, settings)
        if total is None:
            total = features.new_zeros(network.classes, len(features))
        if classes:
            total[classes] += prototypes(features[None], masks[None])[0]
            counts[classes] += 1
        yield Progress(index + 1, len(examples), "comparing")
    if total is None:
        raise NothingToLearn("no image has a label yet; answer the asked regions first")
    divisor = torch.from_numpy(counts).clamp(min=1).to(total)
    return Anchors(total / divisor[:, None], counts > 0)


def _features(
    network: Network, image: Image, settings: PredictionSettings
) -> FeatureTensor:
    """Return the decoder's features of a whole image; (D, h, w)."""
    features = predict(network, image, settings, needs={"features"}).features
    assert features is not None
    return features


def _masks(targets: TargetMap, device: torch.device) -> tuple[list[int], Tensor]:
    """Return the classes of an image and where they are; bool (K, H, W)."""
    classes = np.flatnonzero(shares(targets)).tolist()
    found = torch.from_numpy(np.ascontiguousarray(targets)).to(device)
    wanted = torch.tensor(classes, dtype=torch.uint8, device=device)
    return classes, found == wanted[:, None, None]


def class_losses(
    network: Network, example: Example, anchors: Anchors, settings: PredictionSettings
) -> np.ndarray:
    """How badly similarity to its anchor tells where each class is, 0..9.2 nats.

    The mean binary cross entropy over the labelled pixels; NaN for a class that the
    image does not show or that has no anchor. Float64 (C,).

    Parameters
    ----------
    network : Network
    example : Example
        With labels or pseudo labels.
    anchors : Anchors
    settings : PredictionSettings
    """
    losses = np.full(network.classes, np.nan)
    classes, masks = _masks(example.targets, network.device)
    kept = [place for place, each in enumerate(classes) if anchors.seen[each]]
    if not kept:
        return losses
    classes, masks = [classes[place] for place in kept], masks[kept]
    features = _features(network, example.image, settings)
    size = masks.shape[-2], masks.shape[-1]
    near = similarities(features[None], anchors.vectors[classes][None], size)[0]
    known = torch.from_numpy(example.targets != IGNORE).to(network.device)
    each = cross_entropies(near, masks)[:, known]  # (K, N)
    losses[classes] = each.mean(1).cpu().numpy()
    return losses


def unreliability(
    network: Network,
    example: Example,
    anchors: Anchors,
    settings: PredictionSettings,
    *,
    mimic: bool = False,
) -> float:
    """How badly the pseudo labels of an image suit its features; R(x), 0 or more.

    The mean of `class_losses` over the classes that the image shows, infinite if
    nothing can be compared. The authors take the sum, by which an image with many
    classes is never reliable and images of one easy class fill the reliable half.

    Parameters
    ----------
    network : Network
    example : Example
        With pseudo labels as targets.
    anchors : Anchors
    settings : PredictionSettings
    mimic : bool
        Take the sum.
    """
    losses = class_losses(network, example, anchors, settings)
    found = losses[np.isfinite(losses)]
    if not len(found):
        return inf
    return float(found.sum() if mimic else found.mean())


def reliable_half(scores: Sequence[float]) -> list[int]:
    """Return the half with the lowest scores, in order; without the middle one.

    Of equal scores the first is taken.

    Examples
    --------
    >>> reliable_half([0.5, 0.1, 0.7, 0.5, 0.9])
    [0, 1]
    """
    order = np.argsort(np.asarray(scores, float), kind="stable")
    found: list[int] = np.sort(order[: len(scores) // 2]).tolist()
    return found


def query_half(held: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return the better half of the labelled images that hold each class.

    With the middle one, so that a class which only one image holds keeps it.

    Parameters
    ----------
    held : bool array of shape (n, 254)
        As `classes_held` gives it.
    losses : float array of shape (n, C)
        `class_losses` of each labelled image.

    Returns
    -------
    bool array of shape (n, 254)

    Examples
    --------
    >>> held = np.array([[True, False], [True, True], [True, False]])
    >>> losses = np.array([[0.3, np.nan], [0.1, 5.0], [0.2, np.nan]])
    >>> query_half(held, losses)
    array([[False, False],
           [ True,  True],
           [ True, False]])
    """
    judged = np.full(held.shape, inf)
    judged[:, : losses.shape[1]] = np.where(np.isnan(losses), inf, losses)
    # Images without the class come last, also after those that could not be judged.
    order = np.lexsort((judged, ~held), axis=0)
    rank = np.argsort(order, axis=0)
    better: np.ndarray = held & (rank < (held.sum(0) + 1) // 2)
    return better


def rectification(
    teacher: Network,
    example: Example,
    partner: Example,
    settings: PredictionSettings,
    never: Sequence[int] = (),
) -> ScoreMap:
    """How much each pseudo label of an image counts beside a partner, 0..1; float32.

    The mean over the classes that both hold, of which training draws one at a time; 1
    if there are none. 0 where there is no pseudo label.

    Parameters
    ----------
    teacher : Network
    example : Example
        With pseudo labels as targets.
    partner : Example
        With labels; it may have another size.
    settings : PredictionSettings
    never : sequence of int
        Classes that never make a pair.
    """
    held = [shares(each.targets) >= LEAST_SHARE for each in (example, partner)]
    held[0][list(never)] = False
    device = teacher.device
    common = torch.from_numpy(np.flatnonzero(held[0] & held[1]).astype(np.uint8))
    common = common.to(device)[:, None, None]  # (K, 1, 1)
    targets, others = (
        torch.from_numpy(np.ascontiguousarray(each.targets)).to(device)
        for each in (example, partner)
    )
    weight = torch.ones(targets.shape, device=device)
    if len(common):
        features = _features(teacher, partner.image, settings)
        vectors = prototypes(features[None], (others == common)[None])  # (1, K, D)
        features = _features(teacher, example.image, settings)
        size = targets.shape[0], targets.shape[1]
        near = similarities(features[None], vectors, size)[0]  # (K, H, W)
        weight = rectified_weight(near, targets == common).mean(0)
    found: ScoreMap = torch.where(targets == IGNORE, 0.0, weight).cpu().numpy()
    return found
