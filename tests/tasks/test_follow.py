import numpy as np
import pytest
from follower_by_hand import Script, request, told

from napari_alseg.live import follower as module
from napari_alseg.tasks import follow as task
from napari_alseg.tasks.follow import newest_request


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Nothing is left out for lack of time, unless a test says so."""
    for name in ("RANK_SECONDS", "READ_SECONDS", "SLOW_SECONDS"):
        monkeypatch.setattr(module, name, np.inf)


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
