"""Which regions are asked so that they are unlike one another.

Spread, typical regions of each kind, and the core-set; each needs features of regions.
"""

import warnings

import numpy as np
from jaxtyping import Float32
from scipy.cluster.vq import kmeans2

from napari_alseg.arrays import (
    RegionCosts,
    RegionFeatures,
    RegionIndices,
    RegionPlaces,
)
from napari_alseg.errors import BadValue

from ._kernels import approach
from .scores import affordable, check_budget

MOST_KINDS = 200
"""Clusters that are looked for at most."""
MOST_CLUSTERED = 20_000
"""Regions, drawn by chance, that the clusters are found in."""


def choose_spread(
    descriptors: RegionFeatures,
    costs: RegionCosts,
    budget: float,
    rng: np.random.Generator,
) -> RegionIndices:
    """Draw regions unlike one another, without favouring outliers.

    The seeding of k-means++ (Arthur & Vassilvitskii, SODA 2007): the first region is
    drawn evenly, each next one with probability proportional to its squared distance
    to the nearest one drawn before. Time and memory grow with R per pick and no more.

    Parameters
    ----------
    descriptors : float32 array of shape (R, D)
        For example of `describe`.
    costs : array of shape (R,)
    budget : float
    rng : numpy.random.Generator

    Returns
    -------
    int64 array of shape (n,)
        In the order drawn.

    Raises
    ------
    BadValue
        If a descriptor is not finite, or a cost or the budget is negative.

    Examples
    --------
    >>> two_kinds = np.array([[0], [0], [0], [9], [9]], np.float32)
    >>> picked = choose_spread(two_kinds, np.ones(5), 2, np.random.default_rng(0))
    >>> sorted(two_kinds[picked, 0].tolist())
    [0.0, 9.0]
    """
    _check_features(descriptors, costs, budget)
    nearest = np.full(len(descriptors), np.inf, np.float32)
    free = np.ones(len(descriptors), bool)
    chosen: list[int] = []
    while len(chosen) < len(descriptors):
        steps = np.cumsum(nearest if chosen else free, dtype=np.float64)
        if steps[-1] == 0:  # all that is left equals something chosen
            steps = np.cumsum(free, dtype=np.float64)
        index = _draw(steps, rng)
        budget -= float(costs[index])
        if budget < 0:
            break
        approach(nearest, descriptors, descriptors[index])
        free[index] = False
        chosen.append(index)
    return np.array(chosen, np.int64)


