"""Images to class probabilities, and annotations to weights."""

from .batches import Batch, Example, batches
from .crf import refine, spread
from .device import choose_device
from .difficulty import DifficultyBranch
from .evaluate import evaluate
from .lessons import (
    Adaptation,
    Consistency,
    Difficulty,
    Lesson,
    Partial,
    class_weights,
)
from .losses import (
    borders,
    consistency_loss,
    difficulty_loss,
    local_consistency_loss,
    negative_learning_loss,
    partial_cross_entropy,
)
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
from .rectify import Pairwise, Rectified
from .tiles import blend_weight, tiles
from .train import Run

__all__ = [
    "Adaptation",
    "Batch",
    "Consistency",
    "Difficulty",
    "DifficultyBranch",
    "Example",
    "Lesson",
    "Network",
    "Pairwise",
    "Partial",
    "Rectified",
    "Run",
    "batches",
    "blend_weight",
    "borders",
    "build",
    "card",
    "choose_device",
    "class_weights",
    "consistency_loss",
    "decoder_parameters",
    "difficulty_loss",
    "encoder_parameters",
    "encoders",
    "evaluate",
    "from_card",
    "load",
    "local_consistency_loss",
    "negative_learning_loss",
    "networks",
    "partial_cross_entropy",
    "predict",
    "refine",
    "spread",
    "state",
    "tiles",
    "to_tensor",
]
