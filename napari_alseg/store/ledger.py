"""What people did, in SQLite: every answer, stroke, undo, round and metric.

Rows of `events` are never deleted and their patches never change. Two columns are
marks that follow from other rows and are kept because they are asked often:
``standing`` of an action (done, undone, or gone once undone and overtaken by a new
action) and ``drawn``, 1 once the picture of the labels surely holds the event.
"""

import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from napari_alseg.arrays import Bounds, LabelMap, Region, Selection
from napari_alseg.errors import BadValue, UnknownName

from .lock import user_name

Kind: TypeAlias = Literal["import", "stroke", "answer", "skip", "undo", "redo"]
State: TypeAlias = Literal["open", "answered", "skipped"]
Mode: TypeAlias = Literal["write", "read", "borrow"]
ACTIONS = ("stroke", "answer", "skip")
"""Kinds of events that can be undone; an import cannot."""

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE images (
    id TEXT PRIMARY KEY, split TEXT NOT NULL, source TEXT NOT NULL,
    height INTEGER NOT NULL, width INTEGER NOT NULL, channels INTEGER NOT NULL,
    dtype TEXT NOT NULL, rendering TEXT NOT NULL
);
CREATE TABLE partitions (version INTEGER PRIMARY KEY, settings TEXT NOT NULL UNIQUE);
CREATE TABLE rounds (
    round INTEGER PRIMARY KEY, system TEXT NOT NULL, budget TEXT NOT NULL,
    time REAL NOT NULL
);
CREATE TABLE regions (
    round INTEGER NOT NULL REFERENCES rounds, position INTEGER NOT NULL,
    image TEXT NOT NULL REFERENCES images, partition INTEGER NOT NULL,
    region INTEGER NOT NULL, score REAL NOT NULL, pixels INTEGER NOT NULL,
    row_start INTEGER NOT NULL, column_start INTEGER NOT NULL,
    row_stop INTEGER NOT NULL, column_stop INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'open',
    PRIMARY KEY (round, position)
);
CREATE INDEX regions_of_partition ON regions (partition, state, image, region);
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL,
    author TEXT NOT NULL, kind TEXT NOT NULL, image TEXT NOT NULL REFERENCES images,
    row_start INTEGER NOT NULL, column_start INTEGER NOT NULL,
    row_stop INTEGER NOT NULL, column_stop INTEGER NOT NULL,
    before BLOB NOT NULL, after BLOB NOT NULL, gain INTEGER NOT NULL,
    round INTEGER, position INTEGER, state_before TEXT, state_after TEXT,
    label INTEGER, pixels INTEGER, clicks INTEGER, seconds REAL,
    target INTEGER REFERENCES events, standing TEXT, drawn INTEGER NOT NULL
);
CREATE INDEX events_of_image ON events (image, sequence, gain);
CREATE INDEX events_standing ON events (standing, sequence);
CREATE INDEX events_not_drawn ON events (image, sequence) WHERE drawn = 0;
CREATE TABLE metrics (
    round INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (round, name)
);
CREATE TABLE weights (
    round INTEGER PRIMARY KEY, file TEXT NOT NULL, time REAL NOT NULL
);
"""

BOUNDS = "row_start, column_start, row_stop, column_stop"


@dataclass(frozen=True)
class ImageInfo:
    """What is known of an image without reading it."""

    id: str
    split: str
    """``"pool"``, ``"source"``, ``"validation"`` or ``"test"``."""
    shape: tuple[int, int]
    channels: tuple[str, ...]
    """Names of the channels."""
    dtype: str
    windows: tuple[tuple[float, float], ...]
    """The intensities shown as black and as white, for each channel."""
    source: str
    """Where the image came from, for people."""
    colour: bool = False
    """Whether the first three channels are red, green and blue."""
    nodata: float | None = None
    """Value of pixels that hold nothing."""

    @property
    def window(self) -> tuple[float, float]:
        """The window of the first channel, the only one of a grey image."""
        return self.windows[0]


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
    """The one class of an answer; None where the pixels are the answer."""
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
    """The labels of a rectangle before and after an event."""

    sequence: int
    bounds: Bounds
    before: LabelMap
    after: LabelMap


@dataclass(frozen=True)
class Cost:
    """What the answers so far cost, counted five ways side by side."""

    pixels: int
    regions: int
    images: int
    clicks: int
    seconds: float


def packed(patch: LabelMap) -> bytes:
    """Patch as compressed bytes, row by row."""
    return zlib.compress(patch.tobytes(), 1)


def unpacked(blob: bytes, bounds: Bounds) -> LabelMap:
    """Patch of `bounds` from compressed bytes."""
    return np.frombuffer(zlib.decompress(blob), np.uint8).reshape(bounds.shape)


def _rendering(channels: int, *shown: Any) -> str:
    """Return how an image is shown, as JSON; of format 1 from its one window."""
    if len(shown) == 1:
        return str(shown[0])
    colour = channels == 3
    return json.dumps(
        {
            "names": ["red", "green", "blue"] if colour else ["grey"],
            "windows": [shown] * channels,
            "colour": colour,
            "nodata": None,
        }
    )


class Ledger:
    """The database of one project; several processes may have it open."""

    def __init__(self, path: Path, mode: Mode) -> None:
        # Threads share the connection one after another, behind the lock.
        self._turn = threading.RLock()
        self._infos: dict[str, ImageInfo] = {}
        """Of images that were looked up; none of them ever changes."""
        self.connection = _connect(_address(path, mode))
        try:
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("PRAGMA foreign_keys = ON")
            self.sequence()
        except sqlite3.DatabaseError:
            self.close()
            raise

    @classmethod
    def create(cls, path: Path) -> "Ledger":
        """Make an empty ledger where no file is yet."""
        path.touch(exist_ok=False)
        connection = _connect(_address(path, "write"))
        connection.executescript(SCHEMA)
        connection.close()
        return cls(path, "write")

    def close(self) -> None:
        """Close the connection; SQLite then folds its journal into the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside count wholly, once it is on the disk."""
        with self._turn:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._turn:
            return self.connection.execute(query, values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        """Return the first value of the only row of a query."""
        return self.rows(query, *values)[0][0]

    def _insert(self, table: str, **columns: Any) -> int:
        """Write a row within a transaction and return its number."""
        places = ", ".join(f":{name}" for name in columns)
        cursor = self.connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", columns
        )
        return int(cursor.lastrowid or 0)

    # Images and partitions

    def add_image(self, info: ImageInfo) -> None:
        """Put an image on the list, within a transaction."""
        self._insert(
            "images",
            id=info.id,
            split=info.split,
            source=info.source,
            height=info.shape[0],
            width=info.shape[1],
            channels=len(info.channels),
            dtype=info.dtype,
            rendering=json.dumps(
                {
                    "names": info.channels,
                    "windows": info.windows,
                    "colour": info.colour,
                    "nodata": info.nodata,
                }
            ),
        )

    def images(self, split: str | None = None) -> tuple[str, ...]:
        """Ids in the order the images were added, of one split or of all."""
        found = self.rows(
            "SELECT id FROM images WHERE split = ?1 OR ?1 IS NULL ORDER BY rowid", split
        )
        return tuple(name for (name,) in found)

    def info(self, name: str) -> ImageInfo:
        """Return what is known of an image.

        Raises
        ------
        UnknownName
            If no image has that id.
        """
        if name not in self._infos:
            self._infos[name] = self._read_info(name)
        return self._infos[name]

    def _read_info(self, name: str) -> ImageInfo:
        found = self.rows("SELECT * FROM images WHERE id = ?", name)
        if not found:
            raise UnknownName("image", name, self.images())
        _, split, source, height, width, channels, dtype, *shown = found[0]
        rendering = json.loads(_rendering(channels, *shown))
        return ImageInfo(
            name,
            split,
            (height, width),
            tuple(rendering["names"]),
            dtype,
            tuple((low, high) for low, high in rendering["windows"]),
            source,
            rendering["colour"],
            rendering["nodata"],
        )

    def migrate(self) -> None:
        """Bring the tables of format 1 to this one: a window for each channel."""
        columns = [row[1] for row in self.rows("PRAGMA table_info(images)")]
        if "rendering" in columns:
            return
        with self.transaction():
            self.connection.execute(
                "ALTER TABLE images ADD COLUMN rendering TEXT NOT NULL DEFAULT ''"
            )
            for name, channels, low, high in self.rows(
                "SELECT id, channels, low, high FROM images"
            ):
                self.connection.execute(
                    "UPDATE images SET rendering = ? WHERE id = ?",
                    (_rendering(channels, low, high), name),
                )
            for column in ("low", "high"):
                self.connection.execute(f"ALTER TABLE images DROP COLUMN {column}")

    def partition_version(self, settings: str) -> int | None:
        """Version of the partition with these settings, None if it is new."""
        found = self.rows("SELECT version FROM partitions WHERE settings = ?", settings)
        return found[0][0] if found else None

    def add_partition(self, settings: str) -> int:
        """Give new settings the next version."""
        with self.transaction():
            self.connection.execute(
                "INSERT OR IGNORE INTO partitions (settings) VALUES (?)", (settings,)
            )
        return int(
            self.value("SELECT version FROM partitions WHERE settings = ?", settings)
        )

    def partition_settings(self, version: int) -> dict[str, Any]:
        """Read the settings of a version of the partition.

        Raises
        ------
        UnknownName
            If there is no such version.
        """
        found = dict(self.rows("SELECT version, settings FROM partitions"))
        if version not in found:
            raise UnknownName("partition", str(version), map(str, found))
        return dict(json.loads(found[version]))

    # Rounds

    def ask(self, selection: Selection) -> None:
        """Write a round with its regions, in one transaction."""
        with self.transaction():
            self._insert(
                "rounds",
                round=selection.round,
                system=selection.system,
                budget=selection.budget,
                time=time.time(),
            )
            for position, region in enumerate(selection.regions):
                self._insert(
                    "regions",
                    round=selection.round,
                    position=position,
                    **_asked(region),
                )

    def replaceable(self, round: int) -> tuple[int, ...]:
        """Open positions of a round that nobody has spoken of or painted in since."""
        found = self.rows(
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
        """Put other regions at some positions of a round, in one transaction."""
        with self.transaction():
            for position, region in regions.items():
                columns = _asked(region)
                self.connection.execute(
                    f"UPDATE regions SET {', '.join(f'{c} = ?' for c in columns)} "
                    "WHERE round = ? AND position = ? AND state = 'open'",
                    (*columns.values(), round, position),
                )

    def rounds(self) -> tuple[int, ...]:
        """Return the rounds that were asked, in order."""
        return tuple(n for (n,) in self.rows("SELECT round FROM rounds ORDER BY round"))

    def selection(self, round: int) -> Selection:
        """Read what a round asked.

        Raises
        ------
        UnknownName
            If there was no such round.
        """
        found = self.rows("SELECT system, budget FROM rounds WHERE round = ?", round)
        if not found:
            raise UnknownName("round", str(round), map(str, self.rounds()))
        regions = self.rows(
            f"SELECT image, partition, region, score, pixels, {BOUNDS} "
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
        found = self.rows(
            f"SELECT image, partition, region, score, pixels, {BOUNDS}, state "
            "FROM regions WHERE round = ? AND position = ?",
            round,
            position,
        )
        if not found:
            asked = self.value("SELECT count(*) FROM regions WHERE round = ?", round)
            raise BadValue(
                f"round {round} asked {asked} regions, counted from 0; "
                f"it has none at position {position}"
            )
        return _region(found[0][:-1]), found[0][-1]

    def states(self, round: int) -> tuple[State, ...]:
        """State of each region of a round, by position."""
        found = self.rows(
            "SELECT state FROM regions WHERE round = ? ORDER BY position", round
        )
        return tuple(state for (state,) in found)

    def asked_regions(self, partition: int) -> list[tuple[str, int]]:
        """Image and region of all that were answered or skipped in a partition."""
        return self.rows(  # type: ignore[return-value]
            "SELECT DISTINCT image, region FROM regions "
            "WHERE partition = ? AND state != 'open'",
            partition,
        )

    def partitions(self) -> tuple[int, ...]:
        """Return the versions of region maps, in order."""
        found = self.rows("SELECT version FROM partitions ORDER BY version")
        return tuple(version for (version,) in found)

    def closed_bounds(self, partition: int) -> list[tuple[str, Bounds]]:
        """Image and bounds of all that were answered or skipped in a partition."""
        rows = self.rows(
            f"SELECT image, {BOUNDS} FROM regions "
            "WHERE partition = ? AND state != 'open' ORDER BY round, position",
            partition,
        )
        return [(image, Bounds(*edges)) for image, *edges in rows]

    def maps_asked(self) -> list[tuple[str, int]]:
        """Image and partition of all asked regions."""
        return self.rows(  # type: ignore[return-value]
            "SELECT DISTINCT image, partition FROM regions ORDER BY 1, 2"
        )

    # Events

    def append(self, change: Change, drawn: bool = False) -> int:
        """Write an event within a transaction and return its sequence number."""
        if change.kind in ACTIONS:
            self._stand("gone", "undone")
        sequence = self._insert(
            "events",
            time=time.time(),
            author=user_name(),
            kind=change.kind,
            image=change.image,
            **_corners(change.bounds),
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
            self.connection.execute(
                "UPDATE regions SET state = ? WHERE round = ? AND position = ?",
                (change.state_after, change.round, change.position),
            )
        return sequence

    def _stand(self, standing: str, which: str | int) -> None:
        """Set the standing of one action, or of all that have another standing."""
        column = "standing" if isinstance(which, str) else "sequence"
        self.connection.execute(
            f"UPDATE events SET standing = ? WHERE {column} = ?", (standing, which)
        )

    def sequence(self) -> int:
        """Sequence number of the latest event, 0 before the first."""
        return int(self.value("SELECT coalesce(max(sequence), 0) FROM events"))

    def events(self, after: int = 0) -> list[Event]:
        """Events later than a sequence number, in order."""
        found = self.rows(
            f"SELECT sequence, time, author, kind, image, {BOUNDS}, round, position, "
            "label, seconds, target FROM events WHERE sequence > ? ORDER BY sequence",
            after,
        )
        return [_event(row) for row in found]

    def patches(self, image: str, after: int = 0) -> Iterator[Patch]:
        """Patches of an image that are later than a sequence number, in order."""
        found = self.rows(
            f"SELECT sequence, {BOUNDS}, before, after FROM events "
            "WHERE image = ? AND sequence > ? ORDER BY sequence",
            image,
            after,
        )
        for sequence, *corners, before, after_ in found:
            bounds = Bounds(*corners)
            yield Patch(
                sequence, bounds, unpacked(before, bounds), unpacked(after_, bounds)
            )

    def reversal(self, kind: Literal["undo", "redo"]) -> Change | None:
        """Return what the next undo or redo would do, None if there is nothing left.

        Undo takes the latest action that stands, redo the earliest undone one.
        """
        aggregate, standing = ("max", "done") if kind == "undo" else ("min", "undone")
        found = self.rows(
            f"SELECT image, {BOUNDS}, before, after, round, position, state_before, "
            "state_after, label, sequence FROM events WHERE sequence = "
            f"(SELECT {aggregate}(sequence) FROM events WHERE standing = ?)",
            standing,
        )
        if not found:
            return None
        image, *corners, old, new, number, position, was, became, label, of = found[0]
        bounds = Bounds(*corners)
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

    # The picture

    def mark_drawn(self, sequences: Iterable[int]) -> None:
        """Note, within a transaction, that the picture holds these events."""
        self.connection.executemany(
            "UPDATE events SET drawn = 1 WHERE sequence = ?",
            [(sequence,) for sequence in sequences],
        )

    def not_drawn(self, image: str) -> int | None:
        """Earliest event of an image that its picture may lack."""
        earliest = self.value(
            "SELECT min(sequence) FROM events WHERE drawn = 0 AND image = ?", image
        )
        return None if earliest is None else int(earliest)

    def images_not_drawn(self) -> tuple[str, ...]:
        """Images whose picture may lack an event."""
        found = self.rows("SELECT DISTINCT image FROM events WHERE drawn = 0")
        return tuple(image for (image,) in found)

    # Counts

    def labelled(self, sequence: int) -> tuple[str, ...]:
        """Images of the pool that had a labelled pixel at that sequence number."""
        found = self.rows(
            "SELECT id FROM images WHERE split = 'pool' AND (SELECT sum(gain) "
            "FROM events WHERE image = id AND sequence <= ?) > 0 ORDER BY rowid",
            sequence,
        )
        return tuple(name for (name,) in found)

    def labelled_pixels(self) -> dict[str, int]:
        """Labelled pixels of every image."""
        return dict(
            self.rows(
                "SELECT id, (SELECT coalesce(sum(gain), 0) FROM events "
                "WHERE image = id) FROM images ORDER BY rowid"
            )
        )

    def cost(self, round: int | None) -> Cost:
        """Return what the answers that stand cost, up to a round.

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
        found = self.rows(
            "SELECT coalesce(sum(pixels * latest), 0), coalesce(sum(latest), 0), "
            "count(DISTINCT CASE WHEN latest THEN image END), "
            "coalesce(sum(clicks), 0), "
            f"coalesce(sum(seconds), 0.0) FROM ({answers})",
            round,
        )
        return Cost(*found[0])

    # Metrics and weights

    def record(self, round: int, name: str, value: str) -> None:
        """Write one metric of a round; a later value replaces it."""
        with self.transaction():
            self.connection.execute(
                "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?)", (round, name, value)
            )

    def metrics(self, round: int) -> dict[str, Any]:
        """Metrics of a round by name."""
        found = self.rows(
            "SELECT name, value FROM metrics WHERE round = ? ORDER BY name", round
        )
        return {name: json.loads(value) for name, value in found}

    def commit_weights(self, round: int, file: str) -> None:
        """Make a file of weights count."""
        with self.transaction():
            self.connection.execute(
                "INSERT OR REPLACE INTO weights VALUES (?, ?, ?)",
                (round, file, time.time()),
            )

    def weights(self) -> dict[int, str]:
        """Files of weights that count, by round."""
        return dict(self.rows("SELECT round, file FROM weights ORDER BY round"))


