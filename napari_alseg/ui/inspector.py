"""What is looked at: maps and how they come to be, scores, and why a region is asked.

`Inspector` stands between three panels and what is on screen, so that the dock has the
rounds to coordinate and this the looking.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QSignalBlocker, QTimer, Signal

from napari_alseg import systems
from napari_alseg.errors import AlsegError
from napari_alseg.settings import QuerySettings

from .annotator import Annotator
from .canvas import layers
from .canvas.map_layers import Looks, Shown, map_of, missing, of_network
from .canvas.pointer import Pointer
from .canvas.scores import reason, without_ranking
from .canvas.screen import Screen
from .panels.maps import MapsPanel
from .panels.scores import ScoresPanel
from .panels.why import WhyPanel

PAUSE = 400
"""Milliseconds from the last change of a parameter until maps are made with it."""


class Inspector(QObject):
    """Shows what the panels want of the open project, and has missing maps made.

    Parameters
    ----------
    maps : MapsPanel
    scores : ScoresPanel
    why : WhyPanel
    query : callable
        Returns the settings that Ask would take, for the parameters of maps.
    may_look : callable
        Whether a look could be started now.
    live : callable
        Whether maps are made live, so that none need be looked at.
    """

    look_requested = Signal(str, tuple)
    """An image, and the maps that are to be made of it."""

    def __init__(
        self,
        maps: MapsPanel,
        scores: ScoresPanel,
        why: WhyPanel,
        query: Callable[[], QuerySettings],
        may_look: Callable[[], bool],
        live: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.maps = maps
        self.scores = scores
        self.why = why
        self._query = query
        self._live = live
        self._may_look = may_look
        self._annotator: Annotator | None = None
        self._pointer: Pointer | None = None
        self._looks = Looks()
        self._offered = ""
        self._explained: tuple[int | None, int | None] | None = None
        self._pause = QTimer(self, interval=PAUSE, singleShot=True)
        self._pause.timeout.connect(partial(self.look, again=True))

    # --- a project --------------------------------------------------------------------

    def open(self, annotator: Annotator) -> None:
        """Look at a project from now on."""
        self._annotator = annotator
        self._looks, self._explained = Looks(), None
        self._pointer = Pointer(annotator.view, self)
        self._pointer.moved.connect(self.maps.set_values)
        annotator.view.changed.connect(self.on_changed)
        annotator.view.visibility_changed.connect(self.note_visible)
        annotator.view.set(shown=self.maps.value())
        self.show_round()
        self.offer()

    def close(self) -> None:
        """Look at no project any longer."""
        self._pause.stop()
        if self._pointer is not None:
            self._pointer.close()
            self._pointer.deleteLater()
        self._annotator = self._pointer = None
        with QSignalBlocker(self.maps):
            self.maps.set_value(replace(self.maps.value(), side_by_side=False))
        self.maps.set_values({})
        self.scores.set_ranking(None, "nothing is asked yet")
        self.refresh()

    # --- what is shown ----------------------------------------------------------------

    def show_maps(self) -> None:
        """Show what the panel wants, and have made what is missing."""
        if self._annotator is not None:
            self._annotator.view.set(shown=self.maps.value())
            self.refresh()
            self.look()

    def note_visible(self) -> None:
        """Let the panel say what is visible once an eye is clicked or the grid left."""
        annotator = self._annotator
        if annotator is None:
            return
        shown = self.maps.value()
        maps = layers.of_role(annotator.view.viewer, "map")
        prediction = layers.find(annotator.view.viewer, "prediction")
        if maps:
            shown = replace(shown, maps=any(layer.visible for layer in maps))
        if prediction is not None:
            shown = replace(shown, prediction=bool(prediction.visible))
        pseudo = layers.find(annotator.view.viewer, "pseudo")
        if pseudo is not None:
            shown = replace(shown, pseudo=bool(pseudo.visible))
        with QSignalBlocker(self.maps):
            self.maps.set_value(shown)
        annotator.view.set(shown=shown, drawn=True)
        if annotator.view.side_by_side.left:
            self.maps.set_value(replace(shown, side_by_side=False))

    def set_maps_visible(self, on: bool) -> None:
        """Show all ticked maps, or hide them."""
        self.maps.set_value(replace(self.maps.value(), maps=on))

    def show_learned(self, *, pseudo: bool) -> None:
        """Show what a training has left: its pseudo labels, else the maps to come."""
        annotator, shown = self._annotator, self.maps.value()
        wanted = replace(shown, maps=shown.maps or not pseudo, pseudo=pseudo)
        if wanted != shown:
            self.maps.set_value(wanted)
        elif annotator is not None and annotator.screen.image:
            annotator.show(
                annotator.screen.image
            )  # pseudo labels are others now, or gone

    def offer(self) -> None:
        """Tick the map that the round was asked by, unless others were chosen."""
        wanted, shown = map_of(self._acquisition()), self.maps.value()
        if shown.names in ((), (self._offered,)):
            self._offered = wanted
            self.maps.set_value(replace(shown, names=(wanted,)))

    def _acquisition(self) -> str:
        """Name of the acquisition that the latest round was asked by, or the next."""
        source = self._annotator.source if self._annotator else None
        origin = source.origin(source.standing.round) if source else None
        if origin is None:
            query = self._query()
            return query.acquisition or systems.system(query.system).acquisition
        return origin.acquisition

    def turn(self, change: Callable[[Shown], Shown]) -> None:
        """Show what a change makes of what is shown."""
        self.maps.set_value(change(self.maps.value()))

    # --- scores -----------------------------------------------------------------------

    def show_round(self) -> None:
        """Show what the round on screen measured, or why it measured nothing."""
        annotator = self._annotator
        if annotator is None:
            return
        self._explained = None
        source, screen = annotator.source, annotator.screen
        ranking, selection = source.ranking(screen), source.selection(screen.round)
        origin, why = source.origin(screen.round), "Nothing is asked yet."
        if selection is not None and origin is not None and ranking is None:
            why = without_ranking(origin, selection)
        self.scores.set_ranking(ranking, why)
        self.refresh()

    def on_changed(self, before: Screen, after: Screen) -> None:
        """Follow a change of the screen."""
        if before.image != after.image:
            self.scores.set_image(after.image)
        if before.round != after.round:
            self.show_round()
        else:
            self.refresh()
        if before.image != after.image:
            self.look()

    def light(self) -> None:
        """Light up regions in the panel's range."""
        if self._annotator is not None:
            self._annotator.view.set(lit=self.scores.value())

    def refresh(self) -> None:
        """Say why the current region is asked, and what is missing."""
        annotator = self._annotator
        self.maps.set_pseudo(
            annotator is not None
            and bool(layers.of_role(annotator.view.viewer, "pseudo"))
        )
        self.maps.set_note(self._note())
        if annotator is None:
            self._explain_nothing()
            return
        source, screen = annotator.source, annotator.screen
        selection, region = source.selection(screen.round), source.region(screen)
        origin = source.origin(screen.round)
        if selection is None or region is None or origin is None:
            self._explain_nothing()
            return
        current = screen.round, screen.position
        if current != self._explained:
            self._explained = current
            classes, ranking = source.project.classes, source.ranking(screen)
            why = reason(classes, origin, ranking, selection, region)
            self.why.set_value(why)
            self.scores.mark(why.score)

    def _explain_nothing(self) -> None:
        self.why.set_value(None)
        self.scores.mark(None)
        self._explained = None

    # --- making maps ------------------------------------------------------------------

    def look(self, again: bool = False) -> None:
        """Have made what is wanted of the shown image and missing, in one look.

        Parameters
        ----------
        again : bool
            Whether nobody asks for it: then the same is not tried once more.
        """
        annotator = self._annotator
        if annotator is None or not annotator.screen.image or not self._may_look():
            return
        image = annotator.screen.image
        wanted = self._looks.next(image, self._missing(), again)
        if wanted:
            self.look_requested.emit(image, wanted)

    def follow_live(self, on: bool) -> None:
        """Without live, show the latest network's maps."""
        if not on:
            self.look()

    def look_soon(self) -> None:
        """Look when no parameter has changed for a while."""
        self._pause.start()

    def failed(self, error: AlsegError) -> bool:
        """Take note of a failed look; whether it is worth telling.

        Of several maps each is tried alone, and only the bad one is given up.
        """
        given_up = self._looks.failed(error)
        if given_up is None:
            return False
        shown = self.maps.value()
        kept = tuple(name for name in shown.names if name not in given_up)
        self.maps.set_value(replace(shown, names=kept))
        return True

    def _missing(self) -> dict[str, dict[str, Any]]:
        """Wanted maps that are not there or not up to date, with their parameters."""
        annotator = self._annotator
        if annotator is None or annotator.source.standing.learned is None:
            return {}
        try:
            query = systems.resolve(self._query())
        except AlsegError:
            return {}  # the panel of the round says what does not go together
        screen = annotator.screen
        wanted = missing(annotator.project, screen.image, screen.shown, query)
        if self._live():
            wanted = {
                name: values
                for name, values in wanted.items()
                if name not in systems.live_maps()
            }
        return wanted

    def _note(self) -> str:
        """Say why a wanted map is not on screen."""
        annotator = self._annotator
        screen = annotator.screen if annotator else Screen()
        if annotator is None or not screen.image or not screen.shown.names:
            return ""
        shown = screen.shown
        maps = layers.of_role(annotator.view.viewer, "map")
        there = {layers.key(layer)[1] for layer in maps}  # type: ignore[index]
        if there.issuperset(of_network(shown.names)):
            if len(there) > 1 and shown.maps and not shown.side_by_side:
                return "Maps cover one another here; side by side they do not."
            return ""
        if self._live():
            return "The live map comes with labels of two classes."
        if annotator.source.standing.learned is None:
            return "There are no maps yet: they come with the first Learn."
        if annotator.project.read_only:
            return "Maps that are not there cannot be made: the project is read-only."
        return "The network is looking at this image…"
