"""Follows a person who answers: the head, the maps on screen and the queue keep up.

`follow` is one task that lives as long as live is on, in a child process of its own.
It hears requests and tells updates. What is urgent after an answer is done at once and
without a pause: the head learns, the maps of the shown image are drawn. All else is
done in small pieces while nothing is requested, and left when something is. Every
update says which state of the labels and of the head it is of, so that whoever
hears it can drop what is out of date.
"""

from collections.abc import Generator
from time import perf_counter
from typing import Any, TypeAlias

from napari_alseg import systems
from napari_alseg.arrays import Progress, Task
from napari_alseg.segmentation import FEATURES
from napari_alseg.selection.maps import draw_maps
from napari_alseg.settings import (
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
)
from napari_alseg.store import Project

from .messages import SEARCHING, LiveRequest, LiveUpdate
from .model import Live
from .ranking import PoolRanking

NEAR = 8
"""Images of the queue that are ranked before all others."""
AHEAD = 3
"""Images of the queue whose maps are drawn before they are shown."""
RANK_SECONDS = 3.0
"""The queue is put in order at least this often while the pool is ranked."""
READ_SECONDS = 0.5
"""Labels are read for this long before a first map is drawn; the others follow."""
CATCH_UP_SECONDS = 5.0
"""Then the map follows this often, until all labels are read."""
SLOW_SECONDS = 0.5
"""A map that takes longer is not drawn before it is shown."""

Says: TypeAlias = Generator[Progress | LiveUpdate, None, None]


