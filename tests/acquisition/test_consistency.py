import math

import pytest
import torch
from shapes import refused

from napari_alseg.acquisition import self_consistency
from napari_alseg.acquisition.uncertainty import entropy_nats


def random_probability(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 6, 5, generator=generator).softmax(0)


def test_hand_worked_pixel():
    first = torch.tensor([0.5, 0.5]).reshape(2, 1, 1)
    second = torch.tensor([0.9, 0.1]).reshape(2, 1, 1)
    wanted = pytest.approx(0.6931 + 0.3251, abs=1e-4)
    assert self_consistency(first, second).item() == wanted


def test_uniform_twice_is_most():
    uniform = torch.full((4, 2, 2), 0.25)
    score = self_consistency(uniform, uniform)
    torch.testing.assert_close(score, torch.full((2, 2), 2 * math.log(4)))


def test_a_network_that_mirrors_exactly_scores_twice_its_entropy():
    probability = random_probability(0)
    score = self_consistency(probability, probability)
    torch.testing.assert_close(score, 2 * entropy_nats(probability))


def test_equivariant_to_the_mirror_for_any_network():
    kernel = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))

    def network(x):
        return torch.conv2d(x, kernel, padding=1)[0].softmax(0)

    def score(x):
        return self_consistency(network(x), network(x.flip(-1)).flip(-1))

    assert torch.equal(score(image.flip(-1)), score(image).flip(-1))


def test_two_shapes_are_refused():
    with refused("one shape"):
        self_consistency(random_probability(0), random_probability(0)[:, :3])
