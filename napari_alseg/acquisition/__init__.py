"""Acquisitions: probability of each pixel in, score out.

Torch tensors on any device; pure functions; higher = asked sooner.
"""

from .consistency import self_consistency
from .difficulty import difficulty, difficulty_entropy
from .dropout import bald, vote_entropy
from .impurity import (
    impurity,
    predicted_impurity,
    region_uncertainty,
    ripu,
    ripu_pixel,
)
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
    "difficulty",
    "difficulty_entropy",
    "edge_entropy",
    "entropy",
    "impurity",
    "least_confidence",
    "margin",
    "predicted_impurity",
    "region_uncertainty",
    "ripu",
    "ripu_pixel",
    "self_consistency",
    "vote_entropy",
]
