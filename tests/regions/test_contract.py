"""What holds for every choice within a budget."""

import numpy as np
import pytest
from regions_by_hand import pool_of, rng
from shapes import refused

from napari_alseg.errors import BadValue
from napari_alseg.regions import (
    choose_class_quota,
    choose_diverse,
    choose_few_per_image,
    choose_spread,
    choose_stratified,
    choose_top,
    choose_typical,
)

BY_SCORE = {
    "top": choose_top,
    "few per image": lambda s, c, b: choose_few_per_image(
        s, c, np.zeros(len(s), int), b, 3
    ),
    "class quota": lambda s, c, b: choose_class_quota(s, c, np.zeros(len(s), int), b),
    "stratified": lambda s, c, b: choose_stratified(
        s, c, np.zeros(len(s), int), b, rng()
    ),
}
BY_FEATURES = {
    "spread": lambda f, c, b: choose_spread(f, c, b, rng()),
    "typical": lambda f, c, b: choose_typical(f, c, b, rng()),
    "diverse": choose_diverse,
}


def features_of(scores):
    return np.stack([scores, scores**2], axis=1).astype(np.float32)


CHOICES = {
    **BY_SCORE,
    **{
        name: lambda s, c, b, choose=choose: choose(features_of(s), c, b)
        for name, choose in BY_FEATURES.items()
    },
}


@pytest.fixture(params=CHOICES)
def choose(request):
    return CHOICES[request.param]


@pytest.mark.parametrize("budget", [-1, float("nan"), float("inf")])
def test_a_budget_without_meaning_is_refused(choose, budget):
    with pytest.raises(BadValue, match="budget"):
        choose(np.array([0.1, 0.2]), np.ones(2), budget)


@pytest.mark.parametrize("cost", [-1, float("nan"), float("inf")])
def test_a_cost_without_meaning_is_refused(choose, cost):
    with pytest.raises(BadValue, match="cost"):
        choose(np.array([0.1, 0.2]), np.array([1, cost]), 1)


def test_costs_of_another_length_are_refused(choose):
    with refused("as many costs"):
        choose(np.array([0.1, 0.2]), np.ones(3), 1)


def test_nan_is_refused(choose):
    with pytest.raises(BadValue, match="diverged"):
        choose(np.array([0.1, np.nan]), np.ones(2), 1)


def test_the_budget_is_kept_nothing_twice_and_the_inputs_left_alone(choose):
    scores, costs, _ = pool_of(3)
    scores = np.abs(np.where(np.isfinite(scores), scores, 0))
    before = scores.copy(), costs.copy()
    for budget in (0, 0.5, 1, 17, 60, 10_000):
        picked = choose(scores, costs, budget)
        assert picked.dtype == np.int64
        assert costs[picked].sum() <= budget
        assert len(set(picked.tolist())) == len(picked)
    assert len(picked) == len(scores)
    assert np.array_equal(before, (scores, costs))


def test_same_seed_same_choice(choose):
    scores, costs, _ = pool_of(4)
    scores = np.abs(np.where(np.isfinite(scores), scores, 0))
    first, second = (choose(scores, costs, 40) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_no_region_no_choice(choose):
    assert choose(np.empty(0), np.empty(0), 5).tolist() == []
