"""What is painted on the labels goes to disk, one stroke at a time."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_alseg.arrays import Bounds, LabelMap

from .canvas.view import View

if TYPE_CHECKING:
    from napari_alseg.store import Project


class Strokes:
    """Finds what was painted by comparing the layer with what is on disk.

    So no tool of the layer, present or future, can change labels unseen.

    Parameters
    ----------
    view : View
    project : Project
    failed : callable
        Told why a stroke was put back.
    """

    def __init__(
        self, view: View, project: "Project", failed: Callable[[str], object]
    ) -> None:
        self._view = view
        self._project = project
        self._failed = failed

    def write(self) -> bool:
        """Write what was painted since the last write, as one stroke; if it was."""
        layer, saved = self._view.annotation, self._view.saved
        if layer is None or saved is None or self._project.read_only:
            return False
        painted = np.asarray(layer.data)
        self._refuse_outside(painted, saved)
        rows, columns = np.nonzero(painted != saved)
        if len(rows) == 0:
            return False
        bounds = Bounds(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        bounds = Bounds(*(int(edge) for edge in bounds))
        image = self._view.screen.image
        self._project.labels.stroke(image, bounds, painted[bounds.slices])
        saved[bounds.slices] = painted[bounds.slices]
        return True

    def _refuse_outside(self, painted: LabelMap, saved: LabelMap) -> None:
        """Put back what was painted with a label that is no class."""
        layer, classes = self._view.annotation, len(self._project.classes)
        outside = painted > classes
        if outside.any() and layer is not None:
            painted[outside] = saved[outside]
            layer.refresh()
            layer.selected_label = classes
            self._failed(
                f"a label above {classes} is no class of this project; the stroke was "
                "put back - choose a class with its key"
            )
