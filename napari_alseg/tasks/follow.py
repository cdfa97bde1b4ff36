"""The task that follows a person who answers."""

import ctypes
import sys
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from napari_alseg.live.follower import Follower, Says
from napari_alseg.live.messages import LiveRequest
from napari_alseg.settings import (
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    check,
)
from napari_alseg.store import Project

TRIM_EVERY = 50
"""Requests after which freed memory is given back to the system."""


Inbox: TypeAlias = "SimpleQueue[LiveRequest | None]"
"""Requests; None ends it all."""


def follow(
    project: Project,
    inbox: Inbox,
    *,
    network: NetworkSettings | None = None,
    settings: LiveSettings | None = None,
    prediction: PredictionSettings | None = None,
) -> Says:
    """Do what is requested until None comes; yields `LiveUpdate` beside `Progress`.

    Parameters
    ----------
    project : Project
    inbox : queue of LiveRequest
    network : NetworkSettings, optional
        Whose encoder is taken while no full network has learnt.
    settings : LiveSettings, optional
    prediction : PredictionSettings, optional
    """
    follower = Follower(
        project,
        network or NetworkSettings(),
        check(settings or LiveSettings()),
        check(prediction or PredictionSettings()),
    )
    idle: Iterator[Any] = iter(())
    resting = True
    try:
        while True:
            request, ended = newest_request(inbox, wait=resting)
            if ended:
                return
            if request is not None and request.rest:
                idle, resting = iter(()), True
                continue
            if request is not None:
                yield from follower.at_once(request)
                if request.number % TRIM_EVERY == 0:
                    give_memory_back()
                idle, resting = follower.meanwhile(request), False
                continue
            update = next(idle, None)
            resting = update is None
            if update is not None:
                yield update
    finally:  # also when it is stopped
        follower.keep()


def newest_request(inbox: Inbox, *, wait: bool) -> tuple[LiveRequest | None, bool]:
    """Return the newest request, if there is one, and whether the end was called.

    Examples
    --------
    >>> inbox = SimpleQueue()
    >>> newest_request(inbox, wait=False)
    (None, False)
    >>> inbox.put(None)
    >>> newest_request(inbox, wait=True)
    (None, True)
    """
    request = inbox.get() if wait else None
    if wait and request is None:
        return None, True
    while True:
        try:
            later = inbox.get_nowait()
        except Empty:
            return request, False
        if later is None:
            return None, True
        request = later


def give_memory_back() -> None:
    """Give freed memory back to the system.

    The usual C library of Linux keeps it otherwise, in small pieces.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
