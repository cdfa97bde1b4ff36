"""How much each pixel is worth asking about: probability in, score out.

Torch tensors on any device; pure functions; higher = asked sooner.
"""

from .consistency import self_consistency
from .difficulty import difficulty_entropy, difficulty_score
from .dropout import bald, vote_entropy
from .impurity import impurity, region_uncertainty, ripu
from .uncertainty import (
    best_versus_second_best,
    edge_entropy,
    entropy,
    least_confidence,
    margin,
)

__all__ = [
    "bald",
    "best_versus_second_best",
    "difficulty_entropy",
    "difficulty_score",
    "edge_entropy",
    "entropy",
    "impurity",
    "least_confidence",
    "margin",
    "region_uncertainty",
    "ripu",
    "self_consistency",
    "vote_entropy",
]
