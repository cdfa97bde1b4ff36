"""Weights that a training run keeps beside the newest ones."""

from collections.abc import Mapping

import torch
from torch import Tensor

from napari_alseg.segmentation.networks.network import Network


def copy_of(network: Network) -> dict[str, Tensor]:
    """Return a copy of all weights, on their device."""
    return {
        name: value.detach().clone() for name, value in network.state_dict().items()
    }


def moved(
    weights: Mapping[str, Tensor] | None, device: torch.device
) -> dict[str, Tensor] | None:
    """Return weights elsewhere; None if there are none.

    Examples
    --------
    >>> moved({}, torch.device("cpu")) is None
    True
    """
    if not weights:
        return None
    return {name: tensor.to(device) for name, tensor in weights.items()}


class BestWeights:
    """The weights with the highest mean IoU so far.

    Parameters
    ----------
    patience : int
        Measurements without a better one that end a run; 0 for any number.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.miou = -1.0
        self.since = 0
        """Measurements since the best one, in the last part of the run."""
        self.weights: dict[str, Tensor] | None = None

    def offer(self, miou: float | None, network: Network, *, last: bool) -> bool:
        """Keep the weights if none were better; say whether patience ends.

        Before the last part of a run it never does: more labels are to come.
        """
        if miou is None:
            return False
        if miou >= self.miou:
            self.miou, self.since, self.weights = miou, 0, copy_of(network)
        elif last:
            self.since += 1
        return 0 < self.patience <= self.since


class AverageWeights:
    """The running mean of the weights.

    Parameters
    ----------
    decay : float
        Share that the mean keeps at each step; 0 for no mean.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.weights: dict[str, Tensor] | None = None

    @torch.no_grad()
    def offer(self, network: Network) -> None:
        """Add the weights of one more step."""
        if not self.decay:
            return
        self.steps += 1
        if self.weights is None:
            self.weights = copy_of(network)
            return
        # The first steps are forgotten soon, however slow the decay.
        decay = min(self.decay, self.steps / (self.steps + 9))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)
