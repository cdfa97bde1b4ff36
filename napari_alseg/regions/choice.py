"""Which regions are asked, within a budget.

A budget is in the unit of the costs. Whole regions are taken one after another until
the next one no longer fits; none is skipped for a cheaper one behind it, so that a
larger budget always asks the same regions and more. Ties keep the order of the pool,
which is row-major within an image.
"""

import warnings

import numpy as np
from numba import njit
from scipy.cluster.vq import kmeans2

from napari_alseg.arrays import (
    Mask,
    RegionClasses,
    RegionCosts,
    RegionFeatures,
    RegionIndices,
    RegionPlaces,
    RegionScores,
    ScoreMap,
    WindowCentres,
)
from napari_alseg.errors import BadValue

from .scores import checked

SEGMENT = 64
"""Pixels of a row whose largest score is kept while windows are chosen."""
MOST_KINDS = 200
"""Clusters that are looked for at most."""
MOST_CLUSTERED = 20_000
"""Regions, drawn by chance, that the clusters are found in."""


def choose_top(
    scores: RegionScores, costs: RegionCosts, budget: float
) -> RegionIndices:
    """Choose the highest scores: indices in falling order, while the budget lasts.

    Parameters
    ----------
    scores : float array of shape (R,)
        Higher = asked sooner; -inf = never.
    costs : array of shape (R,)
        What each region costs, zero or more.
    budget : float
        Most that may be spent, zero or more.

    Returns
    -------
    int64 array of shape (n,)
        Empty if the first region costs more than the budget.

    Raises
    ------
    BadValue
        If a score is NaN or +inf, a cost or the budget is negative or not finite, or
        the arrays differ in length.

    Examples
    --------
    >>> choose_top(np.array([0.2, 0.9, 0.5]), np.array([10, 10, 10]), budget=25)
    array([1, 2])
    """
    _check(scores, costs, budget)
    order = np.argsort(-scores, kind="stable")
    order = order[: np.count_nonzero(scores > -np.inf)]
    return order[: _affordable(costs[order], budget)]


def choose_class_quota(
    scores: RegionScores,
    costs: RegionCosts,
    classes: RegionClasses,
    budget: float,
    weights: np.ndarray | None = None,
) -> RegionIndices:
    """Choose the highest scores within a share of the budget for each class.

    The classes that occur share the budget in proportion to their weights; what a
    class leaves over is spent on the highest scores of all. After the variant "Class
    specific" of Kasarla et al., WACV 2019, whose quota rule is not published.

    Parameters
    ----------
    scores : float array of shape (R,)
        Higher = asked sooner; -inf = never.
    costs : array of shape (R,)
    classes : int array of shape (R,)
        Class of each region, for example the one most predicted.
    budget : float
    weights : float array of shape (C,), optional
        Share of each class, zero or more, for example 1 - IoU. Without it, one over
        the share of all costs that is predicted as the class: rare classes get more.

    Returns
    -------
    int64 array of shape (n,)
        In falling score.

    Raises
    ------
    BadValue
        As `choose_top`; or if a class has no weight, or a negative one.

    Examples
    --------
    >>> scores, costs = np.array([0.9, 0.8, 0.7, 0.1]), np.ones(4)
    >>> choose_class_quota(scores, costs, np.array([0, 0, 0, 1]), 2, np.ones(2))
    array([0, 3])
    """
    _check(scores, costs, budget)
    shares = _shares(scores, costs, classes, weights)
    picked = _within_quotas(scores, costs, classes, shares * budget)
    return _fill(scores, costs, picked, budget)


