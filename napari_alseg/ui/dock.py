"""The dock: the one place that connects panels, layers, labels and long work."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QFileDialog,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_alseg.arrays import NOTE, Progress
from napari_alseg.errors import (
    AlsegError,
    BadValue,
    Busy,
    CannotWrite,
    NothingToAsk,
    WeightsMismatch,
)
from napari_alseg.settings import OF_COMPUTER, PredictionSettings, QuerySettings
from napari_alseg.store import (
    ImportPlan,
    OpenImage,
    Project,
    create,
    create_from_arrays,
    create_from_folder,
)
from napari_alseg.systems.table import recipe_after
from napari_alseg.tasks.requests import (
    LookRequest,
    QueryRequest,
    Request,
    RetrainRequest,
)
from napari_alseg.worker.client import Worker

from .annotator import Annotator
from .background import Background
from .canvas import frames
from .canvas.open_layers import open_images
from .drops import LEDGER, ProjectDrops, folder_of, is_project
from .inspector import Inspector
from .keyboard import Keyboard
from .live import Live
from .panels.guidance import LiveState, Situation, next_step
from .panels.label import LabelPanel
from .panels.live import LivePanel
from .panels.maps import MapsPanel
from .panels.new_project import NewProject, NewProjectDialog
from .panels.project import ProjectFacts, ProjectPanel
from .panels.round import LEARNING, RoundPanel
from .panels.scores import ScoresPanel
from .panels.why import WhyPanel

if TYPE_CHECKING:
    from napari.viewer import Viewer


WIDTH = 400


class ActiveLearningDock(QWidget):
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
        self.background = Background(worker or Worker(), self)
        self.keyboard = Keyboard(self, napari_viewer)
        self.setAcceptDrops(True)
        ProjectDrops(
            frames.widget(napari_viewer),
            lambda path: self.attempt(self.open_project, path),
            self,
        )
        self.live_panel = LivePanel()
        self.next_step = QLabel()
        self.next_step.setWordWrap(True)
        self.next_step.setAccessibleName("Next step")
        self.notes = QLabel()
        self.notes.setWordWrap(True)
        self.notes.setAccessibleName("Notes of the latest task")
        self.notes.hide()
        self._exhausted = False
        self._dialog: NewProjectDialog | None = None
        self.project_panel = ProjectPanel()
        self.round_panel = RoundPanel()
        self.label_panel = LabelPanel()
        self.why_panel = WhyPanel()
        self.maps_panel = MapsPanel()
        self.scores_panel = ScoresPanel()
        self.inspector = Inspector(
            self.maps_panel,
            self.scores_panel,
            self.why_panel,
            self.round_panel.value,
            self._may_start,
            lambda: self.live.on,
            self,
        )
        self.live = Live(
            self.live_panel,
            live or Worker(),
            self.round_panel.value,
            self.round_panel.network.value,
            self._prediction,
            lambda: self.background.name if self.background.busy else "",
            self,
        )
        self._lay_out()
        self._connect()
        self.keyboard.start()
        self._refresh()

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        for panel in (
            self.project_panel,
            self.round_panel,
            self.label_panel,
            self.live_panel,
            self.why_panel,
            self.maps_panel,
            self.scores_panel,
        ):
            column.addWidget(panel)
        column.addStretch()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        font = self.next_step.font()
        font.setBold(True)
        self.next_step.setFont(font)
        layout = QVBoxLayout(self)
        layout.addWidget(self.next_step)
        layout.addWidget(self.notes)
        layout.addWidget(scroll)
        self.setMinimumWidth(WIDTH)

    def _connect(self) -> None:
        """Connect requests to actions; the only place where that happens."""
        self.project_panel.new_requested.connect(self._ask_for_project)
        self.project_panel.open_requested.connect(self._on_open_requested)
        self.project_panel.image_chosen.connect(self.show_image)
        self.round_panel.ask_requested.connect(self.ask)
        self.round_panel.learn_requested.connect(self.learn)
        self.round_panel.resume_requested.connect(self.resume)
        self.round_panel.stop_requested.connect(self.stop)
        self.label_panel.class_chosen.connect(self._on_class_clicked)
        self.label_panel.next_requested.connect(lambda: self.step(1))
        self.label_panel.previous_requested.connect(lambda: self.step(-1))
        self.label_panel.skip_requested.connect(lambda: self._click(self.skip))
        self.label_panel.accept_requested.connect(lambda: self._click(self.accept))
        self.label_panel.undo_requested.connect(self.undo)
        self.round_panel.asking.changed.connect(self.inspector.look_soon)
        self.maps_panel.changed.connect(lambda: self.attempt(self.inspector.show_maps))
        self.scores_panel.changed.connect(lambda: self.attempt(self.inspector.light))
        self.inspector.look_requested.connect(self._on_look_requested)
        self.maps_panel.changed.connect(self.live.request_soon)
        self.round_panel.asking.changed.connect(self.live.request_soon)
        self.maps_panel.changed.connect(self._show_next_step)
        self.live_panel.switched.connect(self._on_live_switched)
        self.live.changed.connect(self._refresh)
        self.live.failed.connect(self._on_live_failed)
        self.background.started.connect(self._on_started)
        self.background.progressed.connect(self._on_progressed)
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
        self._refuse_while_busy()
        if self.project is not None and self.project.path.resolve() == path.resolve():
            self.close_project()  # its lock is ours
        try:
            opened = Project.open(path)
        except (Busy, CannotWrite) as error:
            opened = Project.open(path, "read")
            show_info(f"{error} It is opened for looking only.")
        self.close_project()
        self.project, self._exhausted = opened, False
        self._set_notes("")
        self.annotator = Annotator(
            self.viewer, self.project, self, self.keyboard.moment
        )
        self.annotator.changed.connect(self._refresh)
        self.annotator.failed.connect(show_error)
        self.annotator.image_shown.connect(self._on_image_shown)
        self.annotator.tool_chosen.connect(self._show_next_step)
        self.annotator.round_shown.connect(self.inspector.show_round)
        self.annotator.image_step_requested.connect(self.project_panel.step)
        self.annotator.key_pressed.connect(self.inspector.press)
        self.annotator.visibility_changed.connect(self.inspector.note_visible)
        self.label_panel.set_classes(self.project.classes)
        self.project_panel.set_facts(facts(self.project))
        self._show_settings()
        self.inspector.open(self.annotator)
        self.live.open(self.annotator)
        self.keyboard.active = True
        if self.project.images():
            self.annotator.show_round()
        self._refresh()

    def _show_settings(self) -> None:
        """Show how was asked and learnt last, so that it goes on alike."""
        if self.project is None:
            return
        if learning := self.project.settings.get("learning"):
            with suppress(TypeError, BadValue):  # of a version with other settings
                self.round_panel.set_learning(**learning)
        selection = self.project.selection()
        if selection is None:
            return
        asked = self.project.metrics(selection.round).get("query", {})
        usual = {"system": selection.system, "budget": selection.budget}
        settings = QuerySettings(**usual | asked)  # of an older version lack these
        self.round_panel.set_value(settings)

    def close_project(self) -> None:
        """Write what is open and close the project, if there is one."""
        self.keyboard.active = False
        self.live.close()
        self.inspector.close()
        if self.annotator is not None:
            self.annotator.close()
            self.annotator.deleteLater()
            self.annotator = None
        if self.project is not None:
            self.project.close()
            self.project = None

    def new_project(self, wanted: NewProject, plan: ImportPlan | None = None) -> None:
        """Make a project in the background, then open it.

        Parameters
        ----------
        wanted : NewProject
        plan : ImportPlan, optional
            What was found before; without it, it is found now.

        Raises
        ------
        Busy
            If a task is running.
        """
        self._refuse_while_busy()
        more: dict[str, Any] = {
            "validation": wanted.validation,
            "source": wanted.source,
            "settings": wanted.settings,
        }
        if plan is not None:
            task = create(wanted.path, plan)
        elif wanted.images is not None:
            task = create_from_folder(
                wanted.path, wanted.images, wanted.table, labels=wanted.labels, **more
            )
        else:
            images = self._open_images()
            task = create_from_arrays(wanted.path, images, wanted.table, **more)
        self.background.start("New project", task)

    def _refuse_while_busy(self) -> None:
        if self.background.busy:
            raise Busy(f"{self.background.name} is running; press Stop first")

    def _open_images(self) -> dict[str, OpenImage]:
        """Return the open image layers that are not ours, by name."""
        return open_images(self.viewer)

    def _ask_for_project(self, images: Path | None = None) -> None:
        """Show the dialog of a new project, with a folder filled in if one is given."""
        if self._dialog is not None:
            self._dialog.close()
        self._dialog = NewProjectDialog(self._open_images(), self)
        self._dialog.accepted.connect(self._on_new_accepted)
        self._dialog.rejected.connect(self._end_dialog)
        if images is not None:
            self._dialog.images.value = images
        self._dialog.open()

    def _on_new_accepted(self) -> None:
        if self._dialog is None:
            return
        try:
            self.new_project(self._dialog.value(), self._dialog.plan)
        except AlsegError as error:  # as long as another task runs
            self._end_dialog(error)

    def _end_dialog(self, problem: object = None) -> None:
        """Let go of the dialog, or show it again with what went wrong."""
        if self._dialog is not None and problem is not None:
            self._dialog.reopen(problem)
        elif self._dialog is not None:
            self._dialog.deleteLater()
            self._dialog = None

    def offer_folder(self, path: Path) -> None:
        """Open a project, or offer to make one of the images in a folder."""
        if is_project(path) or (path / LEDGER).exists():
            self.attempt(self.open_project, path)
        else:
            self._ask_for_project(path)

    def _on_open_requested(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a project")
        if folder:
            self.offer_folder(Path(folder))

    # --- rounds -----------------------------------------------------------------------

    def ask(self) -> None:
        """Score the pool and ask the next regions."""
        network = self.round_panel.network.value() if self.live.on else None
        query = self.round_panel.value()
        self._start("Ask", QueryRequest(query, self._prediction(), live=network))

    def learn(self) -> None:
        """Train the network on all labels, in the background."""
        if self._may_start():
            learning = self.round_panel.learning()
            self.attempt(self._remember, learning)
            prediction = self._prediction()
            request = RetrainRequest(**learning, prediction=prediction)
            self._start("Learn", request)

    def _remember(self, learning: Mapping[str, Any]) -> None:
        """Keep in the project how is learnt, for its next window."""
        if self.project is not None:
            saved = {name: asdict(settings) for name, settings in learning.items()}
            for name in OF_COMPUTER:  # the project may be opened on another
                del saved["training"][name]
            self.project.save_settings(self.project.settings | {"learning": saved})

    def resume(self) -> None:
        """Go on with the training that was stopped, as it was begun."""
        request = RetrainRequest(resume=True, prediction=self._prediction())
        self._start("Go on", request)

    def stop(self) -> None:
        """Stop the running task; what it has so far is kept."""
        self.background.stop()

    def _prediction(self) -> PredictionSettings:
        return PredictionSettings(device=self.round_panel.training.value().device)

    def _start(self, name: str, request: Request) -> None:
        """Start a task on the open project."""
        if self.project is None or self.annotator is None or not self._may_start():
            return
        self.attempt(self.annotator.save_strokes)
        path = self.project.path
        self.background.start(name, self.background.worker.run(path, request))

    def _on_look_requested(self, image: str, maps: tuple[str, ...]) -> None:
        """Have maps of an image drawn by the latest network."""
        query = self.round_panel.value()
        self._start("Look", LookRequest(image, maps, query, self._prediction()))

    # --- labels -----------------------------------------------------------------------

    def answer(self, label: int) -> None:
        """Answer the current region with a class, 1..C."""
        self._label("answer", label)

    def step(self, direction: int) -> None:
        """Go to the next (+1) or previous (-1) open region."""
        self._label("step", direction)

    def skip(self) -> None:
        """Leave the current region unlabelled."""
        self._label("skip")

    def accept(self) -> None:
        """Take the current region as it is painted."""
        self._label("accept")

    def undo(self) -> None:
        """Take back the latest change."""
        self._label("undo")

    def redo(self) -> None:
        """Do again what was taken back last."""
        self._label("redo")

    def centre(self) -> None:
        """Bring the current region to the middle."""
        self._label("centre")

    def _label(self, action: str, *arguments: Any) -> None:
        if self.annotator is not None:
            self.attempt(getattr(self.annotator, action), *arguments)

    def _on_class_clicked(self, label: int) -> None:
        self._click(partial(self.answer, label))

    def _click(self, action: Callable[[], None]) -> None:
        """Do what a button is for, if the current region has been on screen."""
        if self.annotator is not None:
            self.annotator.when_seen(action)

    def show_image(self, image: str) -> None:
        """Show an image of the project."""
        if self.annotator is not None:
            self.attempt(self.annotator.show, image)
            self.inspector.refresh()
            self.viewer.reset_view()

    # --- what tasks report ------------------------------------------------------------

    def _on_started(self, name: str) -> None:
        self.project_panel.set_busy(True)
        self.round_panel.begin(name)
        if name != "Look":  # nobody asked for it, and it may come right after another
            self._set_notes("")
        self.live.request_soon()
        self._refresh()

    def _on_progressed(self, progress: Progress) -> None:
        if progress.message.startswith(NOTE):
            self._add_note(progress.message.removeprefix(NOTE))
        else:
            self.round_panel.set_progress(progress)

    def _add_note(self, text: str) -> None:
        """Show what a task has to say until the next one starts; the same once."""
        notes = self.notes.text().splitlines()
        note = text[:1].upper() + text[1:]
        if note not in notes:
            self._set_notes("\n".join([*notes, note]))

    def _set_notes(self, text: str) -> None:
        self.notes.setText(text)
        self.notes.setVisible(bool(text))

    def _on_finished(self, name: str, result: Any) -> None:
        self._end_task()
        if name == "New project":
            self._end_dialog(None if result else "Making the project was stopped.")
        if name == "New project" and result is not None:
            self.attempt(self.open_project, result)
        if self.annotator is None:
            return
        if name == "Ask":
            self._show_new_round()
        elif name in LEARNING:
            self.inspector.offer()
            self.inspector.show_learned(
                pseudo=self.round_panel.training.recipe.pseudo_labels
            )
        elif name == "Look" and result is not None:
            self.attempt(self.annotator.show, self.annotator.image)
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
        told = name == "New project" and self._dialog is not None
        if told:
            self._end_dialog(error)
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
        if self.annotator is None or self.project is None:
            return
        if self.annotator.round not in self.project.rounds[-1:]:
            self.inspector.offer()
            self.inspector.set_maps_visible(False)
            self.annotator.show_round()

    def _end_task(self) -> None:
        self.project_panel.set_busy(False)
        self._exhausted = False
        self.round_panel.set_state(ready=self._writable(), task="")

    def attempt(self, action: Any, *arguments: Any) -> None:
        """Do something; an error that the user can put right becomes a notification."""
        try:
            action(*arguments)
        except AlsegError as error:
            show_error(str(error))
            self._refresh()

    # --- what is shown ----------------------------------------------------------------

    def _on_image_shown(self, image: str) -> None:
        self.project_panel.set_value(image)
        self.scores_panel.set_image(image)
        self.inspector.refresh()
        self.inspector.look()
        self._show_next_step()

    def _may_start(self) -> bool:
        return self._writable() and not self.background.busy

    def _writable(self) -> bool:
        return self.project is not None and not self.project.read_only

    def _refresh(self) -> None:
        """Show the state of the round and the next step."""
        task = self.background.name if self.background.busy else ""
        now = self._show_next_step()
        self.round_panel.set_state(
            ready=self._writable(), task=task, unfinished=now.unfinished
        )
        if self.annotator is not None:
            self.label_panel.set_progress(
                self.annotator.states(), self.annotator.position, self.annotator.region
            )
            self.inspector.refresh()
        if self.project is not None and self.annotator is not None:
            self.round_panel.training.set_project(
                recipe_after(self.annotator.selection),
                len(self.project.images("source")),
            )

    def _show_next_step(self) -> Situation:
        now = self.situation()
        self.next_step.setText(next_step(now))
        return now

    def situation(self) -> Situation:
        """Return all that the next step depends on."""
        task = self.background.name if self.background.busy else ""
        if self.project is None or self.annotator is None:
            return Situation(task=task, project=bool(task))
        states = self.annotator.states()
        return Situation(
            project=True,
            images=len(self.project.images()),
            task="" if task == "Look" else task,
            asked=len(states),
            open=states.count("open"),
            marked=self.annotator.marked,
            next_image=self.annotator.next_image,
            painting=self.annotator.painting,
            labelled=bool(self.project.labelled() or self.project.images("source")),
            learned=self.project.weights.latest_round == self.project.latest_round,
            unfinished=unfinished(self.project),
            exhausted=self._exhausted,
            read_only=self.project.read_only,
            live=self._live(),
            maps=self.maps_panel.value().maps,
        )

    def _live(self) -> LiveState:
        if not self.live.on:
            return "off"
        return "waiting" if self.live.waiting else "on"

    # --- live -------------------------------------------------------------------------

    def _on_live_switched(self, on: bool) -> None:
        """Without live, maps are those of the latest network that learnt."""
        if not on:
            self.inspector.look()

    def _on_live_failed(self, error: Exception) -> None:
        if not isinstance(error, AlsegError):
            raise error
        show_error(f"Live: {error}")

    # --- the end ----------------------------------------------------------------------

    def shut_down(self) -> None:
        """Save what is open, end the child processes, close the project."""
        self.keyboard.stop()
        self.background.close()
        self.close_project()

    def sizeHint(self) -> QSize:
        """Leave most of the window to the images."""
        return QSize(WIDTH, 800)

    def showEvent(self, event: Any) -> None:
        """Watch the window that the dock lives in."""
        self.window().installEventFilter(self)
        self.keyboard.start()
        super().showEvent(event)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """End everything when that window goes, though others may live on."""
        if event.type() == QEvent.Type.Hide and not event.spontaneous():
            if watched is self.window():
                self.shut_down()
        return bool(super().eventFilter(watched, event))

    def dragEnterEvent(self, event: Any) -> None:
        """Take a folder: a project, or images for a new one."""
        if folder_of(event.mimeData()) is None:
            event.ignore()
        else:
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open the project, or offer a new one once the drag is over."""
        folder = folder_of(event.mimeData())
        if folder is not None:
            event.acceptProposedAction()
            QTimer.singleShot(0, partial(self.offer_folder, folder))

    def closeEvent(self, event: Any) -> None:
        """End everything when the dock is closed."""
        self.shut_down()
        super().closeEvent(event)


def unfinished(project: Project) -> bool:
    """Whether a training of the latest round was stopped and can go on."""
    try:
        metadata = project.weights.aside_metadata("unfinished")
    except WeightsMismatch:
        return False  # damaged: only a new training helps
    return metadata is not None and metadata.get("plan", {}).get("round") == (
        project.latest_round
    )


def facts(project: Project) -> ProjectFacts:
    """Return what the panel says of a project, its intensity rule included."""
    images = project.images()
    kinds = sorted({project.info(image).dtype for image in images})
    window = (
        "8 bits as they are"
        if kinds == ["uint8"]
        else f"{', '.join(kinds)}; each channel within its window"
    )
    source = len(project.images("source"))
    text = (
        f"{project.path.name}: {len(images)} images, {len(project.classes)} classes, "
        f"{len(project.images('validation'))} for validation"
        f"{f', {source} source images' if source else ''}. Intensities: {window}."
    )
    return ProjectFacts(project.path.name, images, text)
