"""A follower, and an inbox that says when it is asked."""

from queue import Empty

from conftest import TINY_LIVE, TINY_PREDICTION, TINY_REGIONS

from napari_alseg.live.messages import LiveRequest
from napari_alseg.settings import LiveSettings, QuerySettings
from napari_alseg.tasks.follow import follow

QUICK = LiveSettings(first_steps=40, steps=20, batch_size=64)


QUERY = QuerySettings("entropy", "12 regions", **TINY_REGIONS)


class Script:
    """An inbox: one action or request each time the task waits, then the end."""

    def __init__(self, *waiting):
        self.waiting = list(waiting)
        self.urgent = []

    def get(self):
        while self.waiting:
            following = self.waiting.pop(0)
            if not callable(following):
                return following
            following()
        return None

    def get_nowait(self):
        if not self.urgent:
            raise Empty
        return self.urgent.pop(0)


def request(number, image="scene-00", **about):
    given = {"coming": (), "maps": ("entropy",), "query": QUERY, "rank": False}
    return LiveRequest(number, image, **given | about)


def begin(project, inbox):
    return follow(
        project, inbox, network=TINY_LIVE, settings=QUICK, prediction=TINY_PREDICTION
    )


def told(project, *waiting):
    """All that is said by a task that is told this, one thing after another."""
    return list(begin(project, Script(*waiting)))
