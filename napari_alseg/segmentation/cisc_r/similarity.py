"""How similar pixels are to a class.

CISC-R (Wu et al., TPAMI 2023). All is computed at the resolution of the features: the
mask of a class shrinks to them, only the similarity, one number a pixel, grows back.
The authors enlarge the features to the mask, which takes hundreds of times the memory.
"""

from math import inf

import torch
from torch import Tensor
from torch.nn import functional

from napari_alseg.arrays import IGNORE, LogitTensor, TargetTensor

MARGIN = 1e-4
"""A similarity counts as no closer than this to 0 and to 1: a pixel costs at most 9.2
nats, and its gradient stays finite."""

SHORTEST = 1e-6
"""A shorter feature has no direction; it is similar to nothing."""


def prototype(features: Tensor, mask: Tensor) -> Tensor:
    """Mean feature of the pixels in a mask; (B, D).

    It is 0 if there are none.

    A feature counts by the share of its pixels that are in the mask. The authors
    divide by the count of pixels + 0.0005; this is the mean itself, so that a mask of
    few pixels is not drawn towards 0. The similarity is the same for both.

    Parameters
    ----------
    features : tensor of shape (B, D, h, w)
        They span the same part of the image as the mask.
    mask : bool or float tensor of shape (B, H, W)

    Examples
    --------
    >>> features = torch.tensor([[[[1.0, 3.0, 9.0]], [[0.0, 2.0, 9.0]]]])
    >>> prototype(features, torch.tensor([[[True, True, False]]]))
    tensor([[2., 1.]])
    """
    return prototypes(features, mask[:, None])[:, 0]


def prototypes(features: Tensor, masks: Tensor) -> Tensor:
    """Prototype of each of K masks an image; (B, K, D).

    Parameters
    ----------
    features : tensor of shape (B, D, h, w)
    masks : bool or float tensor of shape (B, K, H, W)
    """
    size = features.shape[-2], features.shape[-1]
    share = functional.adaptive_avg_pool2d(masks.float(), size)  # (B, K, h, w)
    total = torch.einsum("bkhw,bdhw->bkd", share, features.float())
    count = share.sum((-2, -1))[..., None]  # (B, K, 1)
    return total / torch.where(count > 0, count, 1.0)


def similarity(features: Tensor, prototype: Tensor, size: tuple[int, int]) -> Tensor:
    """Cosine similarity to a prototype, 0..1; (B, H, W).

    Most decoders end in a ReLU, so that no cosine is negative. For those that do not,
    negative ones count as 0: what points away is no less similar than what has
    nothing in common. It does not depend on the length of features and prototypes;
    those of length 0 are similar to nothing.

    Parameters
    ----------
    features : tensor of shape (B, D, h, w)
    prototype : tensor of shape (B, D)
    size : (rows, columns)
        Of the result, which spans the same part of the image as the features.

    Examples
    --------
    >>> features = torch.tensor([[[[2.0, 0.0, -1.0]], [[0.0, 5.0, 0.0]]]])
    >>> similarity(features, torch.tensor([[3.0, 0.0]]), (1, 3))
    tensor([[[1., 0., 0.]]])
    """
    return similarities(features, prototype[:, None], size)[:, 0]


def similarities(features: Tensor, prototypes: Tensor, size: tuple[int, int]) -> Tensor:
    """Similarity to K prototypes an image, 0..1; (B, K, H, W).

    Parameters
    ----------
    features : tensor of shape (B, D, h, w)
    prototypes : tensor of shape (B, K, D)
    size : (rows, columns)
    """
    product = torch.einsum("bkd,bdhw->bkhw", prototypes.float(), features.float())
    lengths = _lengths(features, 1)[:, None]  # (B, 1, h, w)
    product = product / _lengths(prototypes, -1)[..., None, None] / lengths
    cosine = product.clamp(0.0, 1.0)  # (B, K, h, w)
    if cosine.shape[-2:] == size:
        return cosine
    # Rounding can lift a mean of ones above 1.
    return functional.interpolate(cosine, size, mode="bilinear").clamp(max=1.0)


