import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from creating_by_hand import TABLE, left_behind, save

from napari_alseg.arrays import finish
from napari_alseg.errors import (
    BadValue,
    CannotWrite,
    UnreadableImage,
)
from napari_alseg.store import (
    Project,
    create_from_folder,
    refuse_taken,
)


def test_a_place_where_nothing_can_be_made_is_told(labelled):
    pool = labelled("day", 1)
    with pytest.raises(CannotWrite, match="choose a folder that can be written"):
        finish(create_from_folder(Path("/proc/a/x.alseg"), pool / "images", TABLE))


# --- all or nothing -------------------------------------------------------------------

MAKE = """
import sys
from pathlib import Path
from napari_alseg.arrays import finish
from napari_alseg.store import ClassTable, create_from_folder, default_classes
table = ClassTable.of(default_classes(["sky", "road"]))
print("ready", flush=True)
finish(create_from_folder(Path(sys.argv[1]), Path(sys.argv[2]), table))
print("done", flush=True)
"""


def test_killed_at_any_moment_there_is_no_project(path, tmp_path, run_python, rng):
    for number in range(60):
        save(
            tmp_path / "images" / f"{number}.png",
            rng.integers(0, 9, (40, 40), np.uint8),
        )
    for pause in (0.05, 0.2, 0.5):
        process = run_python(MAKE, path, tmp_path / "images")
        assert process.stdout.readline().strip() == "ready"
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        said = process.communicate()[0]
        if "done" not in said:
            assert not path.exists()
    if not path.exists():
        finish(create_from_folder(path, tmp_path / "images", TABLE))
    with Project.open(path) as project:
        assert len(project.images.names()) == 60
        assert project.verify() == []
    assert left_behind(path) == [path.name]


def test_a_place_that_is_taken_is_refused_before_anything(path, labelled):
    path.mkdir()
    (path / "letter.txt").write_text("mine")
    with pytest.raises(BadValue, match="is not empty"):
        finish(create_from_folder(path, labelled("day", 1) / "images", TABLE))
    assert (path / "letter.txt").read_text() == "mine"


def test_folders_made_for_a_project_go_again(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 6), np.nan, np.float32))
    with pytest.raises(UnreadableImage):
        finish(create_from_folder(tmp_path / "x/y/p.alseg", tmp_path / "a.tif", TABLE))
    assert not (tmp_path / "x").exists()


def test_a_link_to_an_empty_folder_is_the_folder(tmp_path, labelled):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    finish(create_from_folder(tmp_path / "link", labelled("a", 1) / "images", TABLE))
    with Project.open(tmp_path / "link", "read") as made:
        assert len(made.images.names()) == 2
    assert (tmp_path / "link").is_symlink()


def test_a_project_is_not_the_folder_that_we_are_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadValue, match="give it a name"):
        refuse_taken(Path("."))


def test_two_at_once_are_told_apart(path, labelled):
    pool = labelled("day", 1) / "images"
    making = create_from_folder(path, pool, TABLE)
    while next(making).message != "adding images":
        pass
    with pytest.raises(BadValue, match="is making this project at the moment"):
        finish(create_from_folder(path, pool, TABLE))
    finish(making)
    assert left_behind(path) == [path.name]
