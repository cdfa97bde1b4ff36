"""The database of a project: its images, partitions and weights, in SQLite.

What people did stands in `ledger_events`, what was asked in `ledger_rounds`.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from napari_alseg.arrays import Bounds
from napari_alseg.errors import UnknownName

from .ledger_schema import SCHEMA, WEIGHTS, migrate, rendering

Mode: TypeAlias = Literal["write", "read", "borrow"]
CORNERS = "row_start, column_start, row_stop, column_stop"
"""Columns of a rectangle."""


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
        """The window of the first channel."""
        return self.windows[0]


class Ledger:
    """The database of one project, open in several processes."""

    def __init__(self, path: Path, mode: Mode) -> None:
        # Threads share the connection one after another, behind the lock.
        self._turn = threading.RLock()
        self._infos: dict[str, ImageInfo] = {}
        """Of images that were looked up; none of them ever changes."""
        self.connection = _connect(_address(path, mode))
        try:
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("PRAGMA foreign_keys = ON")
            self.value("SELECT max(sequence) FROM events")  # is it a ledger?
        except sqlite3.DatabaseError:
            self.close()
            raise

    @classmethod
    def create(cls, path: Path) -> "Ledger":
        """Make an empty ledger where no file is yet."""
        path.touch(exist_ok=False)
        connection = _connect(_address(path, "write"))
        connection.executescript(f"{SCHEMA}{WEIGHTS};")
        connection.close()
        return cls(path, "write")

    def close(self) -> None:
        """Close the connection.

        SQLite then folds its journal into the file.
        """
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside count wholly or not."""
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
        """Return the only value of a query."""
        return self.rows(query, *values)[0][0]

    def insert(self, table: str, **columns: Any) -> int:
        """Write a row in a transaction; return its number."""
        places = ", ".join(f":{name}" for name in columns)
        cursor = self.connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", columns
        )
        return int(cursor.lastrowid or 0)

    # Images and partitions

    def add_image(self, info: ImageInfo) -> None:
        """Put an image on the list, within a transaction."""
        self.insert(
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
        """Names in the order added, of a split."""
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
        drawn = json.loads(rendering(channels, *shown))
        return ImageInfo(
            name,
            split,
            (height, width),
            tuple(drawn["names"]),
            dtype,
            tuple((low, high) for low, high in drawn["windows"]),
            source,
            drawn["colour"],
            drawn["nodata"],
        )

    def migrate(self) -> None:
        """Bring older tables to this format, in one transaction."""
        with self.transaction():
            migrate(self.connection)

    def partitions(self) -> tuple[int, ...]:
        """Return the versions of region maps, in order."""
        found = self.rows("SELECT version FROM partitions ORDER BY version")
        return tuple(version for (version,) in found)

    def partition_version(self, settings: str) -> int | None:
        """Version of these settings, None if they are new."""
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

    # Weights

    def commit_weights(self, round: int, file: str) -> None:
        """Make weights count, under the next number."""
        with self.transaction():
            self.connection.execute(
                "INSERT OR REPLACE INTO weights (round, file) VALUES (?, ?)",
                (round, file),
            )

    def weights(self) -> dict[int, str]:
        """Files of weights that count, by round."""
        return dict(self.rows("SELECT round, file FROM weights ORDER BY round"))

    def weights_numbers(self) -> dict[int, int]:
        """Numbers of weights that count, by round."""
        # Formats 1 and 2 lack the column; there a row is numbered by its round.
        return dict(self.rows("SELECT round, rowid FROM weights"))


def corners(bounds: Bounds) -> dict[str, int]:
    """Columns of a rectangle, as plain numbers: SQLite takes NumPy's for blobs."""
    return {name: int(value) for name, value in bounds._asdict().items()}


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
