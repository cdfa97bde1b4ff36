"""The classes to answer with, how far the round is, and the keys."""

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_alseg.arrays import LabelClass, Region

COLUMNS = 2


class LabelPanel(QGroupBox):
    """A button a class with its colour and key, and the round's progress."""

    class_chosen = Signal(int)
    """Label value 1..C."""
    next_requested = Signal()
    previous_requested = Signal()
    skip_requested = Signal()
    accept_requested = Signal()
    undo_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Label", parent)
        self._text = QLabel("nothing is asked yet")
        self._text.setWordWrap(True)
        self._bar = QProgressBar()
        self._bar.setFormat("%v of %m regions")
        self._bar.setAccessibleName("Answered regions")
        self._classes = QGridLayout()
        layout = QVBoxLayout(self)
        layout.addWidget(self._text)
        layout.addWidget(self._bar)
        layout.addLayout(self._classes)
        layout.addLayout(self._actions())

    def _actions(self) -> QHBoxLayout:
        """Return the row of buttons; each names its key."""
        row = QHBoxLayout()
        for text, tip, signal in (
            ("A back", "Previous open region (A)", self.previous_requested),
            ("D next", "Next open region (D)", self.next_requested),
            ("S skip", "Leave this region unlabelled (S)", self.skip_requested),
            ("W done", "Take the region as it is painted (W)", self.accept_requested),
            ("Undo", "Take back the latest change (Ctrl+Z)", self.undo_requested),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(signal)
            shrinkable(button)
            row.addWidget(button)
        return row

    def set_classes(self, classes: Sequence[LabelClass]) -> None:
        """Show a button for each class."""
        while item := self._classes.takeAt(0):
            item.widget().deleteLater()
        for index, entry in enumerate(classes):
            button = QPushButton(f"{entry.key}  {entry.name}")
            button.setIcon(swatch(entry.colour))
            button.setToolTip(f"Label the region as {entry.name} ({entry.key})")
            button.clicked.connect(
                lambda _, label=index + 1: self.class_chosen.emit(label)
            )
            shrinkable(button)
            self._classes.addWidget(button, index // COLUMNS, index % COLUMNS)

    def set_progress(
        self, states: Sequence[str], position: int | None, region: Region | None
    ) -> None:
        """Show how many regions are answered and which one is current."""
        done = sum(state != "open" for state in states)
        self._bar.setUpdatesEnabled(False)  # it would paint the window again, at once
        self._bar.setMaximum(max(len(states), 1))
        self._bar.setValue(done)
        self._bar.setUpdatesEnabled(True)
        if region is None or position is None:
            text = "nothing is asked yet" if not states else "no region is current"
        else:
            score = f", score {region.score:.3f}" if region.score else ""
            text = (
                f"Region {position + 1} of {len(states)} in {region.image}: "
                f"{states[position]}, {region.pixels} px{score}"
            )
        self._text.setText(text)


def shrinkable(button: QPushButton) -> None:
    """Let a button be narrower than its text, so that it never widens the dock."""
    policy = QSizePolicy.Policy
    button.setSizePolicy(policy.Ignored, policy.Fixed)


def swatch(colour: tuple[int, int, int]) -> QIcon:
    """Return a square icon of a colour."""
    pixmap = QPixmap(16, 16)
    pixmap.fill(QColor(*colour))
    return QIcon(pixmap)
