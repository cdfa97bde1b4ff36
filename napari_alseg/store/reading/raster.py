"""JPEG, BMP, GIF and WebP, decoded by Pillow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from . import frames
from .picture import (
    COLOURS,
    Picture,
    Samples,
    as_kept,
    check_planes,
    check_size,
    refuse,
    shown_shape,
    upright,
)

GREY_MODES = ("1", "L", "LA")
CONVERTED = {"CMYK": "RGB", "YCbCr": "RGB", "PA": "RGBA", "RGBX": "RGB", "RGBa": "RGBA"}


class Raster:
    """One of the formats, by the class of Pillow that reads it.

    The class is called itself: `PIL.Image.open` would refuse 180 megapixels, and
    would look for a format by itself.
    """

    def __init__(self, opened: Callable[[Any], Any], lossy: Callable[[Path], bool]):
        self._open = opened
        self._lossy = lossy

    def inspect(self, path: Path, axes: str) -> Picture:
        """Say what a file holds."""
        with path.open("rb") as file, self._open(file) as opened:
            rows, columns = opened.height, opened.width
            check_size(path, (rows, columns, 4), 1)
            mode, count = opened.mode, int(getattr(opened, "n_frames", 1))
            turn = frames.orientation(opened.getexif)
        check_planes(path, count)
        grey = mode in GREY_MODES and count == 1
        return Picture(
            path,
            frames.labels(count),
            shown_shape((rows, columns), turn),
            ("grey",) if grey else COLOURS,
            not grey,
            "uint8",
            lossy=self._lossy(path),
            parts=(path,),
            notes=_notes(mode),
            axes=axes,
        )

    def _read(self, picture: Picture, plane: int) -> Samples:
        with picture.path.open("rb") as file, self._open(file) as opened:
            turn = frames.orientation(opened.getexif)
            if len(picture.planes) > 1:
                values, clear = frames.split(frames.read(opened, plane))
                read = Samples(values, None, clear, 8, {})
            else:
                read = _still(picture.path, opened)
        hole = read.transparent
        return Samples(
            np.ascontiguousarray(upright(read.values, turn)),
            read.palette,
            None if hole is None else np.ascontiguousarray(upright(hole, turn)),
            read.bits,
            {},
        )

    def samples(self, picture: Picture, plane: int) -> Samples:
        """Read samples as they are stored."""
        return self._read(picture, plane)

    def pixels(self, picture: Picture, plane: int) -> np.ndarray:
        """Read pixels ``(H, W, K)`` as they are seen."""
        read = self._read(picture, plane)
        if read.palette is None:
            return as_kept(read.values, picture.dtype)
        if read.values.max() >= len(read.palette):
            refuse(picture.path, "has indices beyond its palette")
        return as_kept(read.palette[read.values[..., 0]], picture.dtype)


def _notes(mode: str) -> tuple[str, ...]:
    if mode == "CMYK":
        return ("Its CMYK colours became RGB without a colour profile.",)
    return ("Its alpha was left out.",) if mode in ("LA", "RGBA", "PA") else ()


def _still(path: Path, opened: Any) -> Samples:
    """Read an image that is no animation."""
    mode, clear = opened.mode, opened.info.get("transparency")
    drawn = opened.convert(CONVERTED[mode]) if mode in CONVERTED else opened
    values = np.asarray(drawn)
    values = values.reshape(drawn.height, drawn.width, -1)
    if mode == "P":
        palette = np.array(opened.getpalette("RGB"), np.uint8).reshape(-1, 3)
        hole = values[..., 0] == clear if isinstance(clear, int) else None
        return Samples(values, palette, hole, 8, {})
    if drawn.mode in ("LA", "RGBA"):
        return Samples(values[..., :-1], None, values[..., -1] == 0, 8, {})
    if drawn.mode not in ("1", "L", "RGB"):
        refuse(path, f"has pixels of the kind {mode}; save it as RGB or grey values")
    hole = values[..., 0] == clear if isinstance(clear, int) else None
    return Samples(values, None, hole, 1 if drawn.mode == "1" else 8, {})


def _never(path: Path) -> bool:
    return False


def _always(path: Path) -> bool:
    return True


def _lossy_webp(path: Path) -> bool:
    """Whether any frame is of the lossy kind."""
    with path.open("rb") as file:
        size, at = path.stat().st_size, 12
        while at + 8 <= size:
            file.seek(at)
            kind, length = file.read(4), int.from_bytes(file.read(4), "little")
            if kind == b"VP8 ":
                return True
            # a frame holds chunks of its own, behind 16 bytes of its place and time
            at += 24 if kind == b"ANMF" else 8 + length + length % 2
    return False


JPEG = Raster(JpegImageFile, _always)
BMP = Raster(BmpImageFile, _never)
GIF = Raster(GifImageFile, _never)
WEBP = Raster(WebPImageFile, _lossy_webp)
