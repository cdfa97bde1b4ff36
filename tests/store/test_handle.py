import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from napari_alseg.arrays import Bounds
from napari_alseg.errors import (
    Busy,
    CannotWrite,
)
from napari_alseg.store import Project, default_classes, ome_zarr

CLASSES = default_classes(["sky", "road", "car"])
SPOT = Bounds(1, 1, 3, 4)


def spot(label):
    return np.full(SPOT.shape, label, np.uint8)


def test_other_errors_of_the_system_are_not_disguised(asked, monkeypatch):
    def odd(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(ome_zarr, "write_window", odd)
    with pytest.raises(OSError, match="Invalid argument") as caught:
        asked.labels.stroke("first", SPOT, spot(1))
    assert not isinstance(caught.value, CannotWrite)


def test_a_full_ledger(asked, path):
    pages = asked._handle.ledger.value("PRAGMA page_count")
    asked._handle.ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CannotWrite, match=r"cells\.alseg.*full.*make room"):
        for number in range(1000):
            asked.rounds.record(number, learnt="x" * 500)
    sequence = asked.labels.sequence
    labels = asked.labels.read("first")
    with pytest.raises(CannotWrite):
        for number in range(1000):
            asked.labels.stroke("first", SPOT, spot(1 + number % 3))
            sequence, labels = asked.labels.sequence, asked.labels.read("first")
    assert asked.labels.sequence == sequence
    np.testing.assert_array_equal(asked.labels.read("first"), labels)
    asked._handle.ledger.connection.execute("PRAGMA max_page_count = 100000")
    asked.labels.stroke("first", Bounds(5, 5, 6, 6), np.ones((1, 1), np.uint8))
    assert asked.verify() == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk(small_disk):
    rng = np.random.default_rng(0)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    path, whole = small_disk / "x.alseg", Bounds(0, 0, 100, 100)
    project = Project.create(path, CLASSES)
    project.images.add("a", np.zeros((100, 100, 3), np.uint8))
    done = np.zeros((100, 100), np.uint8)
    with pytest.raises(CannotWrite, match=r"x\.alseg"):
        for _ in range(1000):
            next_one = rng.integers(0, 4, (100, 100)).astype(np.uint8)
            project.labels.stroke("a", whole, next_one)
            done = next_one
    kept = project.labels.read("a")
    assert any(np.array_equal(kept, labels) for labels in (done, next_one))
    with pytest.raises(CannotWrite):
        noise = rng.integers(0, 255, (600, 600, 3)).astype(np.uint8)
        project.images.add("b", noise)
    assert not (path / "images" / "b").exists()
    with pytest.raises(CannotWrite):
        project.weights.commit(1, {"w": rng.random(100_000)}, {})
    with pytest.raises(CannotWrite):
        Project.create(small_disk / "y.alseg", CLASSES).images.add("b", noise)
    ballast.unlink()
    project.labels.stroke("a", whole, done // 2)
    assert project.verify() == []
    project.close()
    with Project.open(path) as opened:
        assert opened.verify() == []
        assert opened.weights.latest_round is None


WITHOUT_RIGHTS = """
import os, sys
from napari_alseg.errors import CannotWrite, NotAProject
from napari_alseg.store import Project, default_classes
folder = sys.argv[1]
with Project.open(folder + "/x.alseg", "read") as project:
    project.verify()
os.setuid(65534)
with Project.open(folder + "/x.alseg", "read") as project:
    read = project.labels.read("a"), project.outputs.read_prediction("a")
    print(project.images.names(), *(int(labels.sum()) for labels in read))
    print(int(project.outputs.read_map("a", "entropy").sum()), project.verify())
for action in (
    lambda: Project.open(folder + "/x.alseg"),
    lambda: Project.create(folder + "/y.alseg", default_classes(["a", "b"])),
    lambda: Project.open(folder + "/closed"),
):
    try:
        action()
    except (CannotWrite, NotAProject) as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can step down"
)
def test_a_folder_without_rights(run_python):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.alseg"
        with Project.create(path, CLASSES) as project:
            labels = np.ones((4, 5), np.uint8)
            project.images.add("a", np.zeros((4, 5, 3), np.uint8), labels=labels)
            project.outputs.write_prediction("a", labels, 1)
            project.outputs.write_map("a", "entropy", labels.astype(np.float32), 1)
        Path(folder).chmod(0o755)
        (Path(folder) / "closed").mkdir(mode=0o700)
        told = run_python(WITHOUT_RIGHTS, folder).communicate()[0].splitlines()
        assert told[:2] == ["('a',) 20 20", "20 []"]
        assert told[2].startswith(f"CannotWrite cannot write to {path}")
        assert told[3].startswith(f"CannotWrite cannot write to {folder}/y.alseg")
        assert told[4].startswith(f"NotAProject {folder}/closed")
        with Project.open(path) as project:
            assert project.verify() == []


def test_a_ledger_that_stays_locked_is_busy(project, monkeypatch):
    other = Project.open(project.path, "borrow")
    project._handle.ledger.connection.execute("PRAGMA busy_timeout = 1")
    with (
        other._handle.ledger.transaction(),
        pytest.raises(Busy, match="locked; try again"),
    ):
        project.rounds.record(1, miou=0.5)
    other.close()
