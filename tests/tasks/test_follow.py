from queue import Empty

import numpy as np
import pytest
from conftest import TINY_LIVE, TINY_PREDICTION, TINY_REGIONS

from napari_alseg.live import follower as module
from napari_alseg.live.messages import LiveRequest
from napari_alseg.settings import LiveSettings, QuerySettings
from napari_alseg.tasks import follow as task
from napari_alseg.tasks.follow import follow, newest_request

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


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Nothing is left out for lack of time, unless a test says so."""
    for name in ("RANK_SECONDS", "READ_SECONDS", "SLOW_SECONDS"):
        monkeypatch.setattr(module, name, np.inf)


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


def test_the_newest_request_takes_the_place_of_earlier_ones():
    inbox = Script(request(1))
    inbox.urgent = [request(2), request(3)]
    assert newest_request(inbox, wait=True) == (request(3), False)
    assert newest_request(inbox, wait=False) == (None, False)


def test_the_end_is_heard_behind_any_request():
    inbox = Script(request(1))
    inbox.urgent = [request(2), None, request(3)]
    assert newest_request(inbox, wait=True) == (None, True)
    assert newest_request(Script(), wait=True) == (None, True)


def test_freed_memory_is_given_back_now_and_then(answered, monkeypatch):
    given = []
    monkeypatch.setattr(task, "give_memory_back", lambda: given.append(True))
    told(answered, *(request(number) for number in (49, 50, 51)))
    assert given == [True]


def test_giving_memory_back_works_on_any_system(monkeypatch):
    task.give_memory_back()
    monkeypatch.setattr(task.sys, "platform", "darwin")
    task.give_memory_back()