def choose_per_image(
    scores: RegionScores, costs: RegionCosts, images: RegionClasses, budget: float
) -> RegionIndices:
    """Choose the highest scores within an equal share of the budget for each image.

    What the shares leave over is spent on the next best region of each image, the
    highest scores first: a budget of fewer regions than images asks one in each of the
    best images.

    Parameters
    ----------
    scores : float array of shape (R,)
        Higher = asked sooner; -inf = never.
    costs : array of shape (R,)
    images : int array of shape (R,)
        Index of each region's image.
    budget : float
        For all images together.

    Returns
    -------
    int64 array of shape (n,)
        In falling score.

    Raises
    ------
    BadValue
        As `choose_top`; or if an index is negative.

    Examples
    --------
    >>> scores, costs = np.array([0.9, 0.8, 0.7, 0.1]), np.ones(4)
    >>> choose_per_image(scores, costs, np.array([0, 0, 0, 1]), 2)
    array([0, 3])
    """
    _check(scores, costs, budget)
    even = np.ones(images.max(initial=-1) + 1)
    shares = _shares(scores, costs, images, even)
    picked = _within_quotas(scores, costs, images, shares * budget)
    rest = np.flatnonzero(~picked & (scores > -np.inf))
    rest = rest[np.lexsort((-scores[rest], images[rest]))]
    turn = np.arange(len(rest)) - np.searchsorted(images[rest], images[rest])
    rest = rest[np.lexsort((rest, -scores[rest], turn))]
    picked[rest[: _affordable(costs[rest], budget - costs[picked].sum())]] = True
    return _falling(scores, picked)


def choose_few_per_image(
    scores: RegionScores,
    costs: RegionCosts,
    images: RegionClasses,
    budget: float,
    limit: int,
) -> RegionIndices:
    """Choose the highest scores of the pool, of an image at most a few at a time.

    The best regions of one image are often the same doubt several times. Only when
    every image has given its few does each give so many more.

    Parameters
    ----------
    scores : float array of shape (R,)
        Higher = asked sooner; -inf = never.
    costs : array of shape (R,)
    images : int array of shape (R,)
        Index of each region's image.
    budget : float
    limit : int
        Regions of one image, 1 or more.

    Returns
    -------
    int64 array of shape (n,)
        The first few of all images in falling score, then the next few of all.

    Raises
    ------
    BadValue
        As `choose_top`; or if the limit is below 1.

    Examples
    --------
    >>> scores, costs = np.array([0.9, 0.8, 0.7, 0.1]), np.ones(4)
    >>> choose_few_per_image(scores, costs, np.array([0, 0, 0, 1]), 3, limit=1)
    array([0, 3, 1])
    """
    _check(scores, costs, budget)
    if limit < 1:
        raise BadValue(f"an image gives one region at a time or more, got {limit}")
    falling = np.lexsort((-scores, images))
    within = np.arange(len(scores)) - np.searchsorted(images[falling], images[falling])
    turn = np.empty(len(scores), np.int64)
    turn[falling] = within // limit
    order = np.lexsort((-scores, turn))
    order = order[scores[order] > -np.inf]
    return order[: _affordable(costs[order], budget)]


def choose_stratified(
    scores: RegionScores,
    costs: RegionCosts,
    classes: RegionClasses,
    budget: float,
    rng: np.random.Generator,
    *,
    stratified: float = 0.66,
    power: float = 1.0,
) -> RegionIndices:
    """Draw indices by score, a part of the budget shared evenly among the classes.

    Regions are drawn without replacement with probability proportional to
    ``score ** power`` (Gumbel noise on its logarithm; "power" acquisition of Kirsch et
    al., TMLR 2023), which keeps a batch from asking one thing many times. Stratifying
    two thirds of it by predicted class is the rule of ClaSP PE.

    Parameters
    ----------
    scores : float array of shape (R,)
        Zero or more, higher = asked sooner; -inf = never.
    costs : array of shape (R,)
    classes : int array of shape (R,)
        Class of each region, for example the one most predicted.
    budget : float
    rng : numpy.random.Generator
    stratified : float
        Part of the budget that is shared among the classes, 0..1.
    power : float
        Above zero; the higher, the nearer to `choose_top`.

    Returns
    -------
    int64 array of shape (n,)
        In the order drawn.

    Raises
    ------
    BadValue
        As `choose_top`; or if a score is negative, or a parameter is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores, classes = np.array([0.9, 0.8, 0.7, 0.1]), np.array([0, 0, 0, 1])
    >>> chosen = choose_stratified(scores, np.ones(4), classes, 2, rng, stratified=1)
    >>> sorted(classes[chosen].tolist())
    [0, 1]
    """
    _check(scores, costs, budget)
    possible = scores > -np.inf
    if np.any(scores[possible] < 0):
        raise BadValue(
            "drawing by score needs scores of zero or more, got "
            f"{scores[possible].min()}; take choose_top for scores below zero"
        )
    if not (0 <= stratified <= 1 and 0 < power < np.inf):
        raise BadValue(
            "the stratified part lies in 0..1 and the power above zero, got "
            f"{stratified} and {power}"
        )
    logarithm = np.log(np.maximum(scores, np.finfo(np.float32).tiny))
    drawn = np.where(
        possible, power * logarithm + rng.gumbel(size=len(scores)), -np.inf
    )
    even = np.ones(classes.max(initial=0) + 1)
    first = choose_class_quota(drawn, costs, classes, stratified * budget, even)
    picked = np.zeros(len(scores), bool)
    picked[first] = True
    return _fill(drawn, costs, picked, budget)


