"""What a window and the task that follows it say to each other."""

from dataclasses import dataclass, field
from typing import Literal

from napari_alseg.arrays import Region
from napari_alseg.settings import QuerySettings

SEARCHING = "looking through the pool"
"""Progress while similar regions are looked for."""


@dataclass(frozen=True)
class LiveRequest:
    """What is wanted now; a later one takes the place of an earlier one."""

    number: int
    image: str
    """The shown one."""
    coming: tuple[str, ...]
    """Images of the open regions, the next one first."""
    maps: tuple[str, ...]
    """Acquisitions whose maps are shown."""
    query: QuerySettings
    similar_to: int | None = None
    """A region of the shown image, to be told which others are like it."""
    rank: bool = True
    """Whether the pool may be ranked meanwhile."""
    rest: bool = False
    """Whether to do nothing until the next request: another task is at work."""
    others: int = 0
    """Tasks so far that may have written over what was drawn."""


@dataclass(frozen=True)
class LiveUpdate:
    """Something is new."""

    kind: Literal["waiting", "looked", "ranked", "similar"]
    number: int
    """Of the request that it was done for."""
    sequence: int
    """Labels count up to this event."""
    image: str = ""
    """Whose maps were drawn."""
    left: int = 0
    """Images whose labels these maps do not know yet."""
    regions: tuple[Region, ...] = ()
    """The best open regions, or the most similar ones."""
    fresh: float = 0.0
    """Share of the pool that the latest head has ranked."""
    classes: tuple[int, ...] = ()
    """Class indices that have a label, where more are needed."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each step took."""
