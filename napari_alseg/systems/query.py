"""A resolved query: what decides a round."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_alseg.arrays import PredictionField
from napari_alseg.budget import Budget
from napari_alseg.settings import QuerySettings

from .parts import Acquisition, Choice, Partition
from .table import System


@dataclass(frozen=True)
class Query:
    """The rows of the tables that ask, every parameter they take, a budget, a seed.

    `resolve` makes one; nothing about it is left to a default any more.
    """

    system: System
    partition: Partition
    acquisition: Acquisition
    choice: Choice
    values: Mapping[str, Any]
    """Each parameter that applies, and no other, by field of `QuerySettings`."""
    budget: Budget
    seed: int

    @property
    def needs(self) -> tuple[PredictionField, ...]:
        """Fields of a `Prediction` that it needs; none without a network."""
        return tuple(dict.fromkeys((*self.acquisition.needs, *self.choice.needs)))

    @property
    def for_lightweight_head(self) -> bool:
        """Whether a lightweight head gives all that it needs."""
        return "difficulty" not in self.needs

    @property
    def parts(self) -> dict[str, str]:
        """Names of partition, acquisition and choice."""
        return {
            "partition": self.partition.name,
            "acquisition": self.acquisition.name,
            "choice": self.choice.name,
        }

    @property
    def settings(self) -> QuerySettings:
        """The same query as settings that leave nothing to the system."""
        return QuerySettings(**self.record())

    def record(self) -> dict[str, Any]:
        """Whole query as JSON values, for the ledger.

        ``QuerySettings(**query.record())`` asks the same again.
        """
        own = {"system": self.system.name, "budget": str(self.budget)}
        return {**own, "seed": self.seed, **self.parts, **self.values}
