"""PNG: what its chunks say, and all its bits."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as pillow
from PIL.PngImagePlugin import PngImageFile

from . import frames, png_wide
from .picture import (
    COLOURS,
    Picture,
    Samples,
    as_kept,
    check_size,
    refuse,
    shown_shape,
    upright,
)
from .png_wide import SIGNATURE

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
BITS = (1, 2, 4, 8, 16)
METHODS = ((0, 0, 0), (0, 0, 1))
"""Compression, filter and interlace."""
STILL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
ANIMATED = (*STILL, b"tRNS", b"acTL", b"fcTL", b"fdAT")
LONGEST_TEXT = 1 << 20


@dataclass(frozen=True)
class Header:
    """What the chunks of a PNG say.

    Attributes
    ----------
    shape
        Rows and columns as stored.
    bits
        Bits of a sample.
    kind
        PNG's colour type.
    palette
        Colours ``(N, 3)``, or none.
    clear
        Content of the chunk tRNS.
    orientation
        EXIF's number, 1..8.
    frames
        Frames of an animation, or 1.
    text
        Texts by keyword.
    """

    shape: tuple[int, int]
    bits: int
    kind: int
    palette: np.ndarray | None
    clear: bytes
    orientation: int
    frames: int
    text: dict[str, str]

    @property
    def colour(self) -> bool:
        """Whether the pixels seen are red, green, blue."""
        return self.kind not in (GREY, GREY_ALPHA)


def _chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk; of pixels no content is read."""
    with path.open("rb") as file:
        file.seek(len(SIGNATURE))
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind in (b"IDAT", b"fdAT"):
                file.seek(length + 4, io.SEEK_CUR)
                yield kind, b""
            else:
                yield kind, file.read(min(length, LONGEST_TEXT))
                file.seek(max(0, length - LONGEST_TEXT) + 4, io.SEEK_CUR)
            if kind == b"IEND":
                return
    refuse(path, "is cut short: its last chunk is missing; copy it again")


def header(path: Path) -> Header:
    """Read what the chunks of a PNG say, without its pixels."""
    found: dict[bytes, bytes] = {}
    text: dict[str, str] = {}
    for kind, content in _chunks(path):
        found.setdefault(kind, content)
        text.update(_text(kind, content))
    columns, rows, bits, kind_, *methods = struct.unpack(">II5B", found[b"IHDR"][:13])
    known = kind_ in SAMPLES and bits in BITS and tuple(methods) in METHODS
    if not known or b"IDAT" not in found:
        refuse(path, "is a PNG without pixels, or of an unknown kind")
    palette = None
    if kind_ == PALETTE:
        colours = np.frombuffer(found[b"PLTE"], np.uint8)
        palette = colours[: len(colours) // 3 * 3].reshape(-1, 3).copy()
    count = found.get(b"acTL", b"")[:4]
    return Header(
        (rows, columns),
        bits,
        kind_,
        palette,
        found.get(b"tRNS", b""),
        _orientation(found.get(b"eXIf", b"")),
        struct.unpack(">I", count)[0] if len(count) == 4 else 1,
        text,
    )


def _orientation(content: bytes) -> int:
    def exif() -> pillow.Exif:
        read = pillow.Exif()
        read.load(content if content.startswith(b"Exif") else b"Exif\0\0" + content)
        return read

    return frames.orientation(exif) if content else 1


def _text(kind: bytes, content: bytes) -> dict[str, str]:
    """Keyword and text of a chunk of text; none for any other chunk."""
    if kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return {}
    key, _, rest = content.partition(b"\0")
    if kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    else:
        packed, rest = kind == b"zTXt", rest[1:] if kind == b"zTXt" else rest
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, LONGEST_TEXT)
        except zlib.error:
            return {}
    encoding = "utf-8" if kind == b"iTXt" else "latin-1"
    return {key.decode("latin-1"): rest.decode(encoding, "replace")}


