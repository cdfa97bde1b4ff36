import json
import os
import random
import shutil
import signal
import time

import numpy as np
import pytest
import zarr

from napari_alseg.arrays import Bounds
from napari_alseg.errors import (
    BadClasses,
    BadValue,
    Busy,
    CannotWrite,
    NewerFormat,
    NotAProject,
)
from napari_alseg.store import Project, default_classes, ome_zarr

CLASSES = default_classes(["sky", "road", "car"])
SPOT = Bounds(1, 1, 3, 4)


def spot(label):
    return np.full(SPOT.shape, label, np.uint8)


def test_a_project_opens_again(path):
    settings = {"query": {"budget": "5%"}}
    with Project.create(path, CLASSES, settings) as made:
        made.images.add("a.png", np.zeros((4, 5, 3), np.uint8), source="/x/a.png")
        made.save_settings(settings | {"seen": 1})
    with Project.open(path) as opened:
        assert opened.classes == CLASSES
        assert opened.settings == {"query": {"budget": "5%"}, "seen": 1}
        assert opened.images.names() == ("a",)
        assert opened.images.info("a").source == "/x/a.png"
        assert not opened.read_only


def test_an_empty_folder_will_do_and_any_other_will_not(tmp_path):
    Project.create(tmp_path, CLASSES).close()
    with pytest.raises(BadValue, match="is not empty"):
        Project.create(tmp_path, CLASSES)
    (tmp_path / "file").touch()
    with pytest.raises(BadValue, match="is not empty"):
        Project.create(tmp_path / "file", CLASSES)
    with pytest.raises(BadClasses, match="0 classes"):
        Project.create(tmp_path / "new", [])
    assert not (tmp_path / "new").exists()


