"""A dock in a real viewer, with tasks that need no torch."""

import atexit
import os
import shutil
import subprocess
from functools import partial
from queue import Empty, SimpleQueue

import pytest
from hands import Hands, noises
from leaks import describe, found_now, running_now
from panel_hands import PanelHands
from windowless import Windowless
from working import click

from napari_alseg.arrays import Progress
from napari_alseg.errors import NothingToAsk, NothingToLearn
from napari_alseg.store import Project
from napari_alseg.tasks.requests import FollowRequest, QueryRequest
from napari_alseg.ui.annotator import Annotator
from napari_alseg.ui.dock import ActiveLearningDock


def own_display():
    """Give this process a display of its own, if others test beside it.

    Windows on one display take the focus from each other, and hide each other.
    """
    program = shutil.which("Xvfb")
    if program is None or "PYTEST_XDIST_WORKER" not in os.environ:
        return
    reader, writer = os.pipe()
    command = [program, "-displayfd", str(writer), "-screen", "0", "1600x1000x24"]
    server = subprocess.Popen(
        command, pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(writer)
    atexit.register(server.terminate)
    with os.fdopen(reader) as answer:
        os.environ["DISPLAY"] = f":{answer.readline().strip()}"


own_display()


class FakeWorker:
    """Takes a worker's place: three steps, then what a test wants to happen.

    Where it follows, it says the update that a test has for it, until it is stopped.
    """

    def __init__(self):
        self.asked = []
        self.action = lambda request, project: "done"
        self.messages = []
        self.told = []
        self.update = SimpleQueue()
        self.stopped = self.closed = False

    def run(self, project, request):
        self.asked.append(request)
        if isinstance(request, FollowRequest):
            self.stopped = self.closed = False
            return self.follow()
        return self.work(request, project)

    def follow(self):
        while not self.stopped:
            try:
                update = self.update.get(timeout=0.01)
            except Empty:
                continue
            if isinstance(update, Exception):
                raise update
            yield update

    def work(self, request, project):
        for message in self.messages:
            yield Progress(0, 3, message)
        for done in range(1, 4):
            yield Progress(done, 3, "working", {"loss": 1 / done, "miou": done / 10})
        return self.action(request, project)

    def stop(self):
        self.stopped = True

    def tell(self, message):
        self.told.append(message)

    def close(self, grace=0.0):
        self.closed = True

    def fail(self, *_):
        raise NothingToLearn("no label yet; answer a region")

    def exhausted(self, request, *_):
        if isinstance(request, QueryRequest):
            raise NothingToAsk("every region of the pool is labelled")


@pytest.fixture
def qtbot(qtbot):
    """One that waits longer than its five seconds, for a computer with much to do."""
    qtbot.waitUntil = partial(qtbot.waitUntil, timeout=120_000)
    return qtbot


@pytest.fixture(autouse=True)
def quiet(request, capfd):
    """Fail on tracebacks, Qt warnings, GL errors, red pop-ups and lines on stderr.

    A test that provokes one takes it off the list that this fixture gives.
    """
    if "qapp" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("qapp")
    with noises(capfd) as heard:
        yield heard
    assert not heard, "\n".join(heard)


KNOWN: set[tuple[str, int]] = set()
"""What was there after the last window test of this process."""


@pytest.fixture(autouse=True)
def no_leaks(request, quiet):
    """Fail if widgets, timers, threads or child processes are left behind."""
    if "qapp" not in request.fixturenames:
        yield
        return
    # Walking over all objects takes long: what the last test left is what is there.
    before = {*KNOWN, *running_now()} if KNOWN else set(found_now())
    yield
    after = found_now()
    left = [describe(after[key]) for key in after.keys() - before]
    KNOWN.clear()
    KNOWN.update(after)
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture
def worker():
    return FakeWorker()


@pytest.fixture
def dock(request, make_napari_viewer, worker, qtbot):
    """The dock in a viewer, without a project; on screen where hands are there."""
    viewer = make_napari_viewer(show="hands" in request.fixturenames)
    dock = ActiveLearningDock(viewer, worker, FakeWorker())
    dock.live_panel.set_on(False)
    viewer.window.add_dock_widget(dock, name="Active learning")
    yield dock
    dock.shut_down()


@pytest.fixture
def hands(request, qtbot):
    """Keyboard and mouse of the window, or of the panel that a test shows alone."""
    if "panel" in request.fixturenames:
        hands = PanelHands(qtbot, request.getfixturevalue("panel"))
    else:
        hands = Hands(qtbot, request.getfixturevalue("dock").viewer)
    hands.begin()
    yield hands
    hands.end()


@pytest.fixture
def asked_path(project_path):
    """A project with six regions asked and a network's map of its first image."""
    import numpy as np
    from steps import ask

    with Project.open(project_path) as project:
        ask(project)
        score = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
        project.outputs.write_map(project.images.names()[0], "entropy", score, 0)
    return project_path


@pytest.fixture
def annotator(dock, asked_path):
    """The open project's labelling."""
    dock.open_project(asked_path)
    return dock.annotator


@pytest.fixture
def ask(hands, dock, qtbot):
    """Click on Ask and wait until it is done."""
    return lambda: click(hands, dock, qtbot, "Ask")


@pytest.fixture
def learn(hands, dock, qtbot):
    """Click on Learn and wait until it is done."""
    return lambda: click(hands, dock, qtbot, "Learn")


@pytest.fixture
def shown_errors(monkeypatch):
    """Messages the user was shown."""
    messages = []
    monkeypatch.setattr("napari_alseg.ui.dock.show_error", messages.append)
    monkeypatch.setattr("napari_alseg.ui.dock.show_info", messages.append)
    return messages


@pytest.fixture
def queue(asked_path, qapp):
    """The labelling of a project, without a window."""
    with Project.open(asked_path) as project:
        annotator = Annotator(Windowless(), project)
        annotator.show_round()
        yield annotator
        annotator.close()
