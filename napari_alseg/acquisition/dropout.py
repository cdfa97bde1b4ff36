"""How much several passes with dropout disagree."""

import torch

from napari_alseg.arrays import SampleTensor, ScoreTensor

from .probability import checked
from .uncertainty import entropy_nats


def bald(samples: SampleTensor) -> ScoreTensor:
    """Mutual information of prediction and network, in nats, 0..ln min(T, C).

    The entropy of the mean less the mean of the entropies: high where passes are each
    sure of something else. Houlsby et al., 2011; with dropout Gal et al., ICML 2017.

    Parameters
    ----------
    samples : float tensor of shape (T, C, H, W)
        Probabilities of T passes.

    Raises
    ------
    BadValue
        If a sample is not a valid distribution.

    Examples
    --------
    >>> samples = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).reshape(2, 2, 1, 1)
    >>> round(bald(samples).item(), 4)
    0.3681
    """
    samples = checked(samples)
    doubt = torch.zeros_like(samples[0, 0])
    for sample in samples:  # one at a time: no copy of them all
        doubt += entropy_nats(sample)
    return (entropy_nats(samples.mean(0)) - doubt / len(samples)).clamp_min_(0)


def vote_entropy(samples: SampleTensor) -> ScoreTensor:
    """Entropy of the classes that the passes vote for.

    In nats, 0..ln min(T, C). Query by committee (Dagan & Engelson, ICML 1995) with
    dropout passes as committee.

    Parameters
    ----------
    samples : float tensor of shape (T, C, H, W)
        Probabilities of T passes.

    Raises
    ------
    BadValue
        If a sample is not a valid distribution.

    Examples
    --------
    >>> samples = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).reshape(2, 2, 1, 1)
    >>> round(vote_entropy(samples).item(), 4)
    0.6931
    """
    samples = checked(samples)
    votes = torch.zeros_like(samples[0])
    one = torch.ones_like(samples[0, :1])
    for sample in samples:
        votes.scatter_add_(0, sample.argmax(0, keepdim=True), one)
    return entropy_nats(votes / len(samples))
