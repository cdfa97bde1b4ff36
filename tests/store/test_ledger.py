import sqlite3

import numpy as np
import pytest

from napari_alseg.arrays import Bounds
from napari_alseg.errors import UnknownName
from napari_alseg.store.ledger import Change, Cost, ImageInfo, Ledger, packed, unpacked

BOUNDS = Bounds(1, 2, 3, 5)
NOTHING = np.zeros(BOUNDS.shape, np.uint8)


@pytest.fixture
def ledger(tmp_path):
    made = Ledger.create(tmp_path / "ledger.sqlite")
    with made.transaction():
        made.add_image(
            ImageInfo("a", "pool", (9, 9), ("grey",), "uint8", ((0.0, 255.0),), "a.png")
        )
    yield made
    made.close()


def stroke(label, **facts):
    return Change("stroke", "a", BOUNDS, NOTHING, NOTHING + label, **facts)


def append(ledger, *changes):
    with ledger.transaction():
        return [ledger.append(change) for change in changes]


def test_patches_pack_and_unpack():
    patch = np.array([[1, 2, 3], [0, 0, 255]], np.uint8)
    np.testing.assert_array_equal(unpacked(packed(patch), BOUNDS), patch)


def test_events_in_order(ledger):
    assert ledger.sequence() == 0
    assert append(ledger, stroke(1), stroke(2)) == [1, 2]
    first, second = ledger.events()
    assert (first.sequence, first.kind, first.image, first.bounds) == (
        *(1, "stroke", "a"),
        BOUNDS,
    )
    assert ledger.events(after=1) == [second]
    (patch,) = ledger.patches("a", after=1)
    assert (patch.after == 2).all()
    assert (patch.before == 0).all()


def test_a_transaction_that_fails_leaves_nothing(ledger):
    with pytest.raises(ZeroDivisionError), ledger.transaction():
        ledger.append(stroke(1))
        raise ZeroDivisionError
    assert ledger.sequence() == 0
    with pytest.raises(sqlite3.IntegrityError), ledger.transaction():
        ledger.append(Change("stroke", "unknown", BOUNDS, NOTHING, NOTHING))
    assert append(ledger, stroke(1)) == [1]


def test_commits_are_on_the_disk_before_they_return(ledger):
    assert ledger.value("PRAGMA journal_mode") == "wal"
    assert ledger.value("PRAGMA synchronous") == 2  # FULL


def test_undo_takes_the_latest_and_redo_the_earliest(ledger):
    append(ledger, stroke(1), stroke(2))
    for expected in (2, 1):
        change = ledger.reversal("undo")
        assert change.target == expected
        assert (change.before == expected).all()
        append(ledger, change)
    assert ledger.reversal("undo") is None
    change = ledger.reversal("redo")
    assert (change.target, change.after.max()) == (1, 1)
    append(ledger, change)
    assert ledger.reversal("redo").target == 2
    append(ledger, stroke(3))
    assert ledger.reversal("redo") is None
    assert ledger.reversal("undo").target == ledger.sequence()


def test_what_is_not_drawn_is_known(ledger):
    append(ledger, stroke(1), stroke(2))
    assert (ledger.not_drawn("a"), ledger.images_not_drawn()) == (1, ("a",))
    with ledger.transaction():
        ledger.mark_drawn([1])
    assert ledger.not_drawn("a") == 2
    with ledger.transaction():
        ledger.mark_drawn([2])
    assert (ledger.not_drawn("a"), ledger.images_not_drawn()) == (None, ())


def test_labelled_pixels_follow_the_events(ledger):
    assert (ledger.labelled_pixels(), ledger.labelled(9)) == ({"a": 0}, ())
    append(ledger, stroke(1))
    assert (ledger.labelled_pixels(), ledger.labelled(1)) == ({"a": 6}, ("a",))
    append(ledger, ledger.reversal("undo"))
    assert (ledger.labelled_pixels(), ledger.labelled(2)) == ({"a": 0}, ())
    assert ledger.labelled(1) == ("a",)


def test_no_answers_cost_nothing(ledger):
    append(ledger, stroke(1))
    assert ledger.cost(None) == Cost(0, 0, 0, 0, 0.0)


def test_unknown_images_are_told_with_the_known(ledger):
    with pytest.raises(UnknownName, match=r"image 'b'.*Known: a"):
        ledger.info("b")


def test_a_ledger_read_only_cannot_be_written(ledger, tmp_path):
    reader = Ledger(tmp_path / "ledger.sqlite", "read")
    append(ledger, stroke(1))
    assert reader.sequence() == 1
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        append(reader, stroke(1))
    reader.close()
