import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.acquisition import difficulty, difficulty_entropy
from napari_alseg.errors import BadValue

EASY = torch.tensor([[0.10, 0.11, 0.12, 0.13]])


def test_the_range_of_the_bins_tells_easy_from_mixed():
    assert difficulty_entropy(EASY, bins=2).item() == pytest.approx(math.log(2))
    assert difficulty_entropy(EASY, bins=2, fixed=True).item() == 0


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("bins", [2, 8, 10])
def test_two_halves_score_ln_2(fixed, bins):
    halves = torch.tensor([[0.1, 0.9], [0.9, 0.1]])
    score = difficulty_entropy(halves, bins, fixed)
    assert score.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("fixed", [False, True])
def test_a_constant_map_scores_zero(fixed):
    assert difficulty_entropy(torch.full((3, 3), 0.4), 8, fixed).item() == 0


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(1, 12), st.booleans())
def test_equals_the_histogram_of_numpy(seed, bins, fixed):
    values = np.random.default_rng(seed).integers(0, 65, (6, 6)) / 64
    counts, _ = np.histogram(values, bins, (0, 1) if fixed else None)
    share = counts[counts > 0] / values.size
    score = difficulty_entropy(torch.tensor(values), bins, fixed).item()
    assert score == pytest.approx(-(share * np.log(share)).sum(), abs=1e-6)
    assert 0 <= score <= math.log(bins) + 1e-6


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (torch.tensor([[0.5, float("nan")]]), "nan"),
        (torch.tensor([[0.5, 3.0]]), "sigmoid"),
        (torch.tensor([[-0.1, 0.5]]), "sigmoid"),
        (torch.ones(0, 4), "without pixels"),
    ],
)
def test_what_is_no_difficulty_is_refused(values, text):
    for score in (difficulty, difficulty_entropy):
        with pytest.raises(BadValue, match=text):
            score(values)


def test_no_bins_are_refused():
    with pytest.raises(BadValue, match="histogram"):
        difficulty_entropy(EASY, 0)
