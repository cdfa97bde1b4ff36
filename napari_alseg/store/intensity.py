"""How images of more than 8 bits are shown: the window that becomes 0 to 255."""

import numpy as np

from napari_alseg.arrays import Image


def intensity_window(image: np.ndarray) -> tuple[float, float]:
    """Intensities shown as black and as white.

    8 bits are taken as they are; all else from the 0.1 to the 99.9 percentile of its
    finite pixels, from the lowest to the highest if these two are one.

    Examples
    --------
    >>> intensity_window(np.full((2, 2, 1), 7, np.uint8))
    (0.0, 255.0)
    >>> intensity_window(np.full((2, 2, 1), 7, np.uint16))
    (7.0, 14.0)
    """
    if image.dtype == np.uint8:
        return 0.0, 255.0
    finite = image[np.isfinite(image)]
    low, high = map(float, np.percentile(finite, (0.1, 99.9)))
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    if low == high:  # a constant image is black; the window still has a width
        high = low + max(1.0, abs(low))
    return low, high


def windowed(image: np.ndarray, window: tuple[float, float]) -> Image:
    """Image in 8 bits: the window's start becomes 0, its end 255.

    Examples
    --------
    >>> windowed(np.array([[[0], [100], [400]]], np.uint16), (0, 200)).ravel()
    array([  0, 128, 255], dtype=uint8)
    """
    if image.dtype == np.uint8:
        return image
    low, high = window
    share = (np.nan_to_num(image.astype(np.float64), nan=low) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
