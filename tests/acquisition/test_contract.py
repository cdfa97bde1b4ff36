"""What holds for every acquisition that gives each pixel a score."""

import math

import pytest
import torch
from conftest import prediction_of

import napari_alseg.acquisition as acquisition
from napari_alseg.errors import BadValue
from napari_alseg.systems import ACQUISITIONS, maps

HIGHEST = {
    "edge-entropy": 2,
    "self-consistency": 2 * math.log(4),
    "bald": math.log(3),
    "vote-entropy": math.log(3),
}
"""Most that a score of four classes and three passes can be; 1 for the others."""
OF_LABELS = {"impurity"}
OF_IMAGES = {"difficulty_entropy"}


@pytest.fixture(params=maps())
def score(request):
    row = ACQUISITIONS[request.param]
    return lambda probability: row.score(prediction_of(probability))


@pytest.fixture(params=maps())
def ranged(request):
    row = ACQUISITIONS[request.param]
    highest = HIGHEST.get(row.name, 1)
    return lambda probability: row.score(prediction_of(probability)), highest


@pytest.fixture
def probability():
    generator = torch.Generator().manual_seed(7)
    return (3 * torch.randn(4, 11, 13, generator=generator)).softmax(0)


def test_every_function_is_under_this_contract():
    of_rows = {ACQUISITIONS[name].function for name in maps()}
    assert of_rows | OF_LABELS | OF_IMAGES == set(acquisition.__all__)


def test_one_finite_number_a_pixel_in_its_range(ranged, probability):
    score, most = ranged
    result = score(probability)
    assert result.shape == (11, 13)
    assert result.dtype == torch.float32
    assert torch.isfinite(result).all()
    assert 0 <= result.min() <= result.max() <= most + 1e-5


def test_certain_is_never_asked_before_uncertain(score, probability):
    certain = torch.zeros(4, 5, 5)
    certain[2] = 1
    assert score(certain).max() <= score(probability).min() + 1e-6


def test_equivariant_to_flips(score, probability):
    for axis in (1, 2):
        flipped = score(probability.flip(axis)).flip(axis - 1)
        torch.testing.assert_close(flipped, score(probability), atol=1e-6, rtol=1e-5)


def test_same_twice_bit_for_bit(score, probability):
    assert torch.equal(score(probability), score(probability))


def test_one_pixel_works(score):
    assert torch.isfinite(score(torch.full((4, 1, 1), 0.25))).all()


def test_nan_is_refused(score, probability):
    probability[1, 3, 4] = float("nan")
    with pytest.raises(BadValue):
        score(probability)


def test_what_is_no_distribution_is_refused(score, probability):
    with pytest.raises(BadValue):
        score(2 * probability)
