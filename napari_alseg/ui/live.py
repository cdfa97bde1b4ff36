"""Between two rounds the window lives: what is shown and asked follows each answer.

`Live` tells a child process of its own what is wanted now and shows what comes back.
The window never waits for it: an answer is durable before anything is told, and updates
that come too late for what is on screen are dropped.
"""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_alseg import systems
from napari_alseg.arrays import Progress
from napari_alseg.errors import AlsegError
from napari_alseg.live.messages import SEARCHING, LiveRequest, LiveUpdate
from napari_alseg.settings import NetworkSettings, PredictionSettings, QuerySettings
from napari_alseg.tasks.requests import FollowRequest
from napari_alseg.worker.client import Worker

from .annotator import Annotator
from .background import Background
from .canvas.map_layers import of_network
from .canvas.screen import Screen
from .panels.guidance import LiveState
from .panels.live import AS_ASKED, LivePanel

STARTING = ("loading the network", "looking at the pool", "reading the labels")
"""Progress that is told until the map knows all labels."""
PAUSE = 20
"""Milliseconds in which several changes become one request."""
WRITING = ("Ask", "Look")
"""Tasks that write predictions and maps of the network themselves; live waits."""


class Live(QObject):
    """Keeps a child process informed of what is wanted, and shows its updates.

    Parameters
    ----------
    panel : LivePanel
    worker : Worker
        A child process of its own: long tasks have another.
    query, network, prediction : callable
        Return the settings that Ask and Learn would take.
    task : callable
        Name of the long task that is running, or empty.
    """

    changed = Signal()
    """Whether live is on, whether it waits for labels, or what it drew has changed."""
    failed = Signal(object)

    def __init__(
        self,
        panel: LivePanel,
        worker: Worker,
        query: Callable[[], QuerySettings],
        network: Callable[[], NetworkSettings],
        prediction: Callable[[], PredictionSettings],
        task: Callable[[], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.panel = panel
        self.background = Background(worker, self)
        self._query = query
        self._network = network
        self._prediction = prediction
        self._task = task
        self._annotator: Annotator | None = None
        self.waiting = False
        """Whether labels of a second class are needed before anything can be drawn."""
        self._heard = False
        """Whether the running child has said something."""
        self._number = 0
        self._oldest = 0
        """Updates of earlier requests are about another project or round."""
        self._others = 0
        """Other tasks that may have written over the maps; some are counted twice."""
        self._latest_query: QuerySettings | None = None
        self._sequence = 0
        """Event up to which labels were there when something was last requested."""
        self._similar_to: tuple[str, int] | None = None
        """An image and its region that others are looked for to be like."""
        self._pause = QTimer(self, interval=PAUSE, singleShot=True)
        self._pause.timeout.connect(self._request)
        panel.switched.connect(self._on_switched)
        panel.similar_requested.connect(self.toggle_similar)
        self.background.progressed.connect(self._on_update)
        self.background.failed.connect(self._on_failed)

    @property
    def on(self) -> bool:
        """Whether maps and queue follow each answer of the open project."""
        annotator = self._annotator
        return (
            self.panel.on and annotator is not None and not annotator.project.read_only
        )

    @property
    def state(self) -> LiveState:
        """Whether live is off, on, or waits for labels of a second class."""
        if not self.on:
            return "off"
        return "waiting" if self.waiting else "on"

    # --- a project --------------------------------------------------------------------

    def open(self, annotator: Annotator) -> None:
        """Follow a project from now on."""
        self._annotator = annotator
        self.waiting = not annotator.source.labelled(annotator.screen)
        annotator.view.changed.connect(self._on_changed)
        self.panel.start()
        self._on_round_shown()
        self.request_soon()

    def close(self) -> None:
        """Follow no project any longer; the head that was learnt is kept."""
        self._pause.stop()
        self._annotator = self._similar_to = None
        self.panel.start()
        self.panel.set_able(False)
        self._end()

    def _end(self) -> None:
        """End the child; one that has said nothing yet has done nothing to keep."""
        if self._heard:
            self.background.close()
        else:
            self.background.close(patience=0)

    def _on_changed(self, before: Screen, after: Screen) -> None:
        """Follow the work; what is lit or shown over the image is not part of it."""
        if before.round != after.round:
            self._on_round_shown()
        if before.place != after.place:
            self.request_soon()

    def _on_round_shown(self) -> None:
        self._oldest = self._number + 1
        self._similar_to = None
        self.panel.set_queue(AS_ASKED)
        self.panel.set_similar("")

    # --- requesting -------------------------------------------------------------------

    def request_soon(self) -> None:
        """Say what is wanted now, once the window has come to rest."""
        annotator = self._annotator
        self.panel.set_able(annotator is not None and annotator.region is not None)
        self._others += self._task() in WRITING
        if self.on:
            self._pause.start()

    def _request(self) -> None:
        annotator = self._annotator
        if annotator is None or not self.on:
            return
        screen = annotator.screen
        labelled = annotator.source.labelled(screen)
        if not screen.image or not (screen.round or labelled):
            return
        self._sequence = screen.sequence
        task = self._task()
        if task in WRITING:
            self.panel.set_map(f"Map: waits for {task}.")
        query = self._whole_query()
        if query is None or (task in WRITING and not self.background.busy):
            return
        if not self.background.busy:
            begun = FollowRequest(self._network(), prediction=self._prediction())
            following = self.background.worker.run(annotator.project.path, begun)
            self._heard = False
            self.background.start("Live", following)
            self.panel.set_map("Map: starting…")
        if not self._heard and labelled:
            self._set_waiting(False)  # nobody knows before the child has said so
        self._number += 1
        if self._similar_to is not None and self._similar_to[0] != screen.image:
            self._similar_to = None
            self.panel.set_similar("")
        request = LiveRequest(
            self._number,
            screen.image,
            tuple(region.image for region in annotator.coming()),
            self._maps(annotator),
            query,
            self._similar_to[1] if self._similar_to else None,
            rank=not task,
            rest=task in WRITING,
            others=self._others,
        )
        self.background.worker.tell(request)

    def _whole_query(self) -> QuerySettings | None:
        """Return what the form holds, or held before its parts did not go together."""
        query = self._query()
        try:
            systems.resolve(query)
        except AlsegError:
            return self._latest_query
        self._latest_query = query
        return query

    def _maps(self, annotator: Annotator) -> tuple[str, ...]:
        """Shown maps that a lightweight head can make."""
        names = of_network(annotator.screen.shown.names)
        return tuple(name for name in names if name in systems.live_maps())

    def toggle(self) -> None:
        """Let maps and queue follow each answer."""
        self.panel.set_on(not self.panel.on)

    def toggle_similar(self) -> None:
        """Light up the regions that look like the current one, or no longer."""
        annotator = self._annotator
        if annotator is None or not self.on:
            return
        region = annotator.view.region
        if annotator.screen.similar:
            self._hide_similar()
        elif region is not None:
            self._similar_to = region.image, region.region
            self.panel.set_similar(f"Similar: {SEARCHING}…")
            self.request_soon()

    def _hide_similar(self) -> None:
        self._similar_to = None
        self.panel.set_similar("")
        if self._annotator is not None and self._annotator.screen.similar:
            self._annotator.view.set(similar=())

    # --- update -----------------------------------------------------------------------

    def _on_update(self, update: LiveUpdate | Progress) -> None:
        self._heard = True
        annotator = self._annotator
        if annotator is None or not self.on:
            return
        if isinstance(update, Progress):
            self._show_progress(update)
            return
        if update.number < self._oldest:
            return
        match update.kind:
            case "waiting":
                self.panel.set_map(needs(annotator, update.classes))
                self._set_waiting(True)
            case "looked" if update.image == annotator.screen.image:
                annotator.view.set(expecting=True)
                self._try(annotator.view.refresh_maps)
                self._show_map(update)
                self._set_waiting(False)
            case "ranked":
                self._try(annotator.requeue, update.regions)
                share = f"{update.fresh:.0%}" if update.fresh < 1 else "all"
                self.panel.set_queue(f"Queue: in order, {share} of the images seen.")
            case "similar" if self._similar_to is not None:
                self._show_similar(annotator, update)

    def _try(self, action: Callable[..., None], *arguments: Any) -> None:
        try:
            action(*arguments)
        except AlsegError as error:
            self.failed.emit(error)

    def _set_waiting(self, waiting: bool) -> None:
        self.waiting = waiting
        self.changed.emit()

    def _show_progress(self, progress: Progress) -> None:
        """Say what takes long: the start, many labels, a look through the pool."""
        share = f" {progress.done} of {progress.total}" if progress.done else ""
        if progress.message in STARTING:
            self.panel.set_map(f"Map: {progress.message}{share}…")
        elif progress.message == SEARCHING and self._similar_to is not None:
            self.panel.set_similar(f"Similar: {progress.message}{share}…")

    def _show_map(self, update: LiveUpdate) -> None:
        """Say that a map is up to date, if no label is missing in it."""
        if update.left or update.sequence < self._sequence:
            return
        seconds = sum(update.seconds.values())
        took = f" ({seconds:.1f} s)" if seconds else ""
        self.panel.set_map(f"Map: knows all answers{took}. H shows it.")

    def _show_similar(self, annotator: Annotator, update: LiveUpdate) -> None:
        self._similar_to = None
        if not update.regions:
            self.panel.set_similar("Similar: there are no regions to compare.")
            return
        annotator.view.set(similar=tuple(update.regions))
        images = len({region.image for region in update.regions})
        text = f"Similar: {len(update.regions)} regions lit, in {images} images."
        self.panel.set_similar(text, lit=True)

    # --- the end ----------------------------------------------------------------------

    def _on_switched(self, on: bool) -> None:
        if on:
            self.request_soon()
        else:
            self._pause.stop()
            self._hide_similar()
            if self._annotator is not None:
                self._annotator.view.set(expecting=False)
            self._end()
        self.changed.emit()

    def _on_failed(self, _: str, error: Exception) -> None:
        """Switch live off rather than fail again and again."""
        self.panel.set_on(False)
        self.failed.emit(error)


def needs(annotator: Annotator, classes: tuple[int, ...]) -> str:
    """Say which labels are missing before anything can be told apart.

    Parameters
    ----------
    annotator : Annotator
    classes : tuple of int
        Class indices that have a label.
    """
    if not classes:
        return "Map: comes with labels of two classes."
    known = annotator.project.classes[classes[0]].name
    return f"Map: needs a second class beside {known}."
