"""What was asked, what answers cost, and what each round measured, in the ledger."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from napari_alseg.arrays import Bounds, Region, Selection
from napari_alseg.errors import BadValue, UnknownName

from .ledger import CORNERS, Ledger, corners

State: TypeAlias = Literal["open", "answered", "skipped"]


@dataclass(frozen=True)
class Cost:
    """What answers cost, counted five ways."""

    pixels: int
    regions: int
    images: int
    clicks: int
    seconds: float


class LedgerRounds:
    """Rounds of a ledger, with their regions and metrics."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def ask(self, selection: Selection, record: Mapping[str, str]) -> None:
        """Write a round and its regions, in one transaction."""
        with self._ledger.transaction():
            self._ledger.insert(
                "rounds",
                round=selection.round,
                system=selection.system,
                budget=selection.budget,
                time=time.time(),
            )
            for position, region in enumerate(selection.regions):
                self._ledger.insert(
                    "regions",
                    round=selection.round,
                    position=position,
                    **_asked(region),
                )
            self._record(selection.round, record)

    def replaceable(self, round: int) -> tuple[int, ...]:
        """Open positions of a round that nobody has touched."""
        found = self._ledger.rows(
            "SELECT position FROM regions WHERE round = ? AND state = 'open' "
            "AND position NOT IN (SELECT position FROM events WHERE round = ? "
            "AND position IS NOT NULL) AND NOT EXISTS (SELECT 1 FROM events "
            "WHERE kind = 'stroke' AND standing = 'done' "
            "AND time >= (SELECT time FROM rounds WHERE round = ?) "
            "AND events.image = regions.image "
            "AND events.row_start < regions.row_stop "
            "AND regions.row_start < events.row_stop "
            "AND events.column_start < regions.column_stop "
            "AND regions.column_start < events.column_stop) ORDER BY position",
            round,
            round,
            round,
        )
        return tuple(position for (position,) in found)

    def reask(self, round: int, regions: Mapping[int, Region]) -> None:
        """Put other regions at some positions of a round."""
        with self._ledger.transaction():
            for position, region in regions.items():
                columns = _asked(region)
                self._ledger.connection.execute(
                    f"UPDATE regions SET {', '.join(f'{c} = ?' for c in columns)} "
                    "WHERE round = ? AND position = ? AND state = 'open'",
                    (*columns.values(), round, position),
                )

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds that were asked, in order."""
        found = self._ledger.rows("SELECT round FROM rounds ORDER BY round")
        return tuple(number for (number,) in found)

    def selection(self, round: int) -> Selection:
        """Read what a round asked.

        Raises
        ------
        UnknownName
            If there was no such round.
        """
        found = self._ledger.rows(
            "SELECT system, budget FROM rounds WHERE round = ?", round
        )
        if not found:
            raise UnknownName("round", str(round), map(str, self.rounds()))
        regions = self._ledger.rows(
            f"SELECT image, partition, region, score, pixels, {CORNERS} "
            "FROM regions WHERE round = ? ORDER BY position",
            round,
        )
        system, budget = found[0]
        return Selection(round, system, budget, tuple(map(_region, regions)))

    def region(self, round: int, position: int) -> tuple[Region, State]:
        """One asked region and its state.

        Raises
        ------
        BadValue
            If the round asked no region at that position.
        """
        found = self._ledger.rows(
            f"SELECT image, partition, region, score, pixels, {CORNERS}, state "
            "FROM regions WHERE round = ? AND position = ?",
            round,
            position,
        )
        if not found:
            asked = self._ledger.value(
                "SELECT count(*) FROM regions WHERE round = ?", round
            )
            raise BadValue(
                f"round {round} asked {asked} regions, counted from 0; "
                f"it has none at position {position}"
            )
        return _region(found[0][:-1]), found[0][-1]

    def states(self, round: int) -> tuple[State, ...]:
        """State of each region of a round, by position."""
        found = self._ledger.rows(
            "SELECT state FROM regions WHERE round = ? ORDER BY position", round
        )
        return tuple(state for (state,) in found)

    def asked_regions(self, partition: int) -> list[tuple[str, int]]:
        """Image and region of all answered or skipped."""
        return self._ledger.rows(  # type: ignore[return-value]
            "SELECT DISTINCT image, region FROM regions "
            "WHERE partition = ? AND state != 'open'",
            partition,
        )

    def closed_bounds(self, partition: int) -> list[tuple[str, Bounds]]:
        """Image and bounds of all answered or skipped."""
        rows = self._ledger.rows(
            f"SELECT image, {CORNERS} FROM regions "
            "WHERE partition = ? AND state != 'open' ORDER BY round, position",
            partition,
        )
        return [(image, Bounds(*edges)) for image, *edges in rows]

    def maps_asked(self) -> list[tuple[str, int]]:
        """Image and partition of all asked regions."""
        return self._ledger.rows(  # type: ignore[return-value]
            "SELECT DISTINCT image, partition FROM regions ORDER BY 1, 2"
        )

    def cost(self, round: int | None) -> Cost:
        """Return what answers cost, up to a round.

        A region that was answered twice counts once in pixels and regions, with its
        latest answer, and twice in clicks and seconds. A skip is a click, and no more.
        """
        answers = (
            "SELECT image, pixels, coalesce(clicks, 1) AS clicks, seconds, "
            "kind = 'answer' AND max(sequence) "
            "OVER (PARTITION BY round, position) = sequence AS latest FROM events "
            "WHERE kind IN ('answer', 'skip') AND standing = 'done' "
            "AND (round <= ?1 OR ?1 IS NULL)"
        )
        found = self._ledger.rows(
            "SELECT coalesce(sum(pixels * latest), 0), coalesce(sum(latest), 0), "
            "count(DISTINCT CASE WHEN latest THEN image END), "
            "coalesce(sum(clicks), 0), "
            f"coalesce(sum(seconds), 0.0) FROM ({answers})",
            round,
        )
        return Cost(*found[0])

    def record(self, round: int, values: Mapping[str, str]) -> None:
        """Write metrics of a round as JSON.

        Later values replace earlier ones.
        """
        with self._ledger.transaction():
            self._record(round, values)

    def _record(self, round: int, values: Mapping[str, str]) -> None:
        self._ledger.connection.executemany(
            "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?)",
            [(round, name, value) for name, value in values.items()],
        )

    def metrics(self, round: int) -> dict[str, str]:
        """Metrics of a round as JSON, by name."""
        query = "SELECT name, value FROM metrics WHERE round = ? ORDER BY name"
        return dict(self._ledger.rows(query, round))


def _asked(region: Region) -> dict[str, Any]:
    """Return the columns that say what is asked."""
    return {
        "image": region.image,
        "partition": region.partition,
        "region": int(region.region),
        "score": float(region.score),
        "pixels": int(region.pixels),
        **corners(region.bounds),
    }


def _region(row: tuple[Any, ...]) -> Region:
    image, partition, region, score, pixels, *edges = row
    return Region(image, partition, region, score, pixels, Bounds(*edges))
