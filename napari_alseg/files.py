"""Files that are there wholly or not at all, and errors of the disk in words."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import CannotWrite

REMEDY = "make room or choose a folder that can be written to"
UNWRITABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EFBIG,
    errno.EIO,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
}
"""Errors that a user can do something about."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into what a user can act on.

    Parameters
    ----------
    path : Path
        What is written to, for the message.

    Raises
    ------
    CannotWrite
        Other errors of the system pass as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise CannotWrite(
            f"cannot write to {path}: {error.strerror} ({error.filename}); {REMEDY}"
        ) from error


def write_whole(file: Path, content: bytes | str) -> None:
    """Write a file so that it is there wholly or not at all.

    It is on the disk when this returns. Text is written as UTF-8.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "run.json", "{}")
    ...     (Path(folder) / "run.json").read_text()
    '{}'
    """
    partial = file.with_name(file.name + ".tmp")
    with partial.open("wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
