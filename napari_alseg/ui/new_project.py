"""The dialog that makes a project."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from magicgui.widgets import FileEdit
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_alseg.arrays import LabelClass
from napari_alseg.errors import AlsegError, BadClasses, BadValue
from napari_alseg.store import ClassTable, default_classes, read_classes

MASK_VALUE = Qt.ItemDataRole.UserRole
FOLDER, LAYERS = "a folder of images", "the open image layers"


@dataclass(frozen=True)
class NewProject:
    """What the dialog asks to make."""

    path: Path
    table: ClassTable
    images: Path | None
    """Folder of images; None takes the open image layers."""
    labels: Path | None
    validation: Path | None
    source: Path | None = None
    """Labelled images of another domain."""


class ClassEditor(QWidget):
    """A table of names, colours and keys; a double click changes a colour."""

    refused = Signal(str)
    """Why a classes.csv could not be read."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = QTableWidget(0, 3)
        self._table.setHorizontalHeaderLabels(["name", "colour", "key"])
        self._table.setAccessibleName("Classes")
        self._file: ClassTable | None = None
        buttons = QHBoxLayout()
        for text, deed in (
            ("Add", self._add),
            ("Remove", self._remove),
            ("Colour…", self._choose_colour),
            ("classes.csv…", self._read_file),
        ):
            button = QPushButton(text)
            button.setAutoDefault(False)
            button.clicked.connect(deed)
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        layout.addLayout(buttons)
        self._table.cellDoubleClicked.connect(self._on_double_click)
        self.set_value(ClassTable.of(default_classes(("background", "object"))))

    def value(self) -> ClassTable:
        """Return the classes; mask values are those of the file, if one was read."""
        rows = range(self._table.rowCount())
        classes = tuple(self._row(row) for row in rows)
        table = ClassTable.of(classes)
        if self._file is None:
            return table
        values = [self._table.item(row, 0).data(MASK_VALUE) for row in rows]
        for entry, value in zip(classes, values, strict=True):
            if value is None:
                raise BadClasses(
                    f"{entry.name!r} has no value in the classes.csv that was read; "
                    "add it there and read the file again"
                )
        return replace(self._file, classes=classes, values=tuple(values))

    def set_value(self, table: ClassTable) -> None:
        """Show these classes."""
        self._table.setRowCount(0)
        for entry, value in zip(table.classes, table.values, strict=True):
            self._append(entry, value)

    def _row(self, row: int) -> LabelClass:
        name, colour, key = (self._table.item(row, column) for column in range(3))
        rgb = colour.background().color()
        return LabelClass(
            name.text().strip(), (rgb.red(), rgb.green(), rgb.blue()), key.text()
        )

    def _append(self, entry: LabelClass, value: int | None = None) -> None:
        row = self._table.rowCount()
        self._table.insertRow(row)
        colour = QTableWidgetItem("")
        colour.setBackground(QColor(*entry.colour))
        for column, item in enumerate(
            (QTableWidgetItem(entry.name), colour, QTableWidgetItem(entry.key))
        ):
            self._table.setItem(row, column, item)
        self._table.item(row, 0).setData(MASK_VALUE, value)

    def _add(self) -> None:
        count = self._table.rowCount() + 1
        names = [f"class {i}" for i in range(1, count + 1)]
        self._append(default_classes(names)[-1])

    def _remove(self) -> None:
        self._table.removeRow(self._table.currentRow())

    def _on_double_click(self, row: int, column: int) -> None:
        if column == 1:
            self._choose_colour()

    def _choose_colour(self) -> None:
        item = self._table.item(self._table.currentRow(), 1)
        if item is None:
            return
        chosen = QColorDialog.getColor(item.background().color(), self)
        if chosen.isValid():
            item.setBackground(chosen)

    def _read_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "classes.csv", "", "*.csv")
        if path:
            self.read(Path(path))

    def read(self, path: Path) -> None:
        """Show the classes of a classes.csv, or say what is wrong with it."""
        try:
            self._file = read_classes(path)
        except AlsegError as error:
            self.refused.emit(str(error))
        else:
            self.set_value(self._file)


class NewProjectDialog(QDialog):
    """Asks where images, masks and classes come from and where the project goes.

    Parameters
    ----------
    layer_names : sequence of str
        The open image layers that could become the project's images.
    """

    def __init__(
        self, layer_names: Sequence[str] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("New project")
        self.path = FileEdit(mode="w", value="")
        self.images_from = QComboBox()
        self.images_from.addItems([FOLDER, LAYERS] if layer_names else [FOLDER])
        self.images = FileEdit(mode="d", value="", nullable=True)
        self.labels = FileEdit(mode="d", value="", nullable=True)
        self.validation = FileEdit(mode="d", value="", nullable=True)
        self.source = FileEdit(mode="d", value="", nullable=True)
        self.classes = ClassEditor()
        self._problem = QLabel()
        self._problem.setWordWrap(True)
        self._lay_out(layer_names)
        self.images_from.currentTextChanged.connect(self._on_images_from)
        self.classes.refused.connect(self._problem.setText)

    def _lay_out(self, layer_names: Sequence[str]) -> None:
        form = QFormLayout()
        form.addRow("Project", self.path.native)
        form.addRow("Images from", self.images_from)
        form.addRow("Folder", self.images.native)
        form.addRow("Masks (optional)", self.labels.native)
        form.addRow("Validation (optional)", self.validation.native)
        form.addRow(
            "Source images (optional):\nanother domain, labelled", self.source.native
        )
        form.addRow("Classes", self.classes)
        self.path.native.setToolTip("A new folder, for example street.alseg")
        self.labels.native.setToolTip("Masks that are there already, same file names")
        self.validation.native.setToolTip("A folder with images/ and masks/, not asked")
        self.source.native.setToolTip(
            "A folder with images/ and masks/ of another domain: the recipe adaptation "
            "learns from them, they are never asked"
        )
        self.images_from.setToolTip(", ".join(layer_names))
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self._problem)
        layout.addWidget(buttons)
        self.resize(640, 560)

    def value(self) -> NewProject:
        """Return what was entered.

        Raises
        ------
        BadValue
            If the project's folder or the images are missing.
        """
        path, images = _path(self.path), _path(self.images)
        if path is None:
            raise BadValue("name a new folder for the project, for example x.alseg")
        from_layers = self.images_from.currentText() == LAYERS
        if images is None and not from_layers:
            raise BadValue("choose the folder that holds the images")
        if path.suffix != ".alseg":
            path = path.with_name(f"{path.name}.alseg")
        return NewProject(
            path,
            self.classes.value(),
            None if from_layers else images,
            _path(self.labels),
            _path(self.validation),
            _path(self.source),
        )

    def accept(self) -> None:
        """Close if all that is needed was entered, else say what is missing."""
        try:
            self.value()
        except AlsegError as error:
            self._problem.setText(str(error))
            return
        super().accept()

    def _on_images_from(self, place: str) -> None:
        for row in (self.images, self.labels):
            row.native.setEnabled(place == FOLDER)


def _path(row: FileEdit) -> Path | None:
    """Return the path of a row; None where nothing is entered."""
    text = row.line_edit.value.strip()
    return Path(text) if text else None
