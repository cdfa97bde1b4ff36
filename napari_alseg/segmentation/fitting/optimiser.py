"""The optimiser of a training run, and how its rates fall."""

from collections.abc import Mapping

import torch
from torch import Tensor

from napari_alseg.segmentation.networks.network import (
    Network,
    decoder_parameters,
    encoder_parameters,
)
from napari_alseg.settings import TrainingSettings

POWER = 0.9
"""The learning rate falls as (1 - t) to this power."""

BRANCH_FACTOR = 10.0
"""The difficulty branch learns so much faster than the decoder: it has a single weight
a class, each of which must grow large, and Adam moves none by more than its rate."""


def optimiser_of(network: Network, settings: TrainingSettings) -> torch.optim.AdamW:
    """Return AdamW with a group for each part of a network.

    The parts are the encoder, the decoder and the difficulty branch.
    """
    rate = settings.learning_rate
    branch = list(network.difficulty.parameters()) if network.difficulty else []
    apart = set(branch)
    decoder = [each for each in decoder_parameters(network) if each not in apart]
    parts = [
        (encoder_parameters(network), rate * settings.encoder_factor),
        (decoder, rate),
        (branch, rate * BRANCH_FACTOR),
    ]
    groups = [{"params": params, "first": first} for params, first in parts if params]
    fused = network.device.type in ("cpu", "cuda")
    return torch.optim.AdamW(
        groups, lr=rate, weight_decay=settings.weight_decay, fused=fused
    )


def set_rates(optimiser: torch.optim.Optimizer, time: float) -> None:
    """Let the learning rates fall; time runs from 0 to 1."""
    for group in optimiser.param_groups:
        group["lr"] = group["first"] * (1 - time) ** POWER


def moments_of(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments of each parameter by number and name."""
    return {
        f"{index}.{name}": value
        for index, entry in optimiser.state_dict()["state"].items()
        for name, value in entry.items()
    }


def load_moments(optimiser: torch.optim.Optimizer, given: Mapping[str, Tensor]) -> None:
    """Give an optimiser the moments of another, as `moments_of` names them."""
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in given.items():
        index, _, entry = name.partition(".")
        # A fused step takes for granted that layouts are the same.
        like = parameters[int(index)].data if tensor.ndim else tensor
        moments.setdefault(int(index), {})[entry] = torch.empty_like(like).copy_(tensor)
    optimiser.load_state_dict(optimiser.state_dict() | {"state": moments})
