"""What is on screen, as one value."""

from dataclasses import dataclass, field, replace
from typing import Any

from napari_alseg.arrays import Region

from .map_layers import Shown
from .scores import Range


@dataclass(frozen=True)
class Screen:
    """A screen is all that decides what the window shows of a project.

    It never changes; a window goes from one screen to another.
    """

    image: str = ""
    round: int | None = None
    """A newer one comes on screen only on purpose."""
    position: int | None = None
    """The current region of the round."""
    sequence: int = 0
    """The event up to which labels and states are shown."""
    shown: Shown = field(default_factory=Shown)
    lit: Range | None = None
    """Regions with a score in this range are lit up."""
    similar: tuple[Region, ...] = ()
    """Regions that are lit up because they look like one."""
    expecting: bool = False
    """Whether maps that are missing will be there in a moment."""

    @property
    def side_by_side(self) -> bool:
        """Whether the image and each map have a cell of their own."""
        return self.shown.side_by_side

    def after(self, **changes: Any) -> "Screen":
        """Return the screen that these changes lead to."""
        return replace(self, **changes)

    @property
    def place(self) -> tuple[str, int | None, int | None, int]:
        """Where work is done, and how far: image, round, position, event."""
        return self.image, self.round, self.position, self.sequence
