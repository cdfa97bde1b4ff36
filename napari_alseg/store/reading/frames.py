"""Frames of animations, as Pillow draws them."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image as pillow

ORIENTATION = 274
DAMAGED = (SyntaxError, ValueError, OSError, LookupError, TypeError)


def labels(count: int) -> tuple[str, ...]:
    """Labels of so many frames.

    Examples
    --------
    >>> labels(1), labels(2)
    (('',), ('t1', 't2'))
    """
    return tuple(f"t{n + 1}" for n in range(count)) if count > 1 else ("",)


def orientation(exif: Callable[[], pillow.Exif]) -> int:
    """EXIF's number for how an image is shown, 1..8; 1 if it is absent or wrong.

    Viewers show an image whose EXIF is damaged, so this is no reason to refuse it.
    """
    try:
        said = exif().get(ORIENTATION, 1)
    except (*DAMAGED, struct.error):
        return 1
    return int(said) if said in range(1, 9) else 1


def read(opened: Any, frame: int) -> np.ndarray:
    """Read a frame ``(H, W, 4)`` of red, green, blue, alpha."""
    opened.seek(frame)
    return np.asarray(opened.convert("RGBA"))


def split(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours of a frame, and where it is transparent."""
    return frame[..., :3], frame[..., 3] == 0