def choose_spread(
    descriptors: RegionFeatures,
    costs: RegionCosts,
    budget: float,
    rng: np.random.Generator,
) -> RegionIndices:
    """Draw indices of regions unlike one another, without a liking for outliers.

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
        _approach(nearest, descriptors, descriptors[index])
        free[index] = False
        chosen.append(index)
    return np.array(chosen, np.int64)


def choose_typical(
    descriptors: RegionFeatures,
    costs: RegionCosts,
    budget: float,
    rng: np.random.Generator,
) -> RegionIndices:
    """Choose regions that are each typical of a kind: the nearest to k-means centres.

    Of regions seen by a pretrained encoder, these taught more with the first twenty
    answers than a spread, and much more than a core-set, which asks outliers.

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
        _approach(distance, descriptors, centres[centre].astype(np.float32))
        picked[int(distance.argmin())] = None
    chosen = np.array([*picked], np.int64)
    chosen = chosen[: _affordable(costs[chosen], budget)]
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
    known: RegionFeatures | None = None,
    places: RegionPlaces | None = None,
    exclusion: float = 0.0,
) -> RegionIndices:
    """Choose a core-set: each next region is the one farthest from all before.

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
        _approach(nearest, features, feature)
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
        _approach(nearest, features, features[index])
        free[index] = False
        if places is not None:
            free &= ~_near(places, index, exclusion)
        chosen.append(index)
    return np.array(chosen, np.int64)


def choose_windows(
    score: ScoreMap,
    radius: int,
    count: int,
    blocked: Mask | None = None,
    block_radius: int | None = None,
) -> tuple[WindowCentres, Mask]:
    """Choose the best square windows of one image, kept apart: their centres.

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
    return _greedy_windows(score, tops, blocked, count, block_radius), blocked


@njit(nogil=True)
def _greedy_windows(score, tops, blocked, count, block_radius):  # type: ignore[no-untyped-def]
    """Pick from a tournament of row segments, each with the score last seen of it.

    Blocking only lowers scores, so a winner whose score still holds is the best; one
    whose score does not is corrected, and the tournament repeated on its path alone.
    """
    width, segments = score.shape[1], tops.shape[1]
    tree, leaves = _tournament(tops.ravel())
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
def _tournament(values):  # type: ignore[no-untyped-def]
    """Return a binary tree of maxima, its root at 1, and where its leaves begin."""
    leaves = 1
    while leaves < values.size:
        leaves *= 2
    tree = np.full(2 * leaves, -np.inf)
    for index in range(values.size):
        tree[leaves + index] = values[index]
    for node in range(leaves - 1, 0, -1):
        tree[node] = max(tree[2 * node], tree[2 * node + 1])
    return tree, leaves


def _check(scores: RegionScores, costs: RegionCosts, budget: float) -> None:
    """Refuse scores, costs or a budget that have no meaning."""
    checked(scores)
    _check_budget(len(scores), costs, budget)


def _check_budget(regions: int, costs: RegionCosts, budget: float) -> None:
    if len(costs) != regions:
        raise BadValue(f"{regions} regions need as many costs, got {len(costs)}")
    if len(costs) and not 0 <= costs.min() <= costs.max() < np.inf:
        raise BadValue(
            "a cost is finite and zero or more, got costs from "
            f"{costs.min()} to {costs.max()}"
        )
    if not 0 <= budget < np.inf:
        raise BadValue(f"a budget must be zero or more and finite, got {budget}")


