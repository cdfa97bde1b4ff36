import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.acquisition import bald, vote_entropy


def passes(*pixels):
    return torch.tensor(pixels)[:, :, None, None]


def test_hand_worked_disagreement():
    samples = passes((0.9, 0.1), (0.1, 0.9))
    assert bald(samples).item() == pytest.approx(0.3681, abs=5e-5)
    assert vote_entropy(samples).item() == pytest.approx(math.log(2))


def test_votes_are_counted_not_weighed():
    samples = passes((0.9, 0.1), (0.51, 0.49), (0.4, 0.6))
    wanted = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert vote_entropy(samples).item() == pytest.approx(wanted)


def test_identical_passes_agree():
    probability = torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(0))
    samples = (probability / probability.sum(0)).expand(7, 5, 4, 4)
    assert bald(samples).max() < 1e-6
    assert torch.equal(vote_entropy(samples), torch.zeros(4, 4))


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(2, 5))
def test_both_lie_in_their_range(seed, count, classes):
    generator = torch.Generator().manual_seed(seed)
    samples = (4 * torch.randn(count, classes, 3, 3, generator=generator)).softmax(1)
    for score in (bald(samples), vote_entropy(samples)):
        assert score.min() >= 0
        assert score.max() <= math.log(min(count, classes)) + 1e-5
