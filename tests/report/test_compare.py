import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_by_hand import full, made

from napari_alseg.errors import BadValue, NewerFormat
from napari_alseg.metrics import area_under_curve
from napari_alseg.report.compare import Spread, compare, find_runs, spread
from napari_alseg.simulation.run import flat, percent, read_run, wanted


def by_name(comparison):
    return {group.name: group for group in comparison.groups}


# --- areas ----------------------------------------------------------------------------


def test_the_area_of_hand_worked_curves():
    # From 1 % to 10 % the middle of the straight line is half-way up.
    assert area_under_curve([0.01, 0.1], [0.4, 0.6], 0.01, 0.1) == pytest.approx(0.5)
    # A decade at 0.5 on average, a decade at 0.65 on average.
    shares, values = [0.01, 0.1, 1.0], [0.4, 0.6, 0.7]
    assert area_under_curve(shares, values, 0.01, 1.0) == pytest.approx(0.575)
    # The second half of the first decade: from 0.5 to 0.6.
    half = 10**-1.5
    assert area_under_curve(shares, values, half, 0.1) == pytest.approx(0.55)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.floats(0.05, 0.45),
    st.floats(0.55, 0.95),
)
def test_an_area_lies_between_the_lowest_and_the_highest_value(values, first, last):
    shares = np.geomspace(0.001, 1, len(values))
    area = area_under_curve(shares, values, 0.001**last, 0.001**first)
    assert min(values) - 1e-9 <= area <= max(values) + 1e-9


# --- runs -----------------------------------------------------------------------------


def test_settings_are_named_flat():
    run = {"seed": 1, "training": {"epochs": 2}, "rounds": [{}], "finished": True}
    assert wanted(run) == {"seed": 1, "training.epochs": 2}
    assert list(flat({"a": {"b": {"c": 0}}})) == [("a.b.c", 0)]
    assert percent(0.1234) == "12.3"
    assert percent(None) == "absent"


def test_runs_are_found_in_folders_of_runs(tmp_path):
    for seed in (0, 1):
        made(tmp_path / "all" / "entropy" / f"seed-{seed}", seed=seed)
    single = full(tmp_path / "full")
    inside = tmp_path / "all" / "entropy" / "seed-0" / "project.alseg"
    made(inside / "x")
    found = find_runs(tmp_path / "all")
    assert [folder.name for folder, _ in found] == ["seed-0", "seed-1"]
    assert find_runs(single)[0][1] == read_run(single)
    twice = compare([tmp_path / "all", tmp_path / "all" / "entropy"])
    assert [len(group.runs) for group in twice.groups] == [2]


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(BadValue, match=r"holds no run\.json"):
        compare([tmp_path])
    with pytest.raises(BadValue, match=r"holds no run\.json"):
        compare([tmp_path / "nowhere"])
    with pytest.raises(BadValue, match="no run is named"):
        compare([])
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(BadValue, match="damaged"):
        compare([tmp_path])
    (tmp_path / "run.json").write_text('{"system": "entropy"}')
    with pytest.raises(BadValue, match="before format 2"):
        compare([tmp_path])
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(NewerFormat, match="99"):
        compare([tmp_path])
    empty = made(tmp_path / "empty", rounds=())
    with pytest.raises(BadValue, match="wait"):
        compare([empty])


def test_runs_of_different_data_are_refused(tmp_path):
    first = made(tmp_path / "a")
    for number, other in enumerate(
        (
            {"dataset": "cells"},
            {"classes": ["sky", "tree"]},
            {"pool": {"images": 11, "pixels": 10_000}},
        )
    ):
        with pytest.raises(BadValue, match="one data set"):
            compare([first, made(tmp_path / f"b{number}", **other)])


# --- groups and their numbers ---------------------------------------------------------


def test_mean_and_deviation_of_hand_worked_numbers():
    found = spread([0.2, 0.4, 0.9])
    assert found.mean == pytest.approx(0.5)
    assert found.deviation == pytest.approx(0.13**0.5)  # (.09 + .01 + .16) / 2
    assert spread([0.3]) == Spread(0.3, None, 1)


