"""The dock: the one place that connects panels, layers, labels and long work."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QApplication, QLabel

from napari_alseg.errors import AlsegError, Busy, CannotWrite, NothingToAsk
from napari_alseg.store import Project
from napari_alseg.systems.table import recipe_after
from napari_alseg.worker.client import Worker

from .annotator import Annotator
from .canvas import frames
from .canvas.screen import Screen
from .drops import ProjectDrops
from .inspector import Inspector
from .keyboard import Keyboard
from .keys import Shortcuts, Targets
from .live import Live
from .panels.guidance import Situation, next_step
from .panels.label import LabelPanel
from .panels.live import LivePanel
from .panels.maps import MapsPanel
from .panels.notes import Notes
from .panels.project import ProjectPanel
from .panels.round import LEARNING, RoundPanel
from .panels.scores import ScoresPanel
from .panels.why import WhyPanel
from .projects import Projects, facts
from .situation import situation_of
from .tasks import Tasks
from .window import DockWindow

if TYPE_CHECKING:
    from napari.viewer import Viewer


STOPPED = "Making the project was stopped."


class ActiveLearningDock(DockWindow):
    """Active learning, from a folder of images to the next round.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Named so that napari hands it over.
    worker : Worker, optional
        The child process for long work; tests give another.
    live : Worker, optional
        The child process that follows each answer.
    """

    def __init__(
        self,
        napari_viewer: "Viewer",
        worker: Worker | None = None,
        live: Worker | None = None,
    ) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.project: Project | None = None
        self.annotator: Annotator | None = None
        self.shortcuts: Shortcuts | None = None
        self._exhausted = False
        self._make_panels()
        self._make_work(worker or Worker(), live or Worker())
        panels = (
            self.project_panel,
            self.round_panel,
            self.label_panel,
            self.live_panel,
            self.why_panel,
            self.maps_panel,
            self.scores_panel,
        )
        self.lay_out((self.next_step, self.notes), panels)
        self._connect_panels()
        self._connect_work()
        self.keyboard.start()
        self._refresh()

    def _make_panels(self) -> None:
        self.next_step = QLabel()
        self.next_step.setAccessibleName("Next step")
        self.next_step.setWordWrap(True)
        self.notes = Notes()
        font = self.next_step.font()
        font.setBold(True)
        self.next_step.setFont(font)
        self.project_panel = ProjectPanel()
        self.round_panel = RoundPanel()
        self.label_panel = LabelPanel()
        self.live_panel = LivePanel()
        self.why_panel = WhyPanel()
        self.maps_panel = MapsPanel()
        self.scores_panel = ScoresPanel()

    def _make_work(self, worker: Worker, live: Worker) -> None:
        """Make tasks, projects, inspector and live."""
        self.keyboard = Keyboard(self, self.viewer)
        self.tasks = Tasks(worker, self.round_panel, lambda: self.live.on, self)
        self.background = self.tasks.background
        self.projects = Projects(self.viewer, self.tasks, self)
        self.inspector = Inspector(
            self.maps_panel,
            self.scores_panel,
            self.why_panel,
            self.round_panel.value,
            lambda: self.tasks.ready,
            lambda: self.live.on,
            self,
        )
        self.live = Live(
            self.live_panel,
            live,
            self.round_panel.value,
            self.round_panel.network.value,
            self.tasks.prediction,
            lambda: self.tasks.running,
            self,
        )
        self.targets = Targets(
            self.projects,
            self.tasks,
            self.project_panel,
            self.inspector,
            self.live,
            self.label,
        )

    def _connect_panels(self) -> None:
        """Connect what is pressed to what it does."""
        canvas = frames.widget(self.viewer)
        ProjectDrops(canvas, partial(self.attempt, self.open_project), self)
        self.project_panel.new_requested.connect(self.projects.ask_for_new)
        self.project_panel.open_requested.connect(self.projects.ask_for_folder)
        self.project_panel.image_chosen.connect(self.show_image)
        self.round_panel.ask_requested.connect(self.tasks.ask)
        self.round_panel.learn_requested.connect(self.tasks.learn)
        self.round_panel.resume_requested.connect(self.tasks.resume)
        self.round_panel.stop_requested.connect(self.tasks.stop)
        self.round_panel.asking.changed.connect(self.inspector.look_soon)
        self.round_panel.asking.changed.connect(self.live.request_soon)
        label = self.label_panel
        label.class_chosen.connect(lambda each: self._click(lambda a: a.answer(each)))
        label.next_requested.connect(lambda: self.label(lambda a: a.step(1)))
        label.previous_requested.connect(lambda: self.label(lambda a: a.step(-1)))
        label.skip_requested.connect(lambda: self._click(lambda a: a.skip()))
        label.accept_requested.connect(lambda: self._click(lambda a: a.accept()))
        label.undo_requested.connect(lambda: self.label(lambda a: a.undo()))
        self.maps_panel.changed.connect(lambda: self.attempt(self.inspector.show_maps))
        self.maps_panel.changed.connect(self.live.request_soon)
        self.maps_panel.changed.connect(self._show_next_step)
        self.scores_panel.changed.connect(lambda: self.attempt(self.inspector.light))
        self.live_panel.switched.connect(self.inspector.follow_live)

    def _connect_work(self) -> None:
        """Connect what is done in the background to what it changes."""
        self.projects.chosen.connect(partial(self.attempt, self.open_project))
        self.inspector.look_requested.connect(self.tasks.look)
        self.live.changed.connect(self._refresh)
        self.live.failed.connect(self._on_live_failed)
        self.tasks.noted.connect(self.notes.add)
        self.tasks.failed.connect(self._tell)
        self.background.started.connect(self._on_started)
        self.background.finished.connect(self._on_finished)
        self.background.failed.connect(self._on_failed)
        application = QApplication.instance()
        assert application is not None
        application.aboutToQuit.connect(self.shut_down)

    # --- projects ---------------------------------------------------------------------

    def open_project(self, path: Path) -> None:
        """Open a project and show its first image or the open round.

        If somebody else writes to it, or nobody can, it is opened for looking only.

        Raises
        ------
        Busy
            If a task is running on the project that is open.
        NotAProject, NewerFormat
            And then the project that is open stays so.
        """
        self.tasks.refuse_while_busy()
        if self.project is not None and self.project.path.resolve() == path.resolve():
            self.close_project()  # its lock is ours
        try:
            opened = Project.open(path)
        except (Busy, CannotWrite) as error:
            opened = Project.open(path, "read")
            show_info(f"{error} It is opened for looking only.")
        self.close_project()
        self.project, self._exhausted = opened, False
        self.notes.add("")
        annotator = Annotator(self.viewer, opened, self, self.keyboard.moment)
        self.annotator = annotator
        self.shortcuts = Shortcuts(self.targets, annotator, self.keyboard.moment)
        self.label_panel.set_classes(opened.classes)
        self.project_panel.set_facts(facts(opened))
        self.tasks.open(annotator)
        annotator.view.changed.connect(self._on_changed)
        annotator.view.tool_chosen.connect(self._show_next_step)
        annotator.failed.connect(show_error)
        self.inspector.open(annotator)
        self.live.open(annotator)
        self.keyboard.active = True
        if opened.images.names():
            annotator.show_round()
        self._refresh()

    def close_project(self) -> None:
        """Write what is open and close the project, if there is one."""
        self.keyboard.active = False
        self.live.close()
        self.inspector.close()
        self.tasks.close()
        if self.shortcuts is not None:
            self.shortcuts.close()
            self.shortcuts = None
        if self.annotator is not None:
            self.annotator.close()
            self.annotator.deleteLater()
            self.annotator = None
        if self.project is not None:
            self.project.close()
            self.project = None

    # --- labels -----------------------------------------------------------------------

    def label(self, action: Callable[[Annotator], Any]) -> None:
        """Do something with the open project, if any."""
        if self.annotator is not None:
            self.attempt(action, self.annotator)

    def _click(self, action: Callable[[Annotator], Any]) -> None:
        """Do what a button is for, if the current region has been on screen."""
        if self.annotator is not None:
            self.annotator.when_seen(partial(self.label, action))

    def show_image(self, image: str) -> None:
        """Show an image of the project."""
        if self.annotator is not None:
            self.attempt(self.annotator.show, image)
            self.inspector.refresh()
            self.viewer.reset_view()

    # --- what tasks report ------------------------------------------------------------

    def _on_started(self, name: str) -> None:
        self.project_panel.set_busy(True)
        self.live.request_soon()
        self._refresh()

    def _on_finished(self, name: str, result: Any) -> None:
        self._end_task()
        if name == "New project":
            made = result is not None
            self.projects.end_dialog(None if made else STOPPED)
            if made:
                self.attempt(self.open_project, result)
        if self.annotator is None:
            return
        if name == "Ask":
            self._show_new_round()
        elif name in LEARNING:
            self.inspector.offer()
            recipe = self.round_panel.training.recipe
            self.inspector.show_learned(pseudo=recipe.pseudo_labels)
        elif name == "Look" and result is not None:
            self.attempt(self.annotator.show, self.annotator.screen.image)
            if self.situation().open == 0:
                self.viewer.reset_view()
        if name != "Look" or result is not None:  # a stopped look stays stopped
            self.inspector.look(again=name == "Look")
        self.live.request_soon()
        self._refresh()

    def _on_failed(self, name: str, error: Exception) -> None:
        self._end_task()
        self._exhausted = isinstance(error, NothingToAsk)
        self._show_new_round()
        self.live.request_soon()
        self._refresh()
        told = name == "New project" and self.projects.dialog is not None
        if told:
            self.projects.end_dialog(error)
        if not isinstance(error, AlsegError):
            raise error
        if told:
            return  # it is told where it can be put right
        if name != "Look" or self.inspector.failed(error):
            show_error(f"{name}: {error}")
        if name == "Look":
            self.inspector.look(again=True)

    def _show_new_round(self) -> None:
        """Show a round that was asked, also by a task that was stopped too late."""
        if self.annotator is None:
            return
        latest = self.annotator.source.standing.round
        if latest and self.annotator.screen.round != latest:
            self.inspector.offer()
            self.inspector.set_maps_visible(False)
            self.annotator.show_round()

    def _end_task(self) -> None:
        self.project_panel.set_busy(False)
        self._exhausted = False
        if self.annotator is not None:
            self.annotator.source.forget()
        self.round_panel.set_state(ready=self.tasks.writable, task="")

    def attempt(self, action: Any, *arguments: Any) -> None:
        """Do something; an error that the user can put right becomes a notification."""
        try:
            action(*arguments)
        except AlsegError as error:
            self._tell(error)

    def _tell(self, error: AlsegError) -> None:
        show_error(str(error))
        self._refresh()

    # --- what is shown ----------------------------------------------------------------

    def _on_changed(self, before: Screen, after: Screen) -> None:
        """Follow a change of the screen; the parts follow it by themselves."""
        if before.image != after.image:
            self.project_panel.set_value(after.image)
        self._refresh()

    def _refresh(self) -> None:
        """Show the round's state and the next step."""
        now = self._show_next_step()
        self.round_panel.set_state(
            ready=self.tasks.writable,
            task=self.tasks.running,
            stopped=now.stopped,
        )
        if self.annotator is None:
            return
        source, screen = self.annotator.source, self.annotator.screen
        self.label_panel.set_progress(
            source.states(screen), screen.position, source.region(screen)
        )
        self.inspector.refresh()
        recipe = recipe_after(source.selection(screen.round))
        self.round_panel.training.set_project(recipe, source.standing.sources)

    def _show_next_step(self) -> Situation:
        now = self.situation()
        self.next_step.setText(next_step(now))
        return now

    def situation(self) -> Situation:
        """Return all that the next step depends on."""
        task, exhausted = self.tasks.running, self._exhausted
        if self.annotator is None:
            return Situation(task=task, project=bool(task))
        maps = self.maps_panel.value().maps
        found = situation_of(self.annotator, task, exhausted=exhausted)
        return replace(found, live=self.live.state, maps=maps)

    # --- live -------------------------------------------------------------------------

    def _on_live_failed(self, error: Exception) -> None:
        if not isinstance(error, AlsegError):
            raise error
        show_error(f"Live: {error}")

    # --- the end ----------------------------------------------------------------------

    def start(self) -> None:
        """Watch keys and wheel."""
        self.keyboard.start()

    def take(self, folder: Path) -> None:
        """Take a folder that was dropped: a project, or images for one."""
        self.projects.offer(folder)

    def shut_down(self) -> None:
        """Save what is open, end the child processes, close the project."""
        self.keyboard.stop()
        self.background.close()
        self.close_project()
