"""Who writes to a project: a lock of the system, and its holder's name beside it.

::

    lock            held by one process; the system frees it when that process ends
    lock.json       user, host, process and time of the holder, for people
"""

import getpass
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_alseg.errors import Busy


class Lock:
    """The right to write, which one process has.

    Parameters
    ----------
    folder : Path
        Of the project.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "lock.json"
        # A project may be closed by another thread than the one that opened it.
        self._lock = FileLock(folder / "lock", timeout=0, thread_local=False)

    def take(self) -> None:
        """Take the lock and say so in words.

        Raises
        ------
        Busy
            If somebody who is still there holds it. On another computer nobody can
            tell, so whoever wrote there counts as being there.
        """
        found = holder(self.file)
        if found is not None and found["host"] != socket.gethostname():
            raise self._busy(found)
        try:
            self._lock.acquire()
        except Timeout:
            raise self._busy(found) from None
        self.file.write_text(json.dumps(_ours()), "utf-8")

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._lock.is_locked:
            self.file.unlink(missing_ok=True)
            self._lock.release()

    def _busy(self, found: dict[str, Any] | None) -> Busy:
        remedy = "wait, or open it for reading only"
        if found is None:  # it has just been taken and not been signed yet
            return Busy(f"somebody has begun to write to {self.file.parent}; {remedy}")
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(found["time"]))
        return Busy(
            f"{found['user']} on {found['host']} (process {found['pid']}) has been "
            f"writing to this project since {since}; {remedy}. If nobody is, delete "
            f"{self.file}"
        )


def user_name() -> str:
    """Name of the person here, 'unknown' without one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def holder(file: Path) -> dict[str, Any] | None:
    """Read who signed a lock.

    None if nobody did or the file makes no sense.
    """
    try:
        found = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    known = isinstance(found, dict) and {"user", "host", "pid", "time"} <= set(found)
    return found if known else None


def _ours() -> dict[str, Any]:
    return {
        "user": user_name(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": time.time(),
    }
