"""Which maps are shown over the image, how they are drawn, and what the mouse is on."""

from collections.abc import Mapping
from dataclasses import astuple

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QGridLayout,
    QGroupBox,
    QHeaderView,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_alseg import systems
from napari_alseg.store import PSEUDO_WEIGHT
from napari_alseg.ui.canvas.map_layers import Shown

COLUMNS = 2
WEIGHT = "How far each pseudo label is trusted, from 0 (not at all) to 1."
ON, OFF = Qt.CheckState.Checked, Qt.CheckState.Unchecked


class MapsPanel(QGroupBox):
    """Maps to tick, what the current one means, and the values under the mouse."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Maps", parent)
        self._list = _MapList()
        self._sentence = QLabel()
        self._note = QLabel()
        for label in (self._sentence, self._note):
            label.setWordWrap(True)
        self._note.hide()
        self._maps = QCheckBox("maps (H)")
        self._maps.setToolTip("Show all ticked maps over the image, or hide them")
        self._prediction = QCheckBox("prediction (Shift+P)")
        self._prediction.setToolTip("Show what the network sees, in class colours")
        self._by_region = QCheckBox("region means")
        self._by_region.setToolTip("Give each region the mean of its pixels")
        self._side_by_side = QCheckBox("side by side (Shift+H)")
        self._side_by_side.setToolTip(
            "Show the image and each map in a view of its own; all move together"
        )
        self._pseudo = QCheckBox("pseudo labels (Shift+L)")
        self._pseudo.setToolTip(
            "Show the labels that the network gave this image to learn from; they are "
            "no answers, and nobody can paint in them"
        )
        self._values = _Values()
        self._lay_out()
        self.set_pseudo(False)
        self._list.itemChanged.connect(self._on_item_changed)
        self._list.currentItemChanged.connect(self._explain)
        for box in self._boxes():
            box.toggled.connect(self.changed)
        self._list.setCurrentRow(0)

    def _boxes(self) -> tuple[QCheckBox, ...]:
        return (
            self._maps,
            self._prediction,
            self._by_region,
            self._side_by_side,
            self._pseudo,
        )

    def _lay_out(self) -> None:
        boxes = QGridLayout()
        *pairs, alone = self._boxes()
        for index, box in enumerate(pairs):
            boxes.addWidget(box, index // COLUMNS, index % COLUMNS)
        boxes.addWidget(alone, boxes.rowCount(), 0, 1, COLUMNS)
        layout = QVBoxLayout(self)
        layout.addWidget(self._list)
        layout.addWidget(self._sentence)
        layout.addLayout(boxes)
        layout.addWidget(self._note)
        layout.addWidget(self._values)

    def value(self) -> Shown:
        """Return what is wanted over the image."""
        names = tuple(item.text() for item in self._list.items() if _ticked(item))
        return Shown(names, *(box.isChecked() for box in self._boxes()))

    def set_value(self, shown: Shown) -> None:
        """Tick these maps and boxes, and say so once if anything changes."""
        if shown == self.value():
            return
        with QSignalBlocker(self):
            for item in self._list.items():
                item.setCheckState(ON if item.text() in shown.names else OFF)
            for box, on in zip(self._boxes(), astuple(shown)[1:], strict=True):
                box.setChecked(on)
        self.changed.emit()

    def set_pseudo(self, there: bool) -> None:
        """Offer pseudo labels and their weights where the shown image has them."""
        self._pseudo.setVisible(there)
        self._list.offer(PSEUDO_WEIGHT, there)

    def set_note(self, text: str) -> None:
        """Say why a map is not to be seen yet; nothing for an empty text."""
        self._note.setText(text)
        self._note.setVisible(bool(text))

    def set_values(self, values: Mapping[str, str]) -> None:
        """Show what lies under the mouse, by name."""
        self._values.set_value(values)

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        """Who ticks a map wants to see it."""
        with QSignalBlocker(self):
            self._list.setCurrentItem(item)
            if _ticked(item):
                self._maps.setChecked(True)
        self.changed.emit()

    def _explain(self) -> None:
        item = self._list.currentItem()
        self._sentence.setText(item.toolTip() if item else "")


class _MapList(QListWidget):
    """All maps in two columns, each with a box."""

    def __init__(self) -> None:
        super().__init__()
        sentences = {n: systems.acquisition(n).sentence for n in systems.maps()}
        for name, sentence in (sentences | {PSEUDO_WEIGHT: WEIGHT}).items():
            item = QListWidgetItem(name, self)
            item.setToolTip(sentence)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(OFF)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Maps")

    def items(self) -> list[QListWidgetItem]:
        """Return all rows from top to bottom."""
        return [self.item(row) for row in range(self.count())]

    def offer(self, name: str, offered: bool) -> None:
        """Show or hide a row, which stays ticked."""
        for item in self.items():
            if item.text() == name and item.isHidden() == offered:
                item.setHidden(not offered)
                self._fit()

    def _fit(self) -> None:
        """Keep two columns of full height."""
        height = self.fontMetrics().height() + 8
        self.setGridSize(QSize((self.viewport().width() - 2) // COLUMNS, height))
        shown = sum(not item.isHidden() for item in self.items())
        rows = -(-shown // COLUMNS)
        self.setFixedHeight(rows * height + 2 * self.frameWidth() + 2)

    def resizeEvent(self, event: object) -> None:
        """Fit the rows into the new width."""
        self._fit()
        super().resizeEvent(event)


class _Values(QTableWidget):
    """Names and numbers under the mouse; only what differs is written."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.horizontalHeader().hide()
        self.verticalHeader().hide()
        self.setShowGrid(False)
        mode = QHeaderView.ResizeMode
        self.horizontalHeader().setSectionResizeMode(0, mode.Stretch)
        self.horizontalHeader().setSectionResizeMode(1, mode.Stretch)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Values under the mouse")
        self.setToolTip("What lies under the mouse")
        self.hide()

    def value(self) -> dict[str, str]:
        """Return what is shown."""
        rows = range(self.rowCount())
        return {self.item(r, 0).text(): self.item(r, 1).text() for r in rows}

    def set_value(self, values: Mapping[str, str]) -> None:
        """Show texts by name."""
        if list(values) != list(self.value()):
            self._set_names(values)
        for row, text in enumerate(values.values()):
            item = self.item(row, 1)
            if item.text() != text:
                item.setText(text)

    def _set_names(self, names: Mapping[str, str]) -> None:
        self.setRowCount(len(names))
        height = self.fontMetrics().height() + 4
        for row, name in enumerate(names):
            self.setItem(row, 0, QTableWidgetItem(name))
            self.setItem(row, 1, QTableWidgetItem(""))
            self.setRowHeight(row, height)
        self.setFixedHeight(len(names) * height + 2 * self.frameWidth())
        self.setVisible(bool(names))


def _ticked(item: QListWidgetItem) -> bool:
    return bool(item.checkState() == ON)