def test_runs_that_differ_by_the_seed_are_one_group(tmp_path):
    folders = [
        made(tmp_path / "0", seed=0, rounds=((0.01, 0.4), (0.1, 0.6))),
        made(tmp_path / "1", seed=1, rounds=((0.03, 0.5), (0.1, 0.7))),
    ]
    (group,) = compare(folders).groups
    assert group.name == "entropy"
    assert [run["seed"] for run in group.runs] == [0, 1]
    first, last = group.points
    assert first.costs == {
        "pixels": pytest.approx(0.02),
        "regions": 10,
        "images": 1,
        "clicks": 20,
        "seconds": 6,
    }
    assert last.costs["seconds"] == 12  # counted from the first round
    assert first.miou.mean == pytest.approx(0.45)
    assert last.miou.deviation == pytest.approx(0.1 / 2**0.5)
    assert group.iou["sky"].mean == pytest.approx(1.2)
    assert group.iou["pole"].deviation == 0


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


def test_a_class_that_never_occurs_is_absent(tmp_path):
    folder = made(tmp_path / "a")
    run = json.loads((folder / "run.json").read_text())
    run["rounds"][-1]["iou"]["pole"] = None
    (folder / "run.json").write_text(json.dumps(run))
    (group,) = compare([folder]).groups
    assert group.iou["pole"] is None


def test_share_of_full_is_taken_with_the_same_seed_and_training(tmp_path):
    folders = [
        full(tmp_path / "f0", 0.8, seed=0),
        full(tmp_path / "f1", 0.5, seed=1),
        full(tmp_path / "other", 0.1, seed=0, training={"epochs": 99}),
        made(tmp_path / "e0", seed=0),  # 0.6 / 0.8 = 0.75
        made(tmp_path / "e1", seed=1),  # 0.6 / 0.5 = 1.2
        made(tmp_path / "e2", seed=2),  # no such full: 0.6 / 0.65
    ]
    groups = by_name(compare(folders))
    share = groups["entropy"].share_of_full
    assert share.mean == pytest.approx((0.75 + 1.2 + 0.6 / 0.65) / 3)
    assert groups["full (epochs 20)"].share_of_full.mean == 1
    assert groups["full (epochs 99)"].share_of_full.mean == 1


def test_full_of_another_training_or_size_gives_no_share(tmp_path):
    for number, other in enumerate(
        ({"network": "fpn"}, {"size": ""}, {"training": {"epochs": 3}})
    ):
        folders = [
            full(tmp_path / f"f{number}", **other),
            made(tmp_path / f"e{number}"),
        ]
        comparison = compare(folders)
        assert by_name(comparison)["entropy"].share_of_full is None
        assert any("not comparable" in text for text in comparison.warnings)


def test_namesakes_are_told_apart_by_their_recipe_once(tmp_path):
    paths = [
        made(tmp_path / name, recipe=name, training={"recipe": name})
        for name in ("partial", "live")
    ]
    names = [group.name for group in compare(paths).groups]
    assert names == ["entropy (recipe partial)", "entropy (recipe live)"]


def test_full_with_the_same_recipe_is_preferred(tmp_path):
    folders = [
        full(tmp_path / "a", 0.8),
        full(tmp_path / "b", 0.9, recipe="consistency"),
        made(
            tmp_path / "c",
            "equal",
            recipe="consistency",
            training={"recipe": "consistency"},
        ),
    ]
    comparison = compare(folders)
    share = by_name(comparison)["equal"].share_of_full
    assert share.mean == pytest.approx(0.6 / 0.9)
    assert any("recipe" in text for text in comparison.warnings)


def test_gain_is_over_random_of_the_same_regions(tmp_path):
    folders = [
        made(tmp_path / "r0", "random", rounds=((0.01, 0.4), (0.1, 0.55)), seed=0),
        made(tmp_path / "r1", "random", rounds=((0.01, 0.4), (0.1, 0.45)), seed=1),
        made(tmp_path / "grid", "random", asking={"rows": 4, "partition": "grid"}),
        made(tmp_path / "e0", seed=0),
        made(tmp_path / "e1", seed=1),
        made(tmp_path / "q", "equal"),
    ]
    groups = by_name(compare(folders))
    entropy = groups["entropy"]
    assert entropy.gain.mean == pytest.approx((0.05 + 0.15) / 2)
    assert entropy.gain.deviation == pytest.approx(0.1 / 2**0.5)
    assert entropy.baseline == "random (partition superpixels)"
    assert groups["equal"].gain is None  # its grid has 5 rows
    assert groups["random (partition superpixels)"].gain is None


