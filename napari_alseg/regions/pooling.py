"""From one number a pixel to one number a region.

Everywhere, regions are the ids 1..R of the region map, entry i belongs to region
i + 1, and pixels with id 0 belong to no region.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import sparse

from napari_alseg.arrays import (
    FeatureMap,
    RegionCosts,
    RegionFeatures,
    RegionMap,
    RegionScores,
    ScoreMap,
)
from napari_alseg.errors import BadValue, UnknownName

from ._kernels import largest, sums
from .scores import checked

How = Literal["mean", "sum", "max", "top"]


def pool(score: ScoreMap, region_map: RegionMap, how: How = "mean") -> RegionScores:
    """Score of each region, in the unit of the map.

    ``sum`` has that unit times pixels. ``top`` is the mean of the highest tenth of a
    region's pixels (rounded up, so at least one): it finds a small doubt in a large
    region. An id without pixels scores -inf, which is never chosen.

    Parameters
    ----------
    score : float array of shape (H, W)
        Higher = asked sooner; -inf is allowed.
    region_map : int32 array of shape (H, W)
        Ids 1..R, 0 = no region.
    how : {"mean", "sum", "max", "top"}

    Returns
    -------
    float64 array of shape (R,)

    Raises
    ------
    BadValue
        If the map has no region or another shape, or a score is NaN or infinite.
    UnknownName
        If there is no such pooling.

    Examples
    --------
    >>> score = np.array([[0.1, 0.2], [0.3, 0.4]])
    >>> pool(score, np.array([[1, 2], [1, 2]], np.int32))
    array([0.2, 0.3])
    """
    if how not in POOLINGS:
        raise UnknownName("pooling", how, POOLINGS)
    if score.shape != region_map.shape:
        raise BadValue(
            f"a score map of shape {score.shape} does not fit a region map of shape "
            f"{region_map.shape}"
        )
    regions = count_regions(region_map)
    if score.dtype == np.float16:  # numba knows single precision and double
        score = score.astype(np.float32)
    pooled: np.ndarray = POOLINGS[how](
        checked(score).ravel(), region_map.ravel(), regions
    )
    return pooled


def count_regions(region_map: RegionMap) -> int:
    """Largest id of the region map, R.

    Raises
    ------
    BadValue
        If the map has no region or a negative id.
    """
    if not region_map.size or region_map.max() < 1 or region_map.min() < 0:
        raise BadValue(
            "a region map has ids 1..R and 0 for no region; this one, of shape "
            f"{region_map.shape}, has no region or a negative id: make the regions "
            "again"
        )
    return int(region_map.max())


def count_pixels(region_map: RegionMap) -> RegionCosts:
    """Pixels of each region, int64 of shape (R,).

    Raises
    ------
    BadValue
        If the map has no region.
    """
    regions = count_regions(region_map)
    pixels: np.ndarray = np.bincount(region_map.ravel(), minlength=regions + 1)
    return pixels[1:]


def pool_classes(probability: np.ndarray, region_map: RegionMap) -> RegionFeatures:
    """Mean probability of each class in each region.

    A region without pixels gets zeros.

    Parameters
    ----------
    probability : float32 array of shape (C, H, W)
    region_map : int32 array of shape (H, W)

    Returns
    -------
    float32 array of shape (R, C)

    Raises
    ------
    BadValue
        If the map has no region, or another shape.

    Examples
    --------
    >>> probability = np.array([[[0.5, 1.0]], [[0.5, 0.0]]], np.float32)
    >>> pool_classes(probability, np.array([[1, 1]], np.int32))
    array([[0.75, 0.25]], dtype=float32)
    """
    if probability.shape[1:] != region_map.shape:
        raise BadValue(
            f"a probability of shape {probability.shape} does not fit a region map of "
            f"shape {region_map.shape}"
        )
    regions, ids = count_regions(region_map), region_map.ravel()
    planes = probability.reshape(len(probability), -1)
    means = np.empty((regions, len(planes)), np.float32)
    for index, plane in enumerate(planes):
        totals, pixels = sums(plane, ids, regions)
        means[:, index] = np.where(pixels, totals, 0) / np.maximum(pixels, 1)
    return means


def pool_features(features: FeatureMap, region_map: RegionMap) -> RegionFeatures:
    """Mean feature vector of each region.

    A region without pixels gets zeros.
    Features may be coarser than the map: each pixel takes the cell it lies in.

    Parameters
    ----------
    features : float array of shape (D, h, w)
    region_map : int32 array of shape (H, W)

    Returns
    -------
    float32 array of shape (R, D)

    Raises
    ------
    BadValue
        If the map has no region.

    Examples
    --------
    >>> features = np.array([[[1.0, 3.0]]])
    >>> pool_features(features, np.array([[1, 1, 1, 2]], np.int32))
    array([[1.6666666],
           [3.       ]], dtype=float32)
    """
    regions = count_regions(region_map)
    (depth, rows, columns), (height, width) = features.shape, region_map.shape
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    cells = (row[:, None] * columns + column).ravel()
    ones = np.ones(cells.size, np.float32)
    shape = (regions + 1, rows * columns)
    overlap = sparse.csr_array((ones, (region_map.ravel(), cells)), shape=shape)
    totals = overlap @ features.reshape(depth, -1).T
    means: np.ndarray = totals / np.maximum(overlap.sum(1), 1)[:, None]
    return means[1:].astype(np.float32)


def _totals(score, region_map, regions):  # type: ignore[no-untyped-def]
    return sums(score, region_map, regions)[0]


def _means(score, region_map, regions):  # type: ignore[no-untyped-def]
    totals, pixels = sums(score, region_map, regions)
    return totals / np.maximum(pixels, 1)


def _top_means(score, region_map, regions):  # type: ignore[no-untyped-def]
    """Average the highest tenth of each region's sorted pixels."""
    values = score[np.lexsort((score, region_map))].astype(np.float64)
    pixels = np.bincount(region_map, minlength=regions + 1)
    taken, stops = (pixels + 9) // 10, np.cumsum(pixels)
    present = np.flatnonzero(pixels)
    borders = np.column_stack([stops - taken, stops])[present].ravel()
    result = np.full(regions + 1, -np.inf)
    totals = np.add.reduceat(values, borders[:-1])[::2]
    result[present] = totals / taken[present]
    return result[1:]


POOLINGS: dict[str, Callable[..., np.ndarray]] = {
    "mean": _means,
    "sum": _totals,
    "max": largest,
    "top": _top_means,
}
