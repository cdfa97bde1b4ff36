import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import Bounds
from napari_alseg.errors import BadValue
from napari_alseg.segmentation import blend_weight, tiles

sides = st.integers(1, 700)


def test_a_small_image_is_one_tile_of_its_own_size():
    assert tiles((33, 64), 64, 16) == [Bounds(0, 0, 33, 64)]


def test_tiles_are_no_larger_than_needed():
    # 1024 pixels take 3 tiles of up to 512; 3 of 384 are enough.
    found = tiles((1024, 100), 512, 64)
    assert [each.row_start for each in found] == [0, 320, 640]
    assert {each.shape for each in found} == {(384, 100)}


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.sampled_from([64, 96, 130]), st.integers(0, 32))
def test_tiles_cover_the_image_in_one_size_with_their_overlap(
    rows, columns, tile, overlap
):
    found = tiles((rows, columns), tile, overlap)
    seen = np.zeros((rows, columns), int)
    for each in found:
        seen[each.slices] += 1
    assert seen.min() >= 1
    assert len({each.shape for each in found}) == 1
    assert max(found[0].shape) <= tile
    assert found == sorted(found)
    starts = sorted({each.column_start for each in found})
    gaps = np.diff(starts)
    assert (found[0].shape[1] - gaps >= overlap).all()
    assert np.ptp(gaps) <= 1 if len(gaps) else True


def test_too_much_overlap_is_refused():
    with pytest.raises(BadValue, match="from 0 to half of the tile"):
        tiles((200, 200), 64, 33)


def test_weight_falls_towards_each_border_and_never_to_zero():
    weight = blend_weight((12, 20), 3)
    assert weight[6, 10] == 1
    assert weight[0, 10] == weight[-1, 10] == weight[6, 0] == weight[6, -1] == 0.25
    assert weight.min() == 0.25**2


def test_without_overlap_every_pixel_counts_the_same():
    assert torch.equal(blend_weight((3, 4), 0), torch.ones(3, 4))
