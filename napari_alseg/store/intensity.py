"""How images of more than 8 bits are shown: the window that becomes 0 to 255."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from napari_alseg.arrays import Image
from napari_alseg.errors import BadValue

Window = tuple[float, float]
LOW, HIGH = 0.1, 99.9
"""Percentiles that become black and white."""
PATCH, PATCHES = 256, 8
"""Of large images, 8 x 8 patches of 256 x 256 pixels are looked at."""
EIGHT_BITS: Window = (0.0, 255.0)


@dataclass(frozen=True)
class Intensities:
    """Who has a window of intensities of his own.

    Attributes
    ----------
    shared
        Whether all images of the pool are shown alike; else each by itself.
    windows
        Given windows, one for all channels or one each; empty measures them.
    """

    shared: bool = False
    windows: tuple[Window, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Intensities":
        """Read ``each``, ``shared``, ``0..4095`` or ``0..4095,100..300``.

        Raises
        ------
        BadValue
            If the text is none of these.

        Examples
        --------
        >>> Intensities.parse("0..4095").windows
        ((0.0, 4095.0),)
        """
        if text in ("", "each", "shared"):
            return cls(text == "shared")
        windows = tuple(_parsed(part.strip(), text) for part in text.split(","))
        return cls(False, windows)

    def given(self, channels: int) -> tuple[Window, ...] | None:
        """Windows that were given for so many channels, None if none were.

        Raises
        ------
        BadValue
            If there are several windows, and not one for each channel.
        """
        if not self.windows:
            return None
        if len(self.windows) not in (1, channels):
            raise BadValue(
                f"intensities give {len(self.windows)} windows, an image has "
                f"{channels} channels; give one for all, or one for each"
            )
        return (
            self.windows if len(self.windows) == channels else self.windows * channels
        )


def _parsed(part: str, text: str) -> Window:
    number = r"([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)"
    found = re.fullmatch(rf"{number}\s*\.\.\s*{number}", part)
    if found is None or float(found[1]) >= float(found[2]):
        raise BadValue(
            "intensities are 'each', 'shared', or LOW..HIGH, one for all channels or "
            f"one for each (0..4095,100..300); got {text!r}"
        )
    return float(found[1]), float(found[2])


def intensity_windows(
    image: np.ndarray, colour: bool = False, nodata: float | None = None
) -> tuple[Window, ...]:
    """Intensities shown as black and white, by channel.

    8 bits are taken as they are. All else goes from the 0.1 to the 99.9 percentile of
    its pixels, from the lowest to the highest if these two are one. Pixels that are
    not finite or hold `nodata` do not count, and single pixels that stand out from
    their eight neighbours (hot ones) hardly do: percentiles are those of a 3 x 3
    median. The three channels of a colour picture have one window, so that its hues
    stay.

    Parameters
    ----------
    image : array of shape (H, W, K)
    colour : bool
        Whether the first three channels are red, green and blue.
    nodata : float, optional

    Examples
    --------
    >>> intensity_windows(np.full((2, 2, 1), 7, np.uint8))
    ((0.0, 255.0),)
    >>> intensity_windows(np.full((2, 2, 1), 7, np.uint16))
    ((7.0, 14.0),)
    """
    channels: int = image.shape[2]
    if image.dtype == np.uint8:
        return (EIGHT_BITS,) * channels
    found = [_window([image[..., at]], nodata) for at in range(channels)]
    if colour and channels >= 3:
        together = _window([image[..., at] for at in range(3)], nodata)
        found[:3] = [together] * 3
    return tuple(found)


def _window(planes: Sequence[np.ndarray], nodata: float | None) -> Window:
    """Window of the pixels of some planes together."""
    raw, smooth = [], []
    for plane in planes:
        for patch in _patches(plane):
            seen = valid_pixels(patch, nodata)
            if seen.any():
                raw.append(patch[seen])
                filled = np.where(seen, patch, np.median(patch[seen]))
                smooth.append(median_filter(filled, size=3, mode="nearest")[seen])
    if not raw:
        return 0.0, 1.0
    low, high = map(float, np.percentile(np.concatenate(smooth), (LOW, HIGH)))
    if low == high:
        pixels = np.concatenate(raw)
        low, high = float(pixels.min()), float(pixels.max())
    if low == high:  # a constant image is black; the window still has a width
        high = low + max(1.0, abs(low))
    return low, high


def _patches(plane: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a plane, or patches all over it if it is large."""
    rows, columns = (_starts(size) for size in plane.shape)
    if len(rows) == len(columns) == 1:
        yield plane
        return
    for row in rows:
        for column in columns:
            height = plane.shape[0] if len(rows) == 1 else PATCH
            width = plane.shape[1] if len(columns) == 1 else PATCH
            yield plane[row : row + height, column : column + width]


