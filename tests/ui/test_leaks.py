"""What is left behind is found and named."""

import subprocess
import sys
import threading

from leaks import found_now, left_since
from qtpy.QtCore import QTimer

from napari_alseg.ui.panels.curve import Curve


def test_a_widget_and_its_timer_are_named(qapp):
    before = set(found_now())
    curve = Curve()
    timer = QTimer(curve, interval=60_000)
    timer.start()
    left = "\n".join(left_since(before))
    assert "Curve" in left and "QTimer" in left
    timer.stop()
    curve.deleteLater()
    del timer, curve
    assert left_since(before) == []


def test_a_thread_is_named(qapp):
    before, ended = set(found_now()), threading.Event()
    thread = threading.Thread(target=ended.wait, name="left behind")
    thread.start()
    (left,) = left_since(before)
    assert "left behind" in left
    ended.set()
    thread.join()
    assert left_since(before) == []


def test_a_child_process_is_named(qapp):
    before = set(found_now())
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        (left,) = left_since(before)
        assert str(child.pid) in left
        child.communicate(b"\n")
    assert left_since(before) == []
