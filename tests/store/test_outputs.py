import shutil

import numpy as np
import pytest
import zarr

from napari_alseg.arrays import Bounds
from napari_alseg.errors import (
    BadValue,
    UnknownName,
)
from napari_alseg.store import Project, ome_zarr

SPOT = Bounds(1, 1, 3, 4)


def spot(label):
    return np.full(SPOT.shape, label, np.uint8)


def test_partitions_are_numbered_by_their_settings(project):
    assert project.outputs.partition_version({"a": 1, "b": 2}) == 1
    assert project.outputs.partition_version({"b": 3}) == 2
    assert project.outputs.partition_version({"b": 2, "a": 1}) == 1
    assert project.outputs.partition_settings(2) == {"b": 3}
    with pytest.raises(UnknownName, match=r"partition '3'.*Known: 1, 2"):
        project.outputs.partition_settings(3)


def test_region_maps_of_versions_stay_apart(asked):
    assert asked.outputs.has_regions("first", 1)
    assert not asked.outputs.has_regions("first", 2)
    asked.outputs.write_regions("first", 2, np.ones((6, 8), np.int32))
    assert asked.outputs.read_regions("first", 1).max() == 4
    assert asked.outputs.read_regions("first", 2).dtype == np.int32
    with pytest.raises(UnknownName, match="regions-3 of first"):
        asked.outputs.read_regions("first", 3)
    with pytest.raises(
        BadValue, match=r"\(6, 8\) rows and columns, the array \(6, 7\)"
    ):
        asked.outputs.write_regions("first", 2, np.ones((6, 7), np.int32))


def test_predictions_and_maps(asked):
    assert asked.outputs.read_prediction("first") is None
    assert asked.outputs.read_map("first", "entropy") is None
    labels = np.full((6, 8), 2, np.uint8)
    asked.outputs.write_prediction("first", labels, 1)
    asked.outputs.write_map("first", "entropy", np.full((6, 8), 0.25, np.float32), 1)
    np.testing.assert_array_equal(asked.outputs.read_prediction("first"), labels)
    assert asked.outputs.read_map("first", "entropy").max() == 0.25
    assert asked.outputs.map_names("first") == ("entropy",)
    assert asked.outputs.map_round("first", "entropy") == 1
    assert asked.outputs.map_round("second", "entropy") is None


def test_a_map_is_fresh_with_its_own_weights_and_parameters_only(asked):
    asked.weights.commit(1, {"a": np.zeros(1, np.float32)}, {})
    scores = np.zeros((6, 8), np.float32)
    asked.outputs.write_map("first", "ripu", scores, 1, {"radius": 2})
    assert asked.outputs.has_fresh_map("first", "ripu", {"radius": 2})
    assert not asked.outputs.has_fresh_map("first", "ripu", {"radius": 3})
    assert not asked.outputs.has_fresh_map("first", "ripu")
    asked.weights.commit(1, {"a": np.ones(1, np.float32)}, {})
    assert not asked.outputs.has_fresh_map("first", "ripu", {"radius": 2})


def test_a_map_says_which_weights_it_was_made_with(asked):
    scores = np.zeros((6, 8), np.float32)
    asked.weights.commit(1, {"a": np.zeros(1, np.float32)}, {})
    before = asked.weights.number(1)
    asked.weights.commit(1, {"a": np.ones(1, np.float32)}, {})
    asked.outputs.write_map("first", "ripu", scores, 1, weights=before)
    assert not asked.outputs.has_fresh_map("first", "ripu")
    asked.outputs.write_map("first", "ripu", scores, 1)
    assert asked.outputs.has_fresh_map("first", "ripu")
    asked.weights.commit(2, {"a": np.ones(1, np.float32)}, {})
    assert not asked.outputs.has_fresh_map("first", "ripu")


def test_a_prediction_is_fresh_with_the_latest_weights_only(asked):
    labels = np.ones((6, 8), np.uint8)
    asked.outputs.write_prediction("first", labels, 0)
    assert not asked.outputs.has_fresh_prediction("first")
    asked.weights.commit(1, {"a": np.zeros(1, np.float32)}, {})
    assert not asked.outputs.has_fresh_prediction("first")
    asked.outputs.write_prediction("first", labels, 1)
    assert asked.outputs.has_fresh_prediction("first")
    assert not asked.outputs.has_fresh_prediction("second")
    asked.weights.commit(1, {"a": np.ones(1, np.float32)}, {})
    assert not asked.outputs.has_fresh_prediction("first")


def test_a_copy_of_a_project_keeps_what_is_fresh_and_what_is_stale(
    asked, path, tmp_path
):
    scores = np.zeros((6, 8), np.float32)
    asked.outputs.write_map("first", "stale", scores, 1)
    asked.weights.commit(1, {"a": np.zeros(1, np.float32)}, {})
    asked.outputs.write_map("second", "stale", scores, 1)
    asked.weights.commit(1, {"a": np.ones(1, np.float32)}, {})
    asked.outputs.write_map("first", "fresh", scores, 1)
    asked.close()
    shutil.copytree(path, tmp_path / "copy.alseg", copy_function=shutil.copyfile)
    with Project.open(tmp_path / "copy.alseg") as copy:
        assert copy.outputs.has_fresh_map("first", "fresh")
        for name in copy.images.names():
            assert not copy.outputs.has_fresh_map(name, "stale")


