"""Keys, clicks and strokes become answers that are on disk at once.

`Annotator` holds what is on screen - a round, an image, the current asked region - and
nothing else: what has been answered is always read from the project.
"""

from collections.abc import Callable, Sequence
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
    Ranking,
    Region,
    RegionMap,
    Selection,
)
from napari_alseg.errors import AlsegError

from .canvas import layers
from .canvas.frames import Frames
from .canvas.map_layers import Shown, map_layers
from .canvas.pictures import image_layers
from .canvas.scores import Range, lit_regions, scores_by_id
from .canvas.side_by_side import SideBySide
from .keys import (
    ACCEPT,
    CENTRE,
    NEXT,
    NEXT_IMAGE,
    OF_OTHERS,
    PREVIOUS,
    PREVIOUS_IMAGE,
    REDO,
    SKIP,
    UNDO,
    Action,
    Bindings,
)
from .panels.guidance import Marked

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_alseg.store import Event, Project

CONTEXT = 5.0
"""The view shows this many times the region's own size."""
SMALLEST_VIEW = 96.0
"""Pixels of the image that the view shows at least, however small the region."""
TOOLS = ("paint", "fill", "erase", "polygon")
"""Modes of a labels layer in which the mouse changes labels."""
UNSEEN = "That key came before the region was on screen; it does not count."


