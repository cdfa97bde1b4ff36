"""Regions of an image, their scores, and which to ask.

NumPy and scikit-image; pure functions; no torch.
"""

from .choice import (
    choose_class_quota,
    choose_few_per_image,
    choose_per_image,
    choose_stratified,
    choose_top,
)
from .diverse import choose_diverse, choose_spread, choose_typical
from .edges import edges
from .partition import (
    bounds,
    dense,
    describe,
    felzenszwalb,
    grid,
    of_many,
    superpixels,
)
from .pooling import (
    count_pixels,
    pool,
    pool_classes,
    pool_features,
)
from .windows import choose_windows, windows

__all__ = [
    "bounds",
    "choose_class_quota",
    "choose_diverse",
    "choose_few_per_image",
    "choose_per_image",
    "choose_spread",
    "choose_stratified",
    "choose_top",
    "choose_typical",
    "choose_windows",
    "count_pixels",
    "dense",
    "describe",
    "edges",
    "felzenszwalb",
    "grid",
    "of_many",
    "pool",
    "pool_classes",
    "pool_features",
    "superpixels",
    "windows",
]
