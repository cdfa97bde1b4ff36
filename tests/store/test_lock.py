import getpass
import json
import os
import socket
import time

import pytest

from napari_alseg.errors import Busy
from napari_alseg.store import lock


@pytest.fixture
def file(tmp_path):
    return tmp_path / "lock.json"


def write(file, **facts):
    ours = {
        "user": "ada",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": time.time(),
    }
    file.write_text(json.dumps(ours | facts))


def test_take_and_release(file):
    ours = lock.take(file)
    assert lock.holder(file) == ours
    assert ours["pid"] == os.getpid()
    lock.release(file, ours)
    assert lock.holder(file) is None


def test_a_holder_who_is_there_is_named(file):
    write(file)
    with pytest.raises(Busy, match=rf"ada on .*process {os.getpid()}.*lock\.json"):
        lock.take(file)


def test_nobody_can_tell_on_another_computer(file):
    write(file, host="elsewhere", pid=1)
    with pytest.raises(Busy, match="ada on elsewhere"):
        lock.take(file)


def test_a_dead_holder_is_taken_over(file, run_python):
    dead = run_python("")
    dead.communicate()
    write(file, pid=dead.pid)
    assert lock.take(file)["pid"] == os.getpid()


def test_a_number_that_is_in_use_again_is_no_holder(file):
    write(file, time=time.time() - 10 * 365 * 86400)
    assert lock.take(file)["user"] == lock.user_name()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_lock_that_makes_no_sense_is_no_lock(file, text):
    file.write_text(text)
    assert lock.holder(file) is None
    lock.take(file)


def test_the_lock_of_another_is_not_released(file):
    ours = lock.take(file)
    write(file, host="elsewhere")
    lock.release(file, ours)
    assert lock.holder(file)["host"] == "elsewhere"


def test_a_user_without_a_name(monkeypatch):
    def nameless():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert lock.user_name() == "unknown"
