import errno
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import Bounds, Region, Selection
from napari_alseg.errors import (
    BadClasses,
    BadValue,
    Busy,
    CannotWrite,
    MaskMismatch,
    NewerFormat,
    NotAProject,
    UnknownName,
    WeightsMismatch,
)
from napari_alseg.store import Cost, Project, default_classes, layout
from napari_alseg.store.naming import safe_name

CLASSES = default_classes(["sky", "road", "car"])
SPOT = Bounds(1, 1, 3, 4)


def spot(label):
    return np.full(SPOT.shape, label, np.uint8)


# Making and opening


def test_a_project_opens_again(path):
    settings = {"query": {"budget": "5%"}}
    with Project.create(path, CLASSES, settings) as made:
        made.add_image("a.png", np.zeros((4, 5, 3), np.uint8), source="/x/a.png")
        made.save_settings(settings | {"seen": 1})
    with Project.open(path) as opened:
        assert opened.classes == CLASSES
        assert opened.settings == {"query": {"budget": "5%"}, "seen": 1}
        assert opened.images() == ("a",)
        assert opened.info("a").source == "/x/a.png"
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
    project.add_image("a", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(Busy, match=f"process {os.getpid()}"):
        Project.open(path)
    with Project.open(path, "read") as reader, Project.open(path, "borrow") as child:
        child.write_prediction("a", np.ones((4, 5), np.uint8), 1)
        assert reader.read_prediction("a").min() == 1
        with pytest.raises(CannotWrite, match="for reading only"):
            reader.stroke("a", Bounds(0, 0, 1, 1), np.ones((1, 1), np.uint8))
    with pytest.raises(Busy):
        Project.open(path)
    project.close()
    Project.open(path).close()


# Images


@pytest.mark.parametrize("channels", [1, 3])
def test_eight_bits_are_shown_as_they_are(project, channels):
    image = np.arange(20 * channels, dtype=np.uint8).reshape(4, 5, channels)
    name = project.add_image("a", image)
    np.testing.assert_array_equal(project.read_original(name), image)
    shown = project.read_image(name)
    assert shown.shape == (4, 5, 3)
    np.testing.assert_array_equal(shown, np.broadcast_to(image, (4, 5, 3)))
    info = project.info(name)
    assert (info.shape, len(info.channels), info.dtype) == ((4, 5), channels, "uint8")
    assert info.windows == ((0.0, 255.0),) * channels


def test_other_numbers_are_shown_within_their_percentiles(project):
    image = 5 * np.arange(2001, dtype=np.uint16).reshape(-1, 1, 1)
    name = project.add_image("a", image)
    assert project.info(name).windows[0] == pytest.approx((10, 9990))
    shown = project.read_image(name)[:, 0, 0]
    assert (shown[2], shown[1001], shown[1998]) == (0, 128, 255)
    assert project.read_original(name).dtype == np.uint16
    omero = zarr.open_group(project.path / "images" / "a", mode="r").attrs["ome"]
    span = omero["omero"]["channels"][0]["window"]
    assert span == pytest.approx({"start": 10, "end": 9990, "min": 0, "max": 10000})


def test_names_are_safe_unique_and_readable(project):
    image = np.zeros((2, 2, 1), np.uint8)
    names = [project.add_image(n, image) for n in ("a b.png", "A b.tif", "../x", "")]
    assert names == ["a-b", "A-b-2", "x", "image"]
    assert safe_name("scan.1.ome.zarr") == "scan.1"


def test_splits_are_apart(project):
    image = np.zeros((2, 2, 1), np.uint8)
    for split in ("pool", "source", "validation", "test"):
        project.add_image(split, image, split=split, labels=np.ones((2, 2), np.uint8))
    for split in ("pool", "source", "validation", "test"):
        assert project.images(split) == (split,)
    assert project.images() == ("pool",)
    assert len(project.images(None)) == 4
    assert project.labelled() == ("pool",)
    assert set(project.labelled_pixels().values()) == {4}


def test_another_domain_costs_nothing_and_is_never_asked(asked):
    labels = np.full((6, 8), 2, np.uint8)
    image = np.zeros((6, 8, 3), np.uint8)
    name = asked.add_image("far", image, split="source", labels=labels)
    np.testing.assert_array_equal(asked.read_labels(name), labels)
    assert asked.cost() == Cost(0, 0, 0, 0, 0.0)
    assert asked.labelled() == ()
    region = Region(name, 1, 1, 0.5, 12, Bounds(0, 0, 3, 4))
    with pytest.raises(BadValue, match="far is a source image; only the pool"):
        asked.ask(Selection(2, "random", "1 regions", (region,)))
    assert asked.rounds == (1,)
    assert asked.undo() is None
    assert asked.verify() == []


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 5), np.uint8), "rows, columns and channels"),
        (np.zeros((4, 5, 0), np.uint8), "rows, columns and channels"),
        (np.zeros((0, 5, 3), np.uint8), "rows, columns and channels"),
        (np.zeros((4, 5, 3), complex), "complex128"),
        (np.full((4, 5, 3), np.nan, np.float32), "no finite"),
    ],
)
def test_what_is_no_image(project, image, said):
    with pytest.raises(BadValue, match=said):
        project.add_image("a", image)
    assert project.images() == ()


