"""Doubt about an image and about its mirror image."""

from napari_alseg.arrays import ProbabilityTensor, ScoreTensor
from napari_alseg.errors import BadValue

from .probability import checked
from .uncertainty import entropy_nats


def self_consistency(
    probability: ProbabilityTensor, mirrored: ProbabilityTensor
) -> ScoreTensor:
    """Entropy of a prediction plus that of its mirror.

    In nats, 0..2 ln C. EquAL (Golestaneh & Kitani, BMVC 2020): entropies are added,
    probabilities are not averaged. Every class of the network counts; ignored pixels
    are no class here, while the authors' code has a channel for them.

    Parameters
    ----------
    probability : float tensor of shape (C, H, W)
    mirrored : float tensor of shape (C, H, W)
        Probability of the mirrored image, mirrored back.

    Raises
    ------
    BadValue
        If either is not a valid distribution, or their shapes differ.

    Examples
    --------
    >>> import torch
    >>> first = torch.tensor([0.5, 0.5]).reshape(2, 1, 1)
    >>> second = torch.tensor([0.9, 0.1]).reshape(2, 1, 1)
    >>> round(self_consistency(first, second).item(), 4)
    1.0182
    """
    if probability.shape != mirrored.shape:
        raise BadValue(
            "a prediction and its mirror image have one shape, got "
            f"{tuple(probability.shape)} and {tuple(mirrored.shape)}"
        )
    return entropy_nats(checked(probability)) + entropy_nats(checked(mirrored))
