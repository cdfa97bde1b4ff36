import numpy as np
from ledger_by_hand import BOUNDS, append, stroke

from napari_alseg.store.ledger_events import packed, unpacked
from napari_alseg.store.ledger_rounds import Cost, LedgerRounds


def test_patches_pack_and_unpack():
    patch = np.array([[1, 2, 3], [0, 0, 255]], np.uint8)
    np.testing.assert_array_equal(unpacked(packed(patch), BOUNDS), patch)


def test_events_in_order(ledger, events):
    assert events.sequence() == 0
    assert append(ledger, stroke(1), stroke(2)) == [1, 2]
    first, second = events.events()
    assert (first.sequence, first.kind, first.image, first.bounds) == (
        *(1, "stroke", "a"),
        BOUNDS,
    )
    assert events.events(after=1) == [second]
    (patch,) = events.patches("a", after=1)
    assert (patch.after == 2).all()
    assert (patch.before == 0).all()


def test_undo_takes_the_latest_and_redo_the_earliest(ledger, events):
    append(ledger, stroke(1), stroke(2))
    for expected in (2, 1):
        change = events.reversal("undo")
        assert change.target == expected
        assert (change.before == expected).all()
        append(ledger, change)
    assert events.reversal("undo") is None
    change = events.reversal("redo")
    assert (change.target, change.after.max()) == (1, 1)
    append(ledger, change)
    assert events.reversal("redo").target == 2
    append(ledger, stroke(3))
    assert events.reversal("redo") is None
    assert events.reversal("undo").target == events.sequence()


def test_what_is_not_drawn_is_known(ledger, events):
    append(ledger, stroke(1), stroke(2))
    assert (events.not_drawn("a"), events.images_not_drawn()) == (1, ("a",))
    with ledger.transaction():
        events.mark_drawn([1])
    assert events.not_drawn("a") == 2
    with ledger.transaction():
        events.mark_drawn([2])
    assert (events.not_drawn("a"), events.images_not_drawn()) == (None, ())


def test_labelled_pixels_follow_the_events(ledger, events):
    assert (events.labelled_pixels(), events.labelled(9)) == ({"a": 0}, ())
    append(ledger, stroke(1))
    assert (events.labelled_pixels(), events.labelled(1)) == ({"a": 6}, ("a",))
    append(ledger, events.reversal("undo"))
    assert (events.labelled_pixels(), events.labelled(2)) == ({"a": 0}, ())
    assert events.labelled(1) == ("a",)


def test_no_answers_cost_nothing(ledger):
    append(ledger, stroke(1))
    assert LedgerRounds(ledger).cost(None) == Cost(0, 0, 0, 0, 0.0)