def test_masks_must_fit(project):
    image = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(MaskMismatch, match=r"\(4, 6\).*\(4, 5\)"):
        project.add_image("a", image, labels=np.zeros((4, 6), np.uint8))
    with pytest.raises(MaskMismatch, match=r"mask of a.*0 to 3.*got 4"):
        project.add_image("a", image, labels=np.full((4, 5), 4, np.uint8))
    with pytest.raises(MaskMismatch, match="uint8, got int64"):
        project.add_image("a", image, labels=np.zeros((4, 5), int))
    with pytest.raises(BadValue, match="pool, source, validation, test, got 'train'"):
        project.add_image("a", image, split="train")


def test_a_half_added_image_is_swept(project, path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(layout, "write_labels", interrupted)
        project.add_image("a", np.zeros((4, 5, 3), np.uint8))
    assert not (path / "images" / "a").exists()
    black = np.zeros((4, 5, 3), np.uint8)
    layout.create_image(path / "images" / "b", black, [(0, 255)] * 3)
    project.close()
    with Project.open(path, "read"):
        assert (path / "images" / "b").exists()
    with Project.open(path):
        assert not (path / "images" / "b").exists()


def test_unknown_images_are_told_with_the_known(asked):
    reads = (asked.info, asked.read_image, asked.read_labels, asked.map_names)
    for read in reads:
        with pytest.raises(UnknownName, match="did you mean 'first'"):
            read("frist")


# Strokes, undo, history


def test_a_stroke_is_a_change_of_labels(asked):
    asked.stroke("first", SPOT, spot(2))
    labels = asked.read_labels("first")
    assert (labels[SPOT.slices] == 2).all()
    assert np.count_nonzero(labels) == 6
    assert asked.labelled() == ("first",)
    assert asked.labelled_pixels() == {"first": 6, "second": 0}
    asked.stroke("first", SPOT, spot(2))
    assert asked.sequence == 1  # nothing changed


@pytest.mark.parametrize(
    "bounds", [(-1, 0, 2, 3), (0, 0, 7, 3), (0, 6, 2, 9), (2, 0, 2, 3), (0, 3, 2, 3)]
)
def test_strokes_stay_inside(asked, bounds):
    bounds = Bounds(*bounds)
    with pytest.raises(BadValue, match="not inside first, which has 6 rows and 8"):
        asked.stroke("first", bounds, np.zeros(np.maximum(bounds.shape, 0), np.uint8))


def test_strokes_are_labels_of_their_bounds(asked):
    with pytest.raises(BadValue, match=r"shape \(2, 2\), its bounds \(2, 3\)"):
        asked.stroke("first", SPOT, np.zeros((2, 2), np.uint8))
    with pytest.raises(BadValue, match="got 4"):
        asked.stroke("first", SPOT, spot(4))


def test_undo_survives_a_restart(asked, path):
    asked.stroke("first", SPOT, spot(1))
    asked.stroke("second", SPOT, spot(2))
    assert asked.undo().image == "second"
    asked.close()
    with Project.open(path) as opened:
        event = opened.undo()
        assert (event.kind, event.image, event.target) == ("undo", "first", 1)
        assert opened.undo() is None
        assert opened.labelled() == ()
        assert [opened.redo().image for _ in range(2)] == ["first", "second"]
        assert opened.redo() is None
        assert opened.labelled() == ("first", "second")
        assert opened.verify() == []


def test_undo_leaves_imported_masks(project):
    labels = np.full((4, 5), 3, np.uint8)
    project.add_image("a", np.zeros((4, 5, 3), np.uint8), labels=labels)
    assert project.events()[0].kind == "import"
    assert project.undo() is None
    np.testing.assert_array_equal(project.read_labels("a"), labels)


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
    project.add_image("a", np.zeros((1030, 4, 1), np.uint8))
    for action, *details in actions:
        match action:
            case "stroke":
                bounds, after = Bounds(*details[0]), pictures[place].copy()
                after[bounds.slices] = details[1]
                project.stroke("a", bounds, after[bounds.slices])
                if not np.array_equal(after, pictures[place]):
                    pictures, place = [*pictures[: place + 1], after], place + 1
            case "undo":
                assert (project.undo() is None) == (place == 0)
                place = max(place - 1, 0)
            case "redo":
                assert (project.redo() is None) == (place == len(pictures) - 1)
                place = min(place + 1, len(pictures) - 1)
        if project.sequence == len(history):
            history.append(pictures[place])
        if chance.random() < 0.2:
            project.close()
            project = Project.open(path)
    for sequence, picture in enumerate(history):
        np.testing.assert_array_equal(project.labels_at("a", sequence), picture)
    np.testing.assert_array_equal(project.read_labels("a"), pictures[place])
    assert project.labelled_pixels() == {"a": np.count_nonzero(pictures[place])}
    assert project.verify() == []
    project.close()


def test_history_is_exact_whatever_of_it_is_drawn(asked, monkeypatch):
    """A reader may see the picture at any point between two events."""
    pictures = [asked.read_labels("first")]
    for label in (1, 2, 3):
        asked.stroke("first", SPOT, spot(label))
        pictures.append(asked.read_labels("first"))
    for drawn in pictures:
        monkeypatch.setattr(layout, "read_labels", lambda *_, now=drawn: now.copy())
        asked._ledger.connection.execute("UPDATE events SET drawn = 0")
        for sequence, picture in enumerate(pictures):
            np.testing.assert_array_equal(asked.labels_at("first", sequence), picture)


# Rounds and answers


def test_partitions_are_numbered_by_their_settings(project):
    assert project.partition_version({"a": 1, "b": 2}) == 1
    assert project.partition_version({"b": 3}) == 2
    assert project.partition_version({"b": 2, "a": 1}) == 1
    assert project.partition_settings(2) == {"b": 3}
    with pytest.raises(UnknownName, match=r"partition '3'.*Known: 1, 2"):
        project.partition_settings(3)


def test_region_maps_of_versions_stay_apart(asked):
    assert asked.has_regions("first", 1)
    assert not asked.has_regions("first", 2)
    asked.write_regions("first", 2, np.ones((6, 8), np.int32))
    assert asked.read_regions("first", 1).max() == 4
    assert asked.read_regions("first", 2).dtype == np.int32
    with pytest.raises(UnknownName, match="regions-3 of first"):
        asked.read_regions("first", 3)
    with pytest.raises(
        BadValue, match=r"\(6, 8\) rows and columns, the array \(6, 7\)"
    ):
        asked.write_regions("first", 2, np.ones((6, 7), np.int32))


def test_a_round_reads_back(asked):
    selection = asked.selection()
    assert (selection.round, selection.system, selection.pixels) == (1, "random", 96)
    assert selection.regions[5].bounds == Bounds(0, 4, 3, 8)
    assert asked.selection(1) == selection
    assert asked.rounds == (1,)
    assert asked.states(1) == ("open",) * 8
    with pytest.raises(BadValue, match="the next round is 2, got 1"):
        asked.ask(selection)
    with pytest.raises(UnknownName, match=r"round '7'.*Known: 1"):
        asked.selection(7)


def test_before_the_first_round(project):
    assert project.selection() is None
    assert project.rounds == ()
    assert project.states(1) == ()
    region = Region("none", 1, 1, 0.5, 4, Bounds(0, 0, 2, 2))
    with pytest.raises(UnknownName, match="image 'none'"):
        project.ask(Selection(1, "random", "1 regions", (region,)))
    assert project.rounds == ()


def test_a_label_fills_its_region(asked):
    asked.stroke("first", SPOT, spot(3))
    asked.answer(1, 0, label=1, seconds=2.5)
    labels = asked.read_labels("first")
    assert (labels[:3, :4] == 1).all()
    assert np.count_nonzero(labels) == 12
    assert asked.states(1)[:2] == ("answered", "open")
    assert asked.cost() == Cost(12, 1, 1, 1, 2.5)
    event = asked.events()[-1]
    assert (event.kind, event.round, event.position, event.label) == (
        *("answer", 1),
        *(0, 1),
    )


def test_a_region_is_accepted_as_it_is_painted(asked):
    asked.stroke("first", SPOT, spot(3))
    before = asked.read_labels("first")
    asked.answer(1, 0)
    np.testing.assert_array_equal(asked.read_labels("first"), before)
    assert asked.states(1)[0] == "answered"
    assert asked.cost().pixels == 6
    assert asked.cost().clicks == 1


def test_exact_pixels_are_taken_inside_the_region_only(project):
    project.add_image("a", np.zeros((2, 4, 3), np.uint8))
    regions = np.array([[1, 1, 2, 2], [2, 1, 2, 2]], np.int32)
    version = project.partition_version({})
    project.write_regions("a", version, regions)
    region = Region("a", version, 1, 0.5, 3, Bounds(0, 0, 2, 2))
    project.ask(Selection(1, "random", "1 regions", (region,)))
    project.answer(1, 0, pixels=np.array([[1, 0], [3, 2]], np.uint8))
    assert project.read_labels("a").tolist() == [[1, 0, 0, 0], [0, 2, 0, 0]]
    assert project.cost() == Cost(pixels=2, regions=1, images=1, clicks=2, seconds=0.0)


def test_answers_that_cannot_be(asked):
    with pytest.raises(BadValue, match=r"asked 8 regions.*none at position 8"):
        asked.answer(1, 8, label=1)
    with pytest.raises(BadValue, match="round 2 asked 0 regions"):
        asked.skip(2, 0)
    for label in (0, 4):
        with pytest.raises(BadValue, match=f"1 to 3, got {label}"):
            asked.answer(1, 0, label=label)
    with pytest.raises(BadValue, match="not both"):
        asked.answer(1, 0, 1, np.zeros((3, 4), np.uint8))
    with pytest.raises(BadValue, match=r"shape \(2, 2\)"):
        asked.answer_all(1, {0: np.zeros((2, 2), np.uint8)})
    assert asked.sequence == 0


def test_undo_of_an_answer_opens_its_region(asked):
    asked.answer(1, 0, label=1)
    asked.answer(1, 0, label=2)
    assert asked.cost() == Cost(12, 1, 1, 2, 0.0)
    asked.undo()
    assert asked.states(1)[0] == "answered"
    assert asked.read_labels("first").max() == 1
    asked.undo()
    assert asked.states(1)[0] == "open"
    assert asked.cost() == Cost(0, 0, 0, 0, 0.0)
    asked.redo()
    assert asked.states(1)[0] == "answered"
    assert asked.cost().pixels == 12


def test_skipped_regions_are_not_asked_again(asked):
    asked.skip(1, 2)
    asked.answer(1, 5, label=1)
    asked.skip(1, 5)
    assert asked.states(1)[5] == "answered"
    assert asked.asked_regions(1) == {"first": {3}, "second": {2}}
    assert asked.asked_regions(2) == {}
    assert asked.labelled() == ("second",)
    assert asked.cost().regions == 1
    asked.undo()
    asked.undo()
    assert asked.asked_regions(1) == {}


def test_an_oracle_answers_all_at_once(asked):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (6, 8)).astype(np.uint8)
    regions = asked.selection().regions
    asked.answer_all(
        1, {at: truth[region.bounds.slices] for at, region in enumerate(regions)}
    )
    for name in asked.images():
        np.testing.assert_array_equal(asked.read_labels(name), truth)
    assert asked.cost().pixels == 2 * np.count_nonzero(truth)
    assert asked.cost().regions == asked.sequence == 8
    assert asked.verify() == []
    asked.undo()
    assert asked.states(1) == ("answered",) * 7 + ("open",)
    assert not asked.read_labels("second")[3:, 4:].any()


