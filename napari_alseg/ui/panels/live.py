"""Live: a switch, what is up to date, and the regions that look like this one."""

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .label import shrinkable

OFF = "Off: maps and queue wait for Learn or Ask."
READY = "Map: comes with the first labels."
AS_ASKED = "Queue: as it was asked."
SIMILAR, HIDE = "Si&milar regions (Shift+S)", "Hide si&milar (Shift+S)"


class LivePanel(QGroupBox):
    """Whether maps and queue follow each answer, and how far they have.

    What is said fits a line each, so that nothing below moves at an answer.
    """

    switched = Signal(bool)
    similar_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Live", parent)
        self._on = QCheckBox("On (Shift+V)")
        self._on.setToolTip(
            "A light model learns from each answer within two seconds; the maps of the "
            "shown image and the order of the questions follow"
        )
        self._on.setChecked(True)
        self._similar = QPushButton(SIMILAR)
        self._similar.setAccessibleName("Similar regions")
        self._similar.setToolTip("Light up the regions that look like the current one")
        self._similar.setEnabled(False)
        shrinkable(self._similar)
        self._map, self._queue, self._lit = QLabel(READY), QLabel(AS_ASKED), QLabel()
        self._map.setToolTip("H shows the maps, Shift+P the predicted classes")
        self._queue.setToolTip("The next questions are the best that were found so far")
        for label, name in (
            (self._map, "Live map"),
            (self._queue, "Live queue"),
            (self._lit, "Similar regions found"),
        ):
            label.setWordWrap(True)
            label.setAccessibleName(name)
        self._lit.hide()
        row = QHBoxLayout()
        row.addWidget(self._on)
        row.addWidget(self._similar, 1)
        column = QVBoxLayout(self)
        column.addLayout(row)
        for label in (self._map, self._queue, self._lit):
            column.addWidget(label)
        self._on.toggled.connect(self._on_toggled)
        self._similar.clicked.connect(self.similar_requested)

    @property
    def on(self) -> bool:
        """Whether live is switched on."""
        return self._on.isChecked()

    def set_on(self, on: bool) -> None:
        """Switch it on or off, as a click does."""
        self._on.setChecked(on)

    def set_able(self, able: bool) -> None:
        """Say whether there is a current region that others may be similar to."""
        self._similar.setEnabled(able and self.on)

    def start(self) -> None:
        """Say what there is before anything is known."""
        self.set_map(READY if self.on else OFF)
        self._queue.setText(AS_ASKED)
        self._queue.setVisible(self.on)
        self.set_similar("")

    def set_map(self, text: str) -> None:
        """Say how fresh the map is."""
        self._map.setText(text)

    def set_queue(self, text: str) -> None:
        """Say how fresh the order of the questions is."""
        self._queue.setText(text)

    def set_similar(self, text: str, *, lit: bool = False) -> None:
        """Say which similar regions were found; offer to hide those that are lit."""
        self._lit.setText(text)
        self._lit.setVisible(bool(text))
        self._similar.setText(HIDE if lit else SIMILAR)

    def texts(self) -> tuple[str, str, str]:
        """Return what is said of the map, of the queue and of similar regions."""
        return self._map.text(), self._queue.text(), self._lit.text()

    def _on_toggled(self, on: bool) -> None:
        with QSignalBlocker(self._similar):
            self._similar.setEnabled(False)
        self.start()
        self.switched.emit(on)
