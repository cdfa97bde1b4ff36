"""The formats that are read: a row for each, which owns its functions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import png, raster, tiff, zarr_
from .picture import Picture, Samples, refuse
from .png_wide import SIGNATURE

HEAD = 16
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WHAT_IS_READ = "PNG, JPEG, BMP, GIF, WebP, TIFF and OME-Zarr"


@dataclass(frozen=True)
class Format:
    """A kind of file, told by its first bytes and not by its name.

    Attributes
    ----------
    name
        As people call it.
    begins
        Whether a file of these first bytes is one.
    inspect
        Says what a file holds, without its pixels.
    pixels
        Reads a plane as it is seen.
    samples
        Reads a plane as it is stored.
    """

    name: str
    begins: Callable[[bytes], bool]
    inspect: Callable[[Path, str], Picture]
    pixels: Callable[[Picture, int], np.ndarray]
    samples: Callable[[Picture, int], Samples]


def _mark(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(marks)


def _webp(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def _raster(name: str, begins: Callable[[bytes], bool], one: raster.Raster) -> Format:
    return Format(name, begins, one.inspect, one.pixels, one.samples)


FORMATS = (
    Format("PNG", _mark(SIGNATURE), png.inspect, png.pixels, png.samples),
    _raster("JPEG", _mark(b"\xff\xd8\xff"), raster.JPEG),
    _raster("BMP", _mark(b"BM"), raster.BMP),
    _raster("GIF", _mark(b"GIF87a", b"GIF89a"), raster.GIF),
    _raster("WebP", _webp, raster.WEBP),
    Format("TIFF", _mark(*TIFF_MARKS), tiff.inspect, tiff.pixels, tiff.samples),
)
"""Files; a folder is a zarr."""
ZARR = Format("zarr", lambda head: False, zarr_.inspect, zarr_.pixels, zarr_.samples)


def format_of(path: Path) -> Format:
    """Format of a file or folder, by what it holds."""
    if path.is_dir():
        return ZARR
    if not path.exists():
        refuse(path, "does not exist; give an image that does")
    if not path.is_file():
        refuse(path, "is neither a file nor a folder; give an image")
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        refuse(path, "is empty; copy it again")
    for row in FORMATS:
        if row.begins(head):
            return row
    refuse(path, f"is no image that is read; these are: {WHAT_IS_READ}")
