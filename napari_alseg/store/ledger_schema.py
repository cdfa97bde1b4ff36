"""The tables of the ledger, and how those of older formats become these."""

import json
import sqlite3
from typing import Any

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
"""

WEIGHTS = """
CREATE TABLE weights (
    number INTEGER PRIMARY KEY AUTOINCREMENT, round INTEGER NOT NULL UNIQUE,
    file TEXT NOT NULL
)
"""
"""Each commit takes the next number; that of a round trained again is never reused."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring older tables to this format, within a transaction."""
    if "low" in _columns(connection, "images"):
        _give_each_channel_a_window(connection)
    if "number" not in _columns(connection, "weights"):
        _number_weights(connection)


def rendering(channels: int, *shown: Any) -> str:
    """Return how an image is shown, as JSON.

    In format 1 from its one window.
    """
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


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def _give_each_channel_a_window(connection: sqlite3.Connection) -> None:
    """Repeat the only window that format 1 had."""
    connection.execute(
        "ALTER TABLE images ADD COLUMN rendering TEXT NOT NULL DEFAULT ''"
    )
    images = "SELECT id, channels, low, high FROM images"
    for name, *shown in connection.execute(images).fetchall():
        connection.execute(
            "UPDATE images SET rendering = ? WHERE id = ?", (rendering(*shown), name)
        )
    for column in ("low", "high"):
        connection.execute(f"ALTER TABLE images DROP COLUMN {column}")


def _number_weights(connection: sqlite3.Connection) -> None:
    """Give weights of older formats their rounds' numbers."""
    connection.execute("ALTER TABLE weights RENAME TO unnumbered")
    connection.execute(WEIGHTS)
    connection.execute(
        "INSERT INTO weights (number, round, file) "
        "SELECT round, round, file FROM unnumbered"
    )
    connection.execute("DROP TABLE unnumbered")
