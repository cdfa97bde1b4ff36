"""Square windows of one image: the best, and their map."""

import numpy as np

from napari_alseg.arrays import Mask, RegionMap, ScoreMap, WindowCentres
from napari_alseg.errors import BadValue

from ._kernels import SEGMENT, greedy_windows
from .scores import checked


def windows(shape: tuple[int, int], centres: WindowCentres, radius: int) -> RegionMap:
    """Squares around centres: ids 1..n in their order.

    A square is cut off where the image ends.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    centres : int array of shape (n, 2)
        Row and column of each; of `choose_windows`, none overlapping another.
    radius : int
        A square is 2 * radius + 1 pixels wide.

    Returns
    -------
    int32 array of shape (H, W)
        0 = in no window.

    Examples
    --------
    >>> windows((2, 5), np.array([[0, 3], [0, 0]]), radius=1)
    array([[2, 2, 1, 1, 1],
           [2, 2, 1, 1, 1]], dtype=int32)
    """
    region_map = np.zeros(shape, np.int32)
    for region, (row, column) in enumerate(centres.tolist(), 1):
        top, left = max(row - radius, 0), max(column - radius, 0)
        region_map[top : row + radius + 1, left : column + radius + 1] = region
    return region_map


def choose_windows(
    score: ScoreMap,
    radius: int,
    count: int,
    blocked: Mask | None = None,
    block_radius: int | None = None,
) -> tuple[WindowCentres, Mask]:
    """Choose centres of the best square windows, kept apart.

    Again and again the highest score that is not blocked is picked, and a square
    around it is blocked; with the default `block_radius` no two windows overlap. RIPU
    (Xie et al., CVPR 2022): RA is radius 1, PA is radius 0 and block_radius 32. Ties
    go to the upper, then the left pixel (the authors' code prefers the left, then the
    upper). Stops early when everything is blocked.

    Parameters
    ----------
    score : float array of shape (H, W)
        Higher = asked sooner; -inf = never.
    radius : int
        A window is 2 * radius + 1 pixels wide, less where the image ends.
    count : int
        Most windows to pick.
    blocked : bool array of shape (H, W), optional
        Centres that are not allowed, from earlier rounds; it is not changed.
    block_radius : int, optional
        Half width of the square that a pick blocks; ``2 * radius`` if not given.

    Returns
    -------
    centres : int64 array of shape (n, 2)
        Row and column, in the order picked.
    blocked : bool array of shape (H, W)
        With the squares of these picks.

    Raises
    ------
    BadValue
        If a score is NaN or +inf, a radius or the count is negative, or the mask has
        another shape.

    Examples
    --------
    >>> centres, _ = choose_windows(np.arange(25.0).reshape(5, 5), 1, 9)
    >>> centres.tolist()
    [[4, 4], [4, 1], [1, 4], [1, 1]]
    """
    block_radius = 2 * radius if block_radius is None else block_radius
    if min(radius, block_radius, count) < 0:
        raise BadValue(
            "radius, block_radius and count must be zero or more, got "
            f"{radius}, {block_radius}, {count}"
        )
    blocked = np.zeros(score.shape, bool) if blocked is None else blocked.copy()
    if blocked.shape != score.shape:
        raise BadValue(
            f"a blocked mask of shape {blocked.shape} does not fit a score map of "
            f"shape {score.shape}"
        )
    if not score.size:
        return np.empty((0, 2), np.int64), blocked
    if score.dtype == np.float16:  # numba knows single precision and double
        score = score.astype(np.float32)
    starts = np.arange(0, score.shape[1], SEGMENT)
    tops = np.maximum.reduceat(score, starts, axis=1)
    checked(tops)
    return greedy_windows(score, tops, blocked, count, block_radius), blocked
