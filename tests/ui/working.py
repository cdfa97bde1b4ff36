"""What tests of long work share: who was asked, and when all is done."""

from threading import Event

PATIENCE = 30
"""Seconds after which a task that a test holds up goes on by itself."""


def wait_idle(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.background.busy)


def requests_of(worker, kind):
    return [request for request in worker.asked if isinstance(request, kind)]


def held(worker):
    """Hold up the worker's tasks until the event that this returns is set."""
    ended = Event()
    worker.action = lambda *_: ended.wait(PATIENCE)
    return ended


def click(hands, dock, qtbot, text):
    """Click on a button of the round, and wait until its task is done."""
    hands.press_button(dock.round_panel, text)
    wait_idle(qtbot, dock)


def leave_weights(dock, state, metadata=None):
    """Leave the weights that a task of round 1 would, and let the window know."""
    dock.project.weights.commit(1, state, metadata or {})
    dock.annotator.source.forget()
