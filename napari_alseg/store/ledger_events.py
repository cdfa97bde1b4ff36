"""What people did to labels, in the ledger: one event each, never deleted.

Rows of `events` are never deleted and their patches never change. Two columns are
marks that follow from other rows and are kept because they are asked often:
``standing`` of an action (done, undone, or gone once undone and overtaken by a new
action) and ``drawn``, 1 once the picture of the labels surely holds the event.
"""

import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from napari_alseg.arrays import Bounds, LabelMap

from .ledger import CORNERS, Ledger, corners
from .ledger_rounds import State
from .lock import user_name

Kind: TypeAlias = Literal["import", "stroke", "answer", "skip", "undo", "redo"]
ACTIONS = ("stroke", "answer", "skip")
"""Kinds of events that can be undone; an import cannot."""


@dataclass(frozen=True)
class Event:
    """One row of the ledger: what was done, where and when."""

    sequence: int
    time: float
    author: str
    kind: Kind
    image: str
    bounds: Bounds
    round: int | None
    position: int | None
    label: int | None
    """The one class of an answer.

    None where the pixels are the answer.
    """
    seconds: float | None
    target: int | None
    """Sequence of the action that an undo or redo is about."""


@dataclass(frozen=True)
class Change:
    """What an event does: labels of a rectangle, and the state of an asked region."""

    kind: Kind
    image: str
    bounds: Bounds
    before: LabelMap
    after: LabelMap
    round: int | None = None
    position: int | None = None
    state_before: State | None = None
    state_after: State | None = None
    label: int | None = None
    pixels: int | None = None
    clicks: int | None = None
    seconds: float | None = None
    target: int | None = None

    @property
    def gain(self) -> int:
        """Labelled pixels after less those before."""
        return int(np.count_nonzero(self.after)) - int(np.count_nonzero(self.before))


@dataclass(frozen=True)
class Patch:
    """Labels of a rectangle before and after an event."""

    sequence: int
    bounds: Bounds
    before: LabelMap
    after: LabelMap


def packed(patch: LabelMap) -> bytes:
    """Patch as compressed bytes, row by row."""
    return zlib.compress(patch.tobytes(), 1)


def unpacked(blob: bytes, bounds: Bounds) -> LabelMap:
    """Patch of `bounds` from compressed bytes."""
    return np.frombuffer(zlib.decompress(blob), np.uint8).reshape(bounds.shape)


class LedgerEvents:
    """The events of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def append(self, change: Change, drawn: bool = False) -> int:
        """Write an event in a transaction; return its number."""
        if change.kind in ACTIONS:
            self._stand("gone", "undone")
        sequence = self._ledger.insert(
            "events",
            time=time.time(),
            author=user_name(),
            kind=change.kind,
            image=change.image,
            **corners(change.bounds),
            before=packed(change.before),
            after=packed(change.after),
            gain=change.gain,
            round=change.round,
            position=change.position,
            state_before=change.state_before,
            state_after=change.state_after,
            label=change.label,
            pixels=change.pixels,
            clicks=change.clicks,
            seconds=change.seconds,
            target=change.target,
            standing="done" if change.kind in ACTIONS else None,
            drawn=drawn,
        )
        if change.target is not None:
            standing = "undone" if change.kind == "undo" else "done"
            self._stand(standing, change.target)
        if change.state_after is not None:
            self._ledger.connection.execute(
                "UPDATE regions SET state = ? WHERE round = ? AND position = ?",
                (change.state_after, change.round, change.position),
            )
        return sequence

    def _stand(self, standing: str, which: str | int) -> None:
        """Set the standing of one action or of many."""
        column = "standing" if isinstance(which, str) else "sequence"
        self._ledger.connection.execute(
            f"UPDATE events SET standing = ? WHERE {column} = ?", (standing, which)
        )

    def sequence(self) -> int:
        """Sequence number of the latest event, or 0."""
        return int(self._ledger.value("SELECT coalesce(max(sequence), 0) FROM events"))

    def events(self, after: int = 0) -> list[Event]:
        """Events later than a sequence number, in order."""
        found = self._ledger.rows(
            f"SELECT sequence, time, author, kind, image, {CORNERS}, round, position, "
            "label, seconds, target FROM events WHERE sequence > ? ORDER BY sequence",
            after,
        )
        return [_event(row) for row in found]

    def patches(self, image: str, after: int = 0) -> Iterator[Patch]:
        """Patches of an image after an event, in order."""
        found = self._ledger.rows(
            f"SELECT sequence, {CORNERS}, before, after FROM events "
            "WHERE image = ? AND sequence > ? ORDER BY sequence",
            image,
            after,
        )
        for sequence, *edges, before, after_ in found:
            bounds = Bounds(*edges)
            yield Patch(
                sequence, bounds, unpacked(before, bounds), unpacked(after_, bounds)
            )

    def reversal(self, kind: Literal["undo", "redo"]) -> Change | None:
        """Return what the next undo or redo would do, None if there is nothing left.

        Undo takes the latest action that stands, redo the earliest undone one.
        """
        aggregate, standing = ("max", "done") if kind == "undo" else ("min", "undone")
        found = self._ledger.rows(
            f"SELECT image, {CORNERS}, before, after, round, position, state_before, "
            "state_after, label, sequence FROM events WHERE sequence = "
            f"(SELECT {aggregate}(sequence) FROM events WHERE standing = ?)",
            standing,
        )
        if not found:
            return None
        image, *edges, old, new, number, position, was, became, label, of = found[0]
        bounds = Bounds(*edges)
        before, after = unpacked(old, bounds), unpacked(new, bounds)
        if kind == "undo":
            before, after, was, became = after, before, became, was
        return Change(
            kind,
            image,
            bounds,
            before,
            after,
            round=number,
            position=position,
            state_before=was,
            state_after=became,
            label=label,
            target=of,
        )

    def mark_drawn(self, sequences: Iterable[int]) -> None:
        """Note in a transaction that events are drawn."""
        self._ledger.connection.executemany(
            "UPDATE events SET drawn = 1 WHERE sequence = ?",
            [(sequence,) for sequence in sequences],
        )

    def not_drawn(self, image: str) -> int | None:
        """Earliest event that a picture may lack."""
        earliest = self._ledger.value(
            "SELECT min(sequence) FROM events WHERE drawn = 0 AND image = ?", image
        )
        return None if earliest is None else int(earliest)

    def images_not_drawn(self) -> tuple[str, ...]:
        """Images whose picture may lack an event."""
        found = self._ledger.rows("SELECT DISTINCT image FROM events WHERE drawn = 0")
        return tuple(image for (image,) in found)

    def labelled(self, sequence: int) -> tuple[str, ...]:
        """Images of the pool labelled after an event."""
        found = self._ledger.rows(
            "SELECT id FROM images WHERE split = 'pool' AND (SELECT sum(gain) "
            "FROM events WHERE image = id AND sequence <= ?) > 0 ORDER BY rowid",
            sequence,
        )
        return tuple(name for (name,) in found)

    def labelled_pixels(self) -> dict[str, int]:
        """Labelled pixels of every image."""
        return dict(
            self._ledger.rows(
                "SELECT id, (SELECT coalesce(sum(gain), 0) FROM events "
                "WHERE image = id) FROM images ORDER BY rowid"
            )
        )


def _event(row: tuple[Any, ...]) -> Event:
    bounds = Bounds(*row[5:9])
    sequence, when, author, kind, image = row[:5]
    return Event(sequence, when, author, kind, image, bounds, *row[9:])
