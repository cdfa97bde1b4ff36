import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.acquisition import difficulty_entropy, difficulty_score
from napari_alseg.errors import BadValue

EASY = torch.tensor([[0.10, 0.11, 0.12, 0.13]])


def test_score_is_the_mean():
    assert difficulty_score(EASY).item() == pytest.approx(0.115)


def test_the_range_of_the_bins_tells_easy_from_mixed():
    assert difficulty_entropy(EASY, bins=2).item() == pytest.approx(math.log(2))
    assert difficulty_entropy(EASY, bins=2, value_range=(0, 1)).item() == 0


@pytest.mark.parametrize("value_range", [None, (0, 1)])
@pytest.mark.parametrize("bins", [2, 8, 10])
def test_two_halves_score_ln_2(value_range, bins):
    halves = torch.tensor([[0.1, 0.9], [0.9, 0.1]])
    score = difficulty_entropy(halves, bins, value_range)
    assert score.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("value_range", [None, (0, 1)])
def test_a_constant_map_scores_zero(value_range):
    assert difficulty_entropy(torch.full((3, 3), 0.4), 8, value_range).item() == 0


def test_values_outside_the_range_count_in_the_nearest_bin():
    values = torch.tensor([[0.1, 0.5, 0.9]])
    score = difficulty_entropy(values, 2, (0.4, 0.6))
    wanted = -(1 / 3 * math.log(1 / 3) + 2 / 3 * math.log(2 / 3))
    assert score.item() == pytest.approx(wanted)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_equals_the_histogram_of_numpy(seed, bins):
    values = np.random.default_rng(seed).integers(0, 65, (6, 6)) / 64
    counts, _ = np.histogram(values, bins)
    share = counts[counts > 0] / values.size
    score = difficulty_entropy(torch.tensor(values), bins).item()
    assert score == pytest.approx(-(share * np.log(share)).sum(), abs=1e-6)
    assert 0 <= score <= math.log(bins) + 1e-6


@pytest.mark.parametrize(
    ("difficulty", "text"),
    [
        (torch.tensor([[0.5, float("nan")]]), "nan"),
        (torch.tensor([[0.5, 3.0]]), "sigmoid"),
        (torch.tensor([[-0.1, 0.5]]), "sigmoid"),
        (torch.ones(0, 4), "without pixels"),
    ],
)
def test_what_is_no_difficulty_is_refused(difficulty, text):
    for score in (difficulty_score, difficulty_entropy):
        with pytest.raises(BadValue, match=text):
            score(difficulty)


@pytest.mark.parametrize(("bins", "value_range"), [(0, None), (8, (1, 0)), (8, (1, 1))])
def test_no_bins_or_no_range_is_refused(bins, value_range):
    with pytest.raises(BadValue, match="histogram"):
        difficulty_entropy(EASY, bins, value_range)
