import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import Bounds
from napari_alseg.errors import BadValue
from napari_alseg.segmentation import blend_weight, tiles
from napari_alseg.segmentation.prediction.tiles import Blend, blend_coarse

sides = st.integers(1, 700)


def test_a_small_image_is_one_tile_of_its_own_size():
    assert tiles((33, 64), 64, 16) == [Bounds(0, 0, 33, 64)]


def test_tiles_are_no_larger_than_needed():
    # 1024 pixels take 3 tiles of up to 512; 3 of 384 are enough.
    found = tiles((1024, 100), 512, 64)
    assert [each.row_start for each in found] == [0, 320, 640]
    assert {each.shape for each in found} == {(384, 100)}


@settings(max_examples=60)
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


def test_a_blend_is_the_weighted_mean():
    """The middle pixel is 1 with weight 1 and 5 with weight 3: 4."""
    blend = Blend((1, 3))
    tile = torch.ones(1, 1, 1, 2)
    blend.add([Bounds(0, 0, 1, 2)], tile, torch.tensor([[1.0, 1.0]]))
    blend.add([Bounds(0, 1, 1, 3)], 5 * tile, torch.tensor([[3.0, 3.0]]))
    assert blend.mean().tolist() == [[[1.0, 4.0, 5.0]]]


@settings(max_examples=40)
@given(sides, sides, st.sampled_from([64, 96, 130]), st.integers(0, 32))
def test_tiles_cut_from_a_map_blend_to_that_map(rows, columns, tile, overlap):
    bounds = tiles((rows, columns), tile, overlap)
    whole = torch.rand(2, rows, columns, generator=torch.Generator().manual_seed(0))
    blend, weight = Blend((rows, columns)), blend_weight(bounds[0].shape, overlap)
    for each in bounds:
        blend.add([each], whole[None, :, *each.slices], weight)
    torch.testing.assert_close(blend.mean(), whole)


@settings(max_examples=60)
@given(sides, sides, st.sampled_from([64, 96]), st.sampled_from([1, 4, 8, 16, 32]))
def test_coarse_maps_keep_their_place(rows, columns, tile, cell):
    """Cells that hold their own row and column, in pixels, still do so after."""
    bounds = tiles((rows, columns), tile, 16)
    height, width = (side + -side % 32 for side in bounds[0].shape)
    row = (torch.arange(height // cell) + 0.5) * cell
    column = (torch.arange(width // cell) + 0.5) * cell
    own = torch.stack(torch.meshgrid(row, column, indexing="ij"))  # (2, h, w)
    starts = [torch.tensor([each.row_start, each.column_start]) for each in bounds]
    maps = torch.stack([own + start[:, None, None] for start in starts])
    weight = blend_weight(bounds[0].shape, 16)
    found = blend_coarse(maps, bounds, (rows, columns), (height, width), weight)
    count, other = -(-rows // cell), -(-columns // cell)
    assert found.shape == (2, count, other)
    # Nothing lies beyond the outer cells of a tile to go on with.
    half = cell / 2 + 1e-3
    expected = (torch.arange(count) + 0.5) * (rows / count)
    assert (found[0] - expected[:, None]).abs().max() <= half
    expected = (torch.arange(other) + 0.5) * (columns / other)
    assert (found[1] - expected).abs().max() <= half