def choose_typical(
    descriptors: RegionFeatures,
    costs: RegionCosts,
    budget: float,
    rng: np.random.Generator,
) -> RegionIndices:
    """Choose the regions nearest to k-means centres.

    Each is typical of a kind. With features of a pretrained encoder, the first twenty
    answers improved a network more than those of a spread. They improved it much more
    than those of a core-set, which asks outliers.

    Parameters
    ----------
    descriptors : float32 array of shape (R, D)
    costs : array of shape (R,)
    budget : float
        For as many kinds as regions of the median cost fit into it, `MOST_KINDS` at
        most; of a larger budget the rest is a spread.
    rng : numpy.random.Generator

    Returns
    -------
    int64 array of shape (n,)
        The most frequent kind first.

    Raises
    ------
    BadValue
        If a descriptor is not finite, or a cost or the budget is negative.

    Examples
    --------
    >>> two_kinds = np.array([[0], [1], [2], [9], [10]], np.float32)
    >>> choose_typical(two_kinds, np.ones(5), 2, np.random.default_rng(0))
    array([1, 3])
    """
    _check_features(descriptors, costs, budget)
    usual = float(np.median(costs)) if len(costs) else 1.0
    kinds = min(int(budget // max(usual, 1e-9)), len(descriptors), MOST_KINDS)
    if kinds == 0:
        return np.empty(0, np.int64)
    some = rng.permutation(len(descriptors))[:MOST_CLUSTERED]
    seeds = choose_spread(descriptors[some], np.ones(len(some)), kinds, rng)
    with warnings.catch_warnings(action="ignore"):  # of a kind that has become empty
        centres, kind = kmeans2(
            descriptors[some], descriptors[some[seeds]], minit="matrix"
        )
    picked: dict[int, None] = {}
    for centre in np.argsort(-np.bincount(kind, minlength=kinds), kind="stable"):
        distance = np.full(len(descriptors), np.inf, np.float32)
        approach(distance, descriptors, centres[centre].astype(np.float32))
        picked[int(distance.argmin())] = None
    chosen = np.array([*picked], np.int64)
    chosen = chosen[: affordable(costs[chosen], budget)]
    left = budget - float(costs[chosen].sum())
    others = np.setdiff1d(np.arange(len(descriptors)), chosen)
    if left < usual or not len(others):
        return chosen
    more = choose_spread(descriptors[others], costs[others], left, rng)
    return np.concatenate([chosen, others[more]])


def choose_diverse(
    features: RegionFeatures,
    costs: RegionCosts,
    budget: float,
    *,
    known: Float32[np.ndarray, "S D"] | None = None,
    places: RegionPlaces | None = None,
    exclusion: float = 0.0,
) -> RegionIndices:
    """Choose a core-set: each next region is the farthest.

    Greedy k-centre (Sener & Savarese, ICLR 2018), Euclidean. Without anything known,
    the region nearest the mean comes first.

    Parameters
    ----------
    features : float32 array of shape (R, D)
    costs : array of shape (R,)
    budget : float
    known : float32 array of shape (S, D), optional
        Features of regions that are labelled already.
    places : array of shape (R, 3), optional
        Index of the image, and row and column of the centre, of each region.
    exclusion : float
        Pixels around a chosen centre in which no other of the same image is chosen;
        above zero it needs `places`.

    Returns
    -------
    int64 array of shape (n,)
        In the order chosen.

    Raises
    ------
    BadValue
        If a feature is not finite; a cost, the budget or the exclusion is negative; or
        an exclusion comes without places.

    Examples
    --------
    >>> line = np.array([[0], [4], [5], [10]], np.float32)
    >>> choose_diverse(line, np.ones(4), 3)
    array([2, 0, 3])
    """
    if not exclusion >= 0 or (exclusion > 0 and places is None):
        raise BadValue(
            "an exclusion is zero or more pixels and needs the places of the regions, "
            f"got {exclusion} and {'no' if places is None else 'some'} places"
        )
    _check_features(features, costs, budget)
    nearest = np.full(len(features), np.inf, np.float32)
    for feature in () if known is None else known:
        approach(nearest, features, feature)
    has_known = known is not None and len(known) > 0
    first = nearest if has_known else -_distances_to_mean(features)
    free = np.ones(len(features), bool)
    chosen: list[int] = []
    while free.any():
        distance = nearest if chosen else first
        index = int(np.where(free, distance, -np.inf).argmax())
        budget -= float(costs[index])
        if budget < 0:
            break
        approach(nearest, features, features[index])
        free[index] = False
        if places is not None:
            free &= ~_near(places, index, exclusion)
        chosen.append(index)
    return np.array(chosen, np.int64)


def _check_features(
    features: RegionFeatures, costs: RegionCosts, budget: float
) -> None:
    check_budget(len(features), costs, budget)
    if not np.isfinite(features).all():
        raise BadValue(
            "features of regions must be finite: look at a network whose training "
            "diverged"
        )


def _distances_to_mean(features: RegionFeatures) -> np.ndarray:
    """Return the squared distance of each feature to the mean."""
    distance = np.full(len(features), np.inf, np.float32)
    approach(distance, features, features.sum(0) / max(len(features), 1))
    return distance


def _draw(steps: np.ndarray, rng: np.random.Generator) -> int:
    """Draw an index in proportion to its step."""
    place = min(rng.random() * steps[-1], np.nextafter(steps[-1], 0))
    return int(np.searchsorted(steps, place, side="right"))


def _near(places: RegionPlaces, index: int, exclusion: float) -> np.ndarray:
    """Return which regions lie too near to one."""
    same = places[:, 0] == places[index, 0]
    away = np.hypot(*(places[:, 1:] - places[index, 1:]).T)
    near: np.ndarray = same & (away < exclusion)
    return near
