import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from conftest import (
    TINY_LIVE,
    TINY_NETWORK,
    TINY_PREDICTION,
    TINY_REGIONS,
    TINY_TRAINING,
)

from napari_alseg.arrays import NOTE, Selection, finish
from napari_alseg.errors import NothingToLearn, TaskDied
from napari_alseg.live.messages import LiveRequest, LiveUpdate
from napari_alseg.settings import QuerySettings, TrainingSettings
from napari_alseg.store import Project
from napari_alseg.tasks.requests import (
    FollowRequest,
    LookRequest,
    QueryRequest,
    RetrainRequest,
)
from napari_alseg.worker.client import Worker

LONG = TrainingSettings(epochs=5000, batch_size=2, device="cpu")


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


def ask(worker, path, budget="6 regions"):
    settings = QuerySettings("random", budget, **TINY_REGIONS)
    return worker.run(path, QueryRequest(settings, TINY_PREDICTION))


def label_something(path):
    with Project.open(path) as project:
        project.labels.answer(1, 0, 2)
        project.labels.answer(1, 1, 3)


def learn(worker, path, training=TINY_TRAINING):
    return worker.run(path, RetrainRequest(TINY_NETWORK, training))


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as stat:  # ended, though not yet waited for
        return stat.read().split()[2] == "Z"


def wait_until_gone(pid, seconds=20):
    deadline = time.monotonic() + seconds
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return gone(pid)


def test_tasks_run_one_after_another_in_the_same_child(worker, project_path):
    with Project.open(project_path):  # this process holds the lock meanwhile
        steps = list(ask(worker, project_path))
        first = worker.pid
        selection = finish(ask(worker, project_path))
    assert steps[-1].message == "scoring the pool"
    assert isinstance(selection, Selection)
    assert selection.round == 2
    assert worker.pid == first != os.getpid()


def test_an_error_of_ours_arrives_as_itself_and_the_child_lives_on(
    worker, project_path
):
    with pytest.raises(NothingToLearn, match="has a label yet"):
        finish(learn(worker, project_path))
    assert finish(ask(worker, project_path)).round == 1


def test_a_warning_arrives_as_a_note(worker, project_path):
    unknown = replace(TINY_LIVE, weights="imagenet")  # this encoder has none
    finish(ask(worker, project_path))
    label_something(project_path)
    task = worker.run(project_path, RetrainRequest(unknown, TINY_TRAINING))
    notes = [each.message for each in task if each.message.startswith(NOTE)]
    assert len(notes) == 1
    assert "starts from random weights" in notes[0]


def test_a_bug_arrives_with_its_traceback(worker, project_path):
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*not iterable"):
        finish(worker.run(project_path, LookRequest("scene-00", 1)))


def test_closing_the_task_stops_it_and_keeps_the_weights(worker, project_path):
    finish(ask(worker, project_path))
    label_something(project_path)
    task = learn(worker, project_path, LONG)
    while next(task).done < 3:
        pass
    task.close()
    assert worker.alive
    with Project.open(project_path) as project:
        assert project.weights.latest_round == 1


def test_stop_from_elsewhere_ends_the_task_without_result(worker, project_path):
    finish(ask(worker, project_path))
    label_something(project_path)
    task = learn(worker, project_path, LONG)
    while next(task).done < 3:
        pass
    worker.stop()
    assert finish(task) is None
    assert finish(ask(worker, project_path)).round == 2


def test_a_killed_child_is_one_error_and_loses_no_label(worker, project_path):
    finish(ask(worker, project_path))
    label_something(project_path)
    task = learn(worker, project_path, LONG)
    while next(task).done < 1:
        pass
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(TaskDied, match="every label is safe"):
        finish(task)
    with Project.open(project_path) as project:
        assert project.rounds.states(1).count("answered") == 2
    assert finish(ask(worker, project_path)).round == 2


def test_a_task_that_does_not_stop_in_time_is_ended(worker, project_path, monkeypatch):
    finish(ask(worker, project_path))
    label_something(project_path)
    task = learn(worker, project_path, LONG)
    while next(task).done < 1:
        pass
    pid = worker.pid
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("napari_alseg.worker.client.GRACE_SECONDS", 0.3)
    worker.stop()
    assert finish(task) is None
    assert gone(pid)


def test_the_child_ends_when_its_parent_is_killed(project_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from napari_alseg.worker import Worker\n"
        "worker = Worker()\n"
        "worker._start()\n"
        "print(worker.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        time.sleep(0.5)
        assert not gone(child)
        parent.kill()
    assert wait_until_gone(child)


def test_closing_ends_the_child(project_path):
    worker = Worker()
    finish(ask(worker, project_path))
    pid = worker.pid
    worker.close()
    assert gone(pid)
    worker.close()  # twice does no harm


# --- a task that is told something ----------------------------------------------------


def follow(worker, path):
    return worker.run(path, FollowRequest(TINY_LIVE, prediction=TINY_PREDICTION))


def request(number):
    return LiveRequest(number, "scene-00", (), (), QuerySettings("entropy"), rank=False)


def next_update(task):
    return next(each for each in task if isinstance(each, LiveUpdate))


def test_a_task_hears_what_it_is_told_also_while_it_is_starting(worker, project_path):
    task = follow(worker, project_path)
    worker.tell(request(1))
    assert next_update(task).number == 1
    worker.tell(request(2))
    assert next_update(task).number == 2
    worker.tell(None)
    assert finish(task) is None
    assert finish(ask(worker, project_path)).round == 1


def test_a_task_that_waits_for_a_message_can_be_stopped(worker, project_path):
    task = follow(worker, project_path)
    worker.tell(request(1))
    next_update(task)
    pid = worker.pid
    worker.stop()
    assert finish(task) is None
    task = follow(worker, project_path)
    worker.tell(request(2))  # nothing that was meant for the other task is heard
    assert next_update(task).number == 2
    task.close()
    assert worker.pid == pid


def test_telling_a_child_that_died_does_no_harm(worker, project_path):
    task = follow(worker, project_path)
    worker.tell(request(1))
    next_update(task)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until_gone(worker.pid)
    worker.tell(request(2))
    with pytest.raises(TaskDied):
        finish(task)
