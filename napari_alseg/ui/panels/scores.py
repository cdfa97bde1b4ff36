"""The scores of all regions of the pool, and a range of them that is lit up."""

import numpy as np
import pyqtgraph
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_alseg.arrays import Ranking
from napari_alseg.ui.canvas import layers
from napari_alseg.ui.canvas.scores import Range, count

BINS = 40
HEIGHT = 130
BAR_COLOUR, MARK_COLOUR = "#8C96A5", "#F0E442"
FIRST_RANGE = 90
"""Percentile of the scores from which a new range starts."""
DIGITS = 4
"""Digits in which the limits of the range are shown and typed."""


class ScoresPanel(QGroupBox):
    """A histogram with a range to drag; the range is None until it is wanted."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Scores", parent)
        self._ranking: Ranking | None = None
        self._image = ""
        self._range = Range(0.0, 0.0)
        self._why = QLabel()
        self._why.setWordWrap(True)
        self._plot = pyqtgraph.PlotWidget()
        self._bars = pyqtgraph.BarGraphItem(x0=[], x1=[], height=[], brush=BAR_COLOUR)
        self._brush = pyqtgraph.LinearRegionItem(brush=_lit(90), hoverBrush=_lit(130))
        self._mark = pyqtgraph.InfiniteLine(pen=pyqtgraph.mkPen(MARK_COLOUR, width=2))
        self._light = QCheckBox("light up regions in a range (Shift+R)")
        self._light.setToolTip("Drag the range, or type it; the regions light up")
        self._low, self._high = QDoubleSpinBox(), QDoubleSpinBox()
        self._count = QLabel()
        self._count.setWordWrap(True)
        self._lay_out()
        self._light.toggled.connect(self._on_light)
        self._brush.sigRegionChanged.connect(self._on_brush)
        self._low.valueChanged.connect(self._on_low)
        self._high.valueChanged.connect(self._on_high)
        self.set_ranking(None, "nothing is asked yet")

    def _lay_out(self) -> None:
        self._plot.setBackground(None)
        self._plot.setFixedHeight(HEIGHT)
        policy = QSizePolicy.Policy
        self._plot.setSizePolicy(policy.Ignored, policy.Fixed)
        self._plot.setAccessibleName("Histogram of the regions' scores")
        item = self._plot.getPlotItem()
        item.setMouseEnabled(False, False)
        item.setMenuEnabled(False)
        item.hideButtons()
        item.setLabel("bottom", "score of a region")
        for part in (self._bars, self._brush, self._mark):
            item.addItem(part)
        self._limits = QWidget()
        limits = QHBoxLayout(self._limits)
        limits.setContentsMargins(0, 0, 0, 0)
        limits.addWidget(QLabel("from"))
        limits.addWidget(self._low, 1)
        limits.addWidget(QLabel("to"))
        limits.addWidget(self._high, 1)
        for box, name in ((self._low, "Lowest"), (self._high, "Highest")):
            box.setAccessibleName(f"{name} score that is lit up")
            box.setToolTip(f"{name} score that is lit up")
        layout = QVBoxLayout(self)
        for part in (self._why, *self._parts()):
            layout.addWidget(part)

    def _parts(self) -> tuple[QWidget, ...]:
        """Return what is only there with a ranking."""
        return self._plot, self._light, self._limits, self._count

    def value(self) -> Range | None:
        """Scores that are lit up; None if none are."""
        wanted = self._light.isChecked() and self._ranking is not None
        return self._range if wanted else None

    def set_value(self, wanted: Range | None) -> None:
        """Light up this range of scores, or none."""
        with QSignalBlocker(self):
            if wanted is not None:
                self._range = wanted
            self._light.setChecked(wanted is not None)
        self._show_range()
        self.changed.emit()

    def toggle(self) -> None:
        """Light up the range, or no longer."""
        if self._ranking is not None:
            self._light.toggle()

    def set_ranking(self, ranking: Ranking | None, why: str = "") -> None:
        """Show the scores of a round, or why there are none; nothing is lit then."""
        self._ranking = ranking if ranking is not None and len(ranking.score) else None
        for part in self._parts():
            part.setVisible(self._ranking is not None)
        self._why.setText(why)
        self._why.setVisible(bool(why) and self._ranking is None)
        if self._ranking is not None:
            self._draw(self._ranking.score)
        self.set_value(None)

    def _draw(self, scores: np.ndarray) -> None:
        """Draw the histogram; select the highest scores."""
        edges = np.linspace(scores.min(), scores.max(), BINS + 1)
        if not (np.diff(edges) > 0).all():  # too near to one another to be told apart
            edges = np.linspace(scores.min() - 0.5, scores.max() + 0.5, BINS + 1)
        heights, _ = np.histogram(scores, edges)
        self._bars.setOpts(x0=edges[:-1], x1=edges[1:], height=heights, width=None)
        low, high = float(edges[0]), float(edges[-1])
        self._plot.getPlotItem().setXRange(low, high, padding=0.02)
        self._plot.getPlotItem().setYRange(0, float(heights.max()), padding=0.05)
        first = float(np.percentile(scores, FIRST_RANGE))
        self._range = Range(first, float(scores.max()))
        for box in (self._low, self._high):
            with QSignalBlocker(box):
                box.setDecimals(decimals(high - low))
                room = 10.0 ** -box.decimals()
                box.setRange(low - room, high + room)
                box.setSingleStep((high - low) / BINS)

    def set_image(self, image: str) -> None:
        """Count what is lit in this image."""
        self._image = image
        self._show_count()

    def mark(self, score: float | None) -> None:
        """Mark the current region's score, if any."""
        self._mark.setVisible(score is not None)
        if score is not None:
            self._mark.setValue(score)

    def _on_light(self) -> None:
        self._show_range()
        self.changed.emit()

    def _on_brush(self) -> None:
        self._take(Range(*map(float, self._brush.getRegion())))

    def _on_low(self, low: float) -> None:
        self._take(Range(low, max(low, self._range.high)))

    def _on_high(self, high: float) -> None:
        self._take(Range(min(high, self._range.low), high))

    def _take(self, wanted: Range) -> None:
        self._range = wanted
        self._show_range()
        self.changed.emit()

    def _show_range(self) -> None:
        """Show the range in the histogram, in numbers and in words."""
        on = self.value() is not None
        self._brush.setVisible(on)
        with QSignalBlocker(self._brush):
            self._brush.setRegion(self._range)
        for box, value in zip((self._low, self._high), self._range, strict=True):
            box.setEnabled(on)
            with QSignalBlocker(box):
                box.setValue(value)
        self._show_count()

    def _show_count(self) -> None:
        wanted = self.value()
        if wanted is None or self._ranking is None:
            self._count.setText("")
            return
        found = count(self._ranking, self._image, wanted)
        regions = f"{found.regions:,} region{'s' * (found.regions != 1)}"
        images = f"{found.images:,} image{'s' * (found.images != 1)}"
        self._count.setText(f"{regions} in {images}, {found.here:,} here")


def decimals(span: float) -> int:
    """How many decimals tell scores of this span apart.

    Examples
    --------
    >>> decimals(1.0), decimals(0.002), decimals(5000.0)
    (4, 7, 1)
    """
    return max(1, DIGITS - int(np.floor(np.log10(span)))) if span > 0 else DIGITS


def _lit(alpha: int) -> QColor:
    """Return the colour of lit regions, translucent."""
    red, green, blue, _ = (round(255 * channel) for channel in layers.LIT)
    return QColor(red, green, blue, alpha)
