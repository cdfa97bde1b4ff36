"""What holds for every score of pixels, whatever it measures."""

import math

import pytest
import torch

import napari_alseg.acquisition as acquisition
from napari_alseg.errors import BadValue


def samples_of(probability):
    """Three passes, surer and less sure; where one is certain, all are."""
    samples = torch.stack([probability**power for power in (0.5, 1, 2)])
    return samples / samples.sum(1, keepdim=True)


SCORES = {
    "entropy": (acquisition.entropy, 1),
    "least_confidence": (acquisition.least_confidence, 1),
    "margin": (acquisition.margin, 1),
    "best_versus_second_best": (acquisition.best_versus_second_best, 1),
    "edge_entropy": (
        lambda p: acquisition.edge_entropy(p, torch.ones(p.shape[1:]), 0.5),
        1.5,
    ),
    "self_consistency": (lambda p: acquisition.self_consistency(p, p), 2 * math.log(4)),
    "bald": (lambda p: acquisition.bald(samples_of(p)), math.log(3)),
    "vote_entropy": (lambda p: acquisition.vote_entropy(samples_of(p)), math.log(3)),
    "impurity": (lambda p: acquisition.impurity(p.argmax(0), 4, 2), 1),
    "region_uncertainty": (lambda p: acquisition.region_uncertainty(p, 2), 1),
    "ripu": (lambda p: acquisition.ripu(p, 2), 1),
}
SEES_CLASSES = {"impurity"}
OF_IMAGES = {"difficulty_entropy", "difficulty_score"}


@pytest.fixture(params=SCORES)
def member(request):
    return SCORES[request.param]


@pytest.fixture
def probability():
    generator = torch.Generator().manual_seed(7)
    return (3 * torch.randn(4, 11, 13, generator=generator)).softmax(0)


def test_every_function_is_under_this_contract():
    assert {*SCORES, *OF_IMAGES} == set(acquisition.__all__)


def test_one_finite_number_a_pixel_in_its_range(member, probability):
    score, most = member
    result = score(probability)
    assert result.shape == (11, 13)
    assert result.dtype == torch.float32
    assert torch.isfinite(result).all()
    assert 0 <= result.min() <= result.max() <= most + 1e-5


def test_certain_is_never_asked_before_uncertain(member, probability):
    score, _ = member
    certain = torch.zeros(4, 5, 5)
    certain[2] = 1
    assert score(certain).max() <= score(probability).min() + 1e-6


def test_equivariant_to_flips(member, probability):
    score, _ = member
    for axis in (1, 2):
        flipped = score(probability.flip(axis)).flip(axis - 1)
        torch.testing.assert_close(flipped, score(probability), atol=1e-6, rtol=1e-5)


def test_same_twice_bit_for_bit(member, probability):
    score, _ = member
    assert torch.equal(score(probability), score(probability))


def test_one_pixel_works(member):
    score, _ = member
    assert torch.isfinite(score(torch.full((4, 1, 1), 0.25))).all()


@pytest.mark.parametrize("name", sorted({*SCORES} - SEES_CLASSES))
def test_nan_is_refused(name, probability):
    probability[1, 3, 4] = float("nan")
    with pytest.raises(BadValue):
        SCORES[name][0](probability)
