import errno

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import Bounds, Region, Selection
from napari_alseg.errors import (
    BadValue,
    CannotWrite,
)
from napari_alseg.store import Cost, Project, default_classes, ome_zarr

CLASSES = default_classes(["sky", "road", "car"])
SPOT = Bounds(1, 1, 3, 4)


def spot(label):
    return np.full(SPOT.shape, label, np.uint8)


def test_a_stroke_is_a_change_of_labels(asked):
    asked.labels.stroke("first", SPOT, spot(2))
    labels = asked.labels.read("first")
    assert (labels[SPOT.slices] == 2).all()
    assert np.count_nonzero(labels) == 6
    assert asked.labels.labelled() == ("first",)
    assert asked.labels.pixels() == {"first": 6, "second": 0}
    asked.labels.stroke("first", SPOT, spot(2))
    assert asked.labels.sequence == 1  # nothing changed


@pytest.mark.parametrize(
    "bounds", [(-1, 0, 2, 3), (0, 0, 7, 3), (0, 6, 2, 9), (2, 0, 2, 3), (0, 3, 2, 3)]
)
def test_strokes_stay_inside(asked, bounds):
    bounds = Bounds(*bounds)
    with pytest.raises(BadValue, match="not inside first, which has 6 rows and 8"):
        asked.labels.stroke(
            "first", bounds, np.zeros(np.maximum(bounds.shape, 0), np.uint8)
        )


def test_strokes_are_labels_of_their_bounds(asked):
    with pytest.raises(BadValue, match=r"shape \(2, 2\), its bounds \(2, 3\)"):
        asked.labels.stroke("first", SPOT, np.zeros((2, 2), np.uint8))
    with pytest.raises(BadValue, match="got 4"):
        asked.labels.stroke("first", SPOT, spot(4))


def test_undo_survives_a_restart(asked, path):
    asked.labels.stroke("first", SPOT, spot(1))
    asked.labels.stroke("second", SPOT, spot(2))
    assert asked.labels.undo().image == "second"
    asked.close()
    with Project.open(path) as opened:
        event = opened.labels.undo()
        assert (event.kind, event.image, event.target) == ("undo", "first", 1)
        assert opened.labels.undo() is None
        assert opened.labels.labelled() == ()
        assert [opened.labels.redo().image for _ in range(2)] == ["first", "second"]
        assert opened.labels.redo() is None
        assert opened.labels.labelled() == ("first", "second")
        assert opened.verify() == []


def test_undo_leaves_imported_masks(project):
    labels = np.full((4, 5), 3, np.uint8)
    project.images.add("a", np.zeros((4, 5, 3), np.uint8), labels=labels)
    assert project.labels.events()[0].kind == "import"
    assert project.labels.undo() is None
    np.testing.assert_array_equal(project.labels.read("a"), labels)


RECTANGLES = st.tuples(st.integers(0, 1028), st.integers(0, 3)).flatmap(
    lambda corner: st.tuples(
        *map(st.just, corner),
        st.integers(corner[0] + 1, min(corner[0] + 5, 1030)),
        st.integers(corner[1] + 1, 4),
    )
)
ACTIONS = st.one_of(
    st.tuples(st.just("stroke"), RECTANGLES, st.integers(0, 3)),
    st.tuples(st.sampled_from(["undo", "redo"])),
)


@settings(max_examples=15)
@given(st.lists(ACTIONS, min_size=3, max_size=9), st.randoms(use_true_random=False))
def test_labels_follow_any_actions(tmp_path_factory, actions, chance):
    """Against a list of pictures and a place in it, for two levels of pyramid."""
    path = tmp_path_factory.mktemp("actions") / "x.alseg"
    pictures, place = [np.zeros((1030, 4), np.uint8)], 0
    history = [pictures[0]]
    project = Project.create(path, CLASSES)
    project.images.add("a", np.zeros((1030, 4, 1), np.uint8))
    for action, *details in actions:
        match action:
            case "stroke":
                bounds, after = Bounds(*details[0]), pictures[place].copy()
                after[bounds.slices] = details[1]
                project.labels.stroke("a", bounds, after[bounds.slices])
                if not np.array_equal(after, pictures[place]):
                    pictures, place = [*pictures[: place + 1], after], place + 1
            case "undo":
                assert (project.labels.undo() is None) == (place == 0)
                place = max(place - 1, 0)
            case "redo":
                assert (project.labels.redo() is None) == (place == len(pictures) - 1)
                place = min(place + 1, len(pictures) - 1)
        if project.labels.sequence == len(history):
            history.append(pictures[place])
        if chance.random() < 0.2:
            project.close()
            project = Project.open(path)
    for sequence, picture in enumerate(history):
        np.testing.assert_array_equal(project.labels.at("a", sequence), picture)
    np.testing.assert_array_equal(project.labels.read("a"), pictures[place])
    assert project.labels.pixels() == {"a": np.count_nonzero(pictures[place])}
    assert project.verify() == []
    project.close()


def test_history_is_exact_whatever_of_it_is_drawn(asked, monkeypatch):
    """A reader may see the picture at any point between two events."""
    pictures = [asked.labels.read("first")]
    for label in (1, 2, 3):
        asked.labels.stroke("first", SPOT, spot(label))
        pictures.append(asked.labels.read("first"))
    for drawn in pictures:
        monkeypatch.setattr(ome_zarr, "read_labels", lambda *_, now=drawn: now.copy())
        asked._handle.ledger.connection.execute("UPDATE events SET drawn = 0")
        for sequence, picture in enumerate(pictures):
            np.testing.assert_array_equal(asked.labels.at("first", sequence), picture)


