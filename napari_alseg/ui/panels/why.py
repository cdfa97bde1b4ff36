"""Why the current region was asked."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_alseg.arrays import LabelClass
from napari_alseg.ui.canvas.scores import BEST_CLASSES, Reason

from .label import swatch

CHIP = 16
"""Screen pixels of a class's colour."""


class WhyPanel(QWidget):
    """Score, rank, terms and predicted classes of the current region, folded at first.

    A reason is shown as it is given: the panel has nothing to change.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folder = QCollapsible("Why this region? (Shift+W)")
        self._reason: Reason | None = None
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._numbers = QFormLayout()
        self._classes = [_ClassRow() for _ in range(BEST_CLASSES)]
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._text)
        column.addLayout(self._numbers)
        for row in self._classes:
            column.addWidget(row)
        self._folder.addWidget(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._folder)
        self.set_value(None)

    def value(self) -> Reason | None:
        """Return the reason that is shown."""
        return self._reason

    def set_value(self, reason: Reason | None) -> None:
        """Show a reason; None where no region is current."""
        self._reason = reason
        self._text.setText(reason.text if reason else "No region is current.")
        while self._numbers.rowCount():
            self._numbers.removeRow(0)
        for name, text in numbers(reason).items():
            self._numbers.addRow(name, QLabel(text))
        classes = reason.classes if reason else ()
        for index, row in enumerate(self._classes):
            row.set_value(classes[index] if index < len(classes) else None)

    def toggle(self) -> None:
        """Unfold, or fold."""
        if self._folder.isExpanded():
            self._folder.collapse()
        else:
            self._folder.expand()


def numbers(reason: Reason | None) -> dict[str, str]:
    """Return score, rank and terms as people read them, by name.

    Examples
    --------
    >>> numbers(Reason("", 0.5, 3, 12345, (("impurity", 0.25),)))
    {'score': '0.500', 'rank': '3 of 12,345', 'impurity': '0.250'}
    """
    if reason is None or reason.score is None:
        return {}
    rank = f"{reason.rank:,} of {reason.among:,}"
    terms = {name: f"{value:.3f}" for name, value in reason.terms}
    return {"score": f"{reason.score:.3f}", "rank": rank, **terms}


class _ClassRow(QWidget):
    """The colour of a class, and its probability as a bar."""

    def __init__(self) -> None:
        super().__init__()
        self._chip = QLabel()
        self._bar = QProgressBar()
        self._bar.setRange(0, 100)
        self._bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._chip)
        layout.addWidget(self._bar, 1)

    def set_value(self, predicted: tuple[LabelClass, float] | None) -> None:
        """Show a class and its mean probability in the region; nothing for None."""
        self.setVisible(predicted is not None)
        if predicted is None:
            return
        entry, probability = predicted
        self._chip.setPixmap(swatch(entry.colour).pixmap(CHIP, CHIP))
        self._bar.setValue(round(100 * probability))
        self._bar.setFormat(f"{entry.name} {probability:.0%}")
        self._bar.setAccessibleName(f"predicted {entry.name}")
