"""Images to class probabilities, and annotations to weights."""

from .cisc_r.objectives import Pairwise, Rectified
from .fitting.batches import Batch, Example, batches
from .fitting.losses import (
    borders,
    consistency_loss,
    difficulty_loss,
    local_consistency_loss,
    negative_learning_loss,
    partial_cross_entropy,
)
from .fitting.objectives import (
    Adaptation,
    Consistency,
    Difficulty,
    Objective,
    Partial,
    class_weights,
)
from .fitting.run import TrainingRun
from .head.features import describe_pixels, frozen_features
from .head.frozen import FEATURES
from .head.head import CALIBRATED_WITH, LIVE, LiveBody, learn_head
from .head.samples import Samples, choose_pixels, thin
from .networks.device import choose_device
from .networks.difficulty_branch import DifficultyBranch
from .networks.network import (
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
from .prediction.crf import refine, spread
from .prediction.evaluate import evaluate
from .prediction.predict import predict, prepared
from .prediction.tiles import blend_weight, tiles, to_tensor

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
    "Samples",
    "TrainingRun",
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
