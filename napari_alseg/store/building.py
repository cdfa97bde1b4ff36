"""A folder that is built beside its place, and there wholly or not at all."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_alseg import files
from napari_alseg.errors import BadValue, Busy, CannotWrite

from .lock import Lock


def refuse_taken(path: Path) -> None:
    """Refuse a place where something is already.

    Raises
    ------
    BadValue
        If the folder is not empty, or is the one that we are in.
    CannotWrite
        If it cannot be looked into.
    """
    if path.resolve() == Path.cwd():
        raise BadValue(f"a project is a new folder, not {path}; give it a name")
    try:
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
    except OSError as error:
        raise CannotWrite(f"cannot write to {path}: {error.strerror}") from error
    if taken:
        raise BadValue(
            f"{path} is not empty; choose a new name, or open it as a project"
        )


@contextmanager
def built_beside(path: Path) -> Iterator[Path]:
    """Give a folder beside `path` to build in.

    What an ended process left there is swept first. Killed at any moment, nothing is
    at `path`. Folders above it that were made for it go again, too.
    """
    path = path.resolve()  # a link leads to the folder that is meant
    beside = path.with_name(f".{path.name}.partial")
    made = [folder for folder in path.parents if not folder.exists()]
    with files.writing(path):
        _sweep(beside)
    try:
        _make_parents(path)
        yield beside
        with files.writing(path):
            if path.is_dir():
                path.rmdir()  # an empty one; not every system moves onto it
            os.replace(beside, path)
    except BaseException:
        _clear(beside, made)
        raise


def _make_parents(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(
            f"cannot make {path}: {error.strerror}; choose a folder that can be "
            "written to"
        ) from error


def _clear(beside: Path, made: Sequence[Path]) -> None:
    """Take away what was built and its empty folders."""
    shutil.rmtree(beside, ignore_errors=True)
    with suppress(OSError):
        for folder in made:
            folder.rmdir()


def _sweep(beside: Path) -> None:
    """Take away what was left.

    Refuse if somebody is still building there.
    """
    if not beside.exists():
        return
    lock = Lock(beside)
    try:
        lock.take()
    except Busy as error:
        raise BadValue(
            f"another process is making this project at the moment; wait, or delete "
            f"{beside} if it is not"
        ) from error
    lock.release()
    shutil.rmtree(beside)
