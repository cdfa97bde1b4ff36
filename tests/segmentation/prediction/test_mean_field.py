from math import exp, hypot

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.segmentation.prediction import mean_field as module
from napari_alseg.segmentation.prediction.mean_field import kernel_of, mean_field

USUAL = {"iterations": 5, "radius": 4, "colour": 9.0, "weight": 5.0}


def distribution(seed, classes=3, height=7, width=9):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(classes, height, width, generator=generator)).softmax(0)


def noise(seed, height=7, width=9):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 40, (height, width, 3)).astype(np.uint8)


def field(probability, image, *, iterations, radius, colour, weight):
    """Mean field of a probability, a class each channel."""
    share = torch.ones(len(probability), 1, 1)
    kernel = kernel_of(image, radius, colour, probability.device)
    return mean_field(probability, share, kernel, iterations, weight)


def brute_steps(radius):
    """Distances 0, 1, 2, 4 ... radius, and how many whole distances are nearest."""
    steps = [0] + [2**power for power in range(20) if 2**power < radius]
    steps += [radius] if radius else []
    count = dict.fromkeys(steps, 0.0)
    for distance in np.arange(-0.5 + 0.005, radius + 0.5, 0.01):
        nearest = min(steps, key=lambda step: abs(step - distance))
        count[nearest] += 0.01
    return {step: round(width, 1) for step, width in count.items()}


def brute_force(probability, image, iterations, radius, colour, weight):
    """One pixel after another, one neighbour after another, in double precision."""
    own = probability.double().numpy()
    own = own / own.sum(0)
    _, height, width = own.shape
    belief, pixels = own, image.astype(float)
    steps = brute_steps(radius)
    reach = [*steps, *(-step for step in steps if step)]
    for _ in range(iterations):
        after = np.empty_like(belief)
        for row in range(height):
            for column in range(width):
                heard, mass = 0.0, 0.0
                for down in reach:
                    for right in reach:
                        r, c = row + down, column + right
                        inside = 0 <= r < height and 0 <= c < width
                        if (down, right) == (0, 0) or not inside:
                            continue
                        stands_for = steps[abs(down)] * steps[abs(right)]
                        far = hypot(down, right)
                        near = stands_for * exp(-0.5 * (far / ((radius + 1) / 2)) ** 2)
                        always = stands_for * 0.5 * exp(-0.5 * far**2)
                        square = ((pixels[row, column] - pixels[r, c]) ** 2).mean()
                        alike = exp(-0.5 * square / colour**2)
                        heard = heard + (near * alike + always) * belief[:, r, c]
                        mass += near + always
                heard = heard / mass if mass else np.zeros(len(own))
                value = own[:, row, column] * np.exp(weight * heard)
                after[:, row, column] = value / value.sum()
        belief = after
    return torch.from_numpy(belief).float()


@settings(max_examples=15)
@given(
    st.integers(0, 2**31),
    st.tuples(st.integers(2, 4), st.integers(1, 6), st.integers(1, 7)),
    st.integers(0, 6),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.7, 4.0]),
)
def test_equals_brute_force(seed, shape, radius, iterations, weight):
    probability, image = distribution(seed, *shape), noise(seed, *shape[1:])
    parameters = {"iterations": iterations, "radius": radius, "weight": weight}
    found = field(probability, image, colour=8.0, **parameters)
    wanted = brute_force(probability, image, colour=8.0, **parameters)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)  # similarity is half


def test_bands_of_rows_join_without_a_seam(monkeypatch):
    probability, image = distribution(1, 3, 23, 9), noise(1, 23, 9)
    wanted = field(probability, image, **USUAL)
    monkeypatch.setattr(module, "PIXELS", 9 * 3)
    torch.testing.assert_close(field(probability, image, **USUAL), wanted)
    monkeypatch.setattr(module, "PIXELS", 1)  # less than a row: row by row
    torch.testing.assert_close(field(probability, image, **USUAL), wanted)


@pytest.mark.parametrize("radius", range(10))
def test_every_distance_is_stood_for_once(radius):
    steps = module._steps(radius)
    assert list(steps) == sorted(steps) and max(steps) == radius
    assert sum(steps.values()) == radius + 1  # from -0.5 to radius + 0.5
    assert steps == pytest.approx(brute_steps(radius))


def test_a_channel_that_stands_for_two_classes_speaks_for_half_of_each():
    """Three classes, of which two are alike, as two channels."""
    image, one = noise(2), distribution(2, 2)
    apart = torch.stack([one[0], one[1] / 2, one[1] / 2])
    kernel = kernel_of(image, USUAL["radius"], USUAL["colour"], one.device)
    share = torch.tensor([1.0, 2.0])[:, None, None]
    likelihood = torch.stack([apart[0], 2 * apart[1]])
    found = mean_field(likelihood, share, kernel, 1, USUAL["weight"])
    wanted = field(apart, image, **USUAL | {"iterations": 1})
    torch.testing.assert_close(found[0], wanted[0])
    torch.testing.assert_close(found[1], wanted[1] + wanted[2])


def test_the_mass_of_a_pixel_is_that_of_its_neighbours_inside():
    kernel = kernel_of(noise(0), 1, 9.0, torch.device("cpu"))
    beside, across = (exp(-0.5) * 1.5, exp(-1.0) * 1.5)
    assert kernel.mass[3, 4] == pytest.approx(4 * beside + 4 * across, rel=1e-5)
    assert kernel.mass[0, 4] == pytest.approx(3 * beside + 2 * across, rel=1e-5)
    assert kernel.mass[0, 0] == pytest.approx(2 * beside + across, rel=1e-5)
