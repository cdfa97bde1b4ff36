from math import exp, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from napari_alseg.arrays import IGNORE
from napari_alseg.segmentation import (
    borders,
    consistency_loss,
    difficulty_loss,
    local_consistency_loss,
    negative_learning_loss,
    partial_cross_entropy,
)
from napari_alseg.segmentation.cisc_r.similarity import (
    rectified_cross_entropy,
    similarity_loss,
)


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


@settings(max_examples=20)
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


@settings(max_examples=20)
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


# --- EquAL ----------------------------------------------------------------------------


def random_logits(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def test_each_view_is_pulled_to_the_other_as_it_is():
    """Two pixels that differ by 1 and 3: a mean square of 5, twice."""
    one = torch.zeros(1, 1, 1, 2, requires_grad=True)
    other = torch.tensor([[[[1.0, 3.0]]]], requires_grad=True)
    loss = consistency_loss(one, other)
    loss.backward()
    assert loss.item() == 10.0
    assert one.grad.flatten().tolist() == [-1.0, -3.0]
    assert other.grad.flatten().tolist() == [1.0, 3.0]


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_stopped_gradients_are_those_of_one_plain_mean_square(seed):
    views = [
        random_logits(2, 3, 4, 5, seed=seed + i, dtype=torch.float32) for i in (0, 1)
    ]
    gradients, values = [], []
    for kind in (consistency_loss, functional.mse_loss):
        leaves = [view.clone().requires_grad_() for view in views]
        loss = kind(*leaves)
        gradients.append(torch.autograd.grad(loss, leaves))
        values.append(float(loss.detach()))
    torch.testing.assert_close(gradients[0], gradients[1])
    assert abs(values[0] - 2 * values[1]) < 1e-5


def test_equal_views_agree():
    logits = random_logits(1, 3, 4, 4)
    assert consistency_loss(logits, logits) == 0


# --- RIPU -----------------------------------------------------------------------------


def test_the_middle_of_stripes_is_a_border():
    """The Laplacian of class indices is 0 there: 8 * 1 - (3 * 0 + 3 * 2 + 2 * 1)."""
    stripes = torch.tensor([[[0, 1, 2]] * 3], dtype=torch.uint8)
    assert borders(stripes).all()


def test_neither_the_edge_of_the_image_nor_the_ignored_make_a_border():
    one = torch.full((1, 4, 4), 3, dtype=torch.uint8)
    assert not borders(one).any()
    one[0, 1, 1] = IGNORE
    assert not borders(one).any()
    one[0, 2, 2] = 4
    found = borders(one)
    assert found.sum() == 8  # nine pixels around and with it, less the ignored one
    assert not found[0, 1, 1]


@settings(max_examples=30)
@given(st.integers(0, 2**31 - 1))
def test_borders_are_where_a_neighbour_differs(seed):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 3, (1, 5, 6), generator=generator).to(torch.uint8)
    targets[torch.rand(1, 5, 6, generator=generator) < 0.3] = IGNORE
    found = borders(targets)
    for row in range(5):
        for column in range(6):
            around = targets[
                0,
                max(0, row - 1) : row + 2,
                max(0, column - 1) : column + 2,
            ]
            here = targets[0, row, column]
            differs = ((around != here) & (around != IGNORE)).any() & (here != IGNORE)
            assert found[0, row, column] == differs


def test_local_consistency_of_a_hand_worked_corner():
    targets = torch.tensor([[[0, 1, 1]] * 3])
    one_hot = torch.eye(2)[targets].permute(0, 3, 1, 2)
    middle = torch.full((1, 3, 3), IGNORE)
    middle[0, 1, 1], middle[0, 1, 2] = 1, 0  # neighbours of other classes
    # (1/3, 2/3) around the middle: 2/3; all alike around the pixel on its right: 0
    assert abs(float(local_consistency_loss(one_hot, middle)) - 1 / 3) < 1e-6


def test_a_constant_prediction_is_consistent():
    probability = torch.tensor([0.2, 0.8])[None, :, None, None].expand(1, 2, 4, 4)
    targets = torch.tensor([[[0, 1, 0, 1]] * 4])
    assert abs(float(local_consistency_loss(probability, targets))) < 1e-6


def test_without_a_border_local_consistency_costs_and_teaches_nothing():
    logits = random_logits(1, 3, 4, 4).requires_grad_()
    for target in (0, IGNORE):
        targets = torch.full((1, 4, 4), target)
        loss = local_consistency_loss(logits.softmax(1), targets)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss == 0
        assert (gradient == 0).all()


def test_negative_learning_of_two_low_probabilities():
    probability = torch.tensor([[0.97], [0.02], [0.01]])
    expected = (0.0202027 + 0.0100503) / 2
    assert abs(float(negative_learning_loss(probability)) - expected) < 1e-6


def test_nothing_below_the_threshold_costs_and_teaches_nothing():
    logits = torch.zeros(1, 2, 3, 3, requires_grad=True)
    loss = negative_learning_loss(logits.softmax(1))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss == 0
    assert (gradient == 0).all()


def test_a_probability_of_zero_or_one_is_finite():
    probability = torch.tensor([0.0, 1.0], requires_grad=True)
    loss = negative_learning_loss(probability)
    loss.backward()
    assert loss == 0
    assert probability.grad.isfinite().all()


@pytest.mark.parametrize(
    "loss",
    [
        lambda z: local_consistency_loss(z.softmax(1), STRIPES),
        lambda z: negative_learning_loss(z.softmax(1), 0.2),
        lambda z: partial_cross_entropy(z, STRIPES),
        lambda z: difficulty_loss(z[:, 0], SURE, STRIPES),
        lambda z: difficulty_loss(z[:, 0], SURE, STRIPES, mimic=True),
        lambda z: similarity_loss(z[:, 0].sigmoid(), STRIPES == 1, STRIPES),
        lambda z: rectified_cross_entropy(z, STRIPES, SURE[:, 1].sigmoid()),
        lambda z: rectified_cross_entropy(
            z, STRIPES, SURE[:, 1].sigmoid(), torch.tensor([1.0, 0.5, 2.0])
        ),
    ],
)
def test_gradients_are_those_of_finite_differences(loss):
    logits = random_logits(1, 3, 3, 4, dtype=torch.float32).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits), logits)
    step = 1e-2
    for place in ((0, 0, 0, 0), (0, 1, 1, 1), (0, 2, 2, 3)):
        shift = torch.zeros_like(logits)
        shift[place] = step
        with torch.no_grad():
            slope = (loss(logits + shift) - loss(logits - shift)) / (2 * step)
        assert abs(float(slope) - float(gradient[place])) < 2e-3


STRIPES = torch.tensor([[[0, 1, 2, IGNORE]] * 3])
SURE = random_logits(1, 3, 3, 4, seed=1, dtype=torch.float32)