def _affordable(costs: RegionCosts, budget: float) -> int:
    """Return how many regions, from the first on, fit into the budget."""
    return int(np.searchsorted(np.cumsum(costs), budget, side="right"))


def _shares(
    scores: RegionScores,
    costs: RegionCosts,
    classes: RegionClasses,
    weights: np.ndarray | None,
) -> np.ndarray:
    """Return the share of the budget of each class; 0 where no region can be asked."""
    if len(classes) != len(scores) or classes.min(initial=0) < 0:
        raise BadValue(
            f"{len(scores)} regions need as many classes of zero or more, got "
            f"{len(classes)}, the lowest {classes.min(initial=0)}"
        )
    possible = scores > -np.inf
    totals = np.bincount(classes[possible], costs[possible])
    if weights is None:
        weights = np.divide(1, totals, out=np.zeros(len(totals)), where=totals > 0)
    if len(weights) < len(totals) or not np.all((weights >= 0) & (weights < np.inf)):
        raise BadValue(
            f"{len(totals)} classes need as many weights, finite and zero or more, "
            f"got {weights}"
        )
    shares: np.ndarray = np.where(totals > 0, weights[: len(totals)], 0.0)
    shares /= max(shares.sum(), np.finfo(float).tiny)
    return shares


def _within_quotas(
    scores: RegionScores, costs: RegionCosts, groups: RegionClasses, quotas: np.ndarray
) -> np.ndarray:
    """Return which regions are the highest of their group within its quota."""
    order = np.lexsort((-scores, groups))
    group = groups[order]
    spent = np.concatenate([[0.0], np.cumsum(costs[order], dtype=np.float64)])
    before = spent[np.searchsorted(group, group)]  # what the groups in front cost
    limit = quotas[group] * (1 + 1e-12)  # a third of three is one, rounded or not
    picked = np.zeros(len(scores), bool)
    picked[order[(spent[1:] - before <= limit) & (scores[order] > -np.inf)]] = True
    return picked


def _fill(
    scores: RegionScores, costs: RegionCosts, picked: np.ndarray, budget: float
) -> RegionIndices:
    """Spend what the picked regions left; return all of them in falling score."""
    left = max(budget - float(costs[picked].sum()), 0.0)
    picked[choose_top(np.where(picked, -np.inf, scores), costs, left)] = True
    return _falling(scores, picked)


def _falling(scores: RegionScores, picked: np.ndarray) -> RegionIndices:
    """Return the picked regions in falling score."""
    chosen = np.flatnonzero(picked)
    falling: np.ndarray = chosen[np.argsort(-scores[chosen], kind="stable")]
    return falling


def _check_features(
    features: RegionFeatures, costs: RegionCosts, budget: float
) -> None:
    _check_budget(len(features), costs, budget)
    if not np.isfinite(features).all():
        raise BadValue(
            "features of regions must be finite: look at a network whose training "
            "diverged"
        )


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _approach(nearest, features, feature):  # type: ignore[no-untyped-def]
    """Lower each squared distance to the nearest centre, in place, for a new centre."""
    for index in range(len(features)):
        distance = nearest.dtype.type(0)
        for place in range(features.shape[1]):
            distance += (features[index, place] - feature[place]) ** 2
        nearest[index] = min(nearest[index], distance)


def _distances_to_mean(features: RegionFeatures) -> np.ndarray:
    """Return the squared distance of each feature to the mean of all."""
    distance = np.full(len(features), np.inf, np.float32)
    _approach(distance, features, features.sum(0) / max(len(features), 1))
    return distance


def _draw(steps: np.ndarray, rng: np.random.Generator) -> int:
    """Draw an index with probability proportional to its step in a running sum."""
    place = min(rng.random() * steps[-1], np.nextafter(steps[-1], 0))
    return int(np.searchsorted(steps, place, side="right"))


def _near(places: RegionPlaces, index: int, exclusion: float) -> np.ndarray:
    """Return which regions lie within the exclusion of one, in the same image."""
    same = places[:, 0] == places[index, 0]
    away = np.hypot(*(places[:, 1:] - places[index, 1:]).T)
    near: np.ndarray = same & (away < exclusion)
    return near
