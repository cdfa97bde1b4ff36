"""Live: a switch, what is up to date, and the regions that look like this one."""

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGroupBox,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .label_panel import shrinkable

OFF = "Off: maps and queue stay as they are until the next Learn or Ask."
READY = "Starts with the first question or label."


class LivePanel(QGroupBox):
    """Whether maps and queue follow each answer, and how far they have."""

    switched = Signal(bool)
    similar_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Live", parent)
        self._on = QCheckBox("Follow e&very answer (Shift-V)")
        self._on.setToolTip(
            "A light model learns from each answer within two seconds; the maps of the "
            "shown image and the order of the questions follow"
        )
        self._on.setChecked(True)
        self._map, self._rank = QLabel(READY), QLabel()
        for label, name in ((self._map, "Live map"), (self._rank, "Live ranking")):
            label.setWordWrap(True)
            label.setAccessibleName(name)
        self._similar = QPushButton("Si&milar regions (Shift-S)")
        self._similar.setToolTip("Light up the regions that look like the current one")
        self._similar.setEnabled(False)
        shrinkable(self._similar)
        column = QVBoxLayout(self)
        for widget in (self._on, self._map, self._rank, self._similar):
            column.addWidget(widget)
        self._rank.hide()
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

    def set_texts(self, of_map: str, of_rank: str = "") -> None:
        """Say how fresh the map is, and how fresh the ranking."""
        self._map.setText(of_map)
        self._rank.setText(of_rank)
        self._rank.setVisible(bool(of_rank))

    def texts(self) -> tuple[str, str]:
        """Return what is said of the map and of the ranking."""
        return self._map.text(), self._rank.text()

    def _on_toggled(self, on: bool) -> None:
        with QSignalBlocker(self._similar):
            self._similar.setEnabled(False)
        self.set_texts(READY if on else OFF)
        self.switched.emit(on)
