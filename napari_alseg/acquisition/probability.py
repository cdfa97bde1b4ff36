"""What every acquisition asks of a probability before it computes."""

from napari_alseg.arrays import ProbabilityTensors
from napari_alseg.errors import BadValue

TOLERANCE = 0.01
"""How far from 1 a pixel may sum; wide enough for half precision and blending."""


def checked(probability: ProbabilityTensors) -> ProbabilityTensors:
    """Return the probability if it is a valid distribution.

    It comes back in at least single precision. Two reductions and one number read back:
    about a quarter of the time of the entropy, no memory beyond one map.

    Parameters
    ----------
    probability : float tensor of shape (..., C, H, W)
        Sums to 1 over C at each pixel.

    Raises
    ------
    BadValue
        If there are fewer than two classes or no pixels, or a pixel holds NaN, a
        negative number, or numbers that do not sum to 1.
    """
    if probability.ndim < 3 or probability.shape[-3] < 2 or not probability.numel():
        raise BadValue(
            "a probability has the shape (classes, rows, columns) with two classes or "
            f"more, got {tuple(probability.shape)}"
        )
    if probability.element_size() < 4:
        probability = probability.float()
    smallest = float(probability.amin())
    error = float((probability.sum(-3) - 1).abs().amax())
    if not (smallest >= -TOLERANCE and error <= TOLERANCE):  # NaN fails both
        raise BadValue(
            "a probability is zero or more and sums to 1 over the classes; here the "
            f"smallest value is {smallest:.3g} and a sum is off by {error:.3g}: "
            "pass the softmax of the network's output"
        )
    return probability
