from dataclasses import replace

import pytest
import torch

from napari_alseg.segmentation import Batch, Partial
from napari_alseg.segmentation.fitting.memory import MemoryLimits
from napari_alseg.settings import TrainingSettings


def batch_of(crops):
    index = torch.arange(crops)
    images = index[:, None, None, None].float().expand(crops, 3, 8, 8)
    return Batch(images, index[:, None, None].expand(crops, 8, 8))


@pytest.mark.parametrize(
    ("batch", "parts", "sizes"),
    [(10, 4, [2, 3, 2, 3]), (4, 2, [2, 2]), (5, 2, [2, 3]), (3, 1, [3])],
)
def test_parts_are_even_so_that_none_is_a_single_crop(batch, parts, sizes):
    found = MemoryLimits(parts).split(batch_of(batch))
    assert [len(part.images) for part, _ in found] == sizes
    assert [share for _, share in found] == [size / batch for size in sizes]
    assert torch.equal(
        torch.cat([part.targets for part, _ in found]), batch_of(batch).targets
    )


def test_first_fewer_crops_pass_at_once_then_they_are_halved():
    limits, settings = MemoryLimits(), TrainingSettings(batch_size=9, crop=300)
    assert limits.reduce(settings) == "5 crops at a time now, 9 still make a step"
    assert limits.reduce(settings) == "3 crops at a time now, 9 still make a step"
    assert limits.reduce(settings) == "crops are at most 150 pixels now"
    assert limits == MemoryLimits(4, 150)
    assert limits.reduce(replace(settings, crop=150)) is None
    assert limits == MemoryLimits(4, 150)


@pytest.mark.parametrize(("limit", "side"), [(None, 512), (256, 256), (1024, 512)])
def test_crops_become_smaller_and_never_larger(examples, quick, limit, side):
    objective = Partial(examples, replace(quick, crop=512))
    MemoryLimits(crop=limit).apply_to(objective)
    assert objective.settings == replace(quick, crop=side)