def test_a_label_fills_its_region(asked):
    asked.labels.stroke("first", SPOT, spot(3))
    asked.labels.answer(1, 0, label=1, seconds=2.5)
    labels = asked.labels.read("first")
    assert (labels[:3, :4] == 1).all()
    assert np.count_nonzero(labels) == 12
    assert asked.rounds.states(1)[:2] == ("answered", "open")
    assert asked.rounds.cost() == Cost(12, 1, 1, 1, 2.5)
    event = asked.labels.events()[-1]
    assert (event.kind, event.round, event.position, event.label) == (
        *("answer", 1),
        *(0, 1),
    )


def test_a_region_is_accepted_as_it_is_painted(asked):
    asked.labels.stroke("first", SPOT, spot(3))
    before = asked.labels.read("first")
    asked.labels.answer(1, 0)
    np.testing.assert_array_equal(asked.labels.read("first"), before)
    assert asked.rounds.states(1)[0] == "answered"
    assert asked.rounds.cost().pixels == 6
    assert asked.rounds.cost().clicks == 1


def test_exact_pixels_are_taken_inside_the_region_only(project):
    project.images.add("a", np.zeros((2, 4, 3), np.uint8))
    regions = np.array([[1, 1, 2, 2], [2, 1, 2, 2]], np.int32)
    version = project.outputs.partition_version({})
    project.outputs.write_regions("a", version, regions)
    region = Region("a", version, 1, 0.5, 3, Bounds(0, 0, 2, 2))
    project.rounds.ask(Selection(1, "random", "1 regions", (region,)))
    project.labels.answer(1, 0, pixels=np.array([[1, 0], [3, 2]], np.uint8))
    assert project.labels.read("a").tolist() == [[1, 0, 0, 0], [0, 2, 0, 0]]
    assert project.rounds.cost() == Cost(
        pixels=2, regions=1, images=1, clicks=2, seconds=0.0
    )


def test_answers_that_cannot_be(asked):
    with pytest.raises(BadValue, match=r"asked 8 regions.*none at position 8"):
        asked.labels.answer(1, 8, label=1)
    with pytest.raises(BadValue, match="round 2 asked 0 regions"):
        asked.labels.skip(2, 0)
    for label in (0, 4):
        with pytest.raises(BadValue, match=f"1 to 3, got {label}"):
            asked.labels.answer(1, 0, label=label)
    with pytest.raises(BadValue, match="not both"):
        asked.labels.answer(1, 0, 1, np.zeros((3, 4), np.uint8))
    with pytest.raises(BadValue, match=r"shape \(2, 2\)"):
        asked.labels.answer_all(1, {0: np.zeros((2, 2), np.uint8)})
    assert asked.labels.sequence == 0


def test_undo_of_an_answer_opens_its_region(asked):
    asked.labels.answer(1, 0, label=1)
    asked.labels.answer(1, 0, label=2)
    assert asked.rounds.cost() == Cost(12, 1, 1, 2, 0.0)
    asked.labels.undo()
    assert asked.rounds.states(1)[0] == "answered"
    assert asked.labels.read("first").max() == 1
    asked.labels.undo()
    assert asked.rounds.states(1)[0] == "open"
    assert asked.rounds.cost() == Cost(0, 0, 0, 0, 0.0)
    asked.labels.redo()
    assert asked.rounds.states(1)[0] == "answered"
    assert asked.rounds.cost().pixels == 12


def test_skipped_regions_are_not_asked_again(asked):
    asked.labels.skip(1, 2)
    asked.labels.answer(1, 5, label=1)
    asked.labels.skip(1, 5)
    assert asked.rounds.states(1)[5] == "answered"
    assert asked.rounds.asked_regions(1) == {"first": {3}, "second": {2}}
    assert asked.rounds.asked_regions(2) == {}
    assert asked.labels.labelled() == ("second",)
    assert asked.rounds.cost().regions == 1
    asked.labels.undo()
    asked.labels.undo()
    assert asked.rounds.asked_regions(1) == {}


def test_an_oracle_answers_all_at_once(asked):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (6, 8)).astype(np.uint8)
    regions = asked.rounds.selection().regions
    asked.labels.answer_all(
        1, {at: truth[region.bounds.slices] for at, region in enumerate(regions)}
    )
    for name in asked.images.names():
        np.testing.assert_array_equal(asked.labels.read(name), truth)
    assert asked.rounds.cost().pixels == 2 * np.count_nonzero(truth)
    assert asked.rounds.cost().regions == asked.labels.sequence == 8
    assert asked.verify() == []
    asked.labels.undo()
    assert asked.rounds.states(1) == ("answered",) * 7 + ("open",)
    assert not asked.labels.read("second")[3:, 4:].any()


def test_a_picture_that_cannot_be_drawn_is_drawn_later(asked, path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "chunk")

    asked.labels.stroke("first", SPOT, spot(1))
    with monkeypatch.context() as patch, pytest.raises(CannotWrite, match="No space"):
        patch.setattr(ome_zarr, "write_window", full)
        asked.labels.stroke("first", SPOT, spot(2))
    assert asked.labels.read("first").max() == 2
    asked.labels.stroke("first", Bounds(0, 0, 1, 1), np.ones((1, 1), np.uint8))
    assert asked.verify() == []
    with monkeypatch.context() as patch, pytest.raises(CannotWrite):
        patch.setattr(ome_zarr, "write_window", full)
        asked.labels.undo()
    asked.labels.undo()
    assert asked.verify() == []
    assert asked.labels.read("first").max() == 1
