import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from creating_by_hand import save

import napari_alseg
from napari_alseg.arrays import Bounds, Region, Selection
from napari_alseg.store import Project, default_classes
from napari_alseg.store.ledger import ImageInfo, Ledger
from napari_alseg.store.ledger_events import LedgerEvents

HEIGHT, WIDTH = 6, 8


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cells.alseg"


@pytest.fixture
def project(path):
    """An empty project with three classes."""
    with Project.create(path, default_classes(["sky", "road", "car"])) as made:
        yield made


@pytest.fixture
def asked(project):
    """Two images of 6 x 8 pixels, cut in quarters, all eight of them asked."""
    quarters = np.kron([[1, 2], [3, 4]], np.ones((3, 4))).astype(np.int32)
    version = project.outputs.partition_version({"region_size": 12})
    regions = []
    for name in ("first", "second"):
        project.images.add(name, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        project.outputs.write_regions(name, version, quarters)
        for number in range(4):
            row, column = 3 * (number // 2), 4 * (number % 2)
            bounds = Bounds(row, column, row + 3, column + 4)
            regions.append(Region(name, version, number + 1, 0.5, 12, bounds))
    project.rounds.ask(Selection(1, "random", "8 regions", tuple(regions)))
    return project


@pytest.fixture
def run_python():
    """Start Python code in a process of its own, its output on a pipe."""

    def start(code, *arguments):
        # nobody is there to read the pipe twice, so errors come on it too
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=Path(napari_alseg.__file__).parents[1],
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture
def labelled(tmp_path):
    """Make a folder of two images with masks of one label each."""

    def make(name, label, size=(4, 6)):
        for number in (1, 2):
            file = f"{name}{number}.png"
            image = np.full((*size, 3), 50 * number + len(name), np.uint8)
            save(tmp_path / name / "images" / file, image)
            mask = np.full(size, label, np.uint8)
            save(tmp_path / name / "masks" / file, mask)
        return tmp_path / name

    return make


@pytest.fixture
def ledger(tmp_path):
    made = Ledger.create(tmp_path / "ledger.sqlite")
    with made.transaction():
        made.add_image(
            ImageInfo("a", "pool", (9, 9), ("grey",), "uint8", ((0.0, 255.0),), "a.png")
        )
    yield made
    made.close()


@pytest.fixture
def events(ledger):
    return LedgerEvents(ledger)
