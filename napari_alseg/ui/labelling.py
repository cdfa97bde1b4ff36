"""Keys, clicks and strokes become answers that are on disk at once.

`Labelling` holds what is on screen - a round, an image, the current asked region - and
nothing else: what has been answered is always read from the project.
"""

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_alseg.arrays import (
    Bounds,
    LabelMap,
    Region,
    RegionMap,
    ScoreMap,
    Selection,
)
from napari_alseg.errors import AlsegError
from napari_alseg.regions import pool

from . import layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_alseg.store import Event, Project

CONTEXT = 5.0
"""The view shows this many times the region's own size."""
SMALLEST_VIEW = 96.0
"""Pixels of the image that the view shows at least, however small the region."""

NEXT, PREVIOUS, SKIP, ACCEPT, CENTRE, HEAT_MAP = "d", "a", "s", "w", "c", "h"
NEXT_IMAGE, PREVIOUS_IMAGE = "PageDown", "PageUp"
UNDO, REDO = "Control-Z", "Control-Shift-Z"


class Labelling(QObject):
    """One image, one current region, and the ways to answer it.

    Parameters
    ----------
    viewer : napari.Viewer
    project : Project
        Open for writing, or only shown if it is read-only.
    """

    changed = Signal()
    """An answer, stroke, skip or undo is on disk, or another region is current."""
    image_shown = Signal(str)
    """Another image is on screen."""
    failed = Signal(str)
    """Why something that was tried by key or brush did not work."""
    image_step_requested = Signal(int)
    visibility_changed = Signal(str, bool)
    """Role of a layer whose eye was clicked, and whether it is visible."""

    def __init__(
        self, viewer: "Viewer", project: "Project", parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.project = project
        self.image = ""
        self.round: int | None = None
        """The round on screen; a newer one shows only after `show_round`."""
        self.position: int | None = None
        self.map_name = ""
        self.by_region = False
        self._saved: LabelMap | None = None
        self._started = monotonic()
        self._layer: LabelsLayer | None = None
        self._watched: list[Layer] = []
        self._bound: list[tuple[Any, str]] = []

    # --- what is shown ----------------------------------------------------------------

    @property
    def selection(self) -> Selection | None:
        """The regions of the round on screen; None before the first."""
        return None if self.round is None else self.project.selection(self.round)

    @property
    def region(self) -> Region | None:
        """The current region, or None."""
        selection = self.selection
        if selection is None or self.position is None:
            return None
        return selection.regions[self.position]

    def states(self) -> tuple[str, ...]:
        """Return 'open', 'answered' or 'skipped' for each region of the round."""
        return () if self.round is None else self.project.states(self.round)

    def show(self, image: str) -> None:
        """Show an image with its labels, maps and asked regions."""
        self.save_strokes()
        self._release()
        other, self.image = image != self.image, image
        wanted = [layers.image_layer(self.project, image)]
        wanted += self._map_layers()
        annotation = layers.annotation_layer(self.project, image)
        wanted += [annotation, *self._outlines()]
        layers.apply(self.viewer, wanted)
        self._saved = annotation.data.copy()
        self._attach()
        if other:
            self.image_shown.emit(image)

    def show_round(self) -> None:
        """Go to the first open region of the latest round."""
        rounds = self.project.rounds
        self.round = rounds[-1] if rounds else None
        self.position = None
        self.step(1)
        if self.position is None:
            self.show(self.image or self.project.images()[0])

    def _map_layers(self) -> list[layers.LayerData]:
        shown = []
        score = None
        if self.map_name:
            score = self.project.read_map(self.image, self.map_name)
        if score is not None:
            if self.by_region:
                score = self._mean_of_regions(score)
            shown.append(layers.map_layer(self.image, self.map_name, score))
        prediction = self.project.read_prediction(self.image)
        if prediction is not None:
            shown.append(layers.prediction_layer(self.project, self.image, prediction))
        return shown

    def _mean_of_regions(self, score: ScoreMap) -> ScoreMap:
        """Return the map with each pixel's score replaced by its region's mean."""
        region_map = self._region_map()
        if region_map is None:
            return score
        return pool(score, region_map, how="mean")[region_map - 1].astype(np.float32)

    def _region_map(self) -> RegionMap | None:
        """Return the shown image's regions of the latest round; None before any."""
        selection = self.selection
        if selection is None or not selection.regions:
            return None
        return self.project.read_regions(self.image, selection.regions[0].partition)

    def _outlines(self) -> list[layers.LayerData]:
        selection, region_map = self.selection, self._region_map()
        if selection is None or region_map is None:
            return []
        here = [
            (region.region, state)
            for region, state in zip(selection.regions, self.states(), strict=True)
            if region.image == self.image
        ]
        region = self.region
        outlines = layers.Outlines(
            region_map,
            waiting=frozenset(i for i, state in here if state == "open"),
            done=frozenset(i for i, state in here if state != "open"),
            current=region.region if region and region.image == self.image else None,
        )
        return [layers.outline_layer(self.image, outlines)]

    # --- moving -----------------------------------------------------------------------

    def step(self, direction: int) -> None:
        """Go to the next (+1) or previous (-1) open region, round and round."""
        states = self.states()
        if not states:
            return
        start = -1 if self.position is None else self.position
        turn = (start + direction * (i + 1) for i in range(len(states)))
        for position in turn:
            if states[position % len(states)] == "open":
                self.go_to(position % len(states))
                return
        self._draw_outlines()

    def go_to(self, position: int) -> None:
        """Make a region current: show its image and put it in the middle."""
        self.save_strokes()
        self.position = position
        region = self.region
        assert region is not None
        if region.image != self.image:
            self.show(region.image)
        self._draw_outlines()
        self.centre()
        self._started = monotonic()
        self.changed.emit()

    def centre(self) -> None:
        """Put the current region in the middle of the view, with some context."""
        region = self.region
        if region is None or region.image != self.image:
            return
        bounds = region.bounds
        self.viewer.scene.camera.center = (
            (bounds.row_start + bounds.row_stop - 1) / 2,
            (bounds.column_start + bounds.column_stop - 1) / 2,
        )
        wanted = max(CONTEXT * max(bounds.shape), SMALLEST_VIEW)
        self.viewer.scene.camera.zoom = min(self.viewer.canvas.size) / wanted

    # --- answering --------------------------------------------------------------------

    def answer(self, label: int) -> None:
        """Fill the current region with a class, and go to the next one.

        With no region to answer, the class is picked for the brush.
        """
        if self._layer is not None:
            self._layer.selected_label = label
        if self._open_position() is not None:
            self._commit(label)

    def accept(self) -> None:
        """Take the current region as it is painted, and go to the next one."""
        if self._open_position() is not None:
            self._commit(None)

    def skip(self) -> None:
        """Leave the current region unlabelled, and go to the next one.

        It is not asked again as long as regions keep their size.
        """
        selection, position = self.selection, self._open_position()
        if selection is not None and position is not None:
            self.project.skip(selection.round, position)
            self._after_change()

    def undo(self) -> None:
        """Take back the latest answer, stroke or skip, also of an earlier session."""
        self.save_strokes()
        self._show_event(self.project.undo())

    def redo(self) -> None:
        """Do again what was taken back last."""
        self.save_strokes()
        self._show_event(self.project.redo())

    def save_strokes(self) -> None:
        """Write what was painted since the last write, as one stroke.

        Painting is found by comparing with what is on disk, so that no tool of the
        layer, present or future, can change labels unseen.
        """
        layer, saved = self._layer, self._saved
        if layer is None or saved is None or self.project.read_only:
            return
        painted = np.asarray(layer.data)
        self._refuse_strays(painted, saved)
        rows, columns = np.nonzero(painted != saved)
        if len(rows) == 0:
            return
        bounds = Bounds(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        bounds = Bounds(*(int(edge) for edge in bounds))
        self.project.stroke(self.image, bounds, painted[bounds.slices])
        saved[bounds.slices] = painted[bounds.slices]
        self.changed.emit()

    def _refuse_strays(self, painted: LabelMap, saved: LabelMap) -> None:
        """Put back what was painted with a label that is no class."""
        strays = painted > len(self.project.classes)
        if strays.any() and self._layer is not None:
            painted[strays] = saved[strays]
            self._layer.refresh()
            self._layer.selected_label = len(self.project.classes)
            self.failed.emit(
                f"a label above {len(self.project.classes)} is no class of this "
                "project; the stroke was put back - choose a class with its key"
            )

    def _on_paint(self) -> None:
        """Save a stroke as soon as it is in the layer: some tools tell it before."""
        QTimer.singleShot(0, partial(self._try, self.save_strokes))

    def _try(self, deed: Callable[[], None]) -> None:
        """Do something; say so if it fails for a reason that can be put right."""
        try:
            deed()
        except AlsegError as error:
            self.failed.emit(str(error))

    def _open_position(self) -> int | None:
        """Return the current position if its region waits for an answer."""
        if self.position is None or self.states()[self.position] != "open":
            return None
        return self.position

    def _commit(self, label: int | None) -> None:
        selection, position = self.selection, self.position
        assert selection is not None and position is not None
        self.save_strokes()
        seconds = monotonic() - self._started
        self.project.answer(selection.round, position, label, seconds=seconds)
        self._after_change()

    def _after_change(self) -> None:
        self._read_labels()
        self.step(1)
        self.changed.emit()

    def _show_event(self, event: "Event | None") -> None:
        """Go where something was undone or redone."""
        if event is None:
            return
        if event.image != self.image:
            self.show(event.image)
        if event.position is not None and event.round == self.round:
            self.position = event.position
        self._read_labels()
        self._draw_outlines()
        self.centre()
        self.changed.emit()

    def _read_labels(self) -> None:
        """Show the labels that are on disk."""
        if self._layer is not None and self._layer not in self.viewer.layers:
            self.show(self.image)  # the user took the layer away
        elif self._layer is not None:
            self._saved = self.project.read_labels(self.image)
            self._layer.data[...] = self._saved
            self._layer.refresh()

    def _draw_outlines(self) -> None:
        for outline in self._outlines():
            layers.draw(self.viewer, outline)
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.selection.active = self._layer

    # --- keys and strokes -------------------------------------------------------------

    def close(self) -> None:
        """Write what is painted, give the keys back, take the brush away."""
        self._try(self.save_strokes)
        if self._layer is not None:
            self._layer.editable = False
        self._release()

    def _attach(self) -> None:
        """Listen to the annotation layer and take the keys."""
        layer = layers.find(self.viewer, "annotation")
        assert isinstance(layer, LabelsLayer)
        self._layer = layer
        layer.editable = not self.project.read_only
        if not layer.selected_label:
            layer.selected_label = 1
        layer.events.paint.connect(self._on_paint)
        self._watched = layers.ours(self.viewer)
        for shown in self._watched:
            shown.events.visible.connect(self._on_visible)
        self.viewer.layers.selection.active = layer
        for owner in (self.viewer, *layers.ours(self.viewer)):
            for key, deed in self._deeds().items():
                owner.bind_key(key, partial(self._on_key, deed), overwrite=True)
                self._bound.append((owner, key))

    def _release(self) -> None:
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._on_paint)
        for shown in self._watched:
            shown.events.visible.disconnect(self._on_visible)
        self._watched = []
        for owner, key in self._bound:
            owner.bind_key(key, None)
        self._bound = []
        self._layer = None

    def _on_key(self, deed: Callable[[], None], _: object) -> None:
        """Do what a key is for; napari hands the layer or viewer over."""
        self._try(deed)

    def _deeds(self) -> dict[str, Callable[[], None]]:
        """Return what each key does."""
        deeds: dict[str, Callable[[], None]] = {
            NEXT: partial(self.step, 1),
            PREVIOUS: partial(self.step, -1),
            CENTRE: self.centre,
            HEAT_MAP: partial(self._toggle, "map"),
            NEXT_IMAGE: partial(self.image_step_requested.emit, 1),
            PREVIOUS_IMAGE: partial(self.image_step_requested.emit, -1),
        }
        if self.project.read_only:
            return deeds
        for label, entry in enumerate(self.project.classes, 1):
            if entry.key:
                deeds[entry.key] = partial(self.answer, label)
        return deeds | {
            SKIP: self.skip,
            ACCEPT: self.accept,
            UNDO: self.undo,
            REDO: self.redo,
        }

    def _toggle(self, role: layers.Role) -> None:
        layer = layers.find(self.viewer, role)
        if layer is not None:
            layer.visible = not layer.visible

    def _on_visible(self, event: Any) -> None:
        role = event.source.metadata[layers.KEY]["role"]
        self.visibility_changed.emit(role, event.source.visible)
