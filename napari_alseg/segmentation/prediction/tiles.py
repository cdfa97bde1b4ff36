"""Tiles that cover an image, and their blend."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor

from napari_alseg.arrays import Bounds, FeatureTensor, Image, ScoreTensor
from napari_alseg.errors import BadValue

MULTIPLE = 32
"""Tiles are a multiple of this, so that no network has to pad them."""


def _side(length: int, tile: int, overlap: int) -> tuple[int, list[int]]:
    """Side and the starts of tiles along an axis."""
    if length <= tile:
        return length, [0]
    count = ceil((length - overlap) / (tile - overlap))
    # The smallest side that still covers the axis: the same count of tiles, less work.
    side = ceil((length + (count - 1) * overlap) / count / MULTIPLE) * MULTIPLE
    side = min(side, tile)
    free = length - side
    return side, [round(free * index / (count - 1)) for index in range(count)]


def tiles(shape: tuple[int, int], tile: int, overlap: int) -> list[Bounds]:
    """Rectangles of one size that cover an image, in row-major order.

    They are spread evenly, overlap by at least `overlap` pixels and are no larger
    than `tile`; an image side up to `tile` is taken whole.

    Parameters
    ----------
    shape : (rows, columns)
    tile, overlap : int
        In pixels.

    Raises
    ------
    BadValue
        If neighbouring tiles would share more than half of their pixels.

    Examples
    --------
    >>> tiles((40, 100), tile=64, overlap=16)
    [Bounds(row_start=0, column_start=0, row_stop=40, column_stop=64),
     Bounds(row_start=0, column_start=36, row_stop=40, column_stop=100)]
    """
    if not 0 <= overlap <= tile // 2:
        raise BadValue(
            f"the overlap of tiles must be from 0 to half of the tile ({tile // 2}), "
            f"got {overlap}; take larger tiles or less overlap"
        )
    height, row_starts = _side(shape[0], tile, overlap)
    width, column_starts = _side(shape[1], tile, overlap)
    return [
        Bounds(row, column, row + height, column + width)
        for row in row_starts
        for column in column_starts
    ]


def _ramp(length: int, overlap: int) -> Tensor:
    """Rise over the overlap, stay 1, fall; (length,), above 0."""
    place = torch.arange(1, length + 1)
    nearest = torch.minimum(place, length + 1 - place)
    return (nearest / (overlap + 1)).clamp(max=1.0)


def blend_weight(shape: tuple[int, int], overlap: int) -> ScoreTensor:
    """How much each pixel of a tile counts, 0..1.

    It falls linearly towards the border, where a network sees least around a pixel.

    Examples
    --------
    >>> blend_weight((1, 5), overlap=1)
    tensor([[0.2500, 0.5000, 0.5000, 0.5000, 0.2500]])
    """
    return _ramp(shape[0], overlap)[:, None] * _ramp(shape[1], overlap)


class Blend:
    """Overlapping tiles as one map: their weighted mean at each pixel.

    Parameters
    ----------
    shape : (rows, columns)
        Of the whole map.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._total: Tensor | None = None
        self._weights: Tensor | None = None

    def add(
        self, bounds: Sequence[Bounds], values: Tensor, weight: ScoreTensor
    ) -> None:
        """Add tiles (B, K, h, w), their pixels weighted by (h, w)."""
        if list(bounds) == [Bounds(0, 0, *self._shape)]:
            self._total = values[0].float()  # nothing overlaps: no work, no rounding
            return
        if self._total is None or self._weights is None:
            self._total = weight.new_zeros(values.shape[1], *self._shape)
            self._weights = weight.new_zeros(self._shape)
        for place, tile in zip(bounds, values, strict=True):
            self._total[:, *place.slices] += tile * weight
            self._weights[place.slices] += weight

    def mean(self) -> Tensor:
        """Whole map (K, H, W); to be called once."""
        assert self._total is not None, "no tile was added"
        if self._weights is None:
            return self._total
        return self._total.div_(self._weights)