def inspect(path: Path, axes: str) -> Picture:
    """Say what a PNG holds."""
    said = header(path)
    check_size(path, (*said.shape, SAMPLES[said.kind]), max(1, said.bits // 8))
    animated = said.frames > 1 and said.bits < 16
    colour = said.colour or animated
    skipped = said.frames > 1 and not animated
    alpha = said.kind in (GREY_ALPHA, RGB_ALPHA) or bool(said.clear)
    notes = [
        *(["Its frames of 16 bits were passed over, but for the first."] * skipped),
        *(["Its alpha was left out."] * alpha),
    ]
    return Picture(
        path,
        frames.labels(said.frames if animated else 1),
        shown_shape(said.shape, said.orientation),
        COLOURS if colour else ("grey",),
        colour,
        "uint16" if said.bits == 16 else "uint8",
        parts=(path,),
        notes=tuple(notes),
        axes=axes,
    )


def _drawn(path: Path, kinds: tuple[bytes, ...]) -> bytes:
    """Read a PNG with no other chunks than of some kinds, if all of these are whole.

    Pillow refuses, and libpng writes to stderr of, chunks that do not matter here.
    """
    content = path.read_bytes()
    at, kept = len(SIGNATURE), [SIGNATURE]
    while at + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        end = at + 8 + length
        if kind in kinds:
            crc = struct.pack(">I", zlib.crc32(content[at + 4 : end]))
            if crc != content[end : end + 4]:
                refuse(path, f"is damaged in its chunk {kind.decode()}; copy it again")
            kept.append(content[at : end + 4])
        if kind == b"IEND":
            return b"".join(kept)
        at = end + 4
    refuse(path, "is cut short; copy it again")


def _stored(path: Path, said: Header) -> np.ndarray:
    """Read samples ``(H, W, K)`` as they are stored, alpha included."""
    count = SAMPLES[said.kind]
    content = _drawn(path, STILL)
    if said.bits == 16:
        return png_wide.decode(path, content, count)
    with PngImageFile(io.BytesIO(content)) as opened:
        values = np.asarray(opened).reshape(*said.shape, count)
    if said.kind == GREY and said.bits in (2, 4):
        return values // np.uint8(255 // (2**said.bits - 1))
    return values


def _frame(picture: Picture, plane: int) -> np.ndarray:
    content = io.BytesIO(_drawn(picture.path, ANIMATED))
    with PngImageFile(content) as opened:
        return frames.read(opened, plane)


def pixels(picture: Picture, plane: int) -> np.ndarray:
    """Read pixels ``(H, W, K)`` as they are seen."""
    said = header(picture.path)
    if len(picture.planes) > 1:
        values = _frame(picture, plane)[..., :3]
    else:
        values = _stored(picture.path, said)
        if said.palette is not None:
            values = said.palette[_within(picture.path, values, said.palette)]
        elif said.kind in (GREY_ALPHA, RGB_ALPHA):
            values = values[..., :-1]
        elif said.bits in (2, 4):
            values = values * np.uint8(255 // (2**said.bits - 1))
    return as_kept(upright(values, said.orientation), picture.dtype)


def _within(path: Path, values: np.ndarray, palette: np.ndarray) -> np.ndarray:
    if values.max() >= len(palette):
        refuse(path, f"has indices beyond its palette of {len(palette)} colours")
    return values[..., 0]


def samples(picture: Picture, plane: int) -> Samples:
    """Read samples as they are stored."""
    said = header(picture.path)
    if len(picture.planes) > 1:
        found = frames.split(_frame(picture, plane))
        values, palette = found[0], None
        clear: np.ndarray | None = found[1]
    else:
        stored, palette = _stored(picture.path, said), said.palette
        clear = _transparent(stored, said)
        values = stored[..., :-1] if said.kind in (GREY_ALPHA, RGB_ALPHA) else stored
    values = np.ascontiguousarray(upright(values, said.orientation))
    if clear is not None:
        clear = np.ascontiguousarray(upright(clear, said.orientation))
    return Samples(values, palette, clear, said.bits, said.text)


def _transparent(stored: np.ndarray, said: Header) -> np.ndarray | None:
    """Where alpha is 0, by a channel, an index or a colour that stands for it."""
    if said.kind in (GREY_ALPHA, RGB_ALPHA):
        return np.asarray(stored[..., -1] == 0)
    if not said.clear:
        return None
    if said.kind == PALETTE:
        opacity = np.full(256, 255, np.uint8)
        opacity[: len(said.clear)] = np.frombuffer(said.clear, np.uint8)[:256]
        return np.asarray(opacity[stored[..., 0]] == 0)
    key = np.frombuffer(said.clear[: 2 * stored.shape[2]], ">u2")
    return np.asarray((stored == key).all(axis=2))
