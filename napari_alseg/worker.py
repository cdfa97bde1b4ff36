"""Runs a session's tasks in a child process and yields their progress here (no Qt).

The child is ``python -m napari_alseg.worker``: started by name rather than forked or
spawned, so that no main script of the caller is ever run twice. Requests go to its
standard input and replies come from its standard output, as pickles between two
processes of our own. It lives on between tasks (loading torch takes seconds), and
ends when its standard input does - also when the parent is killed. Whatever a library
prints in the child goes to standard error.
"""

import logging
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import IO, Any, NamedTuple

from . import errors
from .arrays import NOTE, Progress, Task
from .errors import AlsegError, TaskDied

GRACE_SECONDS = 20.0
"""A stopped task may take this long to save its best weights before it is ended."""


PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Torch's threads sleep rather than spin while they wait for one another: beside a busy
window on two cores, spinning made a training step up to 40 times slower."""


class Request(NamedTuple):
    """One task of `napari_alseg.session` on one project."""

    task: str
    project: Path
    arguments: dict[str, Any]


class Letter(NamedTuple):
    """Something for the inbox of the running task; None ends it."""

    content: Any


class Reply(NamedTuple):
    """What the child says: 'progress', 'result', 'stopped', 'error' or 'bug'."""

    kind: str
    value: Any


class Worker:
    """A child process that runs one task at a time.

    Examples
    --------
    >>> worker = Worker()
    >>> worker.alive
    False
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: SimpleQueue[Reply | None] = SimpleQueue()
        self._log: IO[bytes] | None = None
        self._deadline: float | None = None
        self._sending = threading.Lock()
        self._hears = False
        """Whether the running task has been begun, so that it can be told something."""
        self._early: list[Letter] = []

    @property
    def alive(self) -> bool:
        """Whether the child process runs, busy or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the child; None before the first task."""
        return self._process.pid if self._process else None

    def run(self, task: str, project: Path, **arguments: Any) -> Task[Any]:
        """Run a task of `napari_alseg.session` in the child.

        Closing the generator, or `stop` from any thread, stops the task; it then
        returns None. A task that does not stop in time is ended with its process.

        Parameters
        ----------
        task : str
            'query', 'retrain', 'look' or 'follow', which also hears what it is told.
        project : Path
            The project, already opened for writing by this process.
        **arguments
            What the task takes, as settings and plain values.

        Raises
        ------
        AlsegError
            As the task raised it, or `TaskDied` if the child ended early.
        """
        self._start()
        self._deadline = None
        self._begin(Request(task, project, arguments))
        try:
            while (reply := self._receive()).kind == "progress":
                yield reply.value
        except GeneratorExit:
            self.stop()
            while self._receive().kind == "progress":
                pass
            raise
        finally:
            self._hears = False
        return _unwrap(reply)

    def stop(self) -> None:
        """Ask the running task to stop; safe from any thread, harmless without one."""
        if self.alive and self._deadline is None:
            self._deadline = monotonic() + GRACE_SECONDS
            with suppress(TaskDied):
                self._send("stop")

    def tell(self, message: Any) -> None:
        """Put a message into the inbox of the running task; safe from any thread.

        A task that is only just starting hears it first. Harmless if the child has
        just died: whoever waits for its replies is told so.
        """
        with self._sending, suppress(OSError):
            if self._hears:
                self._write(Letter(message))
            else:
                self._early.append(Letter(message))

    def close(self, grace: float = 3.0) -> None:
        """End the child: kindly, then, after `grace` seconds, for certain."""
        self._hears = False
        self._early.clear()
        self._end(grace)

    def _end(self, grace: float = 3.0) -> None:
        if self._process is None:
            return
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]
        if self._log:
            self._log.close()
        self._process = self._log = None

    def _start(self) -> None:
        if self.alive:
            return
        self._end()
        self._replies = SimpleQueue()
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "napari_alseg.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=PATIENT_THREADS | os.environ,
        )
        threading.Thread(
            target=_forward,
            args=(self._process.stdout, self._replies.put),
            daemon=True,
        ).start()

    def _begin(self, request: Request) -> None:
        """Send a request, then what was told while the child was starting."""
        try:
            with self._sending:
                self._write(request)
                while self._early:
                    self._write(self._early.pop(0))
                self._hears = True
        except OSError as error:
            raise self._died() from error

    def _send(self, message: Any) -> None:
        try:
            with self._sending:
                self._write(message)
        except OSError as error:
            raise self._died() from error

    def _write(self, message: Any) -> None:
        assert self._process is not None and self._process.stdin is not None
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()

    def _receive(self) -> Reply:
        """Wait for the next reply; end a child that outlives its deadline."""
        while True:
            try:
                reply = self._replies.get(timeout=0.1)
            except Empty:
                if self._deadline is not None and monotonic() > self._deadline:
                    self.close(grace=0)
                    return Reply("stopped", None)
                continue
            if reply is None:
                raise self._died()
            return reply

    def _died(self) -> TaskDied:
        assert self._process is not None
        code = self._process.wait()
        text = ""
        if self._log:
            self._log.seek(0)
            text = self._log.read().decode(errors="replace").strip()
        last = text.splitlines()[-1] if text else "it left no message"
        return TaskDied(
            f"the process that was working ended early (exit code {code}: {last}); "
            "every label is safe - start the task again, with a smaller batch or crop "
            "if memory ran out"
        )


