"""Between two rounds the window lives: what is shown and asked follows each answer.

`Living` tells a child process of its own what is wanted now and shows what comes back.
The window never waits for it: an answer is durable before anything is told, and news
that come too late for what is on screen are dropped.
"""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_alseg import systems
from napari_alseg.arrays import Progress
from napari_alseg.errors import AlsegError
from napari_alseg.settings import NetworkSettings, PredictionSettings, QuerySettings
from napari_alseg.wishes import News, Wish
from napari_alseg.worker import Worker

from .background import Background
from .labelling import Labelling
from .live_panel import OFF, READY, LivePanel
from .maps import of_network

PAUSE = 20
"""Milliseconds in which several changes become one wish."""


class Living(QObject):
    """Keeps a child process informed of what is wanted, and shows its news.

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
        self._labelling: Labelling | None = None
        self._number = 0
        self._similar_to: int | None = None
        self._pause = QTimer(self, interval=PAUSE, singleShot=True)
        self._pause.timeout.connect(self._wish)
        panel.switched.connect(self._on_switched)
        panel.similar_requested.connect(self.toggle_similar)
        self.background.progressed.connect(self._on_news)
        self.background.finished.connect(self._on_ended)
        self.background.failed.connect(self._on_failed)

    @property
    def on(self) -> bool:
        """Whether maps and queue follow each answer of the open project."""
        labelling = self._labelling
        return (
            self.panel.on and labelling is not None and not labelling.project.read_only
        )

    # --- a project --------------------------------------------------------------------

    def open(self, labelling: Labelling) -> None:
        """Follow what is done in a project from now on."""
        self._labelling = labelling
        labelling.changed.connect(self.wish_soon)
        labelling.image_shown.connect(self.wish_soon)
        self._show_start()
        self.wish_soon()

    def close(self) -> None:
        """Follow no project any longer; the head that was learnt is kept."""
        self._pause.stop()
        self._labelling = self._similar_to = None
        self._end()

    def _end(self) -> None:
        """End the child's task; its process goes with it."""
        self.background.close()

    # --- wishing ----------------------------------------------------------------------

    def wish_soon(self) -> None:
        """Say what is wanted now, once the window has come to rest."""
        labelling = self._labelling
        self.panel.set_able(labelling is not None and labelling.region is not None)
        if self.on:
            self._pause.start()

    def _wish(self) -> None:
        labelling = self._labelling
        if labelling is None or not self.on or self._task() in ("Ask", "Look"):
            return
        if not labelling.image or not (labelling.round or labelling.project.sequence):
            return
        if not self.background.busy:
            following = self.background.worker.run(
                "follow",
                labelling.project.path,
                network=self._network(),
                prediction=self._prediction(),
            )
            self.background.start("Live", following)
        self._number += 1
        wish = Wish(
            self._number,
            labelling.image,
            tuple(region.image for region in labelling.coming()),
            self._maps(labelling),
            self._query(),
            self._similar_to,
            rank=not self._task(),
        )
        self.background.worker.tell(wish)

    def _maps(self, labelling: Labelling) -> tuple[str, ...]:
        """Return the shown maps that a light head can make."""
        names = of_network(labelling.shown.names)
        return tuple(name for name in names if name in systems.live_maps())

    def toggle_similar(self) -> None:
        """Light up the regions that look like the current one, or no longer."""
        labelling = self._labelling
        if labelling is None or not self.on:
            return
        region = labelling.region
        if labelling.similar:
            labelling.light_similar(())
            self._similar_to = None
        elif region is not None and region.image == labelling.image:
            self._similar_to = region.region
            self.panel.set_texts(self.panel.texts()[0], "Looking for similar regions…")
            self.wish_soon()

    # --- news -------------------------------------------------------------------------

    def _on_news(self, news: News | Progress) -> None:
        labelling = self._labelling
        if labelling is None or not self.on:
            return
        if isinstance(news, Progress):
            self._show_progress(news)
            return
        match news.kind:
            case "waiting":
                self.panel.set_texts(needs(labelling, news.classes))
            case "looked" if news.image == labelling.image:
                self._try(labelling.refresh_maps)
                self._show_map(news)
            case "ranked":
                self._try(labelling.requeue, news.regions)
                self._show_rank(news)
            case "similar" if self._similar_to is not None:
                self._similar_to = None
                labelling.light_similar(news.regions)
                images = len({region.image for region in news.regions})
                text = (
                    f"The {len(news.regions)} most similar regions are lit up, in "
                    f"{images} images. Press Shift-S again to hide them."
                )
                self.panel.set_texts(self.panel.texts()[0], text)

    def _try(self, deed: Callable[..., None], *arguments: Any) -> None:
        try:
            deed(*arguments)
        except AlsegError as error:
            self.failed.emit(error)

    def _show_start(self) -> None:
        self.panel.set_texts(READY if self.panel.on else OFF)

    def _show_progress(self, progress: Progress) -> None:
        """Say what takes long: the start. All else says for itself when it is done."""
        if progress.message in ("loading the network", "looking at the pool"):
            share = f" {progress.done} of {progress.total}" if progress.done else ""
            text = f"Getting ready: {progress.message}{share}…"
            self.panel.set_texts(text, self.panel.texts()[1])

    def _show_map(self, news: News) -> None:
        seconds = sum(news.seconds.values())
        took = f" ({seconds:.1f} s)" if seconds else ""
        text = f"The map knows all answers{took}. H shows it, Shift-P the classes."
        self.panel.set_texts(text, self.panel.texts()[1])

    def _show_rank(self, news: News) -> None:
        share = f"{news.fresh:.0%}" if news.fresh < 1 else "all"
        text = (
            f"The queue is in order: the newest model has ranked {share} of the pool."
        )
        self.panel.set_texts(self.panel.texts()[0], text)

    # --- the end ----------------------------------------------------------------------

    def _on_switched(self, on: bool) -> None:
        if on:
            self.wish_soon()
        else:
            self._pause.stop()
            self._end()

    def _on_ended(self, _: str, __: Any) -> None:
        """Say nothing: who ended it knows."""

    def _on_failed(self, _: str, error: Exception) -> None:
        """Switch live off rather than fail again and again."""
        self.panel.set_on(False)
        self.failed.emit(error)


def needs(labelling: Labelling, classes: tuple[int, ...]) -> str:
    """Say which labels are missing before anything can be told apart.

    Parameters
    ----------
    labelling : Labelling
    classes : tuple of int
        Class indices that have a label.
    """
    if not classes:
        return "Answer a region: the map comes with labels of two classes."
    known = labelling.project.classes[classes[0]].name
    return f"Only {known} is labelled so far: the map comes with a second class."
