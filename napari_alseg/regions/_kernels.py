"""Loops over pixels and regions that numba compiles.

They are not type checked: numba infers types and cannot compile checked functions.
"""

from typing import no_type_check

import numpy as np
from numba import njit

SEGMENT = 64
"""Pixels of a row whose largest score is kept while windows are chosen."""


@njit(nogil=True)
@no_type_check
def sums(score, region_map, regions):
    """Return total and pixels of each region, run by run."""
    totals = np.zeros(regions + 1)
    pixels = np.zeros(regions + 1, np.int64)
    start, current, total = 0, region_map[0], 0.0
    for index in range(score.size):
        if region_map[index] != current:
            totals[current] += total
            pixels[current] += index - start
            start, current, total = index, region_map[index], 0.0
        total += score[index]
    totals[current] += total
    pixels[current] += score.size - start
    totals[pixels == 0] = -np.inf
    return totals[1:], pixels[1:]


@njit(nogil=True)
@no_type_check
def largest(score, region_map, regions):
    """Return each region's largest score; -inf without pixels."""
    highest = np.full(regions + 1, -np.inf)
    for index in range(score.size):
        region = region_map[index]
        highest[region] = max(highest[region], score[index])
    return highest[1:]


@njit(nogil=True, fastmath={"reassoc", "contract"})
@no_type_check
def approach(nearest, features, feature):
    """Lower squared distances, in place, for a new centre."""
    for index in range(len(features)):
        distance = nearest.dtype.type(0)
        for place in range(features.shape[1]):
            distance += (features[index, place] - feature[place]) ** 2
        nearest[index] = min(nearest[index], distance)


@njit(nogil=True)
@no_type_check
def greedy_windows(score, tops, blocked, count, block_radius):
    """Pick windows from a tournament of row segments.

    Each segment stands with the score last seen of it.

    Blocking only lowers scores, so a winner whose score still holds is the best; one
    whose score does not is corrected, and the tournament repeated on its path alone.
    """
    width, segments = score.shape[1], tops.shape[1]
    tree, leaves = tournament(tops.ravel())
    centres = np.empty((min(count, score.size), 2), np.int64)
    found = 0
    while found < count and tree[1] > -np.inf:
        node = 1
        while node < leaves:  # down to the first of the best
            node = 2 * node + (tree[2 * node] < tree[node])
        row, start = (node - leaves) // segments, (node - leaves) % segments * SEGMENT
        best, column = -np.inf, -1
        for place in range(start, min(start + SEGMENT, width)):
            if score[row, place] > best and not blocked[row, place]:
                best, column = score[row, place], place
        if best == tree[node]:
            centres[found, 0], centres[found, 1] = row, column
            found += 1
            top, left = max(row - block_radius, 0), max(column - block_radius, 0)
            blocked[top : row + block_radius + 1, left : column + block_radius + 1] = (
                True
            )
        else:
            tree[node] = best
            while node > 1:
                node //= 2
                tree[node] = max(tree[2 * node], tree[2 * node + 1])
    return centres[:found]


@njit(nogil=True)
@no_type_check
def tournament(values):
    """Return a binary tree of maxima and its first leaf.

    The root is at 1.
    """
    leaves = 1
    while leaves < values.size:
        leaves *= 2
    tree = np.full(2 * leaves, -np.inf)
    for index in range(values.size):
        tree[leaves + index] = values[index]
    for node in range(leaves - 1, 0, -1):
        tree[node] = max(tree[2 * node], tree[2 * node + 1])
    return tree, leaves
