"""Functions of the tables' rows, one signature a table.

A partition goes from an image to a region map, a choice from scored regions and a limit
to the rows that are taken. `napari_alseg.systems` has the tables.
"""

import numpy as np

from napari_alseg.arrays import Image, RegionClasses, RegionIndices, RegionMap, Scored

from .choice import (
    choose_class_quota,
    choose_few_per_image,
    choose_per_image,
    choose_stratified,
    choose_top,
)
from .diverse import choose_diverse
from .partition import felzenszwalb, grid, superpixels

__all__ = [
    "cells",
    "class_quota",
    "diverse",
    "everything",
    "felzenszwalb",
    "few_per_image",
    "foreground",
    "per_image",
    "stratified",
    "superpixels",
    "top",
    "whole_image",
]

SHORTLIST = 10
"""Diverse regions are chosen among the best so many times the budget."""

# --- partitions -----------------------------------------------------------------------


def cells(image: Image, *, rows: int, columns: int) -> RegionMap:
    """Equal rectangular cells of an image; see `grid`."""
    return grid(image.shape[:2], rows, columns)


def whole_image(image: Image) -> RegionMap:
    """Return an image as one region.

    Examples
    --------
    >>> whole_image(np.zeros((1, 3, 3), np.uint8))
    array([[1, 1, 1]], dtype=int32)
    """
    return grid(image.shape[:2], 1, 1)


# --- choices --------------------------------------------------------------------------


def top(
    scored: Scored, limit: float, *, rng: np.random.Generator | None = None
) -> RegionIndices:
    """Rows of the highest scores."""
    return choose_top(scored.score, scored.cost, limit)


def few_per_image(
    scored: Scored, limit: float, *, most: int, rng: np.random.Generator | None = None
) -> RegionIndices:
    """Rows of the highest scores, few of one image."""
    return choose_few_per_image(scored.score, scored.cost, scored.image, limit, most)


def per_image(
    scored: Scored, limit: float, *, rng: np.random.Generator | None = None
) -> RegionIndices:
    """Rows of the highest scores within equal shares of images."""
    return choose_per_image(scored.score, scored.cost, scored.image, limit)


def class_quota(
    scored: Scored, limit: float, *, rng: np.random.Generator | None = None
) -> RegionIndices:
    """Rows of the highest scores within a quota a class."""
    return choose_class_quota(scored.score, scored.cost, _classes(scored), limit)


def stratified(
    scored: Scored,
    limit: float,
    *,
    stratified: float,
    power: float,
    rng: np.random.Generator,
) -> RegionIndices:
    """Rows drawn by score, a part shared evenly among classes."""
    return choose_stratified(
        scored.score,
        scored.cost,
        _classes(scored),
        limit,
        rng,
        stratified=stratified,
        power=power,
    )


def foreground(
    scored: Scored,
    limit: float,
    *,
    share: float,
    rng: np.random.Generator | None = None,
) -> RegionIndices:
    """Rows of the highest scores, a share of them foreground.

    The background is the class predicted for most pixels.
    """
    classes = _classes(scored)
    background = np.bincount(classes, scored.pixels).argmax()
    in_front = (classes != background).astype(int)
    return choose_class_quota(
        scored.score, scored.cost, in_front, limit, np.array([1 - share, share])
    )


def diverse(
    scored: Scored,
    limit: float,
    *,
    exclusion: float,
    rng: np.random.Generator | None = None,
) -> RegionIndices:
    """Rows of a core-set.

    With scores, it is one of the best regions for `SHORTLIST` times the budget.
    """
    rows = np.arange(len(scored.cost))
    if scored.informed:
        rows = choose_top(scored.score, scored.cost, SHORTLIST * limit)
    picked = choose_diverse(
        scored.features[rows],
        scored.cost[rows],
        limit,
        known=scored.known,
        places=np.column_stack([scored.image, scored.centre])[rows],
        exclusion=exclusion,
    )
    chosen: RegionIndices = rows[picked]
    return chosen


def everything(
    scored: Scored, limit: float, *, rng: np.random.Generator | None = None
) -> RegionIndices:
    """All rows, whatever the limit."""
    return np.arange(len(scored.cost))


def _classes(scored: Scored) -> RegionClasses:
    """Return the most probable class of each region."""
    classes: RegionClasses = scored.probability.argmax(1)
    return classes