def _lengths(vectors: Tensor, dim: int) -> Tensor:
    """Length of each vector, infinite where it is 0.

    So the cosine of a vector without a direction is 0.
    """
    length = torch.linalg.vector_norm(vectors.float(), dim=dim)
    return torch.where(length > SHORTEST, length, inf)


def similarity_loss(similarity: Tensor, mask: Tensor, targets: TargetTensor) -> Tensor:
    """Mean binary cross entropy of being in the mask.

    In nats, 0 to 9.2. Only pixels with a label count; a batch without any gives 0, with
    gradients of 0.

    Parameters
    ----------
    similarity : tensor of shape (B, H, W)
        0..1.
    mask : bool or float tensor of shape (B, H, W)
        Whether a pixel is of the class.
    targets : uint8 or int64 tensor of shape (B, H, W)
        255 = ignored.

    Examples
    --------
    >>> similarity, mask = torch.tensor([[[0.9, 0.2]]]), torch.tensor([[[1, 0]]])
    >>> round(float(similarity_loss(similarity, mask, torch.zeros(1, 1, 2))), 4)
    0.1643
    """
    known = targets != IGNORE  # (B, H, W)
    each = cross_entropies(similarity, mask)
    return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)


def cross_entropies(similarity: Tensor, mask: Tensor) -> Tensor:
    """Binary cross entropy at each pixel, in nats, 0 to 9.2.

    Parameters
    ----------
    similarity, mask : tensors of one shape
    """
    inside = similarity.clamp(MARGIN, 1 - MARGIN)
    return functional.binary_cross_entropy(inside, mask.float(), reduction="none")


def rectified_weight(similarity: Tensor, mask: Tensor) -> Tensor:
    """How much each pseudo label counts, 1 - |mask - similarity|.

    From 0 to 1; (B, H, W). Within the class it is the similarity. Elsewhere it is low
    where pixels look like the class that they are not labelled as. It has no gradient.

    Parameters
    ----------
    similarity : tensor of shape (B, H, W)
        0..1.
    mask : bool or float tensor of shape (B, H, W)
        Whether the pseudo label of a pixel is the class.

    Examples
    --------
    >>> similarity = torch.tensor([[[0.9, 0.3, 0.2, 0.8]]])
    >>> rectified_weight(similarity, torch.tensor([[[1, 1, 0, 0]]]))
    tensor([[[0.9000, 0.3000, 0.8000, 0.2000]]])
    """
    return 1 - (mask.float() - similarity.detach()).abs()


def rectified_cross_entropy(
    logits: LogitTensor,
    targets: TargetTensor,
    weight: Tensor,
    class_weight: Tensor | None = None,
) -> Tensor:
    """Weighted cross entropy of pseudo labels, in nats.

    It is a mean over all pixels.

    Ignored pixels add 0 and are still counted, as in the authors' code: an image with
    few pseudo labels teaches less than one full of them.

    Parameters
    ----------
    logits : tensor of shape (B, C, H, W)
    targets : uint8 or int64 tensor of shape (B, H, W)
        Class index, 255 = ignored.
    weight : tensor of shape (B, H, W)
        0..1; it gets no gradient.
    class_weight : tensor of shape (C,), optional
        Each pixel also counts by the weight of its class.

    Examples
    --------
    >>> logits = torch.zeros(1, 2, 1, 2)
    >>> targets = torch.tensor([[[1, 255]]])
    >>> loss = rectified_cross_entropy(logits, targets, torch.full((1, 1, 2), 0.5))
    >>> round(float(loss), 4)  # (0.5 * 0.6931 + 0) / 2
    0.1733
    """
    each = functional.cross_entropy(
        logits.float(),
        targets.long(),
        class_weight,
        ignore_index=IGNORE,
        reduction="none",
    )  # (B, H, W)
    return (weight.detach() * each).mean()
