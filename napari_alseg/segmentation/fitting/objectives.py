"""Training objectives: what a step sees, and its loss.

An objective is independent of how training proceeds (`run.TrainingRun`): it gives
batches without end and the loss of one. A batch is a named tuple of tensors with one
first axis, so that it can be taken in parts when memory is short.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_alseg.arrays import IGNORE, ImageTensor, LogitTensor, TargetTensor
from napari_alseg.errors import NothingToLearn
from napari_alseg.segmentation.networks.device import half_precision
from napari_alseg.segmentation.networks.network import Network
from napari_alseg.settings import RecipeSettings, TrainingSettings

from .batches import Batch, Example, batches, crop_shape, steps_per_epoch
from .losses import (
    consistency_loss,
    difficulty_loss,
    local_consistency_loss,
    negative_learning_loss,
    partial_cross_entropy,
)

B = TypeVar("B", bound=tuple[Any, ...])


class Objective(Protocol[B]):
    """What is learnt, and from what."""

    settings: TrainingSettings
    """Read anew by each call of `batches`, so that the crops can become smaller."""

    @property
    def steps(self) -> int:
        """Batches of one epoch."""

    def batches(self, start: int, device: torch.device) -> Generator[B, None, None]:
        """Yield batches without end, beginning with number `start`."""

    def loss(self, network: Network, batch: B) -> Tensor:
        """Return the loss of a batch."""


class Partial:
    """Cross entropy of the labelled pixels.

    Parameters
    ----------
    examples : sequence of Example
    settings : TrainingSettings
    seed : int
        Same seed: same batches.
    recipe : RecipeSettings, optional
    class_weight : tensor of shape (C,), optional
        As `class_weights` gives it.

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
        recipe: RecipeSettings | None = None,
        class_weight: Tensor | None = None,
    ) -> None:
        if not len(examples):
            raise NothingToLearn(
                "no image has a label yet; answer the asked regions first"
            )
        self.examples = examples
        self.settings = settings
        self.seed = seed
        self.recipe = recipe or RecipeSettings()
        self.class_weight = class_weight

    @property
    def steps(self) -> int:
        """Batches of one epoch."""
        return steps_per_epoch(len(self.examples), self.settings)

    def batches(self, start: int, device: torch.device) -> Generator[Batch, None, None]:
        """Yield batches without end, beginning with number `start`."""
        return batches(
            self.examples, self.settings, device, seed=self.seed, start=start
        )

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Return the mean cross entropy of the labelled pixels."""
        return self.cross_entropy(logits_of(network, batch.images), batch.targets)

    def cross_entropy(self, logits: LogitTensor, targets: TargetTensor) -> Tensor:
        """Return the mean cross entropy, weighted by class."""
        weight = self.class_weight
        if weight is not None:
            weight = weight.to(logits.device)
        return partial_cross_entropy(logits, targets, weight)


class Consistency(Partial):
    """Cross entropy and agreement of an image and its mirror image.

    EquAL (Golestaneh & Kitani, BMVC 2020). Both views pass the network as one batch,
    so that batch normalisation sees them alike; the authors pass one after the other.
    """

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Cross entropy of both views and their disagreement."""
        views = torch.cat([batch.images, batch.images.flip(-1)])  # (2B, 3, h, w)
        logits, mirrored = logits_of(network, views).chunk(2)  # (B, C, h, w) each
        mirrored = mirrored.flip(-1)
        return (
            self.cross_entropy(logits, batch.targets)
            + self.cross_entropy(mirrored, batch.targets)
            + self.recipe.consistency * consistency_loss(logits, mirrored)
        )


class Difficulty(Partial):
    """Cross entropy and a branch that learns the errors.

    DEAL (Xie et al., ACCV 2020). The network must have a difficulty branch.
    """

    def loss(self, network: Network, batch: Batch) -> Tensor:
        """Return the cross entropies of classes and errors."""
        assert network.difficulty is not None
        logits = logits_of(network, batch.images)  # (B, C, h, w)
        errs = difficulty_loss(
            network.difficulty(logits),
            logits,
            batch.targets,
            mimic=self.recipe.ignored_is_right,
        )
        loss = self.cross_entropy(logits, batch.targets)
        return loss + self.recipe.difficulty * errs


class DomainBatch(NamedTuple):
    """As many crops of the source as of the target."""

    source_images: ImageTensor
    source_targets: TargetTensor
    images: ImageTensor
    targets: TargetTensor


