from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import IGNORE
from napari_alseg.segmentation import partial_cross_entropy
from napari_alseg.segmentation.cisc_r.similarity import (
    MARGIN,
    prototype,
    prototypes,
    rectified_cross_entropy,
    rectified_weight,
    similarities,
    similarity,
    similarity_loss,
)

SEEDS = st.integers(0, 2**31 - 1)


def logits_of(cross_entropies: list[float]) -> torch.Tensor:
    """Logits of two classes whose cross entropy for class 0 is as given."""
    right = torch.tensor(cross_entropies).neg().exp()
    return torch.stack([right, 1 - right]).log()[None, :, None]  # (1, 2, 1, W)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- prototypes -----------------------------------------------------------------------


def test_a_prototype_is_the_mean_over_its_mask():
    features = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]], [[[2.0, 4.0], [6.0, 8.0]]]])
    mask = torch.tensor([[[1, 0], [1, 0]], [[0, 0], [0, 1]]])
    assert prototype(features, mask).tolist() == [[3.0], [8.0]]


def test_a_mask_shrinks_to_the_features():
    """Cells of 2 x 2 pixels, of which 4, 2, 1 and 0 are in the mask."""
    features = torch.tensor([[[[1.0, 2.0], [3.0, 100.0]]]])
    mask = torch.zeros(1, 4, 4)
    mask[0, :2, :2] = 1
    mask[0, 0, 2:] = 1
    mask[0, 2, 0] = 1
    found = prototype(features, mask)
    assert float(found) == pytest.approx((4 * 1 + 2 * 2 + 1 * 3) / 7)


@pytest.mark.parametrize("pixels", [1, 16])
def test_a_mask_of_one_pixel_is_not_drawn_to_zero(pixels):
    mask = torch.zeros(1, 16, 16)
    mask[0, 0, :pixels] = 1
    assert float(prototype(torch.full((1, 1, 1, 1), 5.0), mask)) == 5.0


def test_an_empty_mask_gives_zero_and_is_similar_to_nothing():
    features = drawn(0, 2, 3, 4, 4).requires_grad_()
    found = prototype(features, torch.zeros(2, 8, 8, dtype=torch.bool))
    near = similarity(features, found, (8, 8))
    assert torch.equal(found, torch.zeros(2, 3))
    assert torch.equal(near, torch.zeros(2, 8, 8))
    near.sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_several_masks_at_once():
    features, masks = drawn(0, 2, 5, 4, 4), drawn(1, 2, 3, 8, 8) > 0
    found = prototypes(features, masks)
    near = similarities(features, found, (8, 8))
    for index in range(3):
        alone = prototype(features, masks[:, index])
        torch.testing.assert_close(found[:, index], alone)
        one = similarity(features, alone, (8, 8))
        torch.testing.assert_close(near[:, index], one)


# --- similarity -----------------------------------------------------------------------


def test_similarity_is_the_cosine():
    features = torch.tensor([[[[3.0, 0.0]], [[4.0, 2.0]]]])  # (1, 2, 1, 2)
    found = similarity(features, torch.tensor([[7.0, 0.0]]), (1, 2))
    torch.testing.assert_close(found, torch.tensor([[[0.6, 0.0]]]))