class Annotator(QObject):
    """One image, one current region, and the ways to answer it.

    Parameters
    ----------
    viewer : napari.Viewer
    project : Project
        Open for writing, or only shown if it is read-only.
    moment : callable, optional
        Tells when the key was pressed that is being dealt with.
    """

    changed = Signal()
    """An answer, stroke, skip or undo is on disk, or another region is current."""
    image_shown = Signal(str)
    """Another image is on screen."""
    round_shown = Signal()
    """Another round is on screen."""
    failed = Signal(str)
    """Why something that was tried by key or brush did not work."""
    image_step_requested = Signal(int)
    tool_chosen = Signal()
    """Brush, eraser, hand ...: what class keys do may have changed."""
    key_pressed = Signal(str)
    """A key that something other than the labels answers to, for example 'h'."""
    visibility_changed = Signal()
    """The eye of a layer was clicked, or napari's grid was left."""

    def __init__(
        self,
        viewer: "Viewer",
        project: "Project",
        parent: QObject | None = None,
        moment: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.project = project
        self.image = ""
        self.round: int | None = None
        """The round on screen; a newer one shows only after `show_round`."""
        self.position: int | None = None
        self.shown = Shown()
        self.lit: Range | None = None
        """Regions with a score in this range are lit up."""
        self.expecting = False
        """Whether maps that are missing will be there in a moment."""
        self.similar: tuple[Region, ...] = ()
        """Regions that are lit up because they look like one."""
        self.side_by_side = SideBySide(viewer)
        self._saved: LabelMap | None = None
        self.frames = Frames(viewer, self)
        self._moment = moment
        self._began = monotonic()
        self._layer: LabelsLayer | None = None
        self._watched: list[Layer] = []
        self._bindings = Bindings()
        self._pictures: list[layers.LayerData] = []
        self._pictured: tuple[str, bool] | None = None
        self._selection: Selection | None = None
        self._regions: tuple[str, int, RegionMap] | None = None
        self._ranking: tuple[int, Ranking | None] | None = None
        self._rearranging = QTimer(self, interval=0, singleShot=True)
        self._rearranging.timeout.connect(self._rearrange)
        viewer.canvas.grid.events.enabled.connect(self._on_grid)

    # --- what is shown ----------------------------------------------------------------

    @property
    def selection(self) -> Selection | None:
        """The regions of the round on screen, read once; None before the first."""
        if self.round is None:
            return None
        if self._selection is None or self._selection.round != self.round:
            self._selection = self.project.selection(self.round)
        return self._selection

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

    @property
    def ranking(self) -> Ranking | None:
        """What the round on screen measured of the pool, read once; None if nothing."""
        if self.round is None:
            return None
        if self._ranking is None or self._ranking[0] != self.round:
            self._ranking = self.round, self.project.read_ranking(self.round)
        return self._ranking[1]

    @property
    def region_map(self) -> RegionMap | None:
        """Regions of the shown image, of the kind that the round asks; None if none."""
        selection = self.selection
        version = selection.partition if selection else None
        if version is None or not self.image:
            return None
        if self._regions is None or self._regions[:2] != (self.image, version):
            if not self.project.has_regions(self.image, version):
                return None
            region_map = self.project.read_regions(self.image, version)
            self._regions = self.image, version, region_map
        return self._regions[2]

    def region_scores(self) -> np.ndarray | None:
        """Score of each region of the shown image by its id; NaN where none was."""
        if self.ranking is None or self.region_map is None:
            return None
        return scores_by_id(self.ranking, self.image, int(self.region_map.max()))

    def show(self, image: str) -> None:
        """Show an image with its labels, maps and asked regions."""
        self.save_strokes()
        self._release()
        other, self.image = image != self.image, image
        composite = self.side_by_side.on  # a cell has room for one picture
        if self._pictured != (image, composite):
            self._pictures = image_layers(self.project, image, composite)
            self._pictured = image, composite
        annotation = layers.annotation_layer(self.project, image)
        wanted = [*self._pictures, *self._maps()]
        wanted += [annotation, *self._lit(), *self._outlines()]
        self._draw(wanted)
        self._saved = annotation.data.copy()
        self._attach()
        if other:
            self._expect_frame()
            self.image_shown.emit(image)

    def refresh_maps(self) -> None:
        """Show the maps and the prediction of the shown image as they are now."""
        wanted = self._maps()
        there = {layers.key(layer) for layer in layers.ours(self.viewer)}
        if self.side_by_side.on or not {entry.key for entry in wanted} <= there:
            self.show(self.image)
            return
        for entry in wanted:
            layers.draw(self.viewer, entry)

    def _maps(self) -> list[layers.LayerData]:
        """Return the maps and the prediction of the shown image.

        What is not there yet stays as an empty layer while it is expected any moment:
        taking a layer away and adding it again costs the canvas half a second each.
        """
        found = map_layers(self.project, self.image, self.shown, self.region_map)
        if not self.expecting or self.side_by_side.on:
            return found
        wanted = {("prediction", ""), *(("map", name) for name in self.shown.names)}
        missing = wanted - {entry.key for entry in found}
        shape = self.project.info(self.image).shape
        return found + [
            layers.blank_layer(layer, self.image, shape)
            for layer in layers.ours(self.viewer)
            if layers.key(layer) in missing
        ]

    def _draw(self, wanted: list[layers.LayerData]) -> None:
        """Draw layers over one another or, side by side, in cells."""
        if self.side_by_side.on:
            hidden = {entry.key for entry in wanted if not self._visible(entry)}
            self.side_by_side.show(wanted, hidden)
            return
        layers.apply(self.viewer, wanted)

    def _visible(self, wanted: layers.LayerData) -> bool:
        layer = layers.find(self.viewer, *wanted.key)
        if layer is not None:
            return bool(layer.visible)
        return bool(wanted.attributes.get("visible", True))

    def set_shown(self, shown: Shown) -> None:
        """Show what is wanted over the image from now on."""
        before, self.shown = self.shown, shown
        for role, was, on in (
            ("map", before.maps, shown.maps),
            ("prediction", before.prediction, shown.prediction),
            ("pseudo", before.pseudo, shown.pseudo),
        ):
            if was != on:
                self._set_visible(role, on)  # type: ignore[arg-type]
        if before.side_by_side != shown.side_by_side:
            if shown.side_by_side:
                self.side_by_side.start()
            else:
                self.side_by_side.stop()
        if self.image:
            self.show(self.image)

    def _set_visible(self, role: layers.Role, on: bool) -> None:
        for layer in layers.of_role(self.viewer, role):
            layer.visible = on

    def light(self, lit: Range | None) -> None:
        """Light up the regions whose score lies in a range; none for None."""
        self.lit = lit
        there = layers.find(self.viewer, "lit") is not None
        wanted = self._lit()
        if there and wanted:
            layers.redraw(self.viewer, wanted[0])
        elif self.image and there != bool(wanted):
            self.show(self.image)

    def lit_ids(self) -> np.ndarray:
        """Ids of the regions of the shown image that are lit up, ascending."""
        if self.lit is None or self.ranking is None:
            return np.empty(0, np.int32)
        return lit_regions(self.ranking, self.image, self.lit)

    def _lit(self) -> list[layers.LayerData]:
        region_map = self.region_map
        ranged = self.lit is not None and self.ranking is not None
        if region_map is None or not (ranged or self.similar):
            return []
        alike = [each.region for each in self.similar if each.image == self.image]
        lit = {*self.lit_ids().tolist(), *alike}
        return [layers.lit_layer(self.image, region_map, lit)]

    def light_similar(self, similar: Sequence[Region]) -> None:
        """Light up these regions, whatever their score; none for an empty sequence."""
        self.similar = tuple(similar)
        self.light(self.lit)

    def show_round(self) -> None:
        """Go to the first open region of the latest round."""
        rounds = self.project.rounds
        self.round = rounds[-1] if rounds else None
        self.position = self.lit = None
        self.similar = ()
        self.step(1)
        if self.position is None:
            self.show(self.image or self.project.images()[0])
        self.round_shown.emit()

    def _outlines(self) -> list[layers.LayerData]:
        selection, region_map = self.selection, self.region_map
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
        for position in self._turn(len(states), direction):
            if states[position] == "open":
                self.go_to(position)
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
        self._expect_frame()
        self.changed.emit()

    def _expect_frame(self) -> None:
        """Count no key and no second until what is shown now is on screen."""
        self._began = monotonic()
        self.frames.expect()

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
        view = self.viewer.canvas.viewbox_size(self.viewer.layers)
        self.viewer.scene.camera.zoom = min(view) / wanted

    def coming(self) -> list[Region]:
        """Return the open regions, the next one first, the current one left out."""
        selection, states = self.selection, self.states()
        if selection is None:
            return []
        return [
            selection.regions[at]
            for at in self._turn(len(states))
            if states[at] == "open" and at != self.position
        ]

    def _turn(self, count: int, direction: int = 1) -> list[int]:
        """Return the positions of a round, the next one first, the current one last."""
        start = -1 if self.position is None else self.position
        return [(start + direction * (step + 1)) % count for step in range(count)]

    def requeue(self, best: Sequence[Region]) -> None:
        """Ask these regions in place of those that nobody has touched yet.

        The current region stays, and so does whatever was answered, skipped or undone.
        """
        selection = self.selection
        if selection is None or self.project.read_only:
            return
        free = set(self.project.replaceable(selection.round)) - {self.position}
        kept = {
            (region.image, region.region)
            for at, region in enumerate(selection.regions)
            if at not in free
        }
        new = [each for each in best if (each.image, each.region) not in kept]
        if not free or len(new) < len(free):
            return
        if new[0].partition != selection.partition:
            return
        places = (at for at in self._turn(len(selection.regions)) if at in free)
        changed = {
            at: each
            for at, each in zip(places, new, strict=False)
            if each != selection.regions[at]
        }
        if changed:
            self.project.reask(selection.round, changed)
            self._selection = None
            self._redraw_outlines()

    # --- answering --------------------------------------------------------------------

    def answer(self, label: int) -> None:
        """Fill the current region with a class, and go to the next one.

        With no region to answer on the shown image, or with the brush or another tool
        in hand, the class is picked for it, and that is all.
        """
        if self._layer is not None:
            self._layer.selected_label = label
        if self._open_position() is not None and not self.painting:
            self._commit(label)

    @property
    def painting(self) -> bool:
        """Whether a tool is chosen that changes labels where the mouse goes."""
        return self._layer is not None and str(self._layer.mode) in TOOLS

    @property
    def marked(self) -> Marked:
        """The state of the current region; elsewhere if the shown image has it not."""
        region, states = self.region, self.states()
        if region is None or region.image != self.image or self.position is None:
            return "elsewhere"
        return states[self.position]  # type: ignore[return-value]

    @property
    def next_image(self) -> str:
        """The image of the next open region, or empty if it is the shown one."""
        coming = self.coming() or ([self.region] if self.region else [])
        image = coming[0].image if coming else ""
        return "" if image == self.image else image

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
        self._refuse_outside(painted, saved)
        rows, columns = np.nonzero(painted != saved)
        if len(rows) == 0:
            return
        bounds = Bounds(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        bounds = Bounds(*(int(edge) for edge in bounds))
        self.project.stroke(self.image, bounds, painted[bounds.slices])
        saved[bounds.slices] = painted[bounds.slices]
        self.changed.emit()

    def _refuse_outside(self, painted: LabelMap, saved: LabelMap) -> None:
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

    def _try(self, action: Action) -> None:
        """Do something; say so if it fails for a reason that can be put right."""
        try:
            action()
        except AlsegError as error:
            self.failed.emit(str(error))

    def _open_position(self) -> int | None:
        """Return the current position if its region is shown and waits for an answer.

        Nobody answers what is not to be seen.
        """
        region = self.region
        if region is None or region.image != self.image:
            return None
        assert self.position is not None
        return self.position if self.states()[self.position] == "open" else None

    def _commit(self, label: int | None) -> None:
        selection, position = self.selection, self.position
        assert selection is not None and position is not None
        self.save_strokes()
        seconds = max(0.0, self._moment() - (self.frames.painted or self._began))
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
        self._expect_frame()
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
        self._redraw_outlines()
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.selection.active = self._layer

    def _redraw_outlines(self) -> None:
        """Show which regions are asked; the layer that the user has chosen stays so."""
        outlines = self._outlines()
        if bool(outlines) != (layers.find(self.viewer, "regions") is not None):
            self.show(self.image)
        elif outlines:
            layers.redraw(self.viewer, outlines[0])

    # --- keys and strokes -------------------------------------------------------------

    def close(self) -> None:
        """Write what is painted, give keys and grid back, take the brush away."""
        self._try(self.save_strokes)
        if self._layer is not None:
            self._layer.editable = False
        self._release()
        self._rearranging.stop()
        self.frames.close()
        self.viewer.canvas.grid.events.enabled.disconnect(self._on_grid)
        self.side_by_side.stop()

    def _attach(self) -> None:
        """Listen to the annotation layer and take the keys."""
        layer = layers.find(self.viewer, "annotation")
        assert isinstance(layer, LabelsLayer)
        self._layer = layer
        layer.editable = not self.project.read_only
        if not layer.selected_label:
            layer.selected_label = 1
        layer.events.paint.connect(self._on_paint)
        layer.events.mode.connect(self._on_mode)
        self._watched = layers.ours(self.viewer)
        for shown in self._watched:
            shown.events.visible.connect(self._on_visible)
        self.viewer.layers.selection.active = layer
        actions = {key: partial(self._try, act) for key, act in self._actions().items()}
        self._bindings.bind((self.viewer, *layers.ours(self.viewer)), actions)

    def _release(self) -> None:
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._on_paint)
            self._layer.events.mode.disconnect(self._on_mode)
        for shown in self._watched:
            shown.events.visible.disconnect(self._on_visible)
        self._watched = []
        self._bindings.release()
        self._layer = None

    def when_seen(self, action: Action, moment: float | None = None) -> None:
        """Do something with the current region, if it was on screen at that moment.

        A key that was typed while the window was busy is meant for what was to be seen
        then, and so is not for a region that came later.
        """
        unasked = self._open_position() is None
        if unasked or self.frames.seen(monotonic() if moment is None else moment):
            action()
        else:
            self.viewer.status = UNSEEN

    def _on_class_key(self, label: int) -> None:
        """Pick a class for the tool in hand at once; an answer waits for its frame."""
        if self.painting:
            self.answer(label)
        else:
            self.when_seen(partial(self.answer, label), self._moment())

    def _by_key(self, action: Action) -> Action:
        return lambda: self.when_seen(action, self._moment())

    def _actions(self) -> dict[str, Action]:
        """Return what each key does."""
        actions: dict[str, Action] = {
            NEXT: partial(self.step, 1),
            PREVIOUS: partial(self.step, -1),
            CENTRE: self.centre,
            **{key: partial(self.key_pressed.emit, key) for key in OF_OTHERS},
            NEXT_IMAGE: partial(self.image_step_requested.emit, 1),
            PREVIOUS_IMAGE: partial(self.image_step_requested.emit, -1),
        }
        if self.project.read_only:
            return actions
        for label, entry in enumerate(self.project.classes, 1):
            if entry.key:
                actions[entry.key] = partial(self._on_class_key, label)
        return actions | {
            SKIP: self._by_key(self.skip),
            ACCEPT: self._by_key(self.accept),
            UNDO: self.undo,
            REDO: self.redo,
        }

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
        if self._layer is not None and self.side_by_side.on:
            self._try(partial(self.show, self.image))
