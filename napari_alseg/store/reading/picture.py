"""What a file says of its image, and what is read of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import psutil  # type: ignore[import-untyped]

from napari_alseg.errors import UnreadableImage, printable

COLOURS = ("red", "green", "blue")
KEPT = ("uint8", "uint16", "int16", "float32")
"""Numbers that stay as they are."""
WIDER = {"bool": "uint8", "int8": "int16"}
"""What other numbers become; those that are not named become float32."""
MOST_PLANES = 1_000_000


@dataclass(frozen=True)
class Picture:
    """What a file says of its image, before a pixel is read.

    Attributes
    ----------
    path
        The file, or the folder of an OME-Zarr.
    planes
        A label for each plane, in order: ``("",)`` for a single image, else "z1",
        "t2-z1", "s1" ...
    shape
        Rows and columns of a plane as it is shown, its orientation applied.
    channels
        Their names: ``("grey",)``, ``("red", "green", "blue")``, the names that the
        file gives, or numbers.
    colour
        Whether the first three channels are red, green and blue of one picture.
    dtype
        Of the pixels that `read_plane` gives: uint8, uint16, int16 or float32.
    nodata
        The value that stands for no measurement, if the file names one.
    lossy
        Whether values have changed in compression, so that it is no mask.
    parts
        Files that hold the image.
    notes
        What was passed over or assumed, a sentence each.
    axes
        The axes as they were given to `inspect`, if they were.
    """

    path: Path
    planes: tuple[str, ...]
    shape: tuple[int, int]
    channels: tuple[str, ...]
    colour: bool
    dtype: str
    nodata: float | None = None
    lossy: bool = False
    parts: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    axes: str = ""


@dataclass(frozen=True)
class Samples:
    """What is stored of a plane: no palette applied, nothing scaled.

    Attributes
    ----------
    values
        ``(H, W, K)`` in the file's own numbers, upright, without alpha.
    palette
        Colours ``(N, 3)`` of the indices, if `values` are indices.
    transparent
        ``(H, W)``, where alpha is 0, if there is an alpha.
    bits
        Bits of a sample in the file.
    text
        The texts of a PNG by their keywords.
    turned
        Whether the file says that 0 is white, so that values were inverted.
    """

    values: np.ndarray
    palette: np.ndarray | None
    transparent: np.ndarray | None
    bits: int
    text: dict[str, str]
    turned: bool = False


def refuse(path: Path, reason: str) -> NoReturn:
    """Raise an `UnreadableImage` that begins with the path."""
    raise UnreadableImage(f"{printable(path)} {printable(reason)}")


def kept_dtype(dtype: np.dtype, path: Path) -> str:
    """Name of the numbers that pixels of a file's numbers become.

    Examples
    --------
    >>> [kept_dtype(np.dtype(d), Path("a")) for d in ("bool", ">u2", "int64")]
    ['uint8', 'uint16', 'float32']
    """
    if dtype.kind not in "biuf":
        refuse(path, f"holds {dtype}; give an image of whole or real numbers")
    return dtype.name if dtype.name in KEPT else WIDER.get(dtype.name, "float32")


def as_kept(values: np.ndarray, dtype: str) -> np.ndarray:
    """Pixels in the numbers they become; False and True become 0 and 255."""
    if values.dtype == bool:
        return values.astype(np.uint8) * np.uint8(255)
    return np.ascontiguousarray(values.astype(dtype, copy=False))


def check_size(path: Path, shape: Sequence[int], itemsize: int) -> None:
    """Refuse a plane of no pixels, or of more than half of the free memory."""
    if min(shape, default=0) < 1:
        refuse(path, f"has the shape {tuple(shape)}, so it holds no pixel")
    needed = itemsize * int(np.prod([int(size) for size in shape], dtype=object))
    free = psutil.virtual_memory().available
    if needed > free // 2:
        refuse(
            path,
            f"promises a plane of {needed / 2**30:,.1f} GiB, of {free / 2**30:,.1f} "
            "GiB of free memory; give it in smaller pieces",
        )


def check_planes(path: Path, count: int) -> None:
    """Refuse more planes than any stack has."""
    if not 1 <= count <= MOST_PLANES:
        refuse(
            path,
            f"promises {count:,} planes; at most {MOST_PLANES:,} can be taken apart",
        )


def numbered(count: int, colour: bool) -> tuple[str, ...]:
    """Names of channels that the file does not name.

    Examples
    --------
    >>> numbered(1, False), numbered(4, True), numbered(2, False)
    (('grey',), ('red', 'green', 'blue', '4'), ('1', '2'))
    """
    if count == 1:
        return ("grey",)
    numbers = tuple(str(number + 1) for number in range(count))
    return COLOURS + numbers[3:] if colour else numbers


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels ``(H, W, ...)`` as they are shown, by an orientation of 1..8.

    The numbers are those of TIFF's and EXIF's tag 274.

    Examples
    --------
    >>> upright(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::rows, ::columns]


def shown_shape(shape: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Rows and columns after `upright`."""
    return (shape[1], shape[0]) if orientation in (5, 6, 7, 8) else shape
