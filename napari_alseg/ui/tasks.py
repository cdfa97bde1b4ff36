"""Long work on the open project: what is asked for, and what it says meanwhile."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_alseg.arrays import NOTE, Progress, Task
from napari_alseg.errors import AlsegError, BadValue, Busy, UnknownName
from napari_alseg.settings import OF_COMPUTER, PredictionSettings, QuerySettings
from napari_alseg.tasks.requests import (
    LookRequest,
    QueryRequest,
    Request,
    RetrainRequest,
)
from napari_alseg.worker.client import Worker

from .annotator import Annotator
from .background import Background
from .panels.round import RoundPanel

if TYPE_CHECKING:
    from napari_alseg.store import Project


class Tasks(QObject):
    """Starts tasks with the settings of a panel, one at a time.

    Parameters
    ----------
    worker : Worker
        The child process that tasks run in.
    panel : RoundPanel
        Holds the settings, and shows the progress.
    live : callable
        Whether live is on: then its lightweight head has a part in Ask.
    """

    noted = Signal(str)
    """Something that the running task has to say; empty for a new task."""
    failed = Signal(object)
    """Why a task could not be started."""

    def __init__(
        self,
        worker: Worker,
        panel: RoundPanel,
        live: Callable[[], bool],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.background = Background(worker, self)
        self._panel = panel
        self._annotator: Annotator | None = None
        self._live = live
        self.background.started.connect(self._on_started)
        self.background.progressed.connect(self._on_progressed)

    def open(self, annotator: Annotator) -> None:
        """Work on a project from now on, as it was worked on last."""
        self._annotator = annotator
        project = annotator.project
        if learning := project.settings.get("learning"):
            with suppress(
                TypeError, BadValue, UnknownName
            ):  # of a version with other settings
                self._panel.set_learning(**learning)
        selection = annotator.source.selection(annotator.source.standing.round)
        if selection is not None:
            asked = project.rounds.metrics(selection.round).query
            usual = {"system": selection.system, "budget": selection.budget}
            # Rounds of an older version lack these two.
            self._panel.set_value(QuerySettings(**usual | asked))

    def close(self) -> None:
        """Work on no project any longer."""
        self._annotator = None

    # --- what can be started ----------------------------------------------------------

    @property
    def running(self) -> str:
        """Name of the running task, or empty."""
        return self.background.name if self.background.busy else ""

    @property
    def writable(self) -> bool:
        """Whether a project is open for writing."""
        return self._annotator is not None and not self._annotator.project.read_only

    @property
    def ready(self) -> bool:
        """Whether a task could be started now."""
        return self.writable and not self.background.busy

    def refuse_while_busy(self) -> None:
        """Raise `Busy` if a task runs."""
        if self.background.busy:
            raise Busy(f"{self.background.name} is running; press Stop first")

    # --- starting ---------------------------------------------------------------------

    def ask(self) -> None:
        """Score the pool and ask the next regions."""
        network = self._panel.network.value() if self._live() else None
        query = self._panel.value()
        self._start("Ask", QueryRequest(query, self.prediction(), live=network))

    def learn(self) -> None:
        """Train the network on all labels, in the background."""
        if self.ready:
            learning = self._panel.learning()
            self._remember(learning)
            request = RetrainRequest(**learning, prediction=self.prediction())
            self._start("Learn", request)

    def resume(self) -> None:
        """Resume the stopped training as it was begun."""
        request = RetrainRequest(resume=True, prediction=self.prediction())
        self._start("Resume", request)

    def look(self, image: str, maps: tuple[str, ...]) -> None:
        """Have the latest network draw an image's maps."""
        query = self._panel.value()
        self._start("Look", LookRequest(image, maps, query, self.prediction()))

    def make(self, task: Task[Any]) -> None:
        """Make a new project in the background."""
        self.refuse_while_busy()
        self.background.start("New project", task)

    def stop(self) -> None:
        """Stop the running task; what it has so far is kept."""
        self.background.stop()

    def prediction(self) -> PredictionSettings:
        """Return how the full network predicts."""
        return PredictionSettings(device=self._panel.training.value().device)

    def _project(self) -> "Project | None":
        return self._annotator.project if self._annotator else None

    def _remember(self, learning: Mapping[str, Any]) -> None:
        """Keep in the project how is learnt, for its next window."""
        project = self._project()
        if project is None:
            return
        saved = {name: asdict(settings) for name, settings in learning.items()}
        for name in OF_COMPUTER:  # the project may be opened on another
            del saved["training"][name]
        try:
            project.save_settings(project.settings | {"learning": saved})
        except AlsegError as error:
            self.failed.emit(error)

    def _start(self, name: str, request: Request) -> None:
        """Start a task on the open project."""
        if self._annotator is None or not self.ready:
            return
        try:
            self._annotator.save_strokes()
        except AlsegError as error:
            self.failed.emit(error)
        path = self._annotator.project.path
        self.background.start(name, self.background.worker.run(path, request))

    # --- what it says -----------------------------------------------------------------

    def _on_started(self, name: str) -> None:
        self._panel.begin(name)
        if name != "Look":  # nobody asked for it, and it may come right after another
            self.noted.emit("")

    def _on_progressed(self, progress: Progress) -> None:
        if progress.message.startswith(NOTE):
            self.noted.emit(progress.message.removeprefix(NOTE))
        else:
            self._panel.set_progress(progress)
