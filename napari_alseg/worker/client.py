"""Runs tasks in a child process and yields their progress here.

The child is ``python -m napari_alseg.worker``. It lives on between tasks, since loading
torch takes seconds. It ends when its standard input does, also when the parent is
killed.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import IO, Any

from napari_alseg.arrays import Task
from napari_alseg.errors import ERRORS, TaskDied
from napari_alseg.tasks.requests import Request

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

GRACE_SECONDS = 20.0
"""A stopped task may take this long to save its best weights before it is ended."""


PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Torch's threads sleep rather than spin while they wait for one another: beside a busy
window on two cores, spinning made a training step up to 40 times slower."""


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
        self._early: list[Told] = []

    @property
    def alive(self) -> bool:
        """Whether the child process runs, busy or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the child, if there is one."""
        return self._process.pid if self._process else None

    def run(self, project: Path, request: Request) -> Task[Any]:
        """Run the task of a request in the child.

        Closing the generator, or `stop` from any thread, stops the task; it then
        returns None. A task that does not stop in time is ended with its process.

        Parameters
        ----------
        project : Path
            The project, already opened for writing by this process.
        request : QueryRequest, LookRequest, RetrainRequest or FollowRequest
            The task of the last one also hears what it is told.

        Raises
        ------
        AlsegError
            As the task raised it, or `TaskDied` if the child ended early.
        """
        self._start()
        self._deadline = None
        self._begin(Begin(project, request))
        try:
            while isinstance(reply := self._receive(), Stepped):
                yield reply.progress  # type: ignore[misc]
        except GeneratorExit:
            self.stop()
            while isinstance(self._receive(), Stepped):
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
                self._send(Stop())

    def tell(self, message: Any) -> None:
        """Put a message into the inbox of the running task; safe from any thread.

        A task that is only just starting hears it first. Harmless if the child has
        just died: whoever waits for its replies is told so.
        """
        with self._sending, suppress(OSError):
            if self._hears:
                self._write(Told(message))
            else:
                self._early.append(Told(message))

    def close(self, grace: float = 3.0) -> None:
        """End the child, after `grace` seconds for certain."""
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
            target=forward,
            args=(self._process.stdout, self._replies.put),
            daemon=True,
        ).start()

    def _begin(self, message: Begin) -> None:
        """Begin a task, then send what was told while the child was starting."""
        try:
            with self._sending:
                self._write(message)
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
                    return Stopped()
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
    match reply:
        case Finished(result):
            return result
        case Failed(error, text):
            kind = ERRORS[error]
            raise kind.__new__(kind, text)
        case Broke(trace):
            raise RuntimeError(f"a task failed unexpectedly\n{trace}")
        case _:
            return None
