"""Images to class probabilities, and annotations to weights."""

from .batches import Example, batches
from .device import choose_device
from .evaluate import evaluate
from .losses import partial_cross_entropy
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
    "Example",
    "Network",
    "batches",
    "blend_weight",
    "build",
    "card",
    "choose_device",
    "decoder_parameters",
    "encoder_parameters",
    "encoders",
    "evaluate",
    "from_card",
    "load",
    "networks",
    "partial_cross_entropy",
    "predict",
    "state",
    "tiles",
    "to_tensor",
    "train",
]
