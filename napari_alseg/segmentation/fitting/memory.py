"""What a training run does when graphics memory is short."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from typing import Any

from napari_alseg.settings import TrainingSettings

from .objectives import B, Objective

SMALLEST_PART = 2
"""Crops that pass the network at once, at least: batch normalisation needs two."""

SMALLEST_CROP = 128
"""Crops become no smaller than this, in pixels, when memory is short."""


@dataclass
class MemoryLimits:
    """How many crops fit into memory, and how large ones."""

    parts: int = 1
    """Parts in which a batch passes the network."""
    crop: int | None = None
    """Largest side of a crop, if less than is set."""

    def reduce(self, settings: TrainingSettings) -> str | None:
        """Need less from now on; say how.

        First fewer crops pass at once, then they are halved. None if nothing is left.

        Examples
        --------
        >>> limits = MemoryLimits()
        >>> limits.reduce(TrainingSettings(batch_size=8))
        '4 crops at a time now, 8 still make a step'
        >>> limits
        MemoryLimits(parts=2, crop=None)
        """
        size, crop = settings.batch_size, settings.crop // 2
        if size // (2 * self.parts) >= SMALLEST_PART:
            self.parts *= 2
            at_once = ceil(size / self.parts)
            return f"{at_once} crops at a time now, {size} still make a step"
        if crop >= SMALLEST_CROP:
            self.crop = crop
            return f"crops are at most {crop} pixels now"
        return None

    def apply_to(self, objective: Objective[Any]) -> None:
        """Let the crops of an objective be no larger than fits."""
        if self.crop is not None:
            crop = min(objective.settings.crop, self.crop)
            objective.settings = replace(objective.settings, crop=crop)

    def split(self, batch: B) -> list[tuple[B, float]]:
        """Parts of a batch, each with its share."""
        if self.parts == 1:
            return [(batch, 1.0)]
        crops = max(len(each) for each in batch)
        ends = [crops * part // self.parts for part in range(self.parts + 1)]
        of: Callable[..., B] = type(batch)
        return [
            (of(*(each[first:last] for each in batch)), (last - first) / crops)
            for first, last in pairwise(ends)
        ]