class Follower:
    """What `follow` knows from one request to the next."""

    def __init__(
        self,
        project: Project,
        network: NetworkSettings,
        settings: LiveSettings,
        prediction: PredictionSettings,
    ) -> None:
        self.project = project
        self._network = network
        self._settings = settings
        self._prediction = prediction
        self._live: Live | None = None
        self._kept: tuple[int, ...] | None = None
        """What the head knew when it was written down."""
        self._anew: Generator[Progress, None, None] | None = None
        """A new head that is learning, a few steps at a time, while nothing happens."""
        self._begun = self._settled = 0
        """Times that the head had learnt when a new one was begun, and took over."""
        self._drawn: dict[str, tuple[tuple[str, ...], QuerySettings, int]] = {}
        """What was drawn last of each image, and how much the head had learnt then."""
        self._others = 0
        """Tasks of others that had been when it was drawn."""
        self._slow = False
        """Whether the latest map took so long that no others are drawn ahead."""
        self._told = perf_counter()
        """When the queue was put in order last."""
        self._pool = PoolRanking(project, prediction)

    @property
    def live(self) -> Live:
        """The live network; there is one from the first request on."""
        assert self._live is not None
        return self._live

    # --- at once ----------------------------------------------------------------------

    def at_once(self, request: LiveRequest) -> Says:
        """Learn what was answered, and draw the shown image."""
        live = yield from self._up_to_date()
        if request.others != self._others:
            self._drawn.clear()
            self._others = request.others
        begun = perf_counter()
        waiting = len(live.unread)  # since before this request
        for progress in live.read_labels():
            if live.unread:
                yield progress
            late = perf_counter() - begun > READ_SECONDS
            if live.ready and (late or len(live.unread) <= waiting):
                break
        read = perf_counter()
        if not live.ready:
            yield self._update("waiting", request, classes=live.classes)
        else:
            if live.behind:
                yield from live.learn()
            learnt = perf_counter()
            self._look(request.image, request)
            seconds = {
                "labels": read - begun,
                "learn": learnt - read,
                "look": perf_counter() - learnt,
            }
            yield self._looked(request, request.image, seconds=seconds)

    def _up_to_date(self) -> Task[Live]:
        """Return the live network, made anew if the encoder has learnt since."""
        if self._live is None or self._live.stale:
            self._live = yield from Live.start(
                self.project,
                self._network,
                self._settings,
                self._prediction,
                device=self._prediction.device,
            )
            self._anew, self._settled, self._kept = None, 0, None
            self._drawn.clear()
            self._pool.clear()
        return self._live

    def _look(self, image: str, request: LiveRequest) -> None:
        """Draw the prediction and the wanted maps of an image, unless they are."""
        live = self.live
        state = request.maps, request.query, live.learnt
        if self._drawn.get(image) == state:
            return
        begun = perf_counter()
        acquisitions = [systems.acquisition(name) for name in request.maps]
        draw_maps(
            self.project,
            live.network,
            image,
            acquisitions,
            self._prediction,
            systems.resolve(request.query),
            live=live.sequence,
        )
        self._drawn[image] = state
        self._slow = perf_counter() - begun > SLOW_SECONDS

    # --- while nothing is requested ---------------------------------------------------

    def meanwhile(self, request: LiveRequest) -> Says:
        """Say what is similar, rank, settle the head and look ahead, piece by piece."""
        live = self.live
        if request.similar_to is not None:
            yield from self._similar(request)
        if live.ready:
            yield from self._catch_up(request)
            if request.rank:
                yield from self._rank(request, NEAR)
            yield from self._settle(live)
            for image in tuple(dict.fromkeys((request.image, *request.coming)))[
                : 1 + AHEAD
            ]:
                if image == request.image or not self._slow:
                    self._look(image, request)
                    yield self._looked(request, image)
        if request.rank:
            yield from self._rank(request)
        self.keep()

    def _catch_up(self, request: LiveRequest) -> Says:
        """Read the labels that were left for later; the map follows now and then."""
        live = self.live
        drawn = perf_counter()
        for progress in live.read_labels(live.sequence):
            yield progress
            if not live.unread or perf_counter() - drawn > CATCH_UP_SECONDS:
                yield from live.learn()
                self._look(request.image, request)
                yield self._looked(request, request.image)
                drawn = perf_counter()

    def _settle(self, live: Live) -> Says:
        """Let a new head learn all labels; one that was interrupted goes on first."""
        while self._settled != live.learnt or self._anew is not None:
            if self._anew is None:
                self._anew, self._begun = live.begin_anew(), live.learnt
            for progress in self._anew:  # noqa: UP028 - it outlives an interruption
                yield progress
            late = live.learnt - 1 != self._begun
            self._anew = None
            if late:  # answers came meanwhile: they are learnt on top
                live.behind = True
                yield from live.learn()
            self._settled = live.learnt

    def _rank(self, request: LiveRequest, most: int | None = None) -> Says:
        """Score the pool, the queue's images first, and put the queue in order.

        Parameters
        ----------
        request : LiveRequest
        most : int, optional
            Images that are scored; all that the newest head has not seen by default.
        """
        live, pool = self.live, self._pool
        if not pool.begin(request.query):
            return
        if not live.ready:  # there is time, and similar regions may be wanted
            yield from self._describe()
            return
        waiting = pool.waiting(request.coming[:NEAR], live)[:most]
        for done, image in enumerate(waiting, 1):
            with FEATURES.sparing():
                pool.score(image, live)
            if perf_counter() - self._told > RANK_SECONDS:
                yield self._ranked(request)
            else:
                yield Progress(done, 0, "ranking the pool")
        yield self._ranked(request)

    def _ranked(self, request: LiveRequest) -> LiveUpdate:
        live, pool = self.live, self._pool
        best = pool.best()
        self._told = perf_counter()
        return self._update("ranked", request, regions=best, fresh=pool.fresh(live))

    def _similar(self, request: LiveRequest) -> Says:
        """Say which regions are most like one; first describe those that are not."""
        pool = self._pool
        assert request.similar_to is not None
        if not pool.begin(request.query):
            yield self._update("similar", request)
            return
        yield from self._describe()
        found = pool.similar(request.image, request.similar_to)
        yield self._update("similar", request, regions=found)

    def _describe(self) -> Says:
        """Take note of what the regions of the pool look like, if it is not known."""
        live, pool = self.live, self._pool
        missing = pool.not_described()
        for done, image in enumerate(missing, 1):
            with FEATURES.sparing():
                pool.describe(image, live)
            yield Progress(done, len(missing), SEARCHING)

    def keep(self) -> None:
        """Write the head down, so that the next start begins with it."""
        live = self._live
        if live is None or not live.learnt or not live.ready:
            return
        knows = live.learnt, live.sequence, len(live.unread)
        if knows != self._kept:
            live.keep()
            self._kept = knows

    def _looked(self, request: LiveRequest, image: str, **about: Any) -> LiveUpdate:
        return self._update(
            "looked", request, image=image, left=len(self.live.unread), **about
        )

    def _update(self, kind: Any, request: LiveRequest, **about: Any) -> LiveUpdate:
        return LiveUpdate(kind, request.number, self.live.sequence, **about)