def test_what_points_away_is_as_similar_as_what_has_nothing_in_common():
    features = torch.tensor([[[[-1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]]])
    found = similarity(features, torch.tensor([[1.0, 0.0]]), (1, 3))
    assert torch.equal(found, torch.zeros(1, 1, 3))


def test_similarity_grows_back_to_the_image():
    features = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    found = similarity(features, torch.tensor([[1.0, 0.0]]), (2, 4))
    assert torch.equal(found, torch.tensor([[[1.0, 0.75, 0.25, 0.0]] * 2]))


@settings(max_examples=30)
@given(SEEDS, st.floats(1e-3, 1e3))
def test_lengths_do_not_matter(seed, factor):
    features, mask = drawn(seed, 2, 6, 4, 4), drawn(seed + 1, 2, 8, 8) > 0
    first = similarity(features, prototype(features, mask), (8, 8))
    longer = features * factor
    second = similarity(longer, prototype(longer, mask), (8, 8))
    torch.testing.assert_close(first, second)


@settings(max_examples=30)
@given(SEEDS, st.booleans())
def test_similarity_lies_from_0_to_1(seed, alike):
    """Features that are all alike round to cosines just above 1."""
    features = drawn(seed, 2, 7, 3, 3)
    if alike:
        features = features[..., :1, :1].expand(2, 7, 3, 3)
    found = similarity(features, features.mean((2, 3)), (7, 8))
    assert found.min() >= 0
    assert found.max() <= 1


def test_features_without_length_get_no_gradient():
    features = drawn(0, 1, 3, 2, 2)
    features[..., 0, 0] = 0
    features.requires_grad_()
    similarity(features, torch.ones(1, 3), (4, 4)).sum().backward()
    assert features.grad.isfinite().all()
    assert features.grad[..., 0, 0].abs().sum() == 0
    assert features.grad.abs().sum() > 0


def test_similarity_has_the_gradient_of_its_formula():
    features = drawn(0, 1, 3, 2, 2).abs().requires_grad_()
    other = torch.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
    found = torch.autograd.grad(
        similarity(features, other, (2, 2)).sum(), (features, other)
    )
    cosine = torch.cosine_similarity(features, other[..., None, None], dim=1)
    expected = torch.autograd.grad(cosine.sum(), (features, other))
    torch.testing.assert_close(found, expected)


# --- losses ---------------------------------------------------------------------------


def test_similarity_loss_by_hand():
    """-ln .9 = .1054 and -ln .8 = .2231; their mean is .1643."""
    near, mask = torch.tensor([[[0.9, 0.2, 0.5]]]), torch.tensor([[[1, 0, 1]]])
    targets = torch.tensor([[[3, 0, IGNORE]]], dtype=torch.uint8)
    loss = similarity_loss(near, mask, targets)
    assert float(loss) == pytest.approx((-log(0.9) - log(0.8)) / 2, abs=1e-6)


@pytest.mark.parametrize(("near", "mask"), [(0.0, 1), (1.0, 0)])
def test_the_worst_pixel_has_a_finite_loss(near, mask):
    loss = similarity_loss(
        torch.full((1, 1, 1), near), torch.full((1, 1, 1), mask), torch.zeros(1, 1, 1)
    )
    assert float(loss) == pytest.approx(-log(MARGIN), rel=1e-3)


def test_without_labels_similarity_costs_and_teaches_nothing():
    near = torch.rand(2, 3, 4, requires_grad=True)
    targets = torch.full((2, 3, 4), IGNORE, dtype=torch.uint8)
    loss = similarity_loss(near, torch.zeros(2, 3, 4), targets)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(near.grad, torch.zeros_like(near))


def test_rectified_cross_entropy_by_hand():
    """(.9 * 1 + .3 * 2 + .8 * 3 + .2 * 4) / 4 = 1.175."""
    near = torch.tensor([[[0.9, 0.3, 0.2, 0.8]]])
    weight = rectified_weight(near, torch.tensor([[[1, 1, 0, 0]]]))
    torch.testing.assert_close(weight, torch.tensor([[[0.9, 0.3, 0.8, 0.2]]]))
    logits, targets = logits_of([1, 2, 3, 4]), torch.zeros(1, 1, 4)
    loss = rectified_cross_entropy(logits, targets, weight)
    assert float(loss) == pytest.approx(1.175, abs=1e-5)


def test_ignored_pixels_add_nothing_and_are_counted():
    logits = logits_of([1, 2, 3, 4])
    targets = torch.tensor([[[0, IGNORE, 0, IGNORE]]], dtype=torch.uint8)
    loss = rectified_cross_entropy(logits, targets, torch.ones(1, 1, 4))
    assert float(loss) == pytest.approx((1 + 3) / 4, abs=1e-5)


def test_pseudo_labels_that_are_all_ignored_cost_and_teach_nothing():
    logits = drawn(0, 1, 3, 2, 2).requires_grad_()
    targets = torch.full((1, 2, 2), IGNORE, dtype=torch.uint8)
    loss = rectified_cross_entropy(logits, targets, torch.ones(1, 2, 2))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@settings(max_examples=30)
@given(SEEDS)
def test_where_similarity_agrees_it_is_plain_cross_entropy(seed):
    logits = drawn(seed, 2, 3, 4, 5)
    targets = drawn(seed + 1, 2, 3, 4, 5).argmax(1)
    mask = targets == 1
    nothing = torch.zeros(2, 4, 5)
    for near, inside in ((mask.float(), mask), (nothing, nothing)):
        weight = rectified_weight(near, inside)
        assert torch.equal(weight, torch.ones(2, 4, 5))
        torch.testing.assert_close(
            rectified_cross_entropy(logits, targets, weight),
            partial_cross_entropy(logits, targets),
        )


@settings(max_examples=30)
@given(SEEDS)
def test_weights_lie_from_0_to_1_and_have_no_gradient(seed):
    features = drawn(seed, 2, 5, 3, 3).requires_grad_()
    mask = drawn(seed + 1, 2, 6, 6) > 0
    near = similarity(features, prototype(features, mask), (6, 6))
    weight = rectified_weight(near, mask)
    assert weight.min() >= 0
    assert weight.max() <= 1
    assert not weight.requires_grad
    logits = drawn(seed, 2, 3, 6, 6).requires_grad_()
    given = near.clone()
    targets = torch.zeros(2, 6, 6)
    rectified_cross_entropy(logits, targets, given).backward()
    assert features.grad is None
    assert logits.grad.abs().sum() > 0


def test_planted_noise_counts_less_than_what_is_right():
    """A fifth of the pseudo labels of class 1 say class 0 instead.

    The features of classes have little in common, as learning similarity makes them.
    """
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 3, (2, 8, 8), generator=generator)
    features = torch.eye(3).repeat(1, 2)[truth].permute(0, 3, 1, 2)  # (2, 6, 8, 8)
    features = features + 0.2 * torch.rand(2, 6, 8, 8, generator=generator)
    wrong = (truth == 1) & (torch.rand(2, 8, 8, generator=generator) < 0.2)
    pseudo = torch.where(wrong, 0, truth)
    for shared in (0, 1):  # the class that they wrongly have, and wrongly lack
        other = prototype(features.flip(0), truth.flip(0) == shared)
        near = similarity(features, other, (8, 8))
        weight = rectified_weight(near, pseudo == shared)
        right = (truth == 1) & ~wrong
        assert weight[wrong].mean() < weight[right].mean() - 0.2
