"""What pooling and choosing ask of scores before they use them."""

import numpy as np
from jaxtyping import Float

from napari_alseg.errors import BadValue


def checked(scores: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the scores if each is a number or -inf, which is never chosen.

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
