"""The child process: it serves one task after another.

It is started by name rather than forked or spawned, so that no main script of the
caller is ever run twice. Messages come on its standard input as pickles between two
processes of our own. Whatever a library prints goes to standard error.
"""

import logging
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from napari_alseg.arrays import NOTE, Progress
from napari_alseg.errors import AlsegError

from .messages import (
    Begin,
    Broke,
    Failed,
    Finished,
    Reply,
    Stepped,
    Stop,
    Stopped,
    Told,
    forward,
)


class _Notes(logging.Handler):
    """Hands on what our modules warn of, for the window to show."""

    def __init__(self, reply: Callable[[Reply], None]) -> None:
        super().__init__(logging.WARNING)
        self._reply = reply

    def emit(self, record: logging.LogRecord) -> None:
        """Say one warning."""
        self._reply(Stepped(Progress(0, 0, NOTE + record.getMessage())))


def _serve(
    message: Begin,
    stopped: threading.Event,
    inbox: SimpleQueue[Any],
    reply: Callable[[Reply], None],
) -> None:
    """Drive one task; stop between steps when asked."""
    from napari_alseg.store import Project
    from napari_alseg.tasks.table import begin  # torch takes seconds to load

    try:
        with Project.open(message.project, "borrow") as project:
            task = begin(project, message.request, inbox)
            while not stopped.is_set():
                reply(Stepped(next(task)))
            task.close()
            reply(Stopped())
    except StopIteration as end:
        reply(Finished(end.value))
    except AlsegError as error:
        reply(Failed(type(error).__name__, str(error)))
    except Exception:  # whatever it is, the window has to hear of it
        reply(Broke(traceback.format_exc()))


def _empty(inbox: SimpleQueue[Any]) -> None:
    with suppress(Empty):
        while True:
            inbox.get_nowait()


def main() -> None:
    """Serve tasks from standard input until it ends."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if hasattr(os, "nice"):
        os.nice(5)  # the window comes first
    begun: SimpleQueue[Begin] = SimpleQueue()
    inbox: SimpleQueue[Any] = SimpleQueue()
    stopped = threading.Event()

    def receive(message: Any) -> None:
        match message:
            case None:
                os._exit(0)  # the parent is gone
            case Stop():
                stopped.set()
                inbox.put(None)  # a task that waits for a message is woken
            case Told(content):
                inbox.put(content)
            case _:
                stopped.clear()
                _empty(inbox)  # of what was meant for another task
                begun.put(message)

    def reply(message: Reply) -> None:
        pickle.dump(message, replies)
        replies.flush()

    logging.getLogger("napari_alseg").addHandler(_Notes(reply))

    threading.Thread(
        target=forward, args=(sys.stdin.buffer, receive), daemon=True
    ).start()
    while True:
        _serve(begun.get(), stopped, inbox, reply)
