"""Which regions are asked, within a budget.

A budget is in the unit of the costs. Regions are taken one after another until the next
one no longer fits. None is skipped for a cheaper one behind it: a larger budget always
asks the same regions and more. Ties keep the order of the pool, which is row-major
within an image.
"""

import numpy as np

from napari_alseg.arrays import (
    RegionClasses,
    RegionCosts,
    RegionIndices,
    RegionScores,
)
from napari_alseg.errors import BadValue

from .scores import affordable, check_scored


def choose_top(
    scores: RegionScores, costs: RegionCosts, budget: float
) -> RegionIndices:
    """Choose the highest scores while the budget lasts.

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
        Indices in falling score; empty if the first region costs too much.

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
    check_scored(scores, costs, budget)
    order = np.argsort(-scores, kind="stable")
    order = order[: np.count_nonzero(scores > -np.inf)]
    return order[: affordable(costs[order], budget)]


def choose_class_quota(
    scores: RegionScores,
    costs: RegionCosts,
    classes: RegionClasses,
    budget: float,
    weights: np.ndarray | None = None,
) -> RegionIndices:
    """Choose the highest scores within a quota a class.

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
    check_scored(scores, costs, budget)
    shares = _shares(scores, costs, classes, weights)
    picked = _within_quotas(scores, costs, classes, shares * budget)
    return _fill(scores, costs, picked, budget)


def choose_per_image(
    scores: RegionScores, costs: RegionCosts, images: RegionClasses, budget: float
) -> RegionIndices:
    """Choose the highest scores within equal shares of images.

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
    check_scored(scores, costs, budget)
    even = np.ones(images.max(initial=-1) + 1)
    shares = _shares(scores, costs, images, even)
    picked = _within_quotas(scores, costs, images, shares * budget)
    rest = np.flatnonzero(~picked & (scores > -np.inf))
    rest = rest[np.lexsort((-scores[rest], images[rest]))]
    turn = np.arange(len(rest)) - np.searchsorted(images[rest], images[rest])
    rest = rest[np.lexsort((rest, -scores[rest], turn))]
    picked[rest[: affordable(costs[rest], budget - float(costs[picked].sum()))]] = True
    return _falling(scores, picked)


def choose_few_per_image(
    scores: RegionScores,
    costs: RegionCosts,
    images: RegionClasses,
    budget: float,
    limit: int,
) -> RegionIndices:
    """Choose the highest scores, a few of an image at a time.

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
    check_scored(scores, costs, budget)
    if limit < 1:
        raise BadValue(f"an image gives one region at a time or more, got {limit}")
    falling = np.lexsort((-scores, images))
    within = np.arange(len(scores)) - np.searchsorted(images[falling], images[falling])
    turn = np.empty(len(scores), np.int64)
    turn[falling] = within // limit
    order = np.lexsort((-scores, turn))
    order = order[scores[order] > -np.inf]
    return order[: affordable(costs[order], budget)]


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
    """Draw by score, a part shared evenly among classes.

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
    check_scored(scores, costs, budget)
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


def _shares(
    scores: RegionScores,
    costs: RegionCosts,
    classes: RegionClasses,
    weights: np.ndarray | None,
) -> np.ndarray:
    """Return each class's share; 0 where no region can be asked."""
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
    """Return the highest of each group within its quota."""
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
    """Spend what is left; return all picked in falling score."""
    left = max(budget - float(costs[picked].sum()), 0.0)
    picked[choose_top(np.where(picked, -np.inf, scores), costs, left)] = True
    return _falling(scores, picked)


def _falling(scores: RegionScores, picked: np.ndarray) -> RegionIndices:
    """Return the picked regions in falling score."""
    chosen = np.flatnonzero(picked)
    falling: np.ndarray = chosen[np.argsort(-scores[chosen], kind="stable")]
    return falling
