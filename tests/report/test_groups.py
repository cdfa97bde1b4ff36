"""Groups of runs, and their names."""

import pytest
from runs_by_hand import made

from napari_alseg.report.compare import compare
from napari_alseg.report.groups import MeanOverSeeds, over_seeds


def test_mean_and_deviation_of_hand_worked_numbers():
    found = over_seeds([0.2, 0.4, 0.9])
    assert found.mean == pytest.approx(0.5)
    assert found.deviation == pytest.approx(0.13**0.5)  # (.09 + .01 + .16) / 2
    assert over_seeds([0.3]) == MeanOverSeeds(0.3, None, 1)


def test_groups_of_one_system_are_told_apart_by_what_differs(tmp_path):
    folders = [
        made(tmp_path / "a"),
        made(tmp_path / "b", budget="10%"),
        made(tmp_path / "c", "random", asking={"partition": "image"}),
        made(tmp_path / "d", "random"),
    ]
    assert [group.name for group in compare(folders).groups] == [
        "entropy (budget 5%)",
        "entropy (budget 10%)",
        "random (partition image)",
        "random (partition superpixels)",
    ]


def test_namesakes_are_told_apart_by_their_recipe_once(tmp_path):
    paths = [
        made(tmp_path / name, recipe=name, training={"recipe": name})
        for name in ("partial", "live")
    ]
    names = [group.name for group in compare(paths).groups]
    assert names == ["entropy (recipe partial)", "entropy (recipe live)"]


def test_a_setting_that_is_off_is_as_if_it_were_not_there(tmp_path):
    folders = [
        made(tmp_path / "older"),
        made(tmp_path / "newer", seed=1, training={"doubled": False}),
        made(tmp_path / "other", seed=1, training={"doubled": True}),
    ]
    first, second = compare(folders).groups
    assert (len(first.runs), len(second.runs)) == (2, 1)


def test_no_two_groups_have_one_name(tmp_path):
    folders = [
        made(tmp_path / "a", asking={"region_size": 400}),
        made(tmp_path / "b", asking={"region_size": 200}),
        made(tmp_path / "c", asking={"partition": "grid"}),
    ]
    names = [group.name for group in compare(folders).groups]
    assert len(set(names)) == 3
    assert any("region size 200" in name for name in names)
