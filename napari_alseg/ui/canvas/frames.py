"""The canvas of a viewer: its widget, its OpenGL context, and when it was painted."""

from time import monotonic
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from napari.viewer import Viewer


def widget(viewer: "Viewer") -> QWidget:
    """Widget that is painted, which takes keys and mouse."""
    return _of(viewer).native


def _of(viewer: "Viewer") -> Any:
    """Return napari's canvas; plugins get a viewer in a wrapper, which hides it."""
    return getattr(viewer, "__wrapped__", viewer).window._qt_viewer.canvas


def make_current(viewer: "Viewer") -> None:
    """Let OpenGL work for this canvas from now on.

    napari deletes textures when layers come and go. Without a context that fails, and
    what else waits to be sent to the graphics card is lost.
    """
    _of(viewer)._scene_canvas.set_current()


class Frames(QObject):
    """When the latest change of what is shown came on screen.

    A frame is on screen when it was drawn after the change, and handed over since.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: "Viewer", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.painted: float | None = None
        """The moment on the monotonic clock; None while it waits for it."""
        self._drawn = self._closed = False
        self._widget = widget(viewer)
        self._draw = _of(viewer)._scene_canvas.events.draw
        self._draw.connect(self._on_draw)
        self._widget.frameSwapped.connect(self._on_swapped)

    def expect(self) -> None:
        """Wait for a frame that shows the change."""
        self._drawn, self.painted = False, None
        self._widget.update()

    def seen(self, moment: float) -> bool:
        """Whether what is shown now was already on screen at a moment."""
        return self.painted is not None and self.painted <= moment

    def close(self) -> None:
        """Look no longer; more than once does no harm."""
        if not self._closed:
            self._closed = True
            self._draw.disconnect(self._on_draw)
            self._widget.frameSwapped.disconnect(self._on_swapped)

    def _on_draw(self, _: Any = None) -> None:
        self._drawn = True

    def _on_swapped(self) -> None:
        if self._drawn and self.painted is None:
            self.painted = monotonic()