def test_cost_up_to_a_round(asked):
    asked.answer(1, 0, label=1, seconds=1.0)
    asked.ask(Selection(2, "random", "1 regions", (asked.selection().regions[4],)))
    asked.answer(2, 0, label=1, seconds=3.0)
    assert asked.cost(1) == Cost(12, 1, 1, 1, 1.0)
    assert asked.cost(2) == asked.cost() == Cost(24, 2, 2, 2, 4.0)


# Predictions, maps, metrics, weights


def test_predictions_and_maps(asked):
    assert asked.read_prediction("first") is None
    assert asked.read_map("first", "entropy") is None
    labels = np.full((6, 8), 2, np.uint8)
    asked.write_prediction("first", labels, 1)
    asked.write_map("first", "entropy", np.full((6, 8), 0.25, np.float32), 1)
    np.testing.assert_array_equal(asked.read_prediction("first"), labels)
    assert asked.read_map("first", "entropy").max() == 0.25
    assert asked.map_names("first") == ("entropy",)
    assert asked.map_round("first", "entropy") == 1
    assert asked.map_round("second", "entropy") is None


def test_a_map_is_fresh_with_its_own_weights_and_parameters_only(asked):
    asked.weights.commit(1, {"a": np.zeros(1, np.float32)}, {})
    scores = np.zeros((6, 8), np.float32)
    asked.write_map("first", "ripu", scores, 1, {"radius": 2})
    assert asked.has_fresh_map("first", "ripu", {"radius": 2})
    assert not asked.has_fresh_map("first", "ripu", {"radius": 3})
    assert not asked.has_fresh_map("first", "ripu")
    asked.weights.commit(1, {"a": np.ones(1, np.float32)}, {})
    assert not asked.has_fresh_map("first", "ripu", {"radius": 2})