def _starts(size: int) -> list[int]:
    if size <= PATCH * PATCHES:
        return [0]
    return np.linspace(0, size - PATCH, PATCHES).round().astype(int).tolist()  # type: ignore[no-any-return]


def valid_pixels(plane: np.ndarray, nodata: float | None) -> np.ndarray:
    """Pixels that hold something: finite, and not the value that stands for nothing."""
    seen: np.ndarray = np.isfinite(plane)
    if nodata is not None:
        seen &= plane != nodata
    return seen


def shared_windows(found: Iterable[tuple[Window, ...]]) -> tuple[Window, ...]:
    """Windows that hold those of all images.

    Examples
    --------
    >>> shared_windows([((10, 90),), ((5, 60),)])
    ((5, 90),)
    """
    lows, highs = [], []
    for windows in found:
        lows.append([low for low, _ in windows])
        highs.append([high for _, high in windows])
    return tuple(
        (min(low), max(high))
        for low, high in zip(
            zip(*lows, strict=True), zip(*highs, strict=True), strict=True
        )
    )


def windowed(
    image: np.ndarray, windows: Sequence[Window], nodata: float | None = None
) -> Image:
    """Image in 8 bits: the start of a channel's window becomes 0, its end 255.

    Pixels that are not a number or hold `nodata` become 0.

    Examples
    --------
    >>> windowed(np.array([[[0], [100], [400]]], np.uint16), [(0, 200)]).ravel()
    array([  0, 128, 255], dtype=uint8)
    """
    plain = image.dtype == np.uint8 and all(each == EIGHT_BITS for each in windows)
    if plain and nodata is None:
        return image
    shown = np.empty(image.shape, np.uint8)
    for at, (low, high) in enumerate(windows):
        plane = image[..., at]
        share = (np.nan_to_num(plane.astype(np.float64), nan=low) - low) / (high - low)
        shown[..., at] = np.rint(np.clip(share, 0, 1) * 255)
        if nodata is not None:
            shown[..., at][plane == nodata] = 0
    return shown


def three_channels(shown: np.ndarray, chosen: Sequence[int] = ()) -> Image:
    """Return the three channels that a network sees.

    Parameters
    ----------
    shown : uint8 array of shape (H, W, K)
    chosen : sequence of int
        Up to three channels, from 0; those that the image has not are empty.

    Examples
    --------
    >>> four = np.arange(4, dtype=np.uint8)[None, None]
    >>> three_channels(four), three_channels(four, (3, 1))
    (array([[[0, 1, 2]]], dtype=uint8), array([[[3, 1, 0]]], dtype=uint8))
    """
    count = shown.shape[2]
    if count == 1:
        return np.repeat(shown, 3, axis=2)
    wanted = list(chosen or range(3))[:3]
    if wanted == [0, 1, 2] and count == 3:
        return shown
    if len(wanted) == 1 and wanted[0] < count:
        return np.repeat(shown[..., wanted], 3, axis=2)
    seen = np.zeros((*shown.shape[:2], 3), np.uint8)
    for at, channel in enumerate(wanted):
        if channel < count:
            seen[..., at] = shown[..., channel]
    return seen
