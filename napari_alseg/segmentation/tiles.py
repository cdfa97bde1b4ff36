"""Tiles that cover an image, and how much each of their pixels counts."""

from math import ceil

import torch

from napari_alseg.arrays import Bounds, ScoreTensor
from napari_alseg.errors import BadValue

MULTIPLE = 32
"""Tiles are a multiple of this, so that no network has to pad them."""


def _side(length: int, tile: int, overlap: int) -> tuple[int, list[int]]:
    """Return the side of the tiles along one axis, and where each starts."""
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


def _ramp(length: int, overlap: int) -> torch.Tensor:
    """Rise linearly over the overlap, stay 1, fall again; (length,), above 0."""
    place = torch.arange(1, length + 1)
    nearest = torch.minimum(place, length + 1 - place)
    return (nearest / (overlap + 1)).clamp(max=1.0)


def blend_weight(shape: tuple[int, int], overlap: int) -> ScoreTensor:
    """How much each pixel of a tile counts, above 0 and up to 1.

    It falls linearly towards the border, where a network sees least around a pixel.

    Examples
    --------
    >>> blend_weight((1, 5), overlap=1)
    tensor([[0.2500, 0.5000, 0.5000, 0.5000, 0.2500]])
    """
    return _ramp(shape[0], overlap)[:, None] * _ramp(shape[1], overlap)
