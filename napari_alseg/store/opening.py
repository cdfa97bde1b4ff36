"""What makes a folder a project, and errors of the disk in words."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_alseg import files
from napari_alseg.errors import Busy, CannotWrite, NewerFormat, NotAProject

from .ledger import Ledger, Mode

FORMAT = "napari-alseg"
VERSION = 3
"""1 had one window of intensities an image, and kept no rule of masks; 2 did not number
weights, and its maps did not say which they were made with."""
UNWRITABLE_LEDGER = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
}
NO_LEDGER = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB}


@contextmanager
def writing_ledger(path: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into words, for the ledger too."""
    try:
        with files.writing(path):
            yield
    except sqlite3.OperationalError as error:
        code = error.sqlite_errorcode & 0xFF
        if code in UNWRITABLE_LEDGER:
            raise CannotWrite(
                f"cannot write to {path}: {error}; {files.REMEDY}"
            ) from error
        if code == sqlite3.SQLITE_BUSY:
            raise Busy(f"another process keeps {path} locked; try again") from error
        raise


def attributes_of(path: Path) -> dict[str, Any]:
    """Read what the folder says it is."""
    nothing = f"{path} is no labelling project"
    try:
        found = json.loads((path / "zarr.json").read_text("utf-8"))["attributes"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotAProject(
            f"{nothing}: it has no zarr.json; choose the folder of a project, or make "
            "one with 'napari-alseg new'"
        ) from error
    except PermissionError as error:
        raise NotAProject(f"{nothing} that you may read: {error.strerror}") from error
    except (ValueError, KeyError) as error:
        raise NotAProject(f"{nothing}: its zarr.json is damaged") from error
    if found.get("format") != FORMAT:
        raise NotAProject(f"{nothing}: its zarr.json belongs to another kind of data")
    if not isinstance(found.get("version"), int) or not {"classes", "settings"} <= (
        found.keys()
    ):
        raise NotAProject(f"{nothing}: its zarr.json is damaged")
    if found["version"] > VERSION:
        raise NewerFormat(
            f"{path} has format {found['version']}, this napari-alseg reads formats "
            f"up to {VERSION}; update napari-alseg"
        )
    return dict(found)


def open_ledger(path: Path, mode: Mode) -> Ledger:
    """Open the ledger of a project and see that it is one."""
    file = path / "ledger.sqlite"
    if not file.exists():
        raise NotAProject(f"{path} is no whole project: its ledger.sqlite is missing")
    try:
        return Ledger(file, mode)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in NO_LEDGER:
            raise
        raise NotAProject(
            f"{path} is no whole project: its ledger.sqlite is damaged ({error})"
        ) from error