def test_gain_is_taken_where_both_have_come(tmp_path):
    changes = {"planned_rounds": 2, "finished": False}
    made(tmp_path / "r", "random", rounds=((0.01, 0.4),), **changes)
    groups = by_name(compare([tmp_path / "r", made(tmp_path / "e")]))
    assert groups["entropy"].gain is None


def test_a_setting_that_is_off_is_as_if_it_were_not_there(tmp_path):
    folders = [
        made(tmp_path / "older"),
        made(tmp_path / "newer", seed=1, training={"doubled": False}),
        made(tmp_path / "other", seed=1, training={"doubled": True}),
    ]
    first, second = compare(folders).groups
    assert (len(first.runs), len(second.runs)) == (2, 1)


def test_rounds_that_go_on_are_held_against_random_rounds_that_go_on(tmp_path):
    def after(system):
        return {"after": {"system": system, "seed": 0, "round": 2}}

    folders = [
        made(tmp_path / "e", **after("entropy")),
        made(
            tmp_path / "r",
            "random",
            rounds=((0.01, 0.4), (0.1, 0.5)),
            **after("random"),
        ),
        made(tmp_path / "s", "margin", **after("entropy")),
    ]
    groups = by_name(compare(folders))
    assert groups["entropy"].gain.mean == pytest.approx(0.1)
    assert groups["margin"].gain is None  # it has other labels from before


def test_what_asks_at_random_but_learns_in_its_own_way_is_no_baseline(tmp_path):
    image = {"partition": "image", "pool_share": 1.0}
    folders = [
        made(tmp_path / "c", "cisc-r", recipe="rectified"),
        made(tmp_path / "e", asking=image),
        made(tmp_path / "r", "random", rounds=((0.01, 0.3), (0.1, 0.5)), asking=image),
    ]
    groups = by_name(compare(folders))
    assert groups["entropy"].baseline == "random"
    assert groups["cisc-r"].baseline == "random"
    assert groups["cisc-r"].gain.mean == pytest.approx(0.1)


def test_random_under_other_settings_is_no_baseline(tmp_path):
    for number, other in enumerate(
        ({"budget": "7%"}, {"answers": "dominant"}, {"training": {"epochs": 3}})
    ):
        folders = [
            made(tmp_path / f"r{number}", "random", **other),
            made(tmp_path / f"e{number}"),
        ]
        assert by_name(compare(folders))["entropy"].gain is None


def test_the_area_is_taken_over_what_all_curves_span(tmp_path):
    folders = [
        made(tmp_path / "a", rounds=((0.001, 0.2), (0.01, 0.4), (0.1, 0.6))),
        made(tmp_path / "b", "random", rounds=((0.01, 0.3), (0.1, 0.5), (0.5, 0.9))),
        full(tmp_path / "f"),
        made(tmp_path / "one", "margin", rounds=((0.05, 0.5),)),
        made(tmp_path / "zero", "bald", rounds=((0.0, 0.1), (0.01, 0.2), (0.1, 0.3))),
    ]
    comparison = compare(folders)
    groups = by_name(comparison)
    assert comparison.common == (0.01, 0.1)
    assert groups["entropy"].area.mean == pytest.approx(0.5)
    assert groups["random"].area.mean == pytest.approx(0.4)
    assert groups["bald"].area.mean == pytest.approx(0.25)
    assert groups["full"].area is groups["margin"].area is None


def test_curves_without_a_common_range_have_no_area(tmp_path):
    folders = [
        made(tmp_path / "a", rounds=((0.001, 0.2), (0.01, 0.4))),
        made(tmp_path / "b", "random", rounds=((0.02, 0.3), (0.1, 0.5))),
    ]
    comparison = compare(folders)
    assert comparison.common is None
    assert all(group.area is None for group in comparison.groups)


# --- warnings -------------------------------------------------------------------------


