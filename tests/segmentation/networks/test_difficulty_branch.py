import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.segmentation import DifficultyBranch
from napari_alseg.segmentation.networks.difficulty_branch import CELLS, attend, grid


def probabilities(seed: int, classes: int = 4, shape=(5, 6)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(2, classes, *shape, generator=generator)).softmax(1)


def test_the_attention_of_two_pixels_that_differ():
    """Softmax of (1, 0) is (.7311, .2689); gamma adds it to the pixel itself."""
    two = torch.eye(2)[None, :, None]
    attention = attend(two, torch.tensor(1.0)) - two
    expected = torch.tensor([[0.7311, 0.2689], [0.2689, 0.7311]])
    torch.testing.assert_close(attention[0, :, 0], expected, atol=5e-5, rtol=0)
    assert torch.equal(attend(two, torch.tensor(0.0)), two)


def test_three_pixels_by_hand():
    """P = (.5, .5), (1, 0), (0, 1): products .5, .5, .5 | .5, 1, 0 | .5, 0, 1."""
    pixels = torch.tensor([[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]])
    products = torch.tensor([[0.5, 0.5, 0.5], [0.5, 1.0, 0.0], [0.5, 0.0, 1.0]])
    share = products.exp() / products.exp().sum(1, keepdim=True)
    expected = pixels + 2 * pixels @ share.T
    found = attend(pixels[None, :, None], torch.tensor(2.0))[0, :, 0]
    torch.testing.assert_close(found, expected)


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_the_attention_of_a_pixel_sums_to_one(seed):
    """The probabilities that it mixes do, so their mean does only if it does."""
    probability = probabilities(seed)
    total = (attend(probability, torch.tensor(1.0)) - probability).sum(1)
    torch.testing.assert_close(total, torch.ones(2, 5, 6))


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_pixels_that_change_places_take_their_result_along(seed):
    probability, gamma = probabilities(seed), torch.tensor(1.5)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(30, generator=generator)
    moved = probability.flatten(2)[..., order].view_as(probability)
    expected = attend(probability, gamma).flatten(2)[..., order].view_as(probability)
    torch.testing.assert_close(attend(moved, gamma), expected)


def test_pixels_that_are_alike_share_one_result():
    probability = probabilities(0)
    probability[:, :, 4, 5] = probability[:, :, 0, 1]
    found = attend(probability, torch.tensor(1.0))
    torch.testing.assert_close(found[:, :, 4, 5], found[:, :, 0, 1])


@pytest.mark.parametrize(
    ("shape", "cells"),
    [
        ((360, 480), (60, 80)),
        ((480, 360), (80, 60)),
        ((512, 512), (69, 69)),
        ((48, 64), (12, 16)),
        ((3, 5), (1, 1)),
        ((1, 1), (1, 1)),
    ],
)
def test_the_grid_is_square_celled_and_small(shape, cells):
    assert grid(*shape) == cells


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_grid_never_exceeds_what_memory_allows(height, width):
    rows, columns = grid(height, width)
    assert 1 <= rows <= height
    assert 1 <= columns <= width
    # Only an image of less than a cell's height may have more, all in one row.
    assert rows * columns <= max(CELLS, width, height)


def branch_of(classes: int, weight: list[float], bias: float) -> DifficultyBranch:
    branch = DifficultyBranch(classes)
    with torch.no_grad():
        branch.score.weight[0, :, 0, 0] = torch.tensor(weight)
        branch.score.bias.fill_(bias)
    return branch


def test_a_new_branch_scores_the_probabilities_alone():
    """p = (.75, .25) everywhere: 2 * .75 - 4 * .25 + .5 = 1."""
    logits = torch.tensor([3.0, 1.0]).log()[None, :, None, None].expand(2, 2, 8, 12)
    found = branch_of(2, [2.0, -4.0], 0.5)(logits)
    torch.testing.assert_close(found, torch.ones(2, 8, 12))


def test_gamma_one_adds_the_mean_of_pixels_that_are_all_alike():
    logits = torch.tensor([3.0, 1.0]).log()[None, :, None, None].expand(1, 2, 8, 12)
    branch = branch_of(2, [2.0, -4.0], 0.5)
    branch.gamma.data.fill_(1.0)
    torch.testing.assert_close(branch(logits), torch.full((1, 8, 12), 1.5))
    branch.gamma.data.fill_(-0.5)  # the authors' code would skip the attention here
    torch.testing.assert_close(branch(logits), torch.full((1, 8, 12), 0.75))


def test_cells_are_means_and_lie_evenly_in_the_image():
    """Two cells of 4 x 4: (.75, .25) scores 1, (.25, .75) scores -2, a line between."""
    left = torch.tensor([3.0, 1.0]).log()[:, None, None].expand(2, 4, 4)
    logits = torch.cat([left, left.flip(0)], -1)[None]  # (1, 2, 4, 8)
    logits = logits + torch.tensor([1.0, -1.0]).repeat(4)  # of mean 0 in each cell
    found = branch_of(2, [2.0, -4.0], 0.5)(logits)
    share = torch.tensor([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    torch.testing.assert_close(found, (1 - 3 * share).expand(1, 4, 8))


@pytest.mark.parametrize("shape", [(1, 1), (33, 47), (200, 300)])
def test_it_has_the_size_of_the_logits(shape):
    found = DifficultyBranch(3)(torch.randn(2, 3, *shape))
    assert found.shape == (2, *shape)
    assert found.isfinite().all()


def test_mirrored_logits_give_the_mirrored_map():
    branch, logits = DifficultyBranch(3), torch.randn(1, 3, 40, 56)
    branch.gamma.data.fill_(1.0)
    for axis in (-1, -2):
        torch.testing.assert_close(branch(logits.flip(axis)), branch(logits).flip(axis))


def test_gradients_reach_gamma_and_the_network():
    logits = torch.randn(1, 3, 16, 16, requires_grad=True)
    branch = DifficultyBranch(3)
    branch(logits).square().sum().backward()
    assert logits.grad.abs().sum() > 0
    assert branch.gamma.grad.abs() > 0


def test_it_stays_in_full_precision():
    branch, logits = DifficultyBranch(3), torch.randn(1, 3, 16, 16)
    branch.gamma.data.fill_(1.0)
    expected = branch(logits.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16):
        found = branch(logits.bfloat16())
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
