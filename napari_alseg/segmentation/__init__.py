"""Images to class probabilities, and annotations to weights."""

from .batches import Batch, Example, batches
from .crf import refine, spread
from .device import choose_device
from .difficulty import DifficultyBranch
from .evaluate import evaluate
from .frozen import FEATURES
from .live import CALIBRATED_WITH, LIVE, LiveBody, learn_head
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
    decoder_parameters,
    encoder_parameters,
    encoders,
    from_metadata,
    load,
    load_encoder,
    metadata,
    networks,
    state,
)
from .objectives import (
    Adaptation,
    Consistency,
    Difficulty,
    Objective,
    Partial,
    class_weights,
)
from .predict import describe_pixels, frozen_features, predict, prepared, to_tensor
from .rectify import Pairwise, Rectified
from .samples import Samples, choose_pixels, thin
from .tiles import blend_weight, tiles
from .train import Run

__all__ = [
    "CALIBRATED_WITH",
    "FEATURES",
    "LIVE",
    "Adaptation",
    "Batch",
    "Consistency",
    "Difficulty",
    "DifficultyBranch",
    "Example",
    "LiveBody",
    "Network",
    "Objective",
    "Pairwise",
    "Partial",
    "Rectified",
    "Run",
    "Samples",
    "batches",
    "blend_weight",
    "borders",
    "build",
    "choose_device",
    "choose_pixels",
    "class_weights",
    "consistency_loss",
    "decoder_parameters",
    "describe_pixels",
    "difficulty_loss",
    "encoder_parameters",
    "encoders",
    "evaluate",
    "from_metadata",
    "frozen_features",
    "learn_head",
    "load",
    "load_encoder",
    "local_consistency_loss",
    "metadata",
    "negative_learning_loss",
    "networks",
    "partial_cross_entropy",
    "predict",
    "prepared",
    "refine",
    "spread",
    "state",
    "thin",
    "tiles",
    "to_tensor",
]
