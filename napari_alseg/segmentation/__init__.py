"""Images to class probabilities, and annotations to weights."""

from .batches import Example, batches
from .crf import refine, spread
from .device import choose_device
from .difficulty import DifficultyBranch
from .evaluate import evaluate
from .losses import difficulty_loss, partial_cross_entropy
from .network import (
    Network,
    build,
    card,
    decoder_parameters,
    encoder_parameters,
    encoders,
    from_card,
    load,
    networks,
    state,
)
from .predict import predict, to_tensor
from .tiles import blend_weight, tiles
from .train import train

__all__ = [
    "DifficultyBranch",
    "Example",
    "Network",
    "batches",
    "blend_weight",
    "build",
    "card",
    "choose_device",
    "decoder_parameters",
    "difficulty_loss",
    "encoder_parameters",
    "encoders",
    "evaluate",
    "from_card",
    "load",
    "networks",
    "partial_cross_entropy",
    "predict",
    "refine",
    "spread",
    "state",
    "tiles",
    "to_tensor",
    "train",
]
