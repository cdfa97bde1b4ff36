"""One round: what to ask, Ask, Learn, how far it is, Stop."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_alseg.arrays import Progress
from napari_alseg.settings import (
    NetworkSettings,
    QuerySettings,
    RecipeSettings,
    TrainingSettings,
    check,
)
from napari_alseg.systems import recipe as known_recipe

from .asking import AskingPanel
from .curve import Curve
from .forms import SettingsForm
from .training import TrainingPanel

LEARNING = ("Learn", "Resume")
"""Tasks whose loss and mIoU are drawn."""


class RoundPanel(QGroupBox):
    """Ask and Learn with their settings, the progress, Stop and the live curve."""

    ask_requested = Signal()
    learn_requested = Signal()
    resume_requested = Signal()
    stop_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Round", parent)
        self.asking = AskingPanel()
        self._ask = QPushButton("&Ask")
        self._ask.setToolTip("Choose the next regions to label")
        self._learn = QPushButton("L&earn")
        self._learn.setToolTip("Train the network on all labels, in the background")
        self._resume = QPushButton("&Resume learning")
        self._resume.setToolTip(
            "Resume where learning was stopped, with the labels and settings it had; "
            "Learn starts anew"
        )
        self._stop = QPushButton("S&top")
        self._stop.setToolTip(
            "End the running task; learning keeps the best so far, if it is as good as "
            "what is there"
        )
        self._bar = QProgressBar()
        self._bar.setAccessibleName("Progress")
        self.curve = Curve()
        self._learning = False
        """Whether the running task is the one whose curve is drawn."""
        self.network = SettingsForm(NetworkSettings())
        self.training = TrainingPanel()
        self._state: tuple[bool, str, bool] | None = None
        self._lay_out()
        self._ask.clicked.connect(self.ask_requested)
        self._learn.clicked.connect(self.learn_requested)
        self._resume.clicked.connect(self.resume_requested)
        self._stop.clicked.connect(self.stop_requested)
        self.set_state(ready=False, task="")

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self._ask, self._learn, self._stop):
            buttons.addWidget(button)
        more = QCollapsible("Network and training")
        for title, section in (
            ("Network", self.network.native),
            ("Training", self.training.more),
        ):
            more.addWidget(QLabel(title))
            more.addWidget(section)
        layout = QVBoxLayout(self)
        layout.addWidget(self.asking)
        layout.addWidget(self.training)
        layout.addLayout(buttons)
        layout.addWidget(self._resume)
        layout.addWidget(self._bar)
        layout.addWidget(self.curve)
        layout.addWidget(more)

    def value(self) -> QuerySettings:
        """Return what Ask would ask."""
        return self.asking.value()

    def set_value(self, settings: QuerySettings) -> None:
        """Show these settings."""
        self.asking.set_value(settings)

    def learning(self) -> dict[str, Any]:
        """Return the settings by which Learn would learn."""
        return {
            "network": self.network.value(),
            "training": self.training.value(),
            "recipe": self.training.terms(),
        }

    def set_learning(
        self,
        network: Mapping[str, Any],
        training: Mapping[str, Any],
        recipe: Mapping[str, Any],
    ) -> None:
        """Show settings by which was learnt, each as JSON values; or none of them.

        What is not given of the training stays as it is.

        Raises
        ------
        TypeError, BadValue, UnknownName
            If one is unknown or out of its limits.
        """
        now = asdict(self.training.value())
        which = NetworkSettings(**network)
        how = check(TrainingSettings(**now | dict(training)))
        if how.recipe is not None:
            known_recipe(how.recipe)
        terms = check(RecipeSettings(**recipe))
        self.network.set_value(which)
        self.training.set_value(how)
        self.training.set_terms(terms)

    def set_state(self, *, ready: bool, task: str, stopped: bool = False) -> None:
        """Enable what can be pressed now, and offer to resume if learning can."""
        before, self._state = self._state, (ready, task, stopped)
        if before == self._state:
            return  # an empty bar would paint the window again, at once
        self._resume.setVisible(ready and stopped and not task)
        self._ask.setEnabled(ready and not task)
        self._learn.setEnabled(ready and not task)
        self._stop.setEnabled(bool(task))
        if not task:
            self._bar.setMaximum(1)
            self._bar.reset()
            self._bar.setFormat("")

    def begin(self, task: str) -> None:
        """Show that a task has started; if learning goes on, so does the curve."""
        self.set_state(ready=True, task=task)
        self._bar.setRange(0, 0)
        self._learning = task in LEARNING
        if task == "Learn":
            self.curve.clear()

    def set_progress(self, progress: Progress) -> None:
        """Show one step of a task."""
        self._bar.setRange(0, progress.total)
        self._bar.setValue(progress.done)
        self._bar.setFormat(f"{progress.message} %v/%m")
        self._bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        if progress.metrics and self._learning:
            self.curve.add(progress)
