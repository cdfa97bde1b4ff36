"""Images as people have them, decoded by what the file says.

`inspect` tells what a file holds before a pixel is read; `read_plane` gives a plane as
it is seen, `read_samples` as it is stored. Whatever the bytes, the only error is an
`UnreadableImage` that begins with the path.
"""

from pathlib import Path

import numpy as np

from .formats import FORMATS, ZARR, Format, format_of
from .guarding import guarded
from .picture import Picture, Samples, as_kept, kept_dtype, numbered, refuse

__all__ = [
    "FORMATS",
    "ZARR",
    "Format",
    "Picture",
    "Samples",
    "as_kept",
    "inspect",
    "kept_dtype",
    "numbered",
    "read_image",
    "read_plane",
    "read_samples",
]


def inspect(path: str | Path, axes: str = "") -> Picture:
    """Say what a file holds, without reading its pixels.

    Parameters
    ----------
    path
        A file, or the folder of an OME-Zarr.
    axes
        A letter for each axis of an array whose file does not name them: Y and X are
        rows and columns, C channels; planes of any other are images of their own.

    Raises
    ------
    UnreadableImage
        If it is no image, is damaged, or can be read in two ways.
    """
    path = Path(path)
    with guarded(path):
        return format_of(path).inspect(path, axes)


def read_plane(picture: Picture, plane: int = 0) -> np.ndarray:
    """Pixels ``(H, W, K)`` of one plane as they are seen, in ``picture.dtype``.

    Palettes are colours, orientation is applied, 0 is black, alpha is left out. No
    other plane is read.

    Raises
    ------
    UnreadableImage
        If the file is damaged.
    """
    with guarded(picture.path):
        _check_plane(picture, plane)
        pixels = format_of(picture.path).pixels(picture, plane)
        _check_promise(picture, pixels, len(picture.channels))
        if pixels.dtype.name != picture.dtype:
            refuse(picture.path, f"holds {pixels.dtype} instead of {picture.dtype}")
        return pixels


def read_samples(picture: Picture, plane: int = 0) -> Samples:
    """Read what is stored of one plane, for masks.

    Nothing is scaled, no palette is applied, no value goes through real numbers.

    Raises
    ------
    UnreadableImage
        If the file is damaged.
    """
    with guarded(picture.path):
        _check_plane(picture, plane)
        samples = format_of(picture.path).samples(picture, plane)
        indexed = samples.palette is not None
        channels = 1 if indexed else len(picture.channels)
        _check_promise(picture, samples.values, channels)
        return samples


def read_image(path: str | Path, axes: str = "") -> np.ndarray:
    """Pixels ``(H, W, K)`` of a file that holds one plane.

    Raises
    ------
    UnreadableImage
        If the file is damaged, no image, or holds several planes.
    """
    picture = inspect(path, axes)
    if len(picture.planes) > 1:
        refuse(
            picture.path,
            f"is a stack of {len(picture.planes):,} planes; one is wanted",
        )
    return read_plane(picture)


def _check_plane(picture: Picture, plane: int) -> None:
    if not 0 <= plane < len(picture.planes):
        refuse(
            picture.path,
            f"has {len(picture.planes)} planes, numbered from 0; {plane} is none",
        )


def _check_promise(picture: Picture, values: np.ndarray, channels: int) -> None:
    if values.shape != (*picture.shape, channels):
        refuse(
            picture.path,
            f"holds {values.shape} instead of {(*picture.shape, channels)}; it has "
            "changed since it was looked at",
        )
