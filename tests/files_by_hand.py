"""Image files that are written byte by byte, or by another library."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image as pillow


def chunk(kind, content):
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def packed(values, bits):
    """Rows of values as bits, the first one highest, each row in whole bytes."""
    rows = []
    for row in np.asarray(values).reshape(len(values), -1):
        text = "".join(f"{value:0{bits}b}" for value in row.tolist())
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return rows


def png(values, bits, kind, *more):
    """A PNG by hand, without filters."""
    rows, columns = np.shape(values)[:2]
    head = struct.pack(">IIBBBBB", columns, rows, bits, kind, 0, 0, 0)
    lines = b"".join(b"\0" + row for row in packed(values, bits))
    chunks = [chunk(b"IHDR", head), *more, chunk(b"IDAT", zlib.compress(lines))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, chunk(b"IEND", b"")])


def interlaced(values, bits, kind):
    """A PNG by hand whose pixels come in Adam7's seven passes."""
    starts = (0, 0), (0, 4), (4, 0), (0, 2), (2, 0), (0, 1), (1, 0)
    steps = (8, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1)
    lines = b""
    for (row, column), (down, right) in zip(starts, steps, strict=True):
        part = values[row::down, column::right]
        if part.size:
            lines += b"".join(b"\0" + line for line in packed(part, bits))
    rows, columns = values.shape[:2]
    head = struct.pack(">IIBBBBB", columns, rows, bits, kind, 0, 0, 1)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def tiff(values, bits, photometric, order=">", **tags):
    """A TIFF by hand: one strip, without compression."""
    rows, columns = np.shape(values)[:2]
    count = np.size(values) // (rows * columns)
    data = b"".join(packed(values, bits))
    entries = {
        256: (4, [columns]),
        257: (4, [rows]),
        258: (3, [bits] * count),
        259: (3, [1]),
        262: (3, [photometric]),
        273: (4, [8]),
        277: (3, [count]),
        278: (4, [rows]),
        279: (4, [len(data)]),
    } | {int(code.lstrip("t")): value for code, value in tags.items()}
    data += b"\0" * (len(data) % 2)
    directory, beyond = struct.pack(f"{order}H", len(entries)), b""
    after = 8 + len(data) + 2 + 12 * len(entries) + 4
    for code, (kind, numbers) in sorted(entries.items()):
        form = {2: "B", 3: "H", 4: "I"}[kind]
        content = struct.pack(f"{order}{len(numbers)}{form}", *numbers)
        if len(content) > 4:
            where = struct.pack(f"{order}I", after + len(beyond))
            beyond += content + b"\0" * (len(content) % 2)
            content = where
        directory += struct.pack(f"{order}HHI", code, kind, len(numbers))
        directory += content.ljust(4, b"\0")
    mark = b"MM\0*" if order == ">" else b"II*\0"
    start = struct.pack(f"{order}I", 8 + len(data))
    return mark + start + data + directory + b"\0\0\0\0" + beyond


def by_pillow(array, kind, mode=None, **options):
    image = pillow.fromarray(array.squeeze(), mode) if mode else None
    image = image or pillow.fromarray(array.squeeze())
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_tifffile(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()