def test_closed_regions_are_those_answered_or_skipped_of_these_partitions(asked):
    settings = {"partition": "windows", "window": 1, "round": 2}
    version = asked.partition_version(settings)
    windows = np.zeros((6, 8), np.int32)
    windows[:3, :3], windows[3:, :3], windows[:3, 5:] = 1, 2, 3
    asked.write_regions("first", version, windows)
    boxes = [Bounds(0, 0, 3, 3), Bounds(3, 0, 6, 3), Bounds(0, 5, 3, 8)]
    regions = [
        Region("first", version, number, 0.5, 9, bounds)
        for number, bounds in enumerate(boxes, 1)
    ]
    asked.ask(Selection(2, "ripu-ra", "3 regions", tuple(regions)))
    asked.answer(1, 0, label=1)  # of another partition
    asked.answer(2, 0, label=1)
    asked.skip(2, 2)
    found = asked.closed_regions(("windows", "pixels"))
    assert found == {"first": [(boxes[0], settings), (boxes[2], settings)]}
    assert asked.closed_regions(("pixels",)) == {}


def test_pseudo_labels_are_no_answers(asked, path):
    asked.answer(1, 0, label=1)
    asked.stroke("second", SPOT, spot(3))
    before = [asked.read_labels(name) for name in asked.images()]
    events, cost = asked.events(), asked.cost()
    assert asked.read_pseudo_labels("first") is None
    asked.clear_pseudo_labels()
    labels = np.full((6, 8), 2, np.uint8)
    labels[0, 0] = 0
    for number in (1, 2):
        asked.write_pseudo_labels("first", labels * (number == 2), number)
        asked.write_map("first", "pseudo-weight", np.full((6, 8), 0.5, "f4"), number)
    np.testing.assert_array_equal(asked.read_pseudo_labels("first"), labels)
    assert asked.read_pseudo_labels("second") is None
    for name, expected in zip(asked.images(), before, strict=True):
        np.testing.assert_array_equal(asked.read_labels(name), expected)
    assert (asked.events(), asked.cost()) == (events, cost)
    assert asked.labelled_pixels() == {"first": 12, "second": 6}
    assert asked.verify() == []
    group = zarr.open_group(path / "images" / "first" / "labels", mode="r")
    described = group["pseudo"].attrs["ome"]["image-label"]
    assert [entry["class"] for entry in described["properties"]] == [
        *("sky", "road", "car")
    ]
    assert "pseudo" in group.attrs["ome"]["labels"]


