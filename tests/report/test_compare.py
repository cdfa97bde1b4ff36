import json

import pytest
from runs_by_hand import full, made

from napari_alseg.errors import BadValue, NewerFormat
from napari_alseg.report.compare import compare, find_runs
from napari_alseg.report.groups import MeanOverSeeds
from napari_alseg.simulation.run import read_run


def by_name(comparison):
    return {group.name: group for group in comparison.groups}


# --- runs -----------------------------------------------------------------------------


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


def test_runs_that_differ_by_the_seed_are_one_group(tmp_path):
    folders = [
        made(tmp_path / "0", seed=0, rounds=((0.01, 0.4), (0.1, 0.6))),
        made(tmp_path / "1", seed=1, rounds=((0.03, 0.5), (0.1, 0.7))),
    ]
    (group,) = compare(folders).groups
    assert group.name == "entropy"
    assert [run.settings.seed for run in group.runs] == [0, 1]
    first, last = group.rounds
    assert first.costs == pytest.approx((0.02, 10, 1, 20, 6))
    assert last.costs.seconds == 12  # counted from the first round
    assert first.miou.mean == pytest.approx(0.45)
    assert last.miou.deviation == pytest.approx(0.1 / 2**0.5)
    assert group.iou["sky"].mean == pytest.approx(1.2)
    assert group.iou["pole"].deviation == 0


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


def test_later_rounds_are_held_against_later_random_rounds(tmp_path):
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


def test_a_run_that_is_there_twice_counts_once(tmp_path):
    folders = [made(tmp_path / "a"), made(tmp_path / "b", rounds=((0.1, 0.9),) * 2)]
    comparison = compare(folders)
    (group,) = comparison.groups
    assert group.rounds[-1].miou.mean == 0.6
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
    assert [each.miou.seeds for each in group.rounds] == [2, 1]


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
    assert group.rounds[-1].miou == MeanOverSeeds(0.6, None, 1)
    assert group.full == MeanOverSeeds(0.8, None, 1)
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


def test_where_full_learnt_nothing_there_is_no_share(tmp_path):
    folders = [full(tmp_path / "full", 0.0), made(tmp_path / "a")]
    group = by_name(compare(folders))["entropy"]
    assert group.share_of_full is None
    assert group.full == MeanOverSeeds(0.0, None, 1)


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


def test_a_single_full_has_no_deviation(tmp_path):
    runs = [made(tmp_path / str(seed), seed=seed) for seed in (0, 1, 2)]
    group = by_name(compare([full(tmp_path / "full", 0.8), *runs]))["entropy"]
    assert group.full == MeanOverSeeds(0.8, None, 1)
    assert group.share_of_full.seeds == 3