class Adaptation(Partial):
    """A labelled source and a partly labelled target.

    RIPU (Xie et al., CVPR 2022): cross entropy on both, agreement with the neighbours
    on the label borders of the source, and negative learning on all of the target.
    Half of the crops of a step are of the source. Without source images (the
    source-free variant) only the terms of the target are left. Departure: both halves
    pass the network as one batch and batch normalisation learns; theirs is frozen.

    Parameters
    ----------
    examples : sequence of Example
        Of the target, also those without any label.
    source : sequence of Example
        May be empty.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        settings: TrainingSettings,
        seed: int = 0,
        *,
        source: Sequence[Example] = (),
        recipe: RecipeSettings | None = None,
        class_weight: Tensor | None = None,
    ) -> None:
        super().__init__(
            examples, settings, seed, recipe=recipe, class_weight=class_weight
        )
        self.source = source

    @property
    def steps(self) -> int:
        """Batches that show each target image once or more."""
        return steps_per_epoch(len(self.examples), self._of_a_domain())

    def _of_a_domain(self) -> TrainingSettings:
        """Share each batch between the domains."""
        if not len(self.source):
            return self.settings
        half = max(1, self.settings.batch_size // 2)
        return replace(self.settings, batch_size=half)

    def batches(  # type: ignore[override]
        self, start: int, device: torch.device
    ) -> Generator[DomainBatch, None, None]:
        """Yield batches without end, beginning with number `start`."""
        settings = self._of_a_domain()
        shape = crop_shape(self.examples, settings)
        target = batches(
            self.examples, settings, device, seed=self.seed, start=start, shape=shape
        )
        if not len(self.source):
            with closing(target):
                for images, targets in target:
                    nothing = images[:0], targets[:0]
                    yield DomainBatch(*nothing, images, targets)
            return
        source = batches(
            self.source, settings, device, seed=self.seed + 1, start=start, shape=shape
        )
        with closing(source), closing(target):
            for first, second in zip(source, target, strict=True):
                yield DomainBatch(*first, *second)

    def loss(self, network: Network, batch: DomainBatch) -> Tensor:  # type: ignore[override]
        """Cross entropy of both domains and RIPU's two terms."""
        count = len(batch.source_images)
        images = torch.cat([batch.source_images, batch.images])
        logits = logits_of(network, images)  # (B, C, h, w)
        of_source, of_target = logits[:count], logits[count:]
        loss = self.cross_entropy(of_target, batch.targets)
        loss = loss + self.recipe.negative * negative_learning_loss(
            of_target.float().softmax(1), self.recipe.threshold
        )
        if not count:
            return loss
        loss = loss + self.cross_entropy(of_source, batch.source_targets)
        return loss + self.recipe.local_consistency * local_consistency_loss(
            of_source.float().softmax(1), batch.source_targets
        )


def logits_of(network: Network, images: ImageTensor) -> LogitTensor:
    """Logits of a batch, in half precision if safe."""
    with half_precision(network.device):
        logits: LogitTensor = network(images)
    return logits


def class_weights(
    examples: Iterable[Example], classes: int, balance: float
) -> Tensor | None:
    """Weight of each class, so that rare ones count more.

    None where all count alike.

    A class with share f of the labelled pixels weighs f ** -balance; a class without
    any has no pixel to weigh. The weights are scaled to a mean of 1 over the pixels.

    Parameters
    ----------
    examples : iterable of Example
        Only their targets are read.
    classes : int
    balance : float
        0 (no weights) .. 1 (each class counts the same in all).

    Examples
    --------
    >>> targets = np.array([[0, 0, 0, 1, 255]], np.uint8)
    >>> example = Example(np.zeros((1, 5, 3), np.uint8), targets)
    >>> class_weights([example], 3, 1.0)
    tensor([0.6667, 2.0000, 0.0000])
    """
    if not balance:
        return None
    counts = np.zeros(IGNORE + 1)
    for example in examples:
        counts += np.bincount(example.targets.ravel(), minlength=IGNORE + 1)
    counts = counts[:classes]
    share = counts / max(counts.sum(), 1)
    weight = np.where(share > 0, np.maximum(share, 1e-12) ** -balance, 0.0)
    scale = (weight * share).sum()
    return torch.tensor(weight / (scale or 1.0), dtype=torch.float32)