def test_equal_runs_give_no_warning(tmp_path):
    folders = [
        folder
        for seed in (0, 1)
        for folder in (
            made(tmp_path / f"e{seed}", seed=seed),
            full(tmp_path / f"f{seed}", seed=seed),
        )
    ]
    assert compare(folders).warnings == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training": {"epochs": 3}}, r"not comparable: training\.epochs is 20.*3"),
        ({"network": "fpn"}, "not comparable: network is unet.*fpn"),
        ({"size": ""}, "not comparable: size is 180x240.*none"),
        ({"source": "games"}, "not comparable: source is none.*games"),
        ({"recipe": "adaptation"}, r"recipe of learning is partial.*adaptation"),
        ({"answers": "dominant"}, "answers are exact.*dominant"),
        ({"seed": 5}, "seeds are 0.*5"),
        ({"device": "cuda"}, "seconds cannot be compared"),
        ({"versions": {"torch": "3"}}, "seconds cannot be compared"),
        ({"finished": False}, "is not finished: 2 steps"),
    ],
)
def test_what_makes_runs_incomparable_is_said(tmp_path, changes, told):
    folders = [made(tmp_path / "a"), made(tmp_path / "b", "random", **changes)]
    warnings = "\n".join(compare(folders).warnings)
    assert re.search(told, warnings)
    assert "the share of the full result is unknown" in warnings
    assert "one seed" in warnings


def test_a_device_that_is_only_named_differently_does_not_matter(tmp_path):
    folders = [
        made(tmp_path / "a"),
        made(tmp_path / "b", "random", training={"device": "cpu"}),
    ]
    assert not any("not comparable" in text for text in compare(folders).warnings)


def test_a_run_that_is_there_twice_counts_once(tmp_path):
    folders = [made(tmp_path / "a"), made(tmp_path / "b", rounds=((0.1, 0.9),) * 2)]
    comparison = compare(folders)
    (group,) = comparison.groups
    assert group.points[-1].miou.mean == 0.6
    assert any("b repeats a run" in text for text in comparison.warnings)


def test_an_unfinished_seed_counts_where_it_has_come(tmp_path):
    folders = [
        made(tmp_path / "a"),
        made(
            tmp_path / "b",
            seed=1,
            rounds=((0.01, 0.5),),
            planned_rounds=2,
            finished=False,
        ),
    ]
    (group,) = compare(folders).groups
    assert [point.miou.seeds for point in group.points] == [2, 1]


def test_seeds_that_came_less_far_do_not_count_at_the_end(tmp_path):
    """Hand-worked: 0.6 of 0.8 and 0.6 less 0.5, by the one seed that is at the end."""
    folders = [
        full(tmp_path / "full", 0.8),
        made(tmp_path / "random", "random", rounds=((0.01, 0.3), (0.1, 0.5))),
        made(tmp_path / "a"),
        made(
            tmp_path / "b",
            seed=1,
            rounds=((0.01, 0.2),),
            planned_rounds=2,
            finished=False,
        ),
    ]
    group = by_name(compare(folders))["entropy"]
    assert group.points[-1].miou == Spread(0.6, None, 1)
    assert group.full == Spread(0.8, None, 1)
    assert group.share_of_full.mean == pytest.approx(0.75)
    assert group.gain.mean == pytest.approx(0.1)
    assert group.iou["sky"].mean == pytest.approx(1.1)


def test_full_by_one_class_a_region_is_no_upper_bound(tmp_path):
    folders = [
        full(tmp_path / "a", 0.7, answers="dominant"),
        full(tmp_path / "b", 0.8),
        made(tmp_path / "c", answers="dominant"),
    ]
    groups = by_name(compare(folders))
    assert groups["entropy"].share_of_full.mean == pytest.approx(0.6 / 0.8)
    without = by_name(compare([folders[0], folders[2]]))
    assert without["entropy"].share_of_full is None


