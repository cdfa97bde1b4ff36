import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.acquisition import uncertainty
from napari_alseg.acquisition.uncertainty import (
    best_versus_second_best,
    edge_entropy,
    entropy,
    entropy_nats,
    least_confidence,
    margin,
)
from napari_alseg.errors import BadValue


def pixel(*probability):
    return torch.tensor(probability).reshape(-1, 1, 1)


def random_probability(seed, classes=5, height=7, width=9):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(classes, height, width, generator=generator)).softmax(0)


@pytest.mark.parametrize(
    ("score", "wanted"),
    [
        (entropy_nats, 0.8979),
        (entropy, 0.8173),
        (least_confidence, 0.4),
        (margin, 0.7),
        (best_versus_second_best, 0.5),
    ],
)
def test_hand_worked_pixel(score, wanted):
    assert score(pixel(0.6, 0.3, 0.1)).item() == pytest.approx(wanted, abs=5e-5)


@pytest.mark.parametrize(
    ("score", "most"),
    [
        (entropy, 1),
        (least_confidence, 0.75),
        (margin, 1),
        (best_versus_second_best, 1),
    ],
)
def test_certain_is_zero_and_uniform_is_most(score, most):
    assert score(pixel(0.0, 1.0, 0.0, 0.0)).item() == 0
    assert score(pixel(0.25, 0.25, 0.25, 0.25)).item() == pytest.approx(most)


def test_best_in_any_place_is_found():
    for place in range(3):
        probability = torch.roll(pixel(0.6, 0.3, 0.1), place, 0)
        assert margin(probability).item() == pytest.approx(0.7)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(2, 8))
def test_equals_the_formulas(seed, classes):
    probability = random_probability(seed, classes)
    first, second = probability.topk(2, 0).values
    terms = probability.double() * probability.double().log()
    torch.testing.assert_close(
        entropy(probability), (-terms.sum(0) / math.log(classes)).float()
    )
    torch.testing.assert_close(least_confidence(probability), 1 - first)
    torch.testing.assert_close(margin(probability), 1 - (first - second))
    torch.testing.assert_close(best_versus_second_best(probability), second / first)


def test_bands_and_memory_format_do_not_show(monkeypatch):
    probability = random_probability(1, height=50)
    wanted = entropy(probability)
    channels_last = probability.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    torch.testing.assert_close(entropy(channels_last), wanted)
    monkeypatch.setattr(uncertainty, "BAND", 5 * 9 * 7)
    torch.testing.assert_close(entropy(probability), wanted)


def test_the_probability_is_left_alone():
    probability = random_probability(2)
    before = probability.clone()
    entropy(probability)
    margin(probability)
    assert torch.equal(probability, before)


def test_edges_raise_the_entropy():
    probability = random_probability(3, height=2, width=2)
    edges = torch.tensor([[True, False], [False, True]])
    plain = entropy(probability)
    factor = torch.tensor([[1.5, 1.0], [1.0, 1.5]])
    torch.testing.assert_close(edge_entropy(probability, edges, 0.5), plain * factor)
    assert torch.equal(edge_entropy(probability, edges, 0), plain)


def test_where_all_is_edge_the_order_is_that_of_the_entropy():
    probability = random_probability(4)
    plain = entropy(probability)
    raised = edge_entropy(probability, torch.ones_like(plain), 1.0)
    torch.testing.assert_close(raised, 2 * plain)
    assert torch.equal(raised.flatten().argsort(), plain.flatten().argsort())


def test_negative_weight_of_edges_is_refused():
    with pytest.raises(BadValue, match="-1"):
        edge_entropy(random_probability(0), torch.zeros(7, 9), -1)