def test_pseudo_labels_are_taken_away(asked, path):
    labels = np.full((6, 8), 2, np.uint8)
    for name in asked.images():
        asked.write_prediction(name, labels, 1)
        asked.write_pseudo_labels(name, labels, 1)
        for map_name in ("entropy", "pseudo-weight"):
            asked.write_map(name, map_name, np.zeros((6, 8), np.float32), 1)
    asked.clear_pseudo_labels()
    for name in asked.images():
        assert asked.read_pseudo_labels(name) is None
        assert asked.map_names(name) == ("entropy",)
        np.testing.assert_array_equal(asked.read_prediction(name), labels)
        group = zarr.open_group(path / "images" / name / "labels", mode="r")
        listed = ["annotation", "regions-1", "prediction"]
        assert group.attrs["ome"]["labels"] == listed
    asked.write_pseudo_labels("first", labels - 1, 2)
    assert asked.read_pseudo_labels("first").max() == 1


def test_pseudo_labels_that_are_cleared_while_they_are_read(asked, monkeypatch):
    asked.write_pseudo_labels("first", np.ones((6, 8), np.uint8), 1)
    has_labels = layout.has_labels

    def cleared_after(folder, name):
        found = has_labels(folder, name)
        asked.clear_pseudo_labels()
        return found

    monkeypatch.setattr(layout, "has_labels", cleared_after)
    assert asked.read_pseudo_labels("first") is None


