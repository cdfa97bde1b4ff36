"""The dialog that makes a project: what comes in is said before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magicgui.widgets import FileEdit
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_alseg.arrays import Progress, Task
from napari_alseg.errors import AlsegError, AmbiguousMasks, BadValue
from napari_alseg.settings import ImportSettings
from napari_alseg.store import (
    ClassTable,
    ImportPlan,
    OpenImage,
    domain,
    plan_folders,
    plan_layers,
    refuse_taken,
)
from napari_alseg.ui.background import Driver

from .class_editor import ClassEditor

FOLDER, LAYERS = "a folder of images", "the open image layers"
LOOK, STOP, CREATE = "&Look through the files", "&Stop", "&Create project"
BY_ITSELF = "found by itself"
REPORT_HEIGHT = 150

TIPS = {
    "Project": "A new folder, for example street.alseg",
    "Folder": "A folder of images, or an OME-Zarr",
    "Masks": "Masks that are there already, with the names of their images",
    "Validation": "A folder with images/ and masks/ that measures progress; "
    "never asked",
    "Source images": "A folder with images/ and masks/ of another domain: the recipe "
    "adaptation learns from them, they are never asked",
    "Mask values": "What the values of masks mean",
    "Intensities": "Black and white: each image by itself, shared by the pool, or "
    "LOW..HIGH, one for all channels or one for each",
    "Channels for networks": "Up to three, for example 4,1,2; "
    "the first three if it is empty",
    "Ending of masks' names": "What names of masks have after those of their images, "
    "as _mask",
    "Axes": "Letters of the axes of files that do not say them, for example YXC",
}
"""What each row is for, by the name that screen readers say."""


@dataclass(frozen=True)
class NewProject:
    """What the dialog asks to make."""

    path: Path
    table: ClassTable
    images: Path | None
    """Folder of images; None takes the open image layers."""
    labels: Path | None = None
    validation: Path | None = None
    source: Path | None = None
    """Labelled images of another domain."""
    settings: ImportSettings = field(default_factory=ImportSettings)


class NewProjectDialog(QDialog):
    """Asks where images, masks and classes come from and where the project goes.

    It closes only once all files were looked through, what was found was shown, and
    the person has agreed; nothing that was typed is lost meanwhile.

    Parameters
    ----------
    layers : mapping of str to OpenImage
        The open images that could become those of the project.
    """

    def __init__(
        self,
        layers: Mapping[str, OpenImage] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("New project")
        self.layers = dict(layers or {})
        self.plan: ImportPlan | None = None
        """What was found, once all that was entered has been looked at."""
        self._driver: Driver | None = None
        self._suggested = ""
        self.path = FileEdit(mode="w", value="")
        self.images_from = QComboBox()
        self.images_from.addItems([FOLDER, LAYERS] if self.layers else [FOLDER])
        self.images = FileEdit(mode="d", value="", nullable=True)
        self.labels = FileEdit(mode="d", value="", nullable=True)
        self.validation = FileEdit(mode="d", value="", nullable=True)
        self.source = FileEdit(mode="d", value="", nullable=True)
        self.classes = ClassEditor()
        self.mask_values = QComboBox()
        self.mask_values.addItem(BY_ITSELF, "")
        self.intensities = QComboBox()
        self.intensities.setEditable(True)
        self.intensities.addItems(["each", "shared"])
        self.network_channels = QLineEdit()
        self.axes = QLineEdit()
        self.mask_suffix = QLineEdit()
        self.report = QPlainTextEdit()
        self.progress = QProgressBar()
        self.problem = QLabel()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.go = self.buttons.addButton(LOOK, QDialogButtonBox.ButtonRole.AcceptRole)
        self._lay_out()
        self._describe()
        self._connect()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Images from", self.images_from)
        form.addRow("Folder", self.images.native)
        form.addRow("Masks (optional)", self.labels.native)
        form.addRow("Classes", self.classes)
        form.addRow("Mask values", self.mask_values)
        form.addRow("Project", self.path.native)
        more = QWidget()
        rows = QFormLayout(more)
        rows.addRow("Validation", self.validation.native)
        rows.addRow("Source images", self.source.native)
        rows.addRow("Intensities", self.intensities)
        rows.addRow("Channels for networks", self.network_channels)
        rows.addRow("Ending of masks' names", self.mask_suffix)
        rows.addRow("Axes", self.axes)
        self.more = QCollapsible("More")
        self.more.addWidget(more)
        self.problem.setWordWrap(True)
        self.problem.setMinimumHeight(2 * self.problem.fontMetrics().lineSpacing())
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        self.problem.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.report.setReadOnly(True)
        self.report.setFixedHeight(REPORT_HEIGHT)
        self.report.setFont(
            QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        )
        self.report.setPlaceholderText("What is found will be said here.")
        self.progress.setTextVisible(False)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for widget in (self.more, self.report, self.progress, self.problem):
            layout.addWidget(widget)
        layout.addWidget(self.buttons)
        self.resize(720, 760)

    def _describe(self) -> None:
        """Say in tooltips and to screen readers what each row is for."""
        for widget, name in (
            (self.path.native, "Project"),
            (self.images.native, "Folder"),
            (self.labels.native, "Masks"),
            (self.validation.native, "Validation"),
            (self.source.native, "Source images"),
            (self.mask_values, "Mask values"),
            (self.intensities, "Intensities"),
            (self.network_channels, "Channels for networks"),
            (self.mask_suffix, "Ending of masks' names"),
            (self.axes, "Axes"),
            (self.report, "What was found"),
            (self.problem, "What is wrong"),
        ):
            widget.setToolTip(TIPS.get(name, ""))
            widget.setAccessibleName(name)
        self.images_from.setToolTip(", ".join(self.layers))

    def _connect(self) -> None:
        self.images_from.currentTextChanged.connect(self._on_images_from)
        self.classes.refused.connect(self.tell)
        self.images.changed.connect(self._suggest)
        for row in (self.path, self.images, self.labels, self.validation, self.source):
            row.changed.connect(self._on_edited)
        for line in (self.network_channels, self.axes, self.mask_suffix):
            line.textEdited.connect(self._on_edited)
        self.classes.changed.connect(self._on_edited)
        self.intensities.currentTextChanged.connect(self._on_edited)
        self.images_from.currentTextChanged.connect(self._on_edited)
        self.mask_values.activated.connect(self._on_edited)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.go.setDefault(True)

    def value(self) -> NewProject:
        """Return what was entered.

        Raises
        ------
        BadValue
            If the project's folder or the images are missing.
        BadClasses
            If the classes contradict one another.
        """
        path, images = _path(self.path), _path(self.images)
        from_layers = self.images_from.currentText() == LAYERS
        if images is None and not from_layers:
            raise BadValue("choose the folder that holds the images")
        if path is None:
            raise BadValue("name a new folder for the project, for example x.alseg")
        if path.suffix != ".alseg":
            path = path.with_name(f"{path.name}.alseg")
        return NewProject(
            path,
            self.classes.value(),
            None if from_layers else images,
            None if from_layers else _path(self.labels),
            _path(self.validation),
            _path(self.source),
            ImportSettings(
                self.mask_values.currentData(),
                self.mask_suffix.text().strip(),
                self.axes.text().strip(),
                self.intensities.currentText().strip(),
                self.network_channels.text().strip(),
            ),
        )

    def tell(self, problem: object) -> None:
        """Show what is wrong; an empty text shows nothing."""
        self.problem.setText(str(problem))

    def reopen(self, problem: object) -> None:
        """Show all that was entered again, and what went wrong with it."""
        self.plan = None
        self.go.setText(LOOK)
        self.tell(problem)
        self.open()

    # --- looking ----------------------------------------------------------------------

    def accept(self) -> None:
        """Look through the files; close once that was done and nothing has changed."""
        if self._driver is not None:
            self._driver.stopping = True
        elif self.plan is not None:
            super().accept()
        else:
            self._look()

    def reject(self) -> None:
        """Close without a project."""
        self._end_looking(wait=True)
        super().reject()

    def _look(self) -> None:
        try:
            task = self._task(self.value())
        except AlsegError as error:
            self.tell(error)
            return
        self.tell("")
        self.report.clear()
        driver = self._driver = Driver(task, self)
        driver.progressed.connect(self._on_progressed)
        driver.returned.connect(self._on_planned)
        driver.failed.connect(self._on_failed)
        self.go.setText(STOP)
        driver.start()

    def _task(self, wanted: NewProject) -> Task[ImportPlan]:
        refuse_taken(wanted.path)
        table, settings = wanted.table, wanted.settings
        source = None if wanted.source is None else domain(wanted.source, table)
        if wanted.images is None:
            return plan_layers(table, self.layers, wanted.validation, source, settings)
        return plan_folders(
            table, wanted.images, wanted.labels, wanted.validation, source, settings
        )

    def _on_progressed(self, progress: Progress) -> None:
        self.progress.setRange(0, progress.total)
        self.progress.setValue(progress.done)

    def _on_planned(self, plan: ImportPlan | None) -> None:
        self._end_looking()
        if plan is None:
            self.tell("Looking was stopped.")
            return
        self.plan = plan
        self.report.setPlainText(str(plan.report))
        self.go.setText(CREATE)

    def _on_failed(self, error: Exception) -> None:
        self._end_looking()
        if not isinstance(error, AlsegError):
            raise error
        if isinstance(error, AmbiguousMasks):
            self._offer(error)
        else:
            self.tell(error)

    def _offer(self, error: AmbiguousMasks) -> None:
        """Let the person choose among readings of the masks."""
        names = self.classes.value().names
        self._set_readings(
            {reading.word: reading.rule.sentence(names) for reading in error.readings}
        )
        self.tell(
            "The masks can be read in more than one way. Choose what their values "
            "mean under 'Mask values'."
        )
        self.mask_values.setFocus()

    def _set_readings(self, readings: Mapping[str, str]) -> None:
        self.mask_values.clear()
        self.mask_values.addItem(BY_ITSELF, "")
        for word, sentence in readings.items():
            self.mask_values.addItem(sentence, word)

    def _end_looking(self, wait: bool = False) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.stopping = True
            driver.blockSignals(wait)
            driver.wait()
            driver.deleteLater()
        self.progress.reset()
        self.go.setText(LOOK)

    # --- what was entered -------------------------------------------------------------

    def _on_edited(self, *_: Any) -> None:
        """Forget what was found: it is no longer what will come in."""
        if self._driver is not None:
            self._end_looking(wait=True)
        self.plan = None
        self.report.clear()
        self.tell("")
        self.go.setText(LOOK)

    def _suggest(self, *_: Any) -> None:
        """Name a project beside the images, unless the person has named one."""
        images, named = _path(self.images), self.path.line_edit.value.strip()
        if named != self._suggested or images is None or not images.is_dir():
            return
        if images.name:
            self._suggested = str(images.with_name(f"{images.name}.alseg"))
            self.path.line_edit.value = self._suggested

    def _on_images_from(self, place: str) -> None:
        for row in (self.images, self.labels):
            row.native.setEnabled(place == FOLDER)


def _path(row: FileEdit) -> Path | None:
    """Path of a row; None where nothing is entered."""
    text = row.line_edit.value.strip()
    return Path(text) if text else None
