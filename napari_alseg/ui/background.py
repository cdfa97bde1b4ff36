"""Long work beside the window: one task at a time, driven by a thread of the plugin."""

from typing import Any

from qtpy.QtCore import QObject, QThread, Signal

from napari_alseg.arrays import Progress, Task
from napari_alseg.worker.client import Worker

CLOSE_MILLISECONDS = 10_000
KILL_MILLISECONDS = 200
"""Between two attempts to end a child that does not end by itself."""


class Driver(QThread):
    """Drives one task; nothing but its signals touches the window."""

    progressed = Signal(object)
    returned = Signal(object)
    failed = Signal(object)

    def __init__(self, task: Task[Any], parent: QObject) -> None:
        super().__init__(parent)
        self._task = task
        self.stopping = False

    def run(self) -> None:
        """Drive the task to its end, its failure or the request to stop."""
        try:
            while not self.stopping:
                self.progressed.emit(next(self._task))
            self._task.close()
            self.returned.emit(None)
        except StopIteration as end:
            self.returned.emit(end.value)
        except Exception as error:  # handed to the main thread, which raises it
            self.failed.emit(error)


class Background(QObject):
    """Runs tasks and says how they go.

    Parameters
    ----------
    worker : Worker
        The child process that tasks on a project run in.
    """

    started = Signal(str)
    progressed = Signal(object)
    finished = Signal(str, object)
    """Name of the task and its result; None when it was stopped."""
    failed = Signal(str, object)
    """Name of the task and the exception."""

    def __init__(self, worker: Worker, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.worker = worker
        self.name = ""
        self._driver: Driver | None = None

    @property
    def busy(self) -> bool:
        """Whether a task runs."""
        return self._driver is not None

    def start(self, name: str, task: Task[Any]) -> None:
        """Start a task; only one runs at a time."""
        assert self._driver is None, f"{self.name} is still running"
        self.name = name
        driver = self._driver = Driver(task, self)
        driver.progressed.connect(self._on_progressed)
        driver.returned.connect(self._on_returned)
        driver.failed.connect(self._on_failed)
        self.started.emit(name)
        driver.start()

    def stop(self) -> None:
        """Stop the running task; it ends as finished, with what it has so far."""
        if self._driver is not None:
            self._driver.stopping = True
            self.worker.stop()

    def close(self, patience: int = CLOSE_MILLISECONDS) -> None:
        """End the task and the child process; returns when both are gone.

        Parameters
        ----------
        patience : int
            Milliseconds that the task may take to end by itself.
        """
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.blockSignals(True)
            driver.stopping = True
            self.worker.stop()
            ended = driver.wait(patience)
            while not ended:  # the child may only be starting
                self.worker.close(grace=0)
                ended = driver.wait(KILL_MILLISECONDS)
        self.worker.close()

    def _on_progressed(self, progress: Progress) -> None:
        self.progressed.emit(progress)

    def _on_returned(self, result: Any) -> None:
        self._end()
        self.finished.emit(self.name, result)

    def _on_failed(self, error: Exception) -> None:
        self._end()
        self.failed.emit(self.name, error)

    def _end(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.wait()
            driver.deleteLater()
