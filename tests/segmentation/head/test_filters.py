import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.segmentation.head.filters import MAPS, WIDTHS, filter_bank

SMOOTH, GRADIENT, LARGER, SMALLER = (
    [1 + 4 * width + kind for width in range(len(WIDTHS))] for kind in range(4)
)


def grey(picture):
    """One image of a grey picture."""
    return picture.float().expand(1, 3, -1, -1)


def noise(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 3, *shape, generator=generator)


def test_a_constant_image_is_only_intensity():
    maps = filter_bank(torch.full((1, 3, 24, 40), 0.7))[0]
    torch.testing.assert_close(maps[[0, *SMOOTH]], torch.full((5, 6, 10), 0.7))
    assert maps[[*GRADIENT, *LARGER, *SMALLER]].abs().max() < 1e-5


def test_gradients_are_largest_at_a_step_and_along_it():
    step = torch.zeros(64, 64)
    step[:, 32:] = 1
    maps = filter_bank(grey(step))[0]
    for index in GRADIENT:
        profile = maps[index].mean(0)
        assert profile.argmax() in (7, 8)
        torch.testing.assert_close(profile, profile.flip(0))
        torch.testing.assert_close(maps[index], profile.expand(16, -1))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_bright_ridge_bends_down_and_a_dark_one_up(transposed):
    ridge = torch.zeros(64, 64)
    ridge[:, 30:34] = 1
    pictures = [each.T if transposed else each for each in (ridge, 1 - ridge)]
    bright, dark = (filter_bank(grey(each))[0] for each in pictures)
    profiles = (bright.mT if transposed else bright).mean(1)
    for larger, smaller in zip(LARGER, SMALLER, strict=True):
        assert profiles[smaller].argmin() in (7, 8)
        assert profiles[smaller].min() < -0.05
        assert profiles[larger].abs().max() < profiles[smaller].abs().max()
    torch.testing.assert_close(dark[LARGER], -bright[SMALLER], atol=1e-5, rtol=1e-4)


def test_wide_filters_answer_to_wide_ridges():
    widths = torch.tensor([2, 16])
    answers = []
    for width in widths:
        ridge = torch.zeros(96, 96)
        ridge[:, 48 - width // 2 : 48 + width // 2] = 1
        answers.append(filter_bank(grey(ridge))[0, SMALLER].amin((1, 2)))
    narrow, wide = answers
    assert narrow.argmin() < wide.argmin() == len(WIDTHS) - 1


def test_all_three_colours_count_alike():
    image = noise(0, 16, 16)
    torch.testing.assert_close(filter_bank(image), filter_bank(image.flip(1)))


def test_images_of_a_batch_do_not_mix():
    batch = torch.cat([noise(0, 20, 24), noise(1, 20, 24)])
    alone = torch.cat([filter_bank(each[None]) for each in batch])
    torch.testing.assert_close(filter_bank(batch), alone)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_any_size_gives_a_cell_for_four_pixels(height, width, seed):
    maps = filter_bank(noise(seed, height, width))
    assert maps.shape == (1, MAPS, -(-height // 4), -(-width // 4))
    assert maps.isfinite().all()
    assert (maps[:, LARGER] >= maps[:, SMALLER]).all()
    assert (maps[:, GRADIENT] >= 0).all()


@pytest.mark.parametrize("axis", [-1, -2])
def test_a_mirrored_image_gives_mirrored_maps(axis):
    image = noise(2, 32, 48)
    mirrored = filter_bank(image.flip(axis)).flip(axis)
    torch.testing.assert_close(mirrored, filter_bank(image), atol=1e-5, rtol=1e-4)
