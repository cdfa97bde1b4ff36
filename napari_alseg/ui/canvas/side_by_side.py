"""The image and its maps next to one another, all under one camera.

napari's grid mode deals its cells out strictly: the lowest so many layers (the stride)
make the first cell, the next so many the second; hidden layers count, and a cell of
hidden layers only is left out. So each cell is given the same build from the bottom -
image, then what it shows, then regions in range and outlines - with copies of all but
the second, and our layers are put at the bottom of the list meanwhile.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from . import drawing, layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

GAP = 4.0
"""Screen pixels between cells."""
ON_TOP: tuple[layers.Role, ...] = ("lit", "regions")
"""What each cell has above its own layer."""


def cells(
    wanted: list[layers.LayerData], hidden: Container[layers.Key] = ()
) -> tuple[list[layers.LayerData], int]:
    """Return the layers in the order of their cells, and how many make a cell.

    The first cell shows the labels, each other a map, prediction or pseudo labels.

    Parameters
    ----------
    wanted : list of LayerData
        As for a single view; the first is the image.
    hidden : container of keys
        Of those, which get no cell, for they are not visible.
    """
    image, top = wanted[0], [entry for entry in wanted if entry.key[0] in ON_TOP]
    labels = [entry for entry in wanted if entry.key[0] == "annotation"]
    over = [entry for entry in wanted if entry.key[0] in layers.OVER]
    ordered = [image, *labels, *top]
    for entry in over:
        if entry.key not in hidden:
            role, name = entry.key
            cell = name or role
            ordered += [image.copy_for(cell), entry]
            ordered += [layer.copy_for(cell) for layer in top]
    ordered += [entry for entry in over if entry.key in hidden]
    return ordered, 2 + len(top)


def is_copy(layer: Layer) -> bool:
    """Whether a layer is there only for its cell."""
    key = layers.key(layer)
    return key is not None and key[0] in ("image", *ON_TOP) and key[1] != ""


def best_shape(
    count: int, canvas: tuple[float, float], image: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns of a grid in which the image is largest.

    Parameters
    ----------
    count : int
        Number of cells.
    canvas, image : (rows, columns)

    Examples
    --------
    >>> best_shape(3, (500, 1000), (100, 100)), best_shape(3, (900, 600), (100, 300))
    ((1, 3), (3, 1))
    """

    def zoom(columns: int) -> float:
        rows = -(-count // columns)
        return min(canvas[0] / rows / image[0], canvas[1] / columns / image[1])

    columns = max(range(1, count + 1), key=zoom)
    return -(-count // columns), columns


@dataclass(frozen=True)
class _Before:
    """What the viewer was like."""

    grid: dict[str, Any]
    order: list[Layer]


class SideBySide:
    """Arranges the layers of ours in cells, and puts back what it has changed.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: "Viewer") -> None:
        self.viewer = viewer
        self._before: _Before | None = None
        self._named: list[Layer] = []

    @property
    def on(self) -> bool:
        """Whether cells are shown."""
        return self._before is not None

    @property
    def left(self) -> bool:
        """Whether the user has left the grid by napari's own button or key."""
        return self.on and bool(self._named) and not self.viewer.canvas.grid.enabled

    def switch(self, on: bool) -> None:
        """Begin or end to show cells."""
        if on:
            self.start()
        else:
            self.stop()

    def start(self) -> None:
        """Remember what the viewer is like; `show` then makes the cells."""
        grid = self.viewer.canvas.grid
        settings = {
            name: getattr(grid, name)
            for name in ("stride", "shape", "spacing", "enabled")
        }
        self._before = _Before(settings, list(self.viewer.layers))

    def show(
        self, wanted: list[layers.LayerData], hidden: Container[layers.Key] = ()
    ) -> None:
        """Show layers in cells.

        Parameters
        ----------
        wanted : list of LayerData
            As for a single view.
        hidden : container of keys
            Maps and prediction that get no cell.
        """
        ordered, stride = cells(wanted, hidden)
        count = sum(entry.key[0] == "image" for entry in ordered)
        canvas, image = self.viewer.canvas.size, wanted[0].data.shape
        before, grid = self._cell_size(), self.viewer.canvas.grid
        with drawing.at_once(self.viewer, ordered):
            drawing.arrange(self.viewer, ordered)
            found = [layers.find(self.viewer, *entry.key) for entry in ordered]
            shown = [layer for layer in found if layer is not None]
            drawing.reorder(self.viewer, shown)
            grid.stride, grid.spacing = stride, GAP
            grid.shape = best_shape(count, canvas, image[:2])
            grid.enabled = True
        drawing.update(self.viewer, ordered)
        self._name_cells([shown[0], *shown[stride + 1 : count * stride : stride]])
        self._keep_field_of_view(before)

    def stop(self) -> None:
        """Show one view again, as it was."""
        if self._before is None:
            return
        size, before = self._cell_size(), self._before
        self._before = None
        self._name_cells([])
        with drawing.batch(self.viewer):
            for layer in layers.ours(self.viewer):
                if is_copy(layer):
                    drawing.remove(self.viewer, layer)
            self._put_back(before.order)
            for name, value in before.grid.items():
                setattr(self.viewer.canvas.grid, name, value)
        self._keep_field_of_view(size)

    def _put_back(self, order: list[Layer]) -> None:
        """Order layers as they were; new ones of ours above the roles below theirs."""
        new = [layer for layer in self.viewer.layers if layer not in order]
        full = [layer for layer in order if layer in self.viewer.layers]
        for layer in new:
            key = layers.key(layer)
            full.insert(drawing.place(full, key[0]) if key else len(full), layer)
        drawing.reorder(self.viewer, full)

    def _name_cells(self, named: list[Layer]) -> None:
        """Write into each cell what it shows; of the labels', the image's name."""
        for layer in {*self._named, *named}:
            if layer.name_overlay.visible != (layer in named):
                layer.name_overlay.visible = layer in named
        self._named = named

    def _cell_size(self) -> float:
        return float(min(self.viewer.canvas.viewbox_size(self.viewer.layers)))

    def _keep_field_of_view(self, before: float) -> None:
        """Zoom so that a cell shows as much of the image as the one before it did."""
        self.viewer.scene.camera.zoom *= self._cell_size() / before