def blend_coarse(
    maps: Tensor,
    bounds: Sequence[Bounds],
    shape: tuple[int, int],
    span: tuple[int, int],
    weight: ScoreTensor,
) -> FeatureTensor:
    """Coarse maps of tiles as one that spans the image.

    Its cells have about the size that they have in the tiles. In these they may lie
    elsewhere, and reach beyond the image where the network pads; so each tile is
    interpolated linearly at the centres of those cells that lie in it. That changes
    no value where tiles start at multiples of a cell.

    Parameters
    ----------
    maps : float tensor of shape (n, D, h, w)
    bounds : sequence of Bounds
        Of the n tiles, in pixels of the image.
    shape : (rows, columns)
        Of the image, in pixels.
    span : (rows, columns)
        Pixels that a map covers: those of a tile with its padding.
    weight : tensor of shape (rows, columns)
        How much each pixel of a tile counts.

    Examples
    --------
    >>> maps = torch.tensor([[[[1.0, 2.0]]], [[[3.0, 4.0]]]])  # (2, 1, 1, 2)
    >>> bounds = [Bounds(0, 0, 4, 8), Bounds(0, 4, 4, 12)]
    >>> blend_coarse(maps, bounds, (4, 12), (4, 8), torch.ones(4, 8))
    tensor([[[1.0000, 2.5000, 4.0000]]])
    """
    cells = maps.shape[-2:]
    rows, columns = (
        ceil(length * count / covered)
        for length, count, covered in zip(shape, cells, span, strict=True)
    )
    blend = Blend((rows, columns))
    for values, tile in zip(maps, bounds, strict=True):
        row, down = _inside(shape[0], rows, tile.row_start, tile.row_stop)
        column, right = _inside(shape[1], columns, tile.column_start, tile.column_stop)
        vertical = _between(down * cells[0] / span[0], cells[0]).to(maps)  # (n, h)
        horizontal = _between(right * cells[1] / span[1], cells[1]).to(maps)  # (m, w)
        values = torch.einsum("nh,dhw,mw->dnm", vertical, values, horizontal)
        nearest = weight[down.long()][:, right.long()]
        place = Bounds(row, column, row + len(down), column + len(right))
        blend.add([place], values[None], nearest)
    return blend.mean()


def _inside(length: int, count: int, start: int, stop: int) -> tuple[int, Tensor]:
    """First cell of a tile, and the centres.

    There are `count` cells; their centres lie in the tile.

    These are in pixels from the start of the tile.
    """
    centres = (torch.arange(count, dtype=torch.float64) + 0.5) * (length / count)
    inside = (centres >= start) & (centres < stop)
    return int((centres < start).sum()), centres[inside] - start


def _between(places: Tensor, count: int) -> Tensor:
    """Return how much each cell counts at places 0..count.

    Examples
    --------
    >>> _between(torch.tensor([0.5, 1.0, 1.9]), count=2)
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000],
            [0.0000, 1.0000]])
    """
    places = (places - 0.5).clamp(0, count - 1)  # the first cell's centre is at 0.5
    return (1 - (places[:, None] - torch.arange(count)).abs()).clamp(min=0).float()


def to_tensor(image: Image, device: torch.device) -> Tensor:
    """Colours 0..1 as a float32 batch (1, 3, H, W).

    It is channels last in memory.

    Parameters
    ----------
    image : uint8 array of shape (H, W, 3)
    """
    pixels = torch.from_numpy(np.array(image)).to(device)  # (H, W, 3)
    return pixels.permute(2, 0, 1)[None].float().div_(255.0)  # (1, 3, H, W)


def blend_features(
    maps: Sequence[Tensor],
    bounds: Sequence[Bounds],
    shape: tuple[int, int],
    stride: int,
    weight: ScoreTensor,
) -> FeatureTensor:
    """Features of all tiles as one map; (D, h, w)."""
    height, width = (side + -side % stride for side in bounds[0].shape)
    return blend_coarse(
        torch.cat(list(maps)).float(), bounds, shape, (height, width), weight
    )
