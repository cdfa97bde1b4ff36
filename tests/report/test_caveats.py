"""What must be known before numbers are compared."""

import re

import pytest
from runs_by_hand import full, made

from napari_alseg.report.compare import compare


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


def test_of_many_groups_only_the_exceptions_are_named(tmp_path):
    folders = [
        made(tmp_path / name, name, training={"epochs": 9 if name == "bald" else 20})
        for name in ("entropy", "margin", "bvsb", "bald", "coreset", "random")
    ]
    (told,) = (t for t in compare(folders).warnings if "training.epochs" in t)
    assert "20 (all others)" in told
    assert "9 (bald)" in told


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
