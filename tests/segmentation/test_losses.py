from math import log

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import IGNORE
from napari_alseg.segmentation import partial_cross_entropy


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
