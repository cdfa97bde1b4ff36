import getpass
import json
import os
import socket
import time

import pytest

from napari_alseg.errors import Busy
from napari_alseg.store import lock
from napari_alseg.store.lock import Lock


@pytest.fixture
def file(tmp_path):
    return tmp_path / "lock.json"


def sign(file, **facts):
    ours = {
        "user": "ada",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": time.time(),
    }
    file.write_text(json.dumps(ours | facts))


HOLD = """
import sys, time
from pathlib import Path
from napari_alseg.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
lock.take()
print("taken", flush=True)
time.sleep(600)
"""


def test_take_and_release(file, tmp_path):
    ours = Lock(tmp_path)
    ours.take()
    assert lock.holder(file)["pid"] == os.getpid()
    ours.release()
    assert lock.holder(file) is None
    Lock(tmp_path).take()


def test_the_holder_is_named(file, tmp_path):
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.take()
    told = rf"{lock.user_name()} on .*process {os.getpid()}.*lock\.json"
    with pytest.raises(Busy, match=told):
        second.take()
    second.release()
    assert lock.holder(file) is not None


def test_a_lock_that_is_not_signed_yet_is_busy(file, tmp_path):
    first = Lock(tmp_path)
    first.take()
    file.unlink()
    with pytest.raises(Busy, match="has begun to write"):
        Lock(tmp_path).take()


def test_nobody_can_tell_on_another_computer(file, tmp_path):
    sign(file, host="elsewhere", pid=1)
    with pytest.raises(Busy, match="ada on elsewhere"):
        Lock(tmp_path).take()


def test_a_killed_holder_is_taken_over(file, tmp_path, run_python):
    child = run_python(HOLD, tmp_path)
    assert child.stdout.readline() == "taken\n"
    try:
        with pytest.raises(Busy, match=f"process {child.pid}"):
            Lock(tmp_path).take()
    finally:
        child.kill()
        child.communicate()
    assert lock.holder(file)["pid"] == child.pid
    Lock(tmp_path).take()
    assert lock.holder(file)["pid"] == os.getpid()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_lock_that_makes_no_sense_is_no_lock(file, tmp_path, text):
    file.write_text(text)
    assert lock.holder(file) is None
    Lock(tmp_path).take()


def test_a_user_without_a_name(monkeypatch):
    def nameless():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert lock.user_name() == "unknown"
