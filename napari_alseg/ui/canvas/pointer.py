"""What lies under the mouse: read from the arrays that are on screen."""

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_alseg.arrays import RegionMap

from . import layers

if TYPE_CHECKING:
    from .view import View

NOTHING = "-"


class Pointer(QObject):
    """Follows the mouse over the shown image until it is closed.

    Parameters
    ----------
    view : View
        What is on screen.
    """

    moved = Signal(dict)
    """Text by name: the pixel under the mouse and what is known of it."""

    def __init__(self, view: "View", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self._viewer = view.viewer
        self._shown: tuple[str, int | None] = ("", None)
        self._scores: np.ndarray | None = None
        self._region_map: RegionMap | None = None
        self._viewer.mouse_move_callbacks.append(self._on_move)

    def close(self) -> None:
        """Follow the mouse no longer."""
        if self._on_move in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._on_move)

    def _on_move(self, _: Any, event: Any) -> None:
        self.moved.emit(self.read(event.position))

    def read(self, position: tuple[float, ...]) -> dict[str, str]:
        """Return what is known of the pixel at a position of the world.

        Side by side the position is the same in all cells, so this is too.
        """
        picture = layers.find(self._viewer, "image")
        if picture is None:
            return {}
        place = np.round(picture.world_to_data(position)[-2:]).astype(int)
        row, column = place.tolist()
        inside = (
            0 <= row < picture.data.shape[0] and 0 <= column < picture.data.shape[1]
        )
        pixel = (row, column) if inside else None
        found = {"row, column": f"{row}, {column}" if inside else NOTHING}
        for layer in layers.of_role(self._viewer, "map"):
            value = None if pixel is None else float(layer.data[pixel])
            found[layers.key(layer)[1]] = _number(value)  # type: ignore[index]
        for name, role in (
            ("predicted", "prediction"),
            ("pseudo label", "pseudo"),
            ("label", "annotation"),
        ):
            layer = layers.find(self._viewer, role)  # type: ignore[arg-type]
            if layer is not None:
                found[name] = self._class(0 if pixel is None else layer.data[pixel])
        if self._view.source.ranking(self._view.screen) is not None:
            found["region score"] = _number(self._region_score(pixel))
        return found

    def _class(self, label: int) -> str:
        classes = self._view.source.project.classes
        return classes[label - 1].name if 0 < label <= len(classes) else NOTHING

    def _region_score(self, pixel: tuple[int, int] | None) -> float | None:
        source, screen = self._view.source, self._view.screen
        if self._shown != (screen.image, screen.round):
            self._shown = screen.image, screen.round
            self._scores = source.region_scores(screen)
            self._region_map = source.region_map(screen)
        if pixel is None or self._scores is None or self._region_map is None:
            return None
        return float(self._scores[self._region_map[pixel]])


def _number(value: float | None) -> str:
    """Return a score as people read it.

    Examples
    --------
    >>> _number(0.51239), _number(None), _number(float("nan"))
    ('0.512', '-', '-')
    """
    return NOTHING if value is None or np.isnan(value) else f"{value:.3f}"
