"""Which of the candidates are asked: pure, from a query and what was measured."""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import numpy as np

from napari_alseg import regions
from napari_alseg.arrays import Bounds, Mask, Region, Scored, Selection
from napari_alseg.errors import NothingToAsk
from napari_alseg.systems import Query

from .candidates import Candidates

ChooseFirst = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], np.ndarray]
"""Features, costs and a limit -> rows, where nothing has a score yet."""


class Asking(NamedTuple):
    """All that regions are chosen by, besides the candidates."""

    number: int
    """Of the round."""
    images: tuple[str, ...]
    """The pool."""
    pixels: int
    """Of all these images; a budget in % is of these, and no other asks for it."""
    query: Query
    rng: np.random.Generator
    first: ChooseFirst | None = None
    """Chooses by looks alone, for want of a network that the query needs."""


def scored_share(
    query: Query,
    count: int,
    rng: np.random.Generator,
    may_be_asked: Callable[[], Mask],
) -> list[int]:
    """Draw the share of the pool that is scored; indices in the pool's order.

    A budget in images has at least so many to choose among, as far as there are any
    that may be asked: the share grows if it has to.

    Parameters
    ----------
    query : Query
    count : int
        Images of the pool.
    rng : numpy.random.Generator
    may_be_asked : callable
        -> which images of the pool may be asked as a whole; bool (n,).
    """
    share = ceil(query.values.get("pool_share", 1.0) * count)
    drawn = rng.permutation(count)
    if query.budget.unit == "images":
        there = np.cumsum(may_be_asked()[drawn])
        share = max(share, int(np.searchsorted(there, query.budget.amount)) + 1)
    return sorted(drawn[:share].tolist())


def choose(asked: Asking, candidates: Candidates) -> np.ndarray:
    """Rows of the candidates that are asked, best first.

    Raises
    ------
    NothingToAsk
        If no candidate is left, or the budget is smaller than the first of them.
    """
    rows = np.flatnonzero(candidates.open)
    if len(rows) == 0:
        raise NothingToAsk(
            "every region of the pool is labelled, answered or skipped: ask smaller "
            "regions, or undo a skipped one to be asked it again"
        )
    if asked.query.choice.takes_all:
        return rows
    free, known = candidates.of(rows), candidates.of(~candidates.open)
    picked = _pick(asked, free, known)
    if len(picked) == 0:
        raise NothingToAsk(
            f"a budget of {asked.query.budget} is less than the region that would be "
            f"asked first; the open ones have {free.pixels.min()} to "
            f"{free.pixels.max()} pixels: give a larger budget or make smaller regions"
        )
    chosen: np.ndarray = rows[picked]
    return chosen


def _pick(asked: Asking, free: Candidates, known: Candidates) -> np.ndarray:
    """Choose whole images, by looks alone, or as the row of the choice says."""
    if asked.query.budget.unit == "images":
        return _choose_images(asked, free, known)
    costs, limit = _costs(asked, free)
    if asked.first is not None:
        return asked.first(free.features, costs, limit, asked.rng)
    query = asked.query
    scored = Scored(
        score=free.score,
        informed=query.acquisition.of != "regions",
        cost=costs,
        pixels=free.pixels,
        image=free.image,
        probability=free.probability,
        features=free.features,
        known=known.features,
        centre=free.centre,
    )
    return query.choice.choose(scored, limit, query.values, asked.rng)


def _costs(asked: Asking, candidates: Candidates) -> tuple[np.ndarray, float]:
    """Return what each candidate costs and how much may be spent, in one unit."""
    pixels, budget = candidates.pixels.astype(float), asked.query.budget
    match budget.unit:
        case "%":
            return pixels, budget.amount / 100 * asked.pixels
        case "px/image":
            return pixels, budget.amount * len(asked.images)
        case "regions" | "images":
            return np.ones(len(pixels)), budget.amount


def _choose_images(
    asked: Asking, candidates: Candidates, known: Candidates
) -> np.ndarray:
    """Pick whole images by the mean of their regions; return all their candidates.

    Whatever the choice is, images are ranked; only a core-set compares them.
    """
    compared = asked.query.acquisition.compares
    by_looks = asked.first is not None
    member, mean = _means(candidates, features=by_looks or compared)
    costs, count = np.ones(len(mean)), asked.query.budget.amount
    if by_looks:
        picked = regions.choose_spread(mean, costs, count, asked.rng)
    elif compared:
        _, there = _means(known, features=True)
        picked = regions.choose_diverse(mean, costs, count, known=there)
    else:
        picked = regions.choose_top(mean[:, 0], costs, count)
    return np.flatnonzero(np.isin(member, picked))


def _means(candidates: Candidates, *, features: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the image each candidate is of, 0..n - 1, and the mean of each image."""
    images, member = np.unique(candidates.image, return_inverse=True)
    measured = candidates.features if features else candidates.score[:, None]
    total = np.zeros((len(images), measured.shape[1]), np.float32)
    np.add.at(total, member, measured)
    return member, total / np.bincount(member)[:, None].astype(np.float32)


def selection_of(
    asked: Asking, version: int, candidates: Candidates, picked: np.ndarray
) -> Selection:
    """Return the picked candidates as regions, image by image to spare the eye.

    Images come in the order of their best region, regions within in falling score.
    """
    first_seen = {
        image: i for i, image in reversed([*enumerate(candidates.image[picked])])
    }
    order = sorted(picked, key=lambda row: first_seen[candidates.image[row]])
    chosen = tuple(region_at(asked.images, version, candidates, row) for row in order)
    query = asked.query
    return Selection(asked.number, query.system.name, str(query.budget), chosen)


def region_at(
    images: tuple[str, ...], version: int, candidates: Candidates, row: int
) -> Region:
    """Return a candidate as a region."""
    return Region(
        image=images[int(candidates.image[row])],
        partition=version,
        region=int(candidates.region[row]),
        score=float(candidates.score[row]),
        pixels=int(candidates.pixels[row]),
        bounds=Bounds(*candidates.bounds[row].tolist()),
    )