def _corners(bounds: Bounds) -> dict[str, int]:
    """Columns of a rectangle, as plain numbers: SQLite takes NumPy's for blobs."""
    return {name: int(value) for name, value in bounds._asdict().items()}


def _asked(region: Region) -> dict[str, Any]:
    """Return the columns that say what is asked."""
    return {
        "image": region.image,
        "partition": region.partition,
        "region": int(region.region),
        "score": float(region.score),
        "pixels": int(region.pixels),
        **_corners(region.bounds),
    }


def _region(row: tuple[Any, ...]) -> Region:
    image, partition, region, score, pixels, *corners = row
    return Region(image, partition, region, score, pixels, Bounds(*corners))


def _event(row: tuple[Any, ...]) -> Event:
    bounds = Bounds(*row[5:9])
    sequence, when, author, kind, image = row[:5]
    return Event(sequence, when, author, kind, image, bounds, *row[9:])


def _connect(address: str) -> sqlite3.Connection:
    return sqlite3.connect(
        address, uri=True, timeout=30, isolation_level=None, check_same_thread=False
    )


def _address(path: Path, mode: Mode) -> str:
    """Return the URI of the database for a mode.

    SQLite wants to lay its journal beside the ledger even to read it. In a folder
    where it cannot, and where nobody left a journal, the file is all there is.
    """
    address = path.absolute().as_uri()
    if mode != "read":
        return f"{address}?mode=rw"
    journal = path.with_name(path.name + "-wal").exists()
    still = not journal and not os.access(path.parent, os.W_OK)
    return f"{address}?mode=ro" + ("&immutable=1" if still else "")
