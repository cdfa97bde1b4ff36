"""The dock as a widget: its layout, what is dropped on it, and its end."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from .drops import folder_of

WIDTH = 400


class DockWindow(QWidget):
    """A dock that ends its work when its window goes, and takes folders."""

    def lay_out(self, head: Iterable[QWidget], panels: Iterable[QWidget]) -> None:
        """Put panels into a column that scrolls, below a head that does not."""
        inner = QWidget()
        column = QVBoxLayout(inner)
        for panel in panels:
            column.addWidget(panel)
        column.addStretch()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inner)
        layout = QVBoxLayout(self)
        for widget in head:
            layout.addWidget(widget)
        layout.addWidget(scroll)
        self.setMinimumWidth(WIDTH)
        self.setAcceptDrops(True)

    def start(self) -> None:
        """Begin to work each time it is shown."""
        raise NotImplementedError

    def take(self, folder: Path) -> None:
        """Take a folder that was dropped."""
        raise NotImplementedError

    def shut_down(self) -> None:
        """End all work."""
        raise NotImplementedError

    def sizeHint(self) -> QSize:
        """Leave most of the window to the images."""
        return QSize(WIDTH, 800)

    def showEvent(self, event: Any) -> None:
        """Watch the window that the dock lives in."""
        self.window().installEventFilter(self)
        self.start()
        super().showEvent(event)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """End everything when that window goes, though others may live on."""
        if event.type() == QEvent.Type.Hide and not event.spontaneous():
            if watched is self.window():
                self.shut_down()
        return bool(super().eventFilter(watched, event))

    def dragEnterEvent(self, event: Any) -> None:
        """Take a folder: a project, or images for a new one."""
        if folder_of(event.mimeData()) is None:
            event.ignore()
        else:
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open the project, or offer a new one once the drag is over."""
        folder = folder_of(event.mimeData())
        if folder is not None:
            event.acceptProposedAction()
            QTimer.singleShot(0, partial(self.take, folder))

    def closeEvent(self, event: Any) -> None:
        """End everything when the dock is closed."""
        self.shut_down()
        super().closeEvent(event)
