"""The live curve of a training: loss and validation mIoU over steps."""

import pyqtgraph
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_alseg.arrays import Progress

LOSS_COLOUR = "#E69F00"
MIOU_COLOUR = "#56B4E9"
HEIGHT, AXIS_WIDTH = 170, 32
SMOOTHING = 0.9
"""Share of the past in the drawn loss."""


class Curve(QWidget):
    """Two small plots that grow while the network learns, hidden before the first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plots = pyqtgraph.GraphicsLayoutWidget()
        self._plots.setBackground(None)
        self._axes: list[pyqtgraph.AxisItem] = []
        self._loss = self._add_plot(0, "loss", LOSS_COLOUR)
        self._miou = self._add_plot(1, "validation mIoU, %", MIOU_COLOUR)
        self.losses: list[tuple[int, float]] = []
        self.mious: list[tuple[int, float]] = []
        self._begun, self._latest = 0, 0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._plots)
        self.setFixedHeight(HEIGHT)
        policy = QSizePolicy.Policy
        self._plots.setSizePolicy(policy.Ignored, policy.Fixed)
        self._plots.setFixedHeight(HEIGHT)
        self.hide()
        self.setAccessibleName("Loss and validation mIoU while learning")

    def _add_plot(self, column: int, title: str, colour: str) -> pyqtgraph.PlotDataItem:
        plot = self._plots.addPlot(0, column, title=title)
        plot.setLabel("bottom", "step")
        plot.getAxis("left").setWidth(AXIS_WIDTH)
        self._axes.append(plot.getAxis("bottom"))
        self._plots.ci.layout.setColumnStretchFactor(column, 1)
        self._plots.ci.layout.setColumnPreferredWidth(column, 150)
        plot.showGrid(y=True, alpha=0.3)
        plot.setMouseEnabled(False, False)
        plot.hideButtons()
        pen = pyqtgraph.mkPen(colour, width=2)
        symbol = "o" if column else None
        return plot.plot(pen=pen, symbol=symbol, symbolSize=5, symbolBrush=colour)

    def clear(self) -> None:
        """Forget all points."""
        self.losses, self.mious = [], []
        self._begun, self._latest = 0, 0
        self._loss.setData([], [])
        self._miou.setData([], [])
        self._mark_steps(0)

    def add(self, progress: Progress) -> None:
        """Add what one step of a training reported.

        A recipe that trains several networks counts each from 0 again; they are drawn
        one after another.
        """
        metrics, step = progress.metrics, self._begun + progress.done
        if step < self._latest:
            self._begun = self._latest
            step = self._begun + progress.done
        self._latest = step
        self.show()
        if "loss" in metrics:
            loss = metrics["loss"]
            if self.losses:
                loss = SMOOTHING * self.losses[-1][1] + (1 - SMOOTHING) * loss
            self.losses.append((step, loss))
            self._loss.setData(*zip(*self.losses, strict=True))
        if "miou" in metrics:
            self.mious.append((step, 100 * metrics["miou"]))
            self._miou.setData(*zip(*self.mious, strict=True))
        self._mark_steps(step)

    def _mark_steps(self, last: int) -> None:
        """Write the first, middle and last step: more do not fit a narrow dock."""
        for axis in self._axes:
            axis.setTicks([[(step, str(step)) for step in marks(last)]])


def marks(last: int) -> tuple[int, ...]:
    """Return the steps that are written below a plot.

    Examples
    --------
    >>> marks(90), marks(1), marks(0)
    ((0, 45, 90), (0, 1), (0,))
    """
    return tuple(dict.fromkeys((0, last // 2, last)))
