"""What a task is asked for: a request for each, plain data without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from napari_alseg.settings import (
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    RecipeSettings,
    TrainingSettings,
)


@dataclass(frozen=True)
class QueryRequest:
    """Ask the next regions; see `query`."""

    settings: QuerySettings
    prediction: PredictionSettings | None = None
    among: tuple[str, ...] | None = None
    live: NetworkSettings | None = None


@dataclass(frozen=True)
class LookRequest:
    """Draw the prediction and some maps of an image; see `look`."""

    image: str
    maps: Sequence[str]
    settings: QuerySettings | None = None
    prediction: PredictionSettings | None = None


@dataclass(frozen=True)
class RetrainRequest:
    """Train a network on all labels; see `retrain`."""

    network: NetworkSettings | None = None
    training: TrainingSettings | None = None
    prediction: PredictionSettings | None = None
    seed: int = 0
    recipe: RecipeSettings | None = None
    live: LiveSettings | None = None
    resume: bool = False
    part: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class FollowRequest:
    """Follow a person who answers; see `follow`. It hears what it is told."""

    network: NetworkSettings | None = None
    settings: LiveSettings | None = None
    prediction: PredictionSettings | None = None


Request: TypeAlias = QueryRequest | LookRequest | RetrainRequest | FollowRequest
"""What a worker can be asked to do."""
