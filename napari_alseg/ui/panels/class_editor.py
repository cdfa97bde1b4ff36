"""A table in which a person names the classes."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_alseg.arrays import LabelClass
from napari_alseg.errors import AlsegError
from napari_alseg.store import ClassTable, Row, default_classes, read_classes

FILE_LABEL = Qt.ItemDataRole.UserRole
"""The label that a class has in the file it was read from."""


class ClassEditor(QWidget):
    """A table of names, colours and keys; a double click changes a colour."""

    refused = Signal(str)
    """Why a classes.csv could not be read."""
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = QTableWidget(0, 3)
        self._table.setHorizontalHeaderLabels(["name", "colour", "key"])
        self._table.setAccessibleName("Classes")
        self._rows: tuple[Row, ...] = ()
        """Of the classes.csv that was read: how masks name the classes."""
        buttons = QHBoxLayout()
        for text, action in (
            ("Add", self._add),
            ("Remove", self._remove),
            ("Colour…", self._choose_colour),
            ("classes.csv…", self._read_file),
        ):
            button = QPushButton(text)
            button.setAutoDefault(False)
            button.clicked.connect(action)
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        layout.addLayout(buttons)
        self._table.cellDoubleClicked.connect(self._on_double_click)
        self._table.itemChanged.connect(lambda _: self.changed.emit())
        self.set_value(ClassTable.of(default_classes(("background", "object"))))

    def value(self) -> ClassTable:
        """Return the classes; what masks mean by them is as the file says.

        Colours changed here are those of the display: masks are read by the colours of
        the file. A class that the file does not know is in no mask.
        """
        rows = range(self._table.rowCount())
        classes = ClassTable.of(tuple(self._row(row) for row in rows)).classes
        labels = {self._table.item(row, 0).data(FILE_LABEL): row + 1 for row in rows}
        return ClassTable(
            classes,
            tuple(
                row._replace(label=labels.get(row.label, 0))
                for row in self._rows
                if not row.label or row.label in labels
            ),
        )

    def set_value(self, table: ClassTable) -> None:
        """Show these classes."""
        self._rows = table.rows
        self._table.setRowCount(0)
        for label, entry in enumerate(table.classes, start=1):
            self._append(entry, label)
        self.changed.emit()

    def _row(self, row: int) -> LabelClass:
        name, colour, key = (self._table.item(row, column) for column in range(3))
        rgb = colour.background().color()
        return LabelClass(
            name.text().strip(), (rgb.red(), rgb.green(), rgb.blue()), key.text()
        )

    def _append(self, entry: LabelClass, file_label: int | None = None) -> None:
        row = self._table.rowCount()
        self._table.insertRow(row)
        colour = QTableWidgetItem("")
        colour.setBackground(QColor(*entry.colour))
        for column, item in enumerate(
            (QTableWidgetItem(entry.name), colour, QTableWidgetItem(entry.key))
        ):
            self._table.setItem(row, column, item)
        self._table.item(row, 0).setData(FILE_LABEL, file_label)

    def _add(self) -> None:
        count = self._table.rowCount() + 1
        names = [f"class {i}" for i in range(1, count + 1)]
        self._append(default_classes(names)[-1])

    def _remove(self) -> None:
        self._table.removeRow(self._table.currentRow())
        self.changed.emit()

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
        path, _ = QFileDialog.getOpenFileName(
            self, "classes.csv", "", "Tables (*.csv *.txt *.tsv)"
        )
        if path:
            self.read(Path(path))

    def read(self, path: Path) -> None:
        """Show the classes of a classes.csv, or say what is wrong with it."""
        try:
            table = read_classes(path)
        except AlsegError as error:
            self.refused.emit(str(error))
        else:
            self.set_value(table)