def test_what_is_no_project(tmp_path, path):
    (tmp_path / "file").touch()
    for other in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(NotAProject, match=r"no zarr\.json"):
            Project.open(other)
    zarr.create_group(tmp_path / "image")
    with pytest.raises(NotAProject, match="another kind"):
        Project.open(tmp_path / "image")
    Project.create(path, CLASSES).close()
    (path / "ledger.sqlite").write_bytes(b"no database" * 99)
    with pytest.raises(NotAProject, match="damaged"):
        Project.open(path)
    (path / "ledger.sqlite").write_bytes(b"")
    with pytest.raises(NotAProject, match="damaged"):
        Project.open(path)
    (path / "ledger.sqlite").unlink()
    with pytest.raises(NotAProject, match="missing"):
        Project.open(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(NotAProject, match=r"zarr\.json is damaged"):
        Project.open(path)


def test_a_newer_format_is_refused(path):
    Project.create(path, CLASSES).close()
    zarr.open_group(path, mode="r+").attrs["version"] = 99
    with pytest.raises(NewerFormat, match=r"format 99.*update napari-alseg"):
        Project.open(path)


def test_a_second_writer_waits_but_may_read_or_borrow(project, path):
    project.images.add("a", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(Busy, match=f"process {os.getpid()}"):
        Project.open(path)
    with Project.open(path, "read") as reader, Project.open(path, "borrow") as child:
        child.outputs.write_prediction("a", np.ones((4, 5), np.uint8), 1)
        assert reader.outputs.read_prediction("a").min() == 1
        with pytest.raises(CannotWrite, match="for reading only"):
            reader.labels.stroke("a", Bounds(0, 0, 1, 1), np.ones((1, 1), np.uint8))
    with pytest.raises(Busy):
        Project.open(path)
    project.close()
    Project.open(path).close()


def test_verify_finds_and_repairs(asked, path):
    asked.labels.stroke("first", SPOT, spot(2))
    asked.weights.commit(1, {}, {})
    assert asked.verify() == []
    expected = asked.labels.read("first")
    ome_zarr.write_window(
        path / "images" / "first", "annotation", SPOT, np.zeros(SPOT.shape, np.uint8)
    )
    shutil.rmtree(path / "images" / "second" / "labels" / "annotation")
    shutil.rmtree(path / "images" / "second" / "labels" / "regions-1")
    shutil.rmtree(path / "images" / "second" / "0")
    (path / "weights" / "round-001.safetensors").unlink()
    problems = asked.verify(repair=True)
    assert len(problems) == 5
    told = "\n".join(problems)
    assert "first: annotation level 0 differs from the ledger in 6 pixels" in told
    assert "second: annotation level 0 cannot be read" in told
    assert "second: image level 0 cannot be read" in told
    assert "second: the region map regions-1 is missing" in told
    assert "weights round-001.safetensors of round 1 are missing" in told
    np.testing.assert_array_equal(asked.labels.read("first"), expected)
    assert len(asked.verify()) == 3  # what the ledger cannot bring back


def test_verify_finds_events_that_do_not_follow(asked):
    asked.labels.stroke("first", SPOT, spot(1))
    asked.labels.stroke("first", SPOT, spot(2))
    asked._handle.ledger.connection.execute("DELETE FROM events WHERE sequence = 1")
    assert "first: event 2 does not follow the one before" in asked.verify()


PAINT = """
import sys
import numpy as np
from napari_alseg.arrays import Bounds
from napari_alseg.store import Project, ome_zarr

with Project.open(sys.argv[1]) as project:
    rng = np.random.default_rng(int(sys.argv[2]))
    print("ready")
    for _ in range(100_000):
        action = rng.integers(6)
        if action == 0:
            project.labels.undo()
        elif action == 1:
            position, label = (int(n) for n in rng.integers((0, 1), (8, 4)))
            project.labels.answer(1, position, label=label)
        else:
            row, column = (int(n) for n in rng.integers(0, (4, 6)))
            bounds = Bounds(row, column, row + 2, column + 2)
            patch = rng.integers(0, 4, (2, 2)).astype(np.uint8)
            project.labels.stroke("second" if action == 2 else "first", bounds, patch)
        print(project.labels.sequence)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_loses_nothing(asked, path, run_python, seed):
    asked.close()
    child = run_python(PAINT, path, seed)
    assert child.stdout.readline() == "ready\n"
    told = [child.stdout.readline().strip()]  # a busy computer takes its time
    time.sleep(random.Random(seed).uniform(0.05, 0.4))
    child.send_signal(signal.SIGKILL)
    told += [line for line in child.communicate()[0].split("\n")[:-1] if line]
    with Project.open(path) as opened:
        assert opened.labels.sequence >= int(told[-1])
        assert opened.verify() == []
        opened.labels.undo()
        assert opened.verify() == []


KILLED_BEFORE_THE_PICTURE = PAINT.replace(
    'print("ready")',
    "import os; ome_zarr.write_window = lambda *_: os.kill(os.getpid(), 9)",
)


def test_killed_between_ledger_and_picture(asked, path, run_python):
    asked.close()
    child = run_python(KILLED_BEFORE_THE_PICTURE, path, 3)
    assert child.communicate()[0] == ""
    assert child.returncode == -signal.SIGKILL
    with Project.open(path, "read") as reader:
        assert reader.labels.sequence == 1
        assert reader.verify() != []
        before = reader.labels.read("first"), reader.labels.read("second")
        assert any(labels.any() for labels in before)
    with Project.open(path) as opened:
        assert opened.verify() == []
        after = opened.labels.read("first"), opened.labels.read("second")
        np.testing.assert_array_equal(before, after)


def test_the_project_is_a_group_that_other_readers_walk(asked):
    group = zarr.open_group(asked.path, mode="r")
    assert sorted(group["images"].group_keys()) == ["first", "second"]
    assert sorted(group["images/first/labels"].group_keys()) == [
        "annotation",
        "regions-1",
    ]
    text = (asked.path / "zarr.json").read_text()
    assert json.loads(text)["attributes"]["classes"][0]["name"] == "sky"