@pytest.mark.parametrize("score", [np.nan, np.inf, 70000.0, -70000.0])
def test_scores_are_finite_and_fit(asked, score):
    scores = np.zeros((6, 8), np.float32)
    scores[0, 0] = score
    with pytest.raises(BadValue, match="finite and at most 65504"):
        asked.write_map("first", "entropy", scores, 1)
    assert asked.map_names("first") == ()


def test_maps_and_predictions_must_fit(asked):
    with pytest.raises(BadValue, match="the array"):
        asked.write_map("first", "entropy", np.zeros((6, 7), np.float32), 1)
    with pytest.raises(BadValue, match="the array"):
        asked.write_prediction("first", np.zeros((5, 8), np.uint8), 1)
    with pytest.raises(BadValue, match="got 4"):
        asked.write_prediction("first", np.full((6, 8), 4, np.uint8), 1)
    with pytest.raises(BadValue, match="the array"):
        asked.write_pseudo_labels("first", np.zeros((5, 8), np.uint8), 1)
    with pytest.raises(BadValue, match="got 4"):
        asked.write_pseudo_labels("first", np.full((6, 8), 4, np.uint8), 1)
    for name in ("", "../x", ".x"):
        with pytest.raises(BadValue, match="named by"):
            asked.write_map("first", name, np.zeros((6, 8), np.float32), 1)


def test_metrics(project):
    for value in (0.25, "text", [0.5, None], {"a": 1}):
        project.record(1, "miou", value)
        assert project.metrics(1) == {"miou": value}
    assert project.metrics(2) == {}
    for value in (float("nan"), object()):
        with pytest.raises(BadValue, match="'miou' of round 1 is not JSON"):
            project.record(1, "miou", value)


