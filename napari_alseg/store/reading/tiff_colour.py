"""What the samples of a TIFF mean: white or black first, palette, inks, alpha."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .axes import Layout
from .picture import COLOURS, kept_dtype, numbered, refuse

GREY, WHITE_FIRST, RGB, PALETTE, INKS, YCBCR = 1, 0, 2, 3, 5, 6
LINEAR_RAW, DEPTH = 34892, 51177
READ = (GREY, WHITE_FIRST, RGB, PALETTE, INKS, YCBCR, LINEAR_RAW, DEPTH)
COLOUR_SAMPLES = {RGB: 3, INKS: 4, YCBCR: 3, LINEAR_RAW: 3}
ALPHA = (1, 2)
JPEG = (6, 7, 34892)
INK_SET = 332


@dataclass(frozen=True)
class Scheme:
    """How samples of a pixel become a colour.

    Attributes
    ----------
    photometric
        TIFF's number for it.
    bits
        Bits of a sample.
    dtype
        Of the pixels seen.
    colour
        Whether they begin with red, green, blue.
    count
        Samples of a pixel, alpha included.
    alpha
        Which of these are alpha.
    notes
        What was assumed.
    palette
        Colours ``(N, 3)``, if samples are indices.
    """

    photometric: int
    bits: int
    dtype: str
    colour: bool
    count: int
    alpha: tuple[int, ...]
    notes: tuple[str, ...]
    palette: np.ndarray | None = field(compare=False, default=None)

    def channels(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the channels seen, by the file's names where they fit."""
        if self.photometric == PALETTE:
            return COLOURS
        count = self.count - len(self.alpha) - (self.photometric == INKS)
        if len(names) == count and not self.colour and len({*names}) == count:
            return names
        return numbered(count, self.colour)

    def opaque(self, values: np.ndarray) -> np.ndarray:
        """Return samples ``(H, W, K)`` without alpha."""
        if not self.alpha:
            return values
        return np.delete(values, self.alpha, axis=2)

    def transparent(self, values: np.ndarray) -> np.ndarray | None:
        """Where alpha is 0, if there is an alpha."""
        return values[..., self.alpha[0]] == 0 if self.alpha else None

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Return samples without alpha, black first; inks become colours."""
        values = self.opaque(values)
        if self.photometric == WHITE_FIRST:
            return self._black_first(values)
        return _from_inks(values) if self.photometric == INKS else values

    def _black_first(self, values: np.ndarray) -> np.ndarray:
        if values.dtype.kind == "f":
            return values
        if values.dtype.kind == "u" and self.bits < 8 * values.dtype.itemsize:
            return np.asarray(values.dtype.type(2**self.bits - 1) - values)
        return np.asarray(np.invert(values))

    def turned_value(self, value: float) -> float:
        """Turn a stored value, such as nodata, into one of the pixels seen."""
        if self.photometric != WHITE_FIRST or self.dtype not in ("uint8", "uint16"):
            return value
        return float(2**self.bits - 1 - value)

    def shown(self, values: np.ndarray) -> np.ndarray:
        """Pixels as they are seen, without alpha."""
        values = self.stored(values)
        if self.palette is not None:
            return np.asarray(self.palette[values[..., 0].astype(np.intp)])
        if self.bits in (2, 4) and values.dtype == np.uint8:
            return values * np.uint8(255 // (2**self.bits - 1))
        return values


def _from_inks(values: np.ndarray) -> np.ndarray:
    """Red, green, blue of cyan, magenta, yellow and black; more samples stay."""
    most = np.iinfo(values.dtype).max
    left = most - values[..., :4].astype(np.uint32)
    colours = (left[..., :3] * left[..., 3:] + most // 2) // most
    return np.concatenate([colours.astype(values.dtype), values[..., 4:]], axis=2)


def scheme(path: Path, keyframe: Any, layout: Layout) -> Scheme:
    """Find the meaning of a file's samples.

    Raises
    ------
    UnreadableImage
        For a photometric interpretation that is not read.
    """
    photometric = _photometric(keyframe, layout)
    count, each = layout.size("CS"), layout.size("S")
    _check(path, photometric, keyframe, each)
    bits = int(np.max(keyframe.bitspersample))
    palette = _palette(path, keyframe) if photometric == PALETTE else None
    first = each - len(keyframe.extrasamples)
    alpha = [
        first + at for at, kind in enumerate(keyframe.extrasamples) if kind in ALPHA
    ]
    every = tuple(
        at for at in range(count) if "S" in layout.axes and at % each in alpha
    )
    colour = palette is not None or (
        COLOUR_SAMPLES.get(photometric, 9) <= max(each, int(keyframe.samplesperpixel))
        and count in (each, keyframe.samplesperpixel)
    )
    dtype = (
        "uint8" if palette is not None else kept_dtype(np.dtype(keyframe.dtype), path)
    )
    notes = _notes(photometric, keyframe, layout, len(every))
    return Scheme(photometric, bits, dtype, colour, count, every, notes, palette)


def _photometric(keyframe: Any, layout: Layout) -> int:
    """TIFF's number; a colour map of several channels is but how ImageJ shows them."""
    said = int(keyframe.photometric)
    return GREY if said == PALETTE and layout.size("C") > 1 else said


