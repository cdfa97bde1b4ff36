"""The canvas of one project: it goes from one screen to the next."""

from time import monotonic
from typing import TYPE_CHECKING, Any

from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_alseg.arrays import LabelMap, Region
from napari_alseg.errors import AlsegError

from . import drawing, layers
from .contents import (
    layers_of,
    lit_of,
    maps_of,
    missing_maps,
    outlines_of,
)
from .frames import Frames
from .screen import Screen
from .side_by_side import SideBySide
from .source import Source

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_alseg.store import Project

TOOLS = ("paint", "fill", "erase", "polygon")
"""Modes of a labels layer in which the mouse changes labels."""
CONTEXT = 5.0
"""The view shows this many times the region's own size."""
SMALLEST_VIEW = 96.0
"""Pixels of the image that the view shows at least, however small the region."""


class View(QObject):
    """A view shows a screen; setting another one draws what differs.

    Parameters
    ----------
    viewer : napari.Viewer
    project : Project
    """

    changed = Signal(object, object)
    """The screen before and after a change, told once when all of it is drawn."""
    layers_changed = Signal()
    """Layers have come or gone."""
    painted = Signal()
    """The mouse has changed labels."""
    tool_chosen = Signal()
    """Brush, eraser, hand ...: what class keys do may have changed."""
    visibility_changed = Signal()
    """The eye of a layer was clicked, or napari's grid was left."""
    failed = Signal(str)
    """Why something could not be drawn."""

    def __init__(
        self, viewer: "Viewer", project: "Project", parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.source = Source(project)
        self.screen = Screen(sequence=project.labels.sequence)
        """What is shown; `set` changes it, and nothing else does."""
        self.side_by_side = SideBySide(viewer)
        self.annotation: LabelsLayer | None = None
        self.saved: LabelMap | None = None
        """Labels of the shown image as they are on disk."""
        self.frames = Frames(viewer, self)
        self.began = monotonic()
        """When what is shown now was asked for."""
        self._watched: list[Layer] = []
        self._rearranging = QTimer(self, interval=0, singleShot=True)
        self._rearranging.timeout.connect(self._rearrange)
        viewer.canvas.grid.events.enabled.connect(self._on_grid)

    # --- from one screen to another ---------------------------------------------------

    def set(self, *, drawn: bool = False, centre: bool = False, **changes: Any) -> None:
        """Show another screen, and tell of it once.

        Parameters
        ----------
        drawn : bool
            Whether the canvas shows the change already: a stroke, or a clicked eye.
        centre : bool
            Whether the current region comes to the middle.
        **changes
            Fields of `Screen`.
        """
        before = self.screen
        self.screen = after = before.after(**changes)
        if not drawn and after.image:
            self._apply(before, after)
        if centre:
            self.centre()
        if centre or before.image != after.image:
            self._expect_frame()
        if before != after:
            self.changed.emit(before, after)

    def _apply(self, before: Screen, after: Screen) -> None:
        """Draw what differs between two screens."""
        if before.shown != after.shown:
            self._set_visible(before, after)
        if self.side_by_side.on != after.side_by_side:
            self.side_by_side.switch(after.side_by_side)
        lit, outlines = lit_of(self.source, after), outlines_of(self.source, after)
        if self._needs_all(before, after) or self._lacks(lit, outlines):
            self.refresh()
            return
        if before.sequence != after.sequence:
            self._redraw_labels()
        if (before.lit, before.similar) != (after.lit, after.similar):
            self._redraw(lit)
        if before.place != after.place:
            self._redraw(outlines)
            self.viewer.layers.selection.active = self.annotation

    def _needs_all(self, before: Screen, after: Screen) -> bool:
        """Whether all layers show something else, or the user took one away."""
        other = (before.image, before.shown) != (after.image, after.shown)
        return other or self.annotation not in self.viewer.layers

    def _lacks(
        self, lit: list[layers.LayerData], outlines: list[layers.LayerData]
    ) -> bool:
        """Whether lit regions or outlines come or go."""
        has_lit = layers.find(self.viewer, "lit") is not None
        has_outlines = layers.find(self.viewer, "regions") is not None
        return has_lit != bool(lit) or has_outlines != bool(outlines)

    def refresh(self) -> None:
        """Draw all that is shown as it is on disk now."""
        self._release()
        wanted = layers_of(self.source, self.screen)
        wanted = [*wanted, *self._blank(wanted)]
        self._draw(wanted)
        labels = next(entry for entry in wanted if entry.key[0] == "annotation")
        self.saved = labels.data.copy()
        self._attach()

    def refresh_maps(self) -> None:
        """Draw the maps and the prediction of the shown image as they are now."""
        wanted = maps_of(self.source, self.screen)
        wanted += self._blank(wanted)
        there = {layers.key(layer) for layer in layers.ours(self.viewer)}
        if self.side_by_side.on or not {entry.key for entry in wanted} <= there:
            self.refresh()
            return
        for entry in wanted:
            drawing.draw(self.viewer, entry)

    def redraw_outlines(self) -> None:
        """Draw which regions are asked; the layer that the user has chosen stays so."""
        self._redraw(outlines_of(self.source, self.screen))

    def _blank(self, found: list[layers.LayerData]) -> list[layers.LayerData]:
        """Empty layers in place of maps that are expected."""
        there = {layers.key(layer): layer for layer in layers.ours(self.viewer)}
        missing = missing_maps(self.screen, found, list(there))  # type: ignore[arg-type]
        image = self.screen.image
        shape = self.source.project.images.info(image).shape
        return [layers.blank_layer(there[key], image, shape) for key in missing]

    def _draw(self, wanted: list[layers.LayerData]) -> None:
        """Draw layers over one another or, side by side, in cells."""
        if self.side_by_side.on:
            hidden = {
                each.key for each in wanted if not drawing.visible(self.viewer, each)
            }
            self.side_by_side.show(wanted, hidden)
            return
        drawing.apply(self.viewer, wanted)

    def _redraw(self, wanted: list[layers.LayerData]) -> None:
        for entry in wanted:
            drawing.redraw(self.viewer, entry)

    def _redraw_labels(self) -> None:
        """Draw the labels that are on disk."""
        assert self.annotation is not None
        self.saved = self.source.labels(self.screen)
        self.annotation.data[...] = self.saved
        self.annotation.refresh()

    def _set_visible(self, before: Screen, after: Screen) -> None:
        was, now = before.shown, after.shown
        for role, old, on in (
            ("map", was.maps, now.maps),
            ("prediction", was.prediction, now.prediction),
            ("pseudo", was.pseudo, now.pseudo),
        ):
            if old != on:
                for layer in layers.of_role(self.viewer, role):  # type: ignore[arg-type]
                    layer.visible = on

    # --- the camera -------------------------------------------------------------------

    @property
    def region(self) -> Region | None:
        """The current region, if the shown image has it."""
        region = self.source.region(self.screen)
        return region if region and region.image == self.screen.image else None

    def centre(self) -> None:
        """Put the current region in the middle of the view, with some context."""
        region = self.region
        if region is None:
            return
        bounds = region.bounds
        self.viewer.scene.camera.center = (
            (bounds.row_start + bounds.row_stop - 1) / 2,
            (bounds.column_start + bounds.column_stop - 1) / 2,
        )
        wanted = max(CONTEXT * max(bounds.shape), SMALLEST_VIEW)
        view = self.viewer.canvas.viewbox_size(self.viewer.layers)
        self.viewer.scene.camera.zoom = min(view) / wanted

    def _expect_frame(self) -> None:
        """Count no key and no second until what is shown now is on screen."""
        self.began = monotonic()
        self.frames.expect()

    # --- layers -----------------------------------------------------------------------

    @property
    def painting(self) -> bool:
        """Whether a tool is chosen that changes labels where the mouse goes."""
        layer = self.annotation
        return layer is not None and str(layer.mode) in TOOLS

    def close(self) -> None:
        """Look no longer; give the grid back and take the brush away."""
        if self.annotation is not None:
            self.annotation.editable = False
        self._release()
        self._rearranging.stop()
        self.frames.close()
        self.viewer.canvas.grid.events.enabled.disconnect(self._on_grid)
        self.side_by_side.stop()

    def _attach(self) -> None:
        """Listen to the layers; the labels get the focus."""
        layer = layers.find(self.viewer, "annotation")
        assert isinstance(layer, LabelsLayer)
        self.annotation = layer
        layer.editable = not self.source.project.read_only
        if not layer.selected_label:
            layer.selected_label = 1
        layer.events.paint.connect(self._on_paint)
        layer.events.mode.connect(self._on_mode)
        self._watched = layers.ours(self.viewer)
        for shown in self._watched:
            shown.events.visible.connect(self._on_visible)
        self.viewer.layers.selection.active = layer
        self.layers_changed.emit()

    def _release(self) -> None:
        if self.annotation is not None:
            self.annotation.events.paint.disconnect(self._on_paint)
            self.annotation.events.mode.disconnect(self._on_mode)
        for shown in self._watched:
            shown.events.visible.disconnect(self._on_visible)
        self._watched = []
        self.annotation = None

    def _on_paint(self) -> None:
        self.painted.emit()

    def _on_mode(self) -> None:
        self.tool_chosen.emit()

    def _on_visible(self, event: Any) -> None:
        if layers.key(event.source)[0] in layers.OVER:  # type: ignore[index]
            self.visibility_changed.emit()
            if self.side_by_side.on:
                self._rearranging.start()

    def _on_grid(self) -> None:
        if self.side_by_side.left:
            self.visibility_changed.emit()

    def _rearrange(self) -> None:
        """Give cells to what became visible, and no others."""
        if self.annotation is None or not self.side_by_side.on:
            return
        try:
            self.refresh()
        except AlsegError as error:
            self.failed.emit(str(error))