def _unwrap(reply: Reply) -> Any:
    match reply.kind:
        case "result":
            return reply.value
        case "stopped":
            return None
        case "error":
            name, text = reply.value
            kind: type[AlsegError] = getattr(errors, name)
            raise kind.__new__(kind, text)
        case _:
            raise RuntimeError(f"a task failed unexpectedly\n{reply.value}")


def _forward(stream: IO[bytes], put: Callable[[Any], None]) -> None:
    """Hand on every pickled message of a stream; None at its end."""
    while True:
        try:
            put(pickle.load(stream))
        except (
            EOFError,
            OSError,
            ValueError,
            AttributeError,
            ImportError,
            pickle.UnpicklingError,
        ):
            put(None)
            return


# --- in the child ---------------------------------------------------------------------


class _Notes(logging.Handler):
    """Hands on what our modules warn of, for the window to show."""

    def __init__(self, reply: Callable[..., None]) -> None:
        super().__init__(logging.WARNING)
        self._reply = reply

    def emit(self, record: logging.LogRecord) -> None:
        """Say one warning."""
        self._reply("progress", Progress(0, 0, NOTE + record.getMessage()))


def _serve(
    request: Request,
    stopped: threading.Event,
    inbox: SimpleQueue[Any],
    reply: Callable[..., None],
) -> None:
    """Drive one task, stopping between two steps when asked to."""
    from . import session
    from .following import follow
    from .store import Project

    begin: Callable[..., Generator[Any, None, Any]]
    if request.task == "follow":
        begin = partial(follow, inbox=inbox)
    else:
        begin = getattr(session, request.task)
    try:
        with Project.open(request.project, "borrow") as project:
            task = begin(project, **request.arguments)
            while not stopped.is_set():
                progress = next(task)
                reply("progress", progress)
            task.close()
            reply("stopped", None)
    except StopIteration as end:
        reply("result", end.value)
    except AlsegError as error:
        reply("error", (type(error).__name__, str(error)))
    except Exception:
        reply("bug", traceback.format_exc())


def _empty(inbox: SimpleQueue[Any]) -> None:
    with suppress(Empty):
        while True:
            inbox.get_nowait()


def main() -> None:
    """Serve requests from standard input until it ends."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if hasattr(os, "nice"):
        os.nice(5)  # the window comes first
    requests: SimpleQueue[Request] = SimpleQueue()
    inbox: SimpleQueue[Any] = SimpleQueue()
    stopped = threading.Event()

    def receive(message: Any) -> None:
        match message:
            case None:
                os._exit(0)  # the parent is gone
            case "stop":
                stopped.set()
                inbox.put(None)  # a task that waits for a message is woken
            case Letter(content):
                inbox.put(content)
            case _:
                stopped.clear()
                _empty(inbox)  # of what was meant for another task
                requests.put(message)

    def reply(kind: str, value: Any) -> None:
        pickle.dump(Reply(kind, value), replies)
        replies.flush()

    logging.getLogger("napari_alseg").addHandler(_Notes(reply))

    threading.Thread(
        target=_forward, args=(sys.stdin.buffer, receive), daemon=True
    ).start()
    while True:
        _serve(requests.get(), stopped, inbox, reply)


if __name__ == "__main__":
    from napari_alseg.worker import main  # so that replies are named as the parent does

    main()