def test_weights_count_once_the_ledger_says_so(project, path, monkeypatch):
    assert project.weights.read() is None
    assert project.weights.latest_round is None
    for number in (1, 2):
        project.weights.commit(number, {"w": np.full(2, number)}, {"round": number})
    assert project.weights.latest_round == 2
    assert project.weights.read()[1] == {"round": 2}
    assert project.weights.read(1)[0]["w"].tolist() == [1, 1]
    assert project.weights.read(3) is None

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(project._ledger, "commit_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.weights.commit(3, {"w": np.zeros(2)}, {})
    assert project.weights.read()[1] == {"round": 2}
    project.close()
    with Project.open(path) as opened:
        names = {file.name for file in (path / "weights").glob("*.safetensors*")}
        assert names == {"round-001.safetensors", "round-002.safetensors"}
        (path / "weights" / "round-002.safetensors").write_bytes(b"")
        with pytest.raises(WeightsMismatch):
            opened.weights.read()


def test_an_unfinished_training_waits_for_as_long_as_it_takes(project, path):
    assert project.weights.read_aside("unfinished") is None
    assert project.weights.aside_metadata("unfinished") is None
    project.weights.clear_aside("unfinished")
    state = {
        "step": np.array(7, np.int64),
        "mean": np.arange(3, dtype=np.float64),
        "random": np.arange(9, dtype=np.uint8),
        "none": np.zeros((0, 2), np.float32),
    }
    for epoch in (1, 2):
        project.weights.write_aside(
            "unfinished", state, {"epoch": epoch, "settings": {"epochs": 9}}
        )
    project.weights.commit(1, {"w": np.zeros(2)}, {})
    project.close()
    with Project.open(path) as opened:  # which sweeps what does not count
        assert opened.weights.aside_metadata("unfinished") == {
            "epoch": 2,
            "settings": {"epochs": 9},
        }
        arrays, metadata = opened.weights.read_aside("unfinished")
        assert metadata == {"epoch": 2, "settings": {"epochs": 9}}
        assert set(arrays) == set(state)
        for name, array in state.items():
            assert (arrays[name].dtype, arrays[name].shape) == (
                *(array.dtype, array.shape),
            )
            np.testing.assert_array_equal(arrays[name], array)
        assert opened.weights.latest_round == 1
        opened.weights.clear_aside("unfinished")
        assert opened.weights.read_aside("unfinished") is None
        names = sorted(file.name for file in (path / "weights").iterdir())
        assert names == ["round-001.json", "round-001.safetensors"]


def test_a_live_head_is_kept_beside_an_unfinished_training(project, path):
    assert project.weights.aside_metadata("live") is None
    project.weights.write_aside("unfinished", {"w": np.zeros(1)}, {"epoch": 1})
    for learnt in (1, 2):
        project.weights.write_aside(
            "live", {"head": np.full(2, learnt)}, {"learnt": learnt}
        )
    project.weights.commit(1, {"w": np.zeros(2)}, {})
    project.close()
    with Project.open(path) as opened:  # which sweeps what does not count
        assert opened.weights.aside_metadata("live") == {"learnt": 2}
        arrays, metadata = opened.weights.read_aside("live")
        assert (arrays["head"].tolist(), metadata) == ([2, 2], {"learnt": 2})
        assert opened.weights.rounds == (1,)
        opened.weights.clear_aside("live")
        assert opened.weights.read_aside("live") is None
        assert opened.weights.aside_metadata("unfinished") == {"epoch": 1}


def test_metadata_of_rounds_are_read_by_themselves(project, path):
    assert project.weights.rounds == ()
    for number in (3, 1):
        project.weights.commit(number, {"w": np.zeros(2)}, {"network": f"n{number}"})
    assert project.weights.rounds == (1, 3)
    assert project.weights.metadata(1) == {"network": "n1"}
    assert project.weights.metadata(3) == {"network": "n3"}
    with pytest.raises(WeightsMismatch, match="round-002"):
        project.weights.metadata(2)
    (path / "weights" / "round-003.safetensors").write_bytes(b"")
    with pytest.raises(WeightsMismatch, match="round-003"):
        project.weights.metadata(3)


def test_a_training_that_cannot_be_kept_leaves_the_older_one(
    project, path, monkeypatch
):
    project.weights.write_aside("unfinished", {"w": np.zeros(2)}, {"epoch": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "unfinished")

    with monkeypatch.context() as patch, pytest.raises(CannotWrite, match="No space"):
        patch.setattr(os, "fsync", full)
        project.weights.write_aside("unfinished", {"w": np.ones(2)}, {"epoch": 2})
    arrays, metadata = project.weights.read_aside("unfinished")
    assert (arrays["w"].tolist(), metadata) == ([0, 0], {"epoch": 1})
    project.close()
    with Project.open(path) as opened:
        assert not list((path / "weights").glob("*.tmp"))
        file = path / "weights" / "unfinished.safetensors"
        file.write_bytes(file.read_bytes()[:-9])
        with pytest.raises(WeightsMismatch, match=r"unfinished.*learn again"):
            opened.weights.read_aside("unfinished")
        with pytest.raises(WeightsMismatch, match=r"unfinished.*learn again"):
            opened.weights.aside_metadata("unfinished")
    with (
        Project.open(path, "read") as reader,
        pytest.raises(CannotWrite, match="reading only"),
    ):
        reader.weights.clear_aside("unfinished")


# Verify


def test_verify_finds_and_repairs(asked, path):
    asked.stroke("first", SPOT, spot(2))
    asked.weights.commit(1, {}, {})
    assert asked.verify() == []
    expected = asked.read_labels("first")
    layout.write_window(
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
    np.testing.assert_array_equal(asked.read_labels("first"), expected)
    assert len(asked.verify()) == 3  # what the ledger cannot bring back


def test_verify_finds_events_that_do_not_follow(asked):
    asked.stroke("first", SPOT, spot(1))
    asked.stroke("first", SPOT, spot(2))
    asked._ledger.connection.execute("DELETE FROM events WHERE sequence = 1")
    assert "first: event 2 does not follow the one before" in asked.verify()


# Sudden ends


PAINT = """
import sys
import numpy as np
from napari_alseg.arrays import Bounds
from napari_alseg.store import Project, layout

with Project.open(sys.argv[1]) as project:
    rng = np.random.default_rng(int(sys.argv[2]))
    print("ready")
    for _ in range(100_000):
        action = rng.integers(6)
        if action == 0:
            project.undo()
        elif action == 1:
            project.answer(1, int(rng.integers(8)), label=int(rng.integers(1, 4)))
        else:
            row, column = (int(n) for n in rng.integers(0, (4, 6)))
            bounds = Bounds(row, column, row + 2, column + 2)
            patch = rng.integers(0, 4, (2, 2)).astype(np.uint8)
            project.stroke("second" if action == 2 else "first", bounds, patch)
        print(project.sequence)
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
        assert opened.sequence >= int(told[-1])
        assert opened.verify() == []
        opened.undo()
        assert opened.verify() == []


KILLED_BEFORE_THE_PICTURE = PAINT.replace(
    'print("ready")',
    "import os; layout.write_window = lambda *_: os.kill(os.getpid(), 9)",
)


def test_killed_between_ledger_and_picture(asked, path, run_python):
    asked.close()
    child = run_python(KILLED_BEFORE_THE_PICTURE, path, 3)
    assert child.communicate()[0] == ""
    assert child.returncode == -signal.SIGKILL
    with Project.open(path, "read") as reader:
        assert reader.sequence == 1
        assert reader.verify() != []
        before = reader.read_labels("first"), reader.read_labels("second")
        assert any(labels.any() for labels in before)
    with Project.open(path) as opened:
        assert opened.verify() == []
        after = opened.read_labels("first"), opened.read_labels("second")
        np.testing.assert_array_equal(before, after)


def test_a_picture_that_cannot_be_drawn_is_drawn_later(asked, path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "chunk")

    asked.stroke("first", SPOT, spot(1))
    with monkeypatch.context() as patch, pytest.raises(CannotWrite, match="No space"):
        patch.setattr(layout, "write_window", full)
        asked.stroke("first", SPOT, spot(2))
    assert asked.read_labels("first").max() == 2
    asked.stroke("first", Bounds(0, 0, 1, 1), np.ones((1, 1), np.uint8))
    assert asked.verify() == []
    with monkeypatch.context() as patch, pytest.raises(CannotWrite):
        patch.setattr(layout, "write_window", full)
        asked.undo()
    asked.undo()
    assert asked.verify() == []
    assert asked.read_labels("first").max() == 1


def test_other_errors_of_the_system_are_not_disguised(asked, monkeypatch):
    def odd(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(layout, "write_window", odd)
    with pytest.raises(OSError, match="Invalid argument") as caught:
        asked.stroke("first", SPOT, spot(1))
    assert not isinstance(caught.value, CannotWrite)


# No room, no rights


def test_a_full_ledger(asked, path):
    pages = asked._ledger.value("PRAGMA page_count")
    asked._ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CannotWrite, match=r"cells\.alseg.*full.*make room"):
        for number in range(1000):
            asked.record(number, "name", "x" * 500)
    sequence = asked.sequence
    labels = asked.read_labels("first")
    with pytest.raises(CannotWrite):
        for number in range(1000):
            asked.stroke("first", SPOT, spot(1 + number % 3))
            sequence, labels = asked.sequence, asked.read_labels("first")
    assert asked.sequence == sequence
    np.testing.assert_array_equal(asked.read_labels("first"), labels)
    asked._ledger.connection.execute("PRAGMA max_page_count = 100000")
    asked.stroke("first", Bounds(5, 5, 6, 6), np.ones((1, 1), np.uint8))
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
    project.add_image("a", np.zeros((100, 100, 3), np.uint8))
    done = np.zeros((100, 100), np.uint8)
    with pytest.raises(CannotWrite, match=r"x\.alseg"):
        for _ in range(1000):
            next_one = rng.integers(0, 4, (100, 100)).astype(np.uint8)
            project.stroke("a", whole, next_one)
            done = next_one
    kept = project.read_labels("a")
    assert any(np.array_equal(kept, labels) for labels in (done, next_one))
    with pytest.raises(CannotWrite):
        noise = rng.integers(0, 255, (600, 600, 3)).astype(np.uint8)
        project.add_image("b", noise)
    assert not (path / "images" / "b").exists()
    with pytest.raises(CannotWrite):
        project.weights.commit(1, {"w": rng.random(100_000)}, {})
    with pytest.raises(CannotWrite):
        Project.create(small_disk / "y.alseg", CLASSES).add_image("b", noise)
    ballast.unlink()
    project.stroke("a", whole, done // 2)
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
    read = project.read_labels("a"), project.read_prediction("a")
    print(project.images(), *(int(labels.sum()) for labels in read))
    print(int(project.read_map("a", "entropy").sum()), project.verify())
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
            project.add_image("a", np.zeros((4, 5, 3), np.uint8), labels=labels)
            project.write_prediction("a", labels, 1)
            project.write_map("a", "entropy", labels.astype(np.float32), 1)
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
    project._ledger.connection.execute("PRAGMA busy_timeout = 1")
    with other._ledger.transaction(), pytest.raises(Busy, match="locked; try again"):
        project.record(1, "miou", 0.5)
    other.close()


def test_the_project_is_a_group_that_other_readers_walk(asked):
    group = zarr.open_group(asked.path, mode="r")
    assert sorted(group["images"].group_keys()) == ["first", "second"]
    assert sorted(group["images/first/labels"].group_keys()) == [
        "annotation",
        "regions-1",
    ]
    text = (asked.path / "zarr.json").read_text()
    assert json.loads(text)["attributes"]["classes"][0]["name"] == "sky"
