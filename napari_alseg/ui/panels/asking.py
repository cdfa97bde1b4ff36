"""How to ask: a grouped menu of systems, what each is made of, and its parameters."""

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_alseg import systems
from napari_alseg.errors import AlsegError
from napari_alseg.settings import QuerySettings

from .forms import SettingsForm

PARTS: dict[str, Mapping[str, Any]] = {
    "partition": systems.PARTITIONS,
    "acquisition": systems.ACQUISITIONS,
    "choice": systems.CHOICES,
}


class AskingPanel(QWidget):
    """A system, a budget, and only the parameters that this system takes."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._system = _menu_of_systems()
        self._sentence = QLabel()
        self._sentence.setWordWrap(True)
        self._budget = QLineEdit()
        self._budget.setToolTip("1%, 100 regions, 100 px/image or 5 images")
        self._parts = {part: _menu_of_parts(part) for part in PARTS}
        self._form: SettingsForm[QuerySettings] | None = None
        self._place = QVBoxLayout()
        self._parameters = QCollapsible("Parameters")
        self._lay_out()
        self._system.currentTextChanged.connect(self._on_system)
        for menu in self._parts.values():
            menu.currentTextChanged.connect(self._on_part)
        self._budget.textChanged.connect(self.changed)
        self.set_value(QuerySettings())

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("System", self._system)
        form.addRow(self._sentence)
        form.addRow("Budget", self._budget)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        rows = QFormLayout()
        for part, menu in self._parts.items():
            rows.addRow(part, menu)
        column.addLayout(rows)
        column.addLayout(self._place)
        self._parameters.addWidget(inner)
        form.addRow(self._parameters)

    def value(self) -> QuerySettings:
        """Return what Ask would ask; its own parameters are all given."""
        given = self._form.values() if self._form else {}
        return QuerySettings(
            self._system.currentText(), self._budget.text(), **self._chosen(), **given
        )

    def set_value(self, settings: QuerySettings) -> None:
        """Show these settings, the system's own where they leave something open."""
        self._system.blockSignals(True)
        self._system.setCurrentText(settings.system)
        self._system.blockSignals(False)
        self._budget.setText(settings.budget)
        self._show(systems.resolve(settings))

    def _chosen(self) -> dict[str, Any]:
        return {part: menu.currentText() for part, menu in self._parts.items()}

    def _on_system(self, name: str) -> None:
        """Show a system as its source has it."""
        self._show(systems.resolve(QuerySettings(name)))

    def _on_part(self) -> None:
        """Mix parts freely; say so if these do not go together."""
        name = self._system.currentText()
        try:
            self._show(systems.resolve(QuerySettings(name, **self._chosen())))
        except AlsegError as error:
            self._show_form(None)
            self._sentence.setText(str(error))
            self.changed.emit()

    def _show(self, query: systems.Query) -> None:
        for part, menu in self._parts.items():
            menu.blockSignals(True)
            menu.setCurrentText(query.parts[part])
            menu.blockSignals(False)
        self._sentence.setText(explanation(query))
        self._show_form(query)
        self.changed.emit()

    def _show_form(self, query: systems.Query | None) -> None:
        """Show only the parameters that a query takes."""
        if self._form is not None:
            self._place.removeWidget(self._form.native)
            self._form.native.hide()
            self._form.native.deleteLater()
            self._form = None
        if query is None:
            return
        self._form = SettingsForm(query.settings, list(query.values))
        self._place.addWidget(self._form.native)
        for row in self._form.container:
            row.changed.connect(self.changed.emit)


def explanation(query: systems.Query) -> str:
    """Return what a query asks, what it costs and where it comes from.

    Examples
    --------
    >>> print(explanation(systems.resolve(QuerySettings("equal"))))
    Rectangles that are unsure in the image and in its mirror image.
    To score: 2 passes through the network an image.
    Golestaneh & Kitani, BMVC 2020; published with 12%.
    """
    row = query.system
    lines = [row.sentence, f"To score: {systems.scoring_cost(query)}."]
    if row.source:
        published = f"; published with {row.published}" if row.published else ""
        lines.append(f"{row.source}{published}.")
    return "\n".join(lines)


def _menu_of_systems() -> QComboBox:
    """Return a menu of the systems under the names of their groups."""
    menu = QComboBox()
    menu.setAccessibleName("System")
    group = ""
    for row in systems.SYSTEMS.values():
        if row.choice == "everything":
            continue
        if row.group != group:
            group = row.group
            _add_heading(menu, group)
        menu.addItem(row.name)
        menu.setItemData(menu.count() - 1, row.sentence, Qt.ItemDataRole.ToolTipRole)
    return menu


def _add_heading(menu: QComboBox, text: str) -> None:
    """Add an entry that cannot be chosen."""
    menu.addItem(text)
    model = menu.model()
    assert isinstance(model, QStandardItemModel)
    item = model.item(menu.count() - 1)
    item.setFlags(Qt.ItemFlag.NoItemFlags)
    font = item.font()
    font.setBold(True)
    item.setFont(font)


def _menu_of_parts(part: str) -> QComboBox:
    menu = QComboBox()
    menu.setAccessibleName(part)
    for row in PARTS[part].values():
        if row.name == "everything":
            continue
        menu.addItem(row.name)
        menu.setItemData(menu.count() - 1, row.sentence, Qt.ItemDataRole.ToolTipRole)
    return menu
