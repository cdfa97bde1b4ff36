"""PNG of 16 bits, which Pillow would make 8: decoded by libpng.

libpng writes to stderr of streams that are cut short and of interlaced images. So
streams are looked through before, and interlaced images are given to it in passes.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np

from .picture import refuse

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LONGEST_SIDE = 1_000_000
PIECE = 1 << 20
PASSES = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
    *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)
"""First row and column of Adam7's passes, and their steps."""


def decode(path: Path, content: bytes, count: int) -> np.ndarray:
    """Decode samples ``(H, W, K)`` of a PNG that has but the chunks of its pixels.

    Parameters
    ----------
    path
        Of the file, for errors.
    content
        The PNG, whose chunks are whole.
    count
        Samples of a pixel.
    """
    chunks = list(_chunks(content))
    head = chunks[0][1]
    columns, rows = struct.unpack(">II", head[:8])
    if max(rows, columns) > LONGEST_SIDE:
        refuse(path, f"has the shape {(rows, columns)}; give it in smaller pieces")
    stream = b"".join(part for kind, part in chunks if kind == b"IDAT")
    if head[12]:
        return _interlaced(path, head, _unpacked(path, stream), count)
    for _ in _pieces(path, stream):
        pass
    return _decoded(content, rows, columns, count)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        yield kind, content[at + 8 : at + 8 + length]
        at += length + 12


def _pieces(path: Path, stream: bytes) -> Iterator[bytes]:
    """Unpack a stream a piece at a time, and refuse one that ends too soon."""
    unpack = zlib.decompressobj()
    while stream and not unpack.eof:
        yield unpack.decompress(stream, PIECE)
        stream = unpack.unconsumed_tail
    if not unpack.eof:
        refuse(path, "is cut short; copy it again")


def _unpacked(path: Path, stream: bytes) -> bytes:
    return b"".join(_pieces(path, stream))


def _decoded(content: bytes, rows: int, columns: int, count: int) -> np.ndarray:
    return np.asarray(imagecodecs.png_decode(content)).reshape(rows, columns, count)


def _interlaced(path: Path, head: bytes, lines: bytes, count: int) -> np.ndarray:
    """Decode each pass as an image of its own."""
    columns, rows = struct.unpack(">II", head[:8])
    found = np.empty((rows, columns, count), np.uint16)
    at = 0
    for row, column, down, right in PASSES:
        part = found[row::down, column::right]
        if not part.size:
            continue
        size = len(part) * (1 + 2 * count * part.shape[1])
        if at + size > len(lines):
            refuse(path, "is cut short; copy it again")
        content = _png(head, part.shape[0], part.shape[1], lines[at : at + size])
        part[:] = _decoded(content, *part.shape)
        at += size
    return found


def _png(head: bytes, rows: int, columns: int, lines: bytes) -> bytes:
    """Write a PNG of filtered lines, which are not interlaced."""
    ihdr = struct.pack(">II", columns, rows) + head[8:12] + b"\0"
    chunks = ((b"IHDR", ihdr), (b"IDAT", zlib.compress(lines, 0)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(part))
        + kind
        + part
        + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in chunks
    )
