"""Where the image itself has edges, for scores that prefer them."""

import math

import numpy as np
from scipy import ndimage
from skimage import feature

from napari_alseg.arrays import Image, Mask


def edges(image: Image, sigma: float = 2.0) -> Mask:
    """Pixels on an edge of the image.

    Canny 1986, on the mean of the channels. Thresholds adapt: an edge starts among the
    steepest tenth of the pixels and is followed through the steepest fifth, so that
    dark images have edges too.

    Parameters
    ----------
    image : uint8 array of shape (H, W, K)
    sigma : float
        Width of the blur before, in pixels; higher finds only large outlines.

    Returns
    -------
    bool array of shape (H, W)

    Examples
    --------
    >>> image = np.zeros((9, 8, 1), np.uint8)
    >>> image[:, 4:] = 255
    >>> found = edges(image, sigma=1.0)
    >>> bool(found[:, 3:5].any()), bool(found[:, :3].any()), bool(found[:, 5:].any())
    (True, False, False)
    """
    grey = image.mean(2)
    found: np.ndarray = feature.canny(  # type: ignore[no-untyped-call]
        grey, sigma, 0.8, 0.9, use_quantiles=True
    )
    reach = 2 * math.ceil(2 * sigma) + 1
    flat = ndimage.maximum_filter(grey, reach) == ndimage.minimum_filter(grey, reach)
    found[flat] = False  # the steepest fifth of a flat image is rounding
    return found
