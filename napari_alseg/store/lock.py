"""Who writes to a project: one advisory lock, a small JSON file with its holder."""

import getpass
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from napari_alseg.errors import Busy


def user_name() -> str:
    """Name of the person at this computer, 'unknown' where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def holder(lock: Path) -> dict[str, Any] | None:
    """Read who holds a lock; None if nobody does or the file makes no sense."""
    try:
        found = json.loads(lock.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    known = isinstance(found, dict) and {"user", "host", "pid", "time"} <= set(found)
    return found if known else None


def alive(found: dict[str, Any]) -> bool:
    """Whether a holder may still be at work.

    On another computer nobody can tell, so it counts as alive. A process that
    started after the lock was taken only has the same number.
    """
    if found["host"] != socket.gethostname():
        return True
    try:
        started = psutil.Process(found["pid"]).create_time()
    except psutil.NoSuchProcess:
        return False
    return bool(started <= found["time"] + 1.0)


def take(lock: Path) -> dict[str, Any]:
    """Write this process into the lock and return what was written.

    The caller sees to it that no other process is inside this function.

    Raises
    ------
    Busy
        If somebody who is still there holds the lock.
    """
    found = holder(lock)
    if found is not None and alive(found):
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(found["time"]))
        raise Busy(
            f"{found['user']} on {found['host']} (process {found['pid']}) has been "
            f"writing to this project since {since}; wait, or open it for reading "
            f"only. If nobody is, delete {lock}"
        )
    ours = {
        "user": user_name(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": time.time(),
    }
    partial = lock.with_suffix(".partial")
    partial.write_text(json.dumps(ours), "utf-8")
    partial.replace(lock)
    return ours


def release(lock: Path, ours: dict[str, Any]) -> None:
    """Give the lock back if it is still ours."""
    if holder(lock) == ours:
        lock.unlink()
