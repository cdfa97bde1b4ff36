"""Pseudo labels of CISC-R: reliability and weight.

All of it is found out between two trainings, one image at a time (Wu et al., TPAMI
2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import torch
from PIL import Image as PictureFile
from PIL.Image import Resampling
from torch import Tensor
from torch.nn import functional

from napari_alseg.arrays import (
    IGNORE,
    FeatureTensor,
    Image,
    Progress,
    ScoreMap,
    TargetMap,
    Task,
)
from napari_alseg.errors import NothingToLearn
from napari_alseg.segmentation.fitting.batches import Example
from napari_alseg.segmentation.networks.network import Network
from napari_alseg.segmentation.prediction.predict import predict
from napari_alseg.settings import PredictionSettings

from .pairs import LEAST_SHARE, shares
from .similarity import cross_entropies, prototypes, rectified_weight, similarities

SCALES = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Sizes at which an image is seen for its pseudo labels."""


def pseudo_labels(
    network: Network, image: Image, settings: PredictionSettings
) -> tuple[TargetMap, ScoreMap]:
    """Class of each pixel, predicted at several sizes.

    It is the highest in the mean of all sizes of the image and its mirror image.

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
    """Pseudo labels of unlabelled pixels, the others ignored.

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
    """Image's classes and their masks; bool (K, H, W)."""
    classes = np.flatnonzero(shares(targets)).tolist()
    found = torch.from_numpy(np.ascontiguousarray(targets)).to(device)
    wanted = torch.tensor(classes, dtype=torch.uint8, device=device)
    return classes, found == wanted[:, None, None]


def class_losses(
    network: Network, example: Example, anchors: Anchors, settings: PredictionSettings
) -> np.ndarray:
    """How badly similarity to anchors finds each class, in nats.

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
) -> float:
    """How badly the pseudo labels suit the features; R(x), 0 or more.

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
    """
    losses = class_losses(network, example, anchors, settings)
    found = losses[np.isfinite(losses)]
    return float(found.mean()) if len(found) else inf


def reliable_half(scores: Sequence[float]) -> list[int]:
    """Return the half with the lowest scores, in order.

    It is without the middle one.

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
    """Return the better half of each class's labelled images.

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
    """How much each pseudo label counts beside a partner, 0..1.

    Float32 (H, W): the mean over the classes that both hold, of which training draws
    one at a time; 1 if there are none. 0 where there is no pseudo label.

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
