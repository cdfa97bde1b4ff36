"""Nothing but an `UnreadableImage` leaves a reader, and no line on stderr."""

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_alseg.errors import UnreadableImage, printable

from .picture import refuse

PARTIAL = re.compile(
    "missing|zeroed|corrupt|truncat|out of range|not match|invalid page|"
    "discontiguous|cannot handle|index|frames",
    re.IGNORECASE,
)
"""What tifffile says where it leaves out a part of an image, yet goes on."""
MORE = re.compile(r"expected \d+ frames, got \d+")
"""What it says where a file has more pages than its metadata name."""
TAG = re.compile(r"(?:tag #|TiffTag )(\d+)")
FIRST_PRIVATE, NODATA = 600, 42113


class _Silence:
    """Warnings are passed over from the first reader's start to the last one's end.

    `warnings.catch_warnings` alone is not safe among threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._caught: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._caught.__exit__(None, None, None)


_silence = _Silence()


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn every error into an `UnreadableImage` that begins with the path.

    Files are whatever people have: their readers raise IndexError, struct.error,
    RecursionError, MemoryError and many others on damaged ones, so all are caught.
    """
    _check_name(path)
    try:
        with _silence, np.errstate(all="ignore"):
            yield
    except UnreadableImage:
        raise
    except MemoryError as error:
        raise UnreadableImage(
            f"{printable(path)} needs more memory than there is; give it in smaller "
            "pieces"
        ) from error
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableImage(
            f"{printable(path)} cannot be read as an image: {printable(said)}"
        ) from error


def _check_name(path: Path) -> None:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        refuse(path, "has a name that is not UTF-8; rename it")


class _Listener(logging.Filter):
    """Keeps what tifffile says in this thread, and lets nothing of it through."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()
        self.records: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self.thread:
            return True
        self.records.append(record)
        return False


@contextmanager
def muted() -> Iterator[list[logging.LogRecord]]:
    """Collect what tifffile says in this thread; nothing of it is printed."""
    listener, logger = _Listener(), logging.getLogger("tifffile")
    logger.addFilter(listener)
    try:
        yield listener.records
    finally:
        logger.removeFilter(listener)


@contextmanager
def heard(path: Path) -> Iterator[list[str]]:
    """Refuse a file of which tifffile says that it reads only a part.

    Yields a list that is given notes in the end.
    """
    notes: list[str] = []
    with muted() as records:
        yield notes
    for record in records:
        said = record.getMessage()
        if MORE.search(said):
            notes.append(
                "It has more pages than its metadata name; these are left out."
            )
        elif _matters(record, said):
            refuse(path, f"cannot be read whole: {' '.join(said.split())[:200]}")


def _matters(record: logging.LogRecord, said: str) -> bool:
    """Whether a message means that pixels are missing, and no private tag alone."""
    tag = TAG.search(said)
    if tag and int(tag[1]) >= FIRST_PRIVATE and int(tag[1]) != NODATA:
        return False
    error, warning = record.levelno >= logging.ERROR, record.levelno == logging.WARNING
    return error or (warning and bool(PARTIAL.search(said)))
