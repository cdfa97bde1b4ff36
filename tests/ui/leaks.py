"""What a window test leaves behind: widgets, timers, threads and child processes.

Of widgets and timers those of this plugin count; napari has its own check for others.
"""

import gc
import sys
import threading

import psutil
from qtpy import PYQT5, PYQT6
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QThread, QTimer
from qtpy.QtWidgets import QWidget

if PYQT5 or PYQT6:
    from qtpy import sip

    def is_alive(each):
        return not sip.isdeleted(each)

else:
    import shiboken6

    is_alive = shiboken6.isValid


OURS = "napari_alseg"
POOLS = ("asyncio_", "zarr_")
"""Names of threads that zarr keeps for its next reading."""


def of_plugin(each):
    """Whether an object of Qt, or one that it belongs to, is of a class of ours."""
    while each is not None:
        if type(each).__module__.startswith(OURS):
            return True
        each = each.parent() if isinstance(each, QObject) else None
    return False


def found_now():
    """All that could be left behind, by what it is; each with a name."""
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    found = {}
    for each in gc.get_objects():
        kind = type(each)  # proxies say they are what they stand for
        if not issubclass(kind, QWidget | QTimer | QThread) or not is_alive(each):
            continue
        idle = isinstance(each, QTimer) and not each.isActive()
        ended = isinstance(each, QThread) and not each.isRunning()
        if of_plugin(each) and not idle and not ended:
            found["qt", id(each)] = each
    return found | running_now()


def running_now():
    """Threads and child processes, which are cheap to find."""
    found = {}
    for each in threading.enumerate():
        foreign = isinstance(each, threading._DummyThread)  # of Qt, seen in passing
        if not (foreign or each in of_dask() or each.name.startswith(POOLS)):
            found["thread", each.ident] = each
    for each in psutil.Process().children(recursive=True):
        if each.status() != psutil.STATUS_ZOMBIE:
            found["process", each.pid] = each
    return found


def of_dask():
    """Threads of the pool that dask keeps, once a lazy image was shown."""
    dask = sys.modules.get("dask.threaded")
    pool = getattr(dask, "default_pool", None)
    return getattr(pool, "_threads", ())


def left_since(before):
    """Say what is there that was not, and who refers to it."""
    after = found_now()
    return [describe(after[key]) for key in after.keys() - before]


def describe(each):
    """Return what something is, and what refers to it."""
    if isinstance(each, psutil.Process):
        return f"child process {each.pid}: {' '.join(each.cmdline())}"
    holders = {
        type(holder).__name__
        for holder in gc.get_referrers(each)
        if type(holder).__name__ not in ("frame", "list_iterator")
    }
    return f"{each!r}, held by {', '.join(sorted(holders)) or 'Qt alone'}"
