"""Scores from the map of a network's difficulty branch.

DEAL (Xie et al., ACCV 2020): the branch predicts at each pixel how likely the network
is wrong there. The map itself is a score of pixels; these are scores of images.
"""

import torch
from torch import Tensor

from napari_alseg.arrays import ScoreTensor
from napari_alseg.errors import BadValue


def difficulty(difficulty: ScoreTensor) -> ScoreTensor:
    """How likely the network is wrong at each pixel.

    The branch's own map, 0..1.

    Parameters
    ----------
    difficulty : float tensor of shape (H, W)
        0..1 at each pixel.

    Raises
    ------
    BadValue
        If a difficulty is NaN or not in 0..1, or there are no pixels.

    Examples
    --------
    >>> difficulty(torch.tensor([[0.25, 0.75]]))
    tensor([[0.2500, 0.7500]])
    """
    return _checked(difficulty)


def difficulty_entropy(
    difficulty: ScoreTensor,
    bins: int = 8,
    fixed: bool = False,
) -> Tensor:
    """Entropy of an image's histogram of difficulty: DEAL's DE.

    In nats, 0..ln bins. DEAL's bins reach from each image's own minimum to its maximum,
    so that an evenly easy image can score high; `fixed` ones reach from 0 to 1. A
    constant map is 0.

    Parameters
    ----------
    difficulty : float tensor of shape (H, W)
        0..1 at each pixel.
    bins : int
        Number of equal bins, one or more.
    fixed : bool
        The bins reach from 0 to 1.

    Raises
    ------
    BadValue
        If a difficulty is NaN or not in 0..1, or there are no pixels or no bins.

    Examples
    --------
    >>> easy = torch.tensor([[0.10, 0.11, 0.12, 0.13]])
    >>> round(difficulty_entropy(easy, bins=2).item(), 4)
    0.6931
    >>> difficulty_entropy(easy, bins=2, fixed=True).item()
    0.0
    """
    difficulty = _checked(difficulty)
    if bins < 1:
        raise BadValue(f"a histogram needs one bin or more, got {bins}")
    low, high = (0.0, 1.0) if fixed else (float(end) for end in difficulty.aminmax())
    counts = torch.histc(difficulty, bins, low, high)
    entropy: Tensor = torch.special.entr(counts / difficulty.numel()).sum()
    return entropy


def _checked(difficulty: ScoreTensor) -> ScoreTensor:
    """Return the difficulty if all of it is in 0..1.

    It comes back in at least single precision.
    """
    if not difficulty.numel():
        raise BadValue("a difficulty map without pixels has no score")
    low, high = (float(end) for end in torch.aminmax(difficulty))
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise BadValue(
            f"a difficulty lies in 0..1, got values from {low} to {high}: pass the "
            "sigmoid of the branch's output"
        )
    return difficulty.float() if difficulty.element_size() < 4 else difficulty
