"""Training objectives of CISC-R.

CISC-R (Wu et al., TPAMI 2023) learns in stages from images with and without labels.
`Pairwise` teaches a first network to give like pixels like features. Its predictions
become pseudo labels (`pseudo`). The half of the images whose pseudo labels suit the
features best teaches a second network by `Rectified`. That one labels the other half
anew, and all images teach a third.

Labels are never changed. What is rectified is how much each pseudo label counts, by its
similarity to a class in a labelled partner image.
"""

from collections.abc import Generator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_alseg.arrays import ImageTensor, LogitTensor, finish
from napari_alseg.errors import NothingToLearn
from napari_alseg.segmentation.fitting.batches import Example, jitter, steps_per_epoch
from napari_alseg.segmentation.fitting.objectives import Partial, logits_of
from napari_alseg.segmentation.networks.network import Network
from napari_alseg.segmentation.prediction.hooks import features_of
from napari_alseg.settings import RecipeSettings, TrainingSettings

from .pairs import PairBatch, Pairing, classes_held, pair_batches
from .similarity import (
    prototype,
    rectified_cross_entropy,
    rectified_weight,
    similarity,
    similarity_loss,
)


class Pairwise(Partial):
    """Cross entropy and likeness of two labelled images.

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
        """Cross entropy of both images and that of likeness."""
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
    """Cross entropy of labels and of weighted pseudo labels.

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
                "learn from; take the recipe 'partial'"
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
        """Batches that show each unlabelled image once or more."""
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
        """Return the sum of both cross entropies."""
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
    """Logits (B, C, H, W) and features (B, D, h, w)."""
    kept: list[Tensor] = []
    with features_of(network, kept):
        logits = logits_of(network, images)
    return logits, kept[0]


def _prototype(network: Network, features: Tensor, masks: Tensor) -> Tensor:
    """Prototype of masks that are as large as the images.

    The network may pad these.
    """
    below, right = (-side % network.stride for side in masks.shape[-2:])
    return prototype(features, functional.pad(masks, (0, right, 0, below)))


def _similarity(
    network: Network, features: Tensor, vectors: Tensor, size: Sequence[int]
) -> Tensor:
    """Similarity at each pixel of the images.

    The network may have padded these.
    """
    height, width = (side + -side % network.stride for side in size)
    near = similarity(features, vectors, (height, width))
    return near[..., : size[0], : size[1]]
