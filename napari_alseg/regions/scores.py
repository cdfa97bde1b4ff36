"""What pooling and choosing ask of scores before they use them."""

import numpy as np
from jaxtyping import Float

from napari_alseg.arrays import RegionCosts, RegionScores
from napari_alseg.errors import BadValue


def checked(scores: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the scores if each is a number or -inf.

    -inf is never chosen.

    Raises
    ------
    BadValue
        If a score is NaN or +inf.
    """
    if scores.size and not np.max(scores) < np.inf:  # the maximum of NaN is NaN
        raise BadValue(
            f"a score is {np.max(scores)}; scores are finite, or -inf for never: look "
            "at the acquisition, or at a network whose training diverged"
        )
    return scores


def check_scored(scores: RegionScores, costs: RegionCosts, budget: float) -> None:
    """Refuse scores, costs or a budget that have no meaning."""
    checked(scores)
    check_budget(len(scores), costs, budget)


def check_budget(regions: int, costs: RegionCosts, budget: float) -> None:
    """Refuse costs or a budget that have no meaning."""
    if len(costs) != regions:
        raise BadValue(f"{regions} regions need as many costs, got {len(costs)}")
    if len(costs) and not 0 <= costs.min() <= costs.max() < np.inf:
        raise BadValue(
            "a cost is finite and zero or more, got costs from "
            f"{costs.min()} to {costs.max()}"
        )
    if not 0 <= budget < np.inf:
        raise BadValue(f"a budget must be zero or more and finite, got {budget}")


def affordable(costs: RegionCosts, budget: float) -> int:
    """Return how many of the first regions the budget allows."""
    return int(np.searchsorted(np.cumsum(costs), budget, side="right"))
