"""Which project is open, and which of its images is shown."""

from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)


@dataclass(frozen=True)
class ProjectFacts:
    """What the panel shows of a project."""

    name: str = ""
    images: tuple[str, ...] = ()
    text: str = "no project is open"


class ProjectPanel(QGroupBox):
    """Buttons to make and open a project, and the list of its images."""

    new_requested = Signal()
    open_requested = Signal()
    image_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Project", parent)
        self._new = QPushButton("&New…")
        self._new.setToolTip("Make a project from a folder or the open image layers")
        self._open = QPushButton("&Open…")
        self._open.setToolTip("Open a project folder, for example street.alseg")
        self._text = QLabel(ProjectFacts().text)
        self._text.setWordWrap(True)
        self._images = QComboBox()
        self._images.setToolTip("The image that is shown")
        self._images.setAccessibleName("Image")
        self._before = QPushButton("<")
        self._after = QPushButton(">")
        self._before.setToolTip("Previous image (Page Up)")
        self._after.setToolTip("Next image (Page Down)")
        self._lay_out()
        self._new.clicked.connect(self.new_requested)
        self._open.clicked.connect(self.open_requested)
        self._images.activated.connect(self._on_activated)
        self._before.clicked.connect(lambda: self.step(-1))
        self._after.clicked.connect(lambda: self.step(1))
        self.set_facts(ProjectFacts())

    def _lay_out(self) -> None:
        buttons, images = QHBoxLayout(), QHBoxLayout()
        buttons.addWidget(self._new)
        buttons.addWidget(self._open)
        for button in (self._before, self._after):
            button.setFixedWidth(32)
        images.addWidget(self._before)
        images.addWidget(self._images, 1)
        images.addWidget(self._after)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addWidget(self._text)
        layout.addLayout(images)

    def set_facts(self, facts: ProjectFacts) -> None:
        """Show what is known of a project and list its images."""
        self._text.setText(facts.text)
        self._images.clear()
        self._images.addItems(facts.images)
        for widget in (self._images, self._before, self._after):
            widget.setEnabled(bool(facts.images))

    def value(self) -> str:
        """Return the image that is marked as shown."""
        return str(self._images.currentText())

    def set_value(self, image: str) -> None:
        """Mark an image as shown."""
        self._images.setCurrentText(image)

    def set_busy(self, busy: bool) -> None:
        """Keep the project while a task works on it."""
        self._new.setEnabled(not busy)
        self._open.setEnabled(not busy)

    def step(self, direction: int) -> None:
        """Choose the next (+1) or previous (-1) image of the list."""
        if not self._images.count():
            return
        index = (self._images.currentIndex() + direction) % self._images.count()
        self._images.setCurrentIndex(index)
        self._on_activated(index)

    def _on_activated(self, index: int) -> None:
        self.image_chosen.emit(self._images.itemText(index))
