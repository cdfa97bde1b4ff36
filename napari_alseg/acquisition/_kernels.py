"""Loops over rows of pixels that numba compiles.

They are not type checked: numba infers types and cannot compile checked functions.
"""

import math
from typing import no_type_check

import numpy as np
from numba import njit


@njit(nogil=True)
@no_type_check
def doubt_rows(probability, doubt, best, start, stop):
    """Fill rows start..stop of entropy and most probable class.

    The entropy is divided by ln C.
    """
    classes, width = probability.shape[0], probability.shape[2]
    tiny, scale = np.float32(1.2e-38), np.float32(-1 / math.log(classes))
    totals, highest = np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(start, stop):
        totals[:] = 0
        highest[:] = -1
        for index in range(classes):
            for column in range(width):
                value = np.float32(probability[index, row, column])
                totals[column] += value * np.log(max(value, tiny))
                if value > highest[column]:
                    highest[column] = value
                    best[row, column] = index
        for column in range(width):
            doubt[row, column] = min(max(totals[column] * scale, 0), 1)


@njit(nogil=True)
@no_type_check
def impurity_rows(prediction, classes, radius, weights, result, start, stop):
    """Fill rows start..stop of the impurity.

    With n pixels of which n_c have class c, the entropy is
    ``(n ln n - sum of n_c ln n_c) / n``; `weights` holds ``n ln n / ln C`` for each n.
    """
    height, width = prediction.shape
    columns = np.zeros((width, classes), np.int32)  # pixels in reach, by class
    for row in range(max(start - radius, 0), min(start + radius, height)):
        for column in range(width):
            columns[column, prediction[row, column]] += 1
    window = np.empty(classes, np.int32)
    for row in range(start, stop):
        if row + radius < height:
            for column in range(width):
                columns[column, prediction[row + radius, column]] += 1
        if row - radius - 1 >= max(start - radius, 0):
            for column in range(width):
                columns[column, prediction[row - radius - 1, column]] -= 1
        rows = min(row + radius, height - 1) - max(row - radius, 0) + 1
        window[:] = 0
        for column in range(min(radius, width)):
            window += columns[column]
        for column in range(width):
            if column + radius < width:
                window += columns[column + radius]
            if column - radius - 1 >= 0:
                window -= columns[column - radius - 1]
            pixels = rows * (
                min(column + radius, width - 1) - max(column - radius, 0) + 1
            )
            parts = 0.0
            for index in range(classes):
                parts += weights[window[index]]
            result[row, column] = min(max((weights[pixels] - parts) / pixels, 0), 1)


@njit(nogil=True)
@no_type_check
def mean_rows(values, radius, result, start, stop):
    """Fill rows start..stop of the mean over the window."""
    height, width = values.shape
    columns = np.zeros(width)  # sums over the rows in reach
    for row in range(max(start - radius, 0), min(start + radius, height)):
        columns += values[row]
    for row in range(start, stop):
        if row + radius < height:
            columns += values[row + radius]
        if row - radius - 1 >= max(start - radius, 0):
            columns -= values[row - radius - 1]
        rows = min(row + radius, height - 1) - max(row - radius, 0) + 1
        window = columns[: min(radius, width)].sum()
        for column in range(width):
            if column + radius < width:
                window += columns[column + radius]
            if column - radius - 1 >= 0:
                window -= columns[column - radius - 1]
            pixels = rows * (
                min(column + radius, width - 1) - max(column - radius, 0) + 1
            )
            result[row, column] = min(max(window / pixels, 0), 1)
