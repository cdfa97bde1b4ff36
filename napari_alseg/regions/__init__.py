"""What a person is asked: regions of an image, their scores, and which to choose.

NumPy and scikit-image; pure functions; no torch.
"""

from .choice import (
    choose_class_quota,
    choose_diverse,
    choose_few_per_image,
    choose_per_image,
    choose_spread,
    choose_stratified,
    choose_top,
    choose_typical,
    choose_windows,
)
from .edges import edges
from .partition import (
    bounds,
    dense,
    describe,
    felzenszwalb,
    grid,
    of_many,
    superpixels,
    windows,
)
from .pooling import (
    count_pixels,
    dominant_class,
    pool,
    pool_classes,
    pool_features,
)

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
    "dominant_class",
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