def _check(path: Path, photometric: int, keyframe: Any, each: int) -> None:
    name = getattr(keyframe.photometric, "name", photometric)
    if photometric not in READ:
        refuse(path, f"has colours of the kind {name}; save it as RGB or grey values")
    jpeg = int(keyframe.compression) in JPEG and int(keyframe.planarconfig) == 1
    if photometric == YCBCR and not jpeg:
        refuse(path, "has YCbCr colours without JPEG; save it as RGB")
    if photometric == INKS and not _is_cmyk(keyframe, each):
        refuse(path, "has inks other than CMYK of 8 or 16 bits; save it as RGB")
    kind = np.dtype(keyframe.dtype).kind
    if photometric == PALETTE and kind not in "bu":
        refuse(path, f"has a palette for {keyframe.dtype}; save it as RGB")


def _is_cmyk(keyframe: Any, each: int) -> bool:
    inks = each - len(keyframe.extrasamples)
    whole = np.dtype(keyframe.dtype).name in ("uint8", "uint16")
    full = keyframe.bitspersample in (8, 16)
    return inks == 4 and whole and full and keyframe.tags.valueof(INK_SET, 1) == 1


def _palette(path: Path, keyframe: Any) -> np.ndarray:
    """Colours ``(N, 3)`` of 8 bits; old files hold 8 bits where 16 are wanted."""
    colours = keyframe.colormap
    if colours is None or np.ndim(colours) != 2 or len(colours) != 3:
        refuse(path, "has a palette without colours; save it as RGB")
    colours = np.asarray(colours).T
    wide = colours.dtype.itemsize > 1 and colours.max(initial=0) > 255
    return np.ascontiguousarray(colours >> 8 if wide else colours).astype(np.uint8)


def _notes(
    photometric: int, keyframe: Any, layout: Layout, alphas: int
) -> tuple[str, ...]:
    found = []
    if photometric == WHITE_FIRST:
        whole = np.dtype(keyframe.dtype).kind != "f"
        found.append(
            "It says that 0 is white, so its values were inverted."
            if whole
            else "It says that 0 is white; its real numbers were left as they are."
        )
    if photometric == INKS:
        found.append("Its CMYK colours became RGB without a colour profile.")
    if photometric != int(keyframe.photometric):
        found.append("Its colour map was passed over, since it has several channels.")
    if alphas:
        found.append("Its alpha was left out.")
    if layout.size("C") > 1 and layout.size("S") > 1:
        found.append("Its channels have samples of their own; each is a channel.")
    return tuple(found)
