from math import exp, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import IGNORE
from napari_alseg.segmentation import difficulty_loss, partial_cross_entropy


def logits_of(*probabilities: tuple[float, ...]) -> torch.Tensor:
    """One row of pixels with these class probabilities; (1, C, 1, W)."""
    return torch.tensor(probabilities).log().T[None, :, None, :]


def test_mean_over_labelled_pixels_only():
    logits = logits_of((0.5, 0.5), (0.25, 0.75), (0.1, 0.9))
    targets = torch.tensor([[[0, 0, IGNORE]]], dtype=torch.uint8)
    loss = partial_cross_entropy(logits, targets)
    assert abs(float(loss) - (log(2) + log(4)) / 2) < 1e-6


def test_weights_make_a_weighted_mean():
    logits = logits_of((0.5, 0.5), (0.25, 0.75))
    targets = torch.tensor([[[0, 1]]])
    loss = partial_cross_entropy(logits, targets, torch.tensor([3.0, 1.0]))
    assert abs(float(loss) - (3 * log(2) - log(0.75)) / 4) < 1e-6


def test_a_batch_without_labels_costs_nothing_and_teaches_nothing():
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    targets = torch.full((2, 4, 4), IGNORE, dtype=torch.uint8)
    loss = partial_cross_entropy(logits, targets)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_weights_of_zero_give_zero():
    targets = torch.tensor([[[0]]])
    loss = partial_cross_entropy(logits_of((0.5, 0.5)), targets, torch.zeros(2))
    assert float(loss) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_ignored_pixels_have_no_gradient(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 4, 5, generator=generator).requires_grad_()
    targets = torch.randint(0, 3, (2, 4, 5), generator=generator)
    hidden = torch.rand(2, 4, 5, generator=generator) < 0.7
    targets[hidden] = IGNORE
    partial_cross_entropy(logits, targets).backward()
    gradient = logits.grad.abs().sum(1)
    assert gradient[hidden].sum() == 0
    assert (gradient[~hidden] > 0).all()


def logit(probability: float) -> float:
    return log(probability / (1 - probability))


def eleven_pixels() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """8 right ones of cross entropy .1 and 3 wrong ones of 1.0, then 2 ignored."""
    logits = logits_of(*[(0.8, 0.2)] * 13)
    targets = torch.tensor([[[0] * 8 + [1] * 3 + [IGNORE] * 2]], dtype=torch.uint8)
    right, wrong = logit(1 - exp(-0.1)), logit(exp(-1.0))
    difficulty = torch.tensor([[[right] * 8 + [wrong] * 3 + [right] * 2]])
    return difficulty, logits, targets


def test_right_and_wrong_pixels_are_balanced():
    """1 / sqrt(9) to 1 / sqrt(4) are .4 to .6; .4 * .1 + .6 * 1 = .64."""
    assert abs(float(difficulty_loss(*eleven_pixels())) - 0.64) < 1e-6


def test_what_is_ignored_counts_as_right_only_to_mimic_the_authors():
    """Ten right: 1 / sqrt(11) to 1 / sqrt(4) are .3762 to .6238."""
    difficulty, logits, targets = eleven_pixels()
    found = difficulty_loss(difficulty, logits, targets, mimic=True)
    weight = 11**-0.5 / (11**-0.5 + 0.5)
    assert abs(float(found) - (weight * 0.1 + (1 - weight))) < 1e-6
    difficulty[..., 11:] = 7.0
    assert abs(float(difficulty_loss(difficulty, logits, targets)) - 0.64) < 1e-6
    assert difficulty_loss(difficulty, logits, targets, mimic=True) > found + 0.1


@pytest.mark.parametrize("target", [0, 1, IGNORE])
def test_one_kind_of_pixels_alone_is_finite(target):
    """All right, all wrong, none labelled."""
    logits = logits_of((0.8, 0.2), (0.7, 0.3)).requires_grad_()
    difficulty = torch.zeros(1, 1, 2, requires_grad=True)
    targets = torch.full((1, 1, 2), target, dtype=torch.uint8)
    loss = difficulty_loss(difficulty, logits, targets)
    loss.backward()
    weight = 3**-0.5 / (3**-0.5 + 1)
    expected = 0 if target == IGNORE else weight * log(2)
    assert abs(float(loss.detach()) - expected) < 1e-6
    assert difficulty.grad.isfinite().all()
    assert (difficulty.grad != 0).any() == (target != IGNORE)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_it_teaches_labelled_pixels_which_side_to_take(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    difficulty = torch.randn(2, 4, 5, generator=generator).requires_grad_()
    targets = torch.randint(0, 3, (2, 4, 5), generator=generator)
    hidden = torch.rand(2, 4, 5, generator=generator) < 0.5
    targets[hidden] = IGNORE
    difficulty_loss(difficulty, logits, targets).backward()
    wrong = logits.argmax(1) != targets
    assert (difficulty.grad[hidden] == 0).all()
    assert (difficulty.grad[wrong & ~hidden] < 0).all()
    assert (difficulty.grad[~wrong & ~hidden] > 0).all()
