"""The plan of a training: all that decides what it leads to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from napari_alseg.settings import NetworkSettings, RecipeSettings, TrainingSettings


@dataclass(frozen=True)
class Plan:
    """All that decides what a training leads to."""

    round: int
    sequence: int
    """The event up to which labels count."""
    seed: int
    network: NetworkSettings
    training: TrainingSettings
    recipe: RecipeSettings

    def metadata(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Plan":
        """Return the plan of metadata."""
        return cls(
            metadata["round"],
            metadata["sequence"],
            metadata["seed"],
            NetworkSettings(**metadata["network"]),
            TrainingSettings(**metadata["training"]),
            RecipeSettings(**metadata["recipe"]),
        )


Checkpoint: TypeAlias = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]
"""Arrays and metadata of weights, or of a stopped training."""
