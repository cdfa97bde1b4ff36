"""How a project is found or made: folders, the dialog, and what is dropped."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_alseg.errors import AlsegError
from napari_alseg.store import (
    ImportPlan,
    OpenImage,
    Project,
    create,
    create_from_arrays,
    create_from_folder,
)

from .canvas.open_layers import open_images
from .drops import LEDGER, is_project
from .panels.new_project import NewProject, NewProjectDialog
from .panels.project import ProjectFacts
from .tasks import Tasks

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Projects(QObject):
    """Lets the user choose a project, or make one.

    Parameters
    ----------
    viewer : napari.Viewer
    tasks : Tasks
        In which a new project is made.
    window : QWidget
        Over which dialogs are shown; also the parent.
    """

    chosen = Signal(object)
    """The folder of a project that is to be opened."""

    def __init__(self, viewer: "Viewer", tasks: Tasks, window: QWidget) -> None:
        super().__init__(window)
        self._viewer = viewer
        self._tasks = tasks
        self._window = window
        self.dialog: NewProjectDialog | None = None

    def make(self, wanted: NewProject, plan: ImportPlan | None = None) -> None:
        """Make a project in the background.

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
        self._tasks.refuse_while_busy()
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
        self._tasks.make(task)

    def ask_for_new(self, images: Path | None = None) -> None:
        """Show the dialog of a new project, with a folder filled in if one is given."""
        if self.dialog is not None:
            self.dialog.close()
        self.dialog = NewProjectDialog(self._open_images(), self._window)
        self.dialog.accepted.connect(self._on_accepted)
        self.dialog.rejected.connect(self.end_dialog)
        if images is not None:
            self.dialog.images.value = images
        self.dialog.open()

    def ask_for_folder(self) -> None:
        """Let the user choose a folder, and open or make what it is for."""
        folder = QFileDialog.getExistingDirectory(self._window, "Open a project")
        if folder:
            self.offer(Path(folder))

    def offer(self, path: Path) -> None:
        """Open a project, or offer to make one of the images in a folder."""
        if is_project(path) or (path / LEDGER).exists():
            self.chosen.emit(path)
        else:
            self.ask_for_new(path)

    def end_dialog(self, problem: object = None) -> None:
        """Let go of the dialog, or show it again with what went wrong."""
        if self.dialog is not None and problem is not None:
            self.dialog.reopen(problem)
        elif self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    def _open_images(self) -> dict[str, OpenImage]:
        """Open image layers that are not ours, by name."""
        return open_images(self._viewer)

    def _on_accepted(self) -> None:
        if self.dialog is None:
            return
        try:
            self.make(self.dialog.value(), self.dialog.plan)
        except AlsegError as error:  # as long as another task runs
            self.end_dialog(error)


def facts(project: Project) -> ProjectFacts:
    """Return what the panel says of a project, its intensity rule included."""
    images = project.images.names()
    kinds = sorted({project.images.info(image).dtype for image in images})
    window = (
        "8 bits as they are"
        if kinds == ["uint8"]
        else f"{', '.join(kinds)}; each channel within its window"
    )
    source = len(project.images.names("source"))
    text = (
        f"{project.path.name}: {len(images)} images, {len(project.classes)} classes, "
        f"{len(project.images.names('validation'))} for validation"
        f"{f', {source} source images' if source else ''}. Intensities: {window}."
    )
    return ProjectFacts(project.path.name, images, text)
