"""Projects of formats that have landed: one of each is kept, and opens."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_alseg.store import Project

KEPT = Path(__file__).parent / "projects"


@pytest.fixture
def old(tmp_path):
    """A project of format 1: three images, one round, an answer, an undo, a stroke."""
    shutil.unpack_archive(KEPT / "format-1.zip", tmp_path)
    return tmp_path / "format-1.alseg"


def seen(project):
    ramp = np.arange(48, dtype=np.uint16).reshape(6, 8, 1) * 100
    assert project.images(None) == ("ramp", "colour", "held")
    np.testing.assert_array_equal(project.read_original("ramp"), ramp)
    info = project.info("ramp")
    assert (info.channels, info.colour, info.dtype) == (("grey",), False, "uint16")
    assert info.windows[0] == pytest.approx((4.7, 4695.3))
    assert project.info("colour").channels == ("red", "green", "blue")
    assert project.read_image("ramp").shape == (6, 8, 3)
    assert project.labelled_pixels() == {"ramp": 12, "colour": 10, "held": 8}
    assert project.states(1)[:3] == ("answered", "skipped", "open")
    assert project.cost().seconds == 1.5
    assert project.read_map("ramp", "entropy") is not None
    assert project.mask_rule is None
    assert project.network_channels == ()
    assert project.verify() == []


def test_format_1_is_looked_at_as_it_is(old):
    before = (old / "ledger.sqlite").read_bytes()
    with Project.open(old, "read") as project:
        seen(project)
    assert (old / "ledger.sqlite").read_bytes() == before


def test_format_1_becomes_this_one_and_goes_on(old):
    for _ in range(2):
        with Project.open(old) as project:
            seen(project)
    with Project.open(old) as project:
        assert project.undo() is not None
        four = np.zeros((5, 6, 4), np.uint16)
        project.add_image("new", four, channels=("a", "b", "c", "d"), colour=False)
    with Project.open(old, "read") as project:
        assert project.info("new").channels == ("a", "b", "c", "d")
        assert project.settings == {"note": "kept"}
