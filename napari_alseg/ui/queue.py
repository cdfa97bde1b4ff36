"""The asked regions of a round, their order, and which one comes next."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from napari_alseg.arrays import Region, Selection

Marked: TypeAlias = Literal["open", "answered", "skipped", "elsewhere"]
"""The state of the current region, if the shown image has it."""


@dataclass(frozen=True)
class Queue:
    """A queue is what a round asked, with the state of each region.

    Nothing here is changed or read from disk.
    """

    selection: Selection
    states: tuple[str, ...]
    """'open', 'answered' or 'skipped', by position."""

    def turn(self, start: int | None, direction: int = 1) -> list[int]:
        """Positions from the next one on, round and round; the current one last."""
        first, count = -1 if start is None else start, len(self.states)
        return [(first + direction * (step + 1)) % count for step in range(count)]

    def next_open(self, start: int | None, direction: int = 1) -> int | None:
        """Position of the next (+1) or previous (-1) open region, None if none is."""
        places = self.turn(start, direction)
        return next((at for at in places if self.states[at] == "open"), None)

    def coming(self, position: int | None) -> list[Region]:
        """Open regions, next first, without the current one."""
        return [
            self.selection.regions[at]
            for at in self.turn(position)
            if self.states[at] == "open" and at != position
        ]

    def replaced(
        self, best: Sequence[Region], free: Collection[int], position: int | None
    ) -> Mapping[int, Region]:
        """Return what to ask at free positions in place of what is asked there.

        Parameters
        ----------
        best : sequence of Region
            The best of the pool, best first; asked ones among them count once.
        free : collection of int
            Positions that may be asked anew.
        position : int, optional
            The current one; the order begins after it.

        Returns
        -------
        mapping
            Empty unless there are enough regions, of the round's own partition.
        """
        regions = self.selection.regions
        kept = {
            (each.image, each.region)
            for at, each in enumerate(regions)
            if at not in free
        }
        new = [each for each in best if (each.image, each.region) not in kept]
        if not free or len(new) < len(free):
            return {}
        if new[0].partition != self.selection.partition:
            return {}
        places = (at for at in self.turn(position) if at in free)
        pairs = zip(places, new, strict=False)
        return {at: each for at, each in pairs if each != regions[at]}