def test_random_by_other_terms_of_the_same_recipe_is_no_baseline(tmp_path):
    def of(name, system, weight, last):
        return made(
            tmp_path / name,
            system,
            recipe="consistency",
            terms={"consistency": weight},
            rounds=((0.01, 0.3), (0.1, last)),
        )

    folders = [of("a", "random", 0.0, 0.4), of("b", "random", 1.0, 0.5)]
    comparison = compare([*folders, of("c", "entropy", 1.0, 0.6)])
    assert by_name(comparison)["entropy"].gain.mean == pytest.approx(0.1)
    assert any("consistency is 0.0" in text for text in comparison.warnings)


def test_no_two_groups_have_one_name(tmp_path):
    folders = [
        made(tmp_path / "a", asking={"region_size": 400}),
        made(tmp_path / "b", asking={"region_size": 200}),
        made(tmp_path / "c", asking={"partition": "grid"}),
    ]
    names = [group.name for group in compare(folders).groups]
    assert len(set(names)) == 3
    assert any("region size 200" in name for name in names)


def test_where_full_learnt_nothing_there_is_no_share(tmp_path):
    folders = [full(tmp_path / "full", 0.0), made(tmp_path / "a")]
    group = by_name(compare(folders))["entropy"]
    assert group.share_of_full is None
    assert group.full == Spread(0.0, None, 1)


def test_data_sets_of_one_name_are_told_apart_by_their_files(tmp_path):
    folders = [
        made(tmp_path / name, seed=seed, files={"dataset": files, "source": ""})
        for seed, (name, files) in enumerate([("a", "1f"), ("b", "1f"), ("c", "2e")])
    ]
    assert len(compare(folders[:2]).groups) == 1
    with pytest.raises(BadValue, match="one name and other files"):
        compare(folders)
    older = made(tmp_path / "older", seed=3)
    (group,) = compare([older, *folders[:2]]).groups
    assert len(group.runs) == 3
    with pytest.raises(BadValue, match="one name and other files"):
        compare([older, *folders[1:]])


def test_sources_of_one_name_are_told_apart_by_their_files(tmp_path):
    day, night, changed = (
        made(
            tmp_path / str(seed),
            seed=seed,
            source=source,
            files={"dataset": "1f", "source": files},
        )
        for seed, (source, files) in enumerate(
            [("day", "2e"), ("night", "3d"), ("day", "4c")]
        )
    )
    assert len(compare([day, night]).groups) == 2
    with pytest.raises(BadValue, match=r"the sources of .* have one name and other"):
        compare([day, night, changed])


def test_of_many_groups_only_the_exceptions_are_named(tmp_path):
    folders = [
        made(tmp_path / name, name, training={"epochs": 9 if name == "bald" else 20})
        for name in ("entropy", "margin", "bvsb", "bald", "coreset", "random")
    ]
    (told,) = (t for t in compare(folders).warnings if "training.epochs" in t)
    assert "20 (all others)" in told
    assert "9 (bald)" in told


def test_a_run_that_lacks_something_is_refused(tmp_path):
    folder = made(tmp_path / "a")
    run = json.loads((folder / "run.json").read_text())
    del run["rounds"]
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(BadValue, match="lacks rounds; simulate again"):
        compare([folder])


def test_a_single_full_has_no_deviation(tmp_path):
    runs = [made(tmp_path / str(seed), seed=seed) for seed in (0, 1, 2)]
    group = by_name(compare([full(tmp_path / "full", 0.8), *runs]))["entropy"]
    assert group.full == Spread(0.8, None, 1)
    assert group.share_of_full.seeds == 3


def test_a_term_is_held_against_those_who_learn_by_it(tmp_path):
    by = {"recipe": "consistency"}
    folders = [
        made(tmp_path / "r", "random", terms={"consistency": 1.0}),
        made(tmp_path / "e", terms={"consistency": 0.5}, **by),
    ]
    assert not any("the recipe's" in text for text in compare(folders).warnings)
    other = made(tmp_path / "m", "margin", terms={"consistency": 1.0}, **by)
    told = "\n".join(compare([*folders, other]).warnings)
    assert "the recipe's consistency is 0.5 (entropy); 1.0 (margin);" in told


def test_terms_of_other_recipes_do_not_matter(tmp_path):
    folders = [
        made(tmp_path / str(weight), terms={"similarity": weight}, seed=weight)
        for weight in (0, 1)
    ]
    told = compare(folders).warnings
    assert not any("the recipe's similarity" in text for text in told)
