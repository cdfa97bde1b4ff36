import pytest
import torch
from shapes import refused

from napari_alseg.acquisition.probability import checked
from napari_alseg.errors import BadValue


def uniform(*shape):
    return torch.full(shape, 1 / shape[-3])


def test_a_distribution_is_passed_through_uncopied():
    probability = uniform(4, 2, 3)
    assert checked(probability) is probability


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(dtype):
    logits = torch.randn(19, 5, 5, generator=torch.Generator().manual_seed(0))
    assert checked(logits.softmax(0).to(dtype)).dtype == torch.float32


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)), "softmax"),
        (torch.tensor([1.5, -0.5]).reshape(2, 1, 1), "smallest value is -0.5"),
        (torch.tensor([0.5, 0.4]).reshape(2, 1, 1), "off by 0.1"),
        (torch.tensor([float("nan"), 1.0]).reshape(2, 1, 1), "nan"),
        (torch.tensor([float("inf"), 0.0]).reshape(2, 1, 1), "inf"),
        (torch.ones(1, 4, 4), "two classes"),
        (torch.ones(4, 4), "two classes"),
        (torch.ones(3, 0, 4), "two classes"),
    ],
)
def test_what_is_no_distribution_is_refused(probability, text):
    with refused(text):
        checked(probability)


def test_one_bad_pixel_among_many_is_found():
    probability = uniform(3, 64, 64)
    probability[1, 40, 50] = float("nan")
    with pytest.raises(BadValue):
        checked(probability)


def test_every_sample_is_looked_at():
    samples = uniform(4, 3, 2, 2)
    samples[2] *= 2
    with pytest.raises(BadValue):
        checked(samples)