def test_pseudo_labels_are_no_answers(asked, path):
    asked.labels.answer(1, 0, label=1)
    asked.labels.stroke("second", SPOT, spot(3))
    before = [asked.labels.read(name) for name in asked.images.names()]
    events, cost = asked.labels.events(), asked.rounds.cost()
    assert asked.outputs.read_pseudo_labels("first") is None
    asked.outputs.clear_pseudo_labels()
    labels = np.full((6, 8), 2, np.uint8)
    labels[0, 0] = 0
    for number in (1, 2):
        asked.outputs.write_pseudo_labels("first", labels * (number == 2), number)
        asked.outputs.write_map(
            "first", "pseudo-weight", np.full((6, 8), 0.5, "f4"), number
        )
    np.testing.assert_array_equal(asked.outputs.read_pseudo_labels("first"), labels)
    assert asked.outputs.read_pseudo_labels("second") is None
    for name, expected in zip(asked.images.names(), before, strict=True):
        np.testing.assert_array_equal(asked.labels.read(name), expected)
    assert (asked.labels.events(), asked.rounds.cost()) == (events, cost)
    assert asked.labels.pixels() == {"first": 12, "second": 6}
    assert asked.verify() == []
    group = zarr.open_group(path / "images" / "first" / "labels", mode="r")
    described = group["pseudo"].attrs["ome"]["image-label"]
    assert [entry["class"] for entry in described["properties"]] == [
        *("sky", "road", "car")
    ]
    assert "pseudo" in group.attrs["ome"]["labels"]


def test_pseudo_labels_are_taken_away(asked, path):
    labels = np.full((6, 8), 2, np.uint8)
    for name in asked.images.names():
        asked.outputs.write_prediction(name, labels, 1)
        asked.outputs.write_pseudo_labels(name, labels, 1)
        for map_name in ("entropy", "pseudo-weight"):
            asked.outputs.write_map(name, map_name, np.zeros((6, 8), np.float32), 1)
    asked.outputs.clear_pseudo_labels()
    for name in asked.images.names():
        assert asked.outputs.read_pseudo_labels(name) is None
        assert asked.outputs.map_names(name) == ("entropy",)
        np.testing.assert_array_equal(asked.outputs.read_prediction(name), labels)
        group = zarr.open_group(path / "images" / name / "labels", mode="r")
        listed = ["annotation", "regions-1", "prediction"]
        assert group.attrs["ome"]["labels"] == listed
    asked.outputs.write_pseudo_labels("first", labels - 1, 2)
    assert asked.outputs.read_pseudo_labels("first").max() == 1


def test_pseudo_labels_that_are_cleared_while_they_are_read(asked, monkeypatch):
    asked.outputs.write_pseudo_labels("first", np.ones((6, 8), np.uint8), 1)
    has_labels = ome_zarr.has_labels

    def cleared_after(folder, name):
        found = has_labels(folder, name)
        asked.outputs.clear_pseudo_labels()
        return found

    monkeypatch.setattr(ome_zarr, "has_labels", cleared_after)
    assert asked.outputs.read_pseudo_labels("first") is None


@pytest.mark.parametrize("score", [np.nan, np.inf, 70000.0, -70000.0])
def test_scores_are_finite_and_fit(asked, score):
    scores = np.zeros((6, 8), np.float32)
    scores[0, 0] = score
    with pytest.raises(BadValue, match="finite and at most 65504"):
        asked.outputs.write_map("first", "entropy", scores, 1)
    assert asked.outputs.map_names("first") == ()


def test_maps_and_predictions_must_fit(asked):
    with pytest.raises(BadValue, match="the array"):
        asked.outputs.write_map("first", "entropy", np.zeros((6, 7), np.float32), 1)
    with pytest.raises(BadValue, match="the array"):
        asked.outputs.write_prediction("first", np.zeros((5, 8), np.uint8), 1)
    with pytest.raises(BadValue, match="got 4"):
        asked.outputs.write_prediction("first", np.full((6, 8), 4, np.uint8), 1)
    with pytest.raises(BadValue, match="the array"):
        asked.outputs.write_pseudo_labels("first", np.zeros((5, 8), np.uint8), 1)
    with pytest.raises(BadValue, match="got 4"):
        asked.outputs.write_pseudo_labels("first", np.full((6, 8), 4, np.uint8), 1)
    for name in ("", "../x", ".x"):
        with pytest.raises(BadValue, match="named by"):
            asked.outputs.write_map("first", name, np.zeros((6, 8), np.float32), 1)
