"""What a person is asked: regions of an image, their scores, and which to choose.

NumPy and scikit-image; pure functions; no torch.
"""

from .choice import (
    choose_class_quota,
    choose_diverse,
    choose_spread,
    choose_stratified,
    choose_top,
    choose_windows,
)
from .edges import edges
from .partition import (
    bounds,
    dense,
    describe,
    felzenszwalb,
    grid,
    superpixels,
    superpixels_of_many,
)
from .pooling import count_pixels, dominant_class, pool, pool_features

__all__ = [
    "bounds",
    "choose_class_quota",
    "choose_diverse",
    "choose_spread",
    "choose_stratified",
    "choose_top",
    "choose_windows",
    "count_pixels",
    "dense",
    "describe",
    "dominant_class",
    "edges",
    "felzenszwalb",
    "grid",
    "pool",
    "pool_features",
    "superpixels",
    "superpixels_of_many",
]
