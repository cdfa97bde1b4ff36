"""Pages of a TIFF: whether all their bytes are there, and their samples."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .picture import refuse

JPEG = 7
JPEG_END = b"\xff\xd9"
LOSSY = (6, 7, 22610, 33007, 34892, 34934)
JPEG_2000 = (33003, 33004, 33005, 34712)
WEBP = (50001, 34927)


@contextmanager
def _opened(page: Any) -> Iterator[Any]:
    """File of a page, open; it is closed again if it was."""
    file = page.parent.filehandle
    if not file.closed:
        yield file
        return
    file.open()
    try:
        yield file
    finally:
        file.close()


def check_segments(path: Path, series: Any, number: int) -> None:
    """Refuse a page whose strips or tiles do not all lie in its file."""
    page = _page(path, series, number)
    with _opened(page) as file:
        _check(path, page, file, _shift(series, number))


def _page(path: Path, series: Any, number: int) -> Any:
    virtual = series.is_truncated or (
        len(series._pages) == 1 and series.dataoffset is not None
    )
    try:
        page = series._pages[0] if virtual else series[number]
    except IndexError:
        page = None
    if page is None:
        refuse(path, f"lacks its plane {number + 1}; copy all of its files")
    return page


def _shift(series: Any, number: int) -> int:
    """How far a page lies behind the first, where only the first is described."""
    virtual = series.is_truncated or (
        len(series._pages) == 1 and series.dataoffset is not None
    )
    return number * int(series.keyframe.nbytes) if virtual else 0


def _check(path: Path, page: Any, file: Any, shift: int) -> None:
    offsets, sizes = page.dataoffsets, page.databytecounts
    wanted = int(np.prod(page.keyframe.chunked, dtype=object))
    if min(len(offsets), len(sizes)) < wanted:
        refuse(path, f"lacks {wanted - min(len(offsets), len(sizes))} of its tiles")
    for offset, size in zip(offsets[:wanted], sizes[:wanted], strict=True):
        absent = offset == 0 and size == 0
        if not absent and (size <= 0 or offset + shift + size > file.size):
            refuse(
                path,
                f"is cut short: it has {file.size:,} bytes, and a part of its image "
                f"ends at byte {offset + shift + size:,}; copy it again",
            )


def read_page(path: Path, series: Any, number: int) -> np.ndarray:
    """Read samples of a page, of the shape that the page has."""
    page, shift = _page(path, series, number), _shift(series, number)
    with _opened(page) as file:
        _check(path, page, file, shift)
        if shift:
            return _contiguous(page, file, shift)
        if int(page.keyframe.compression) == JPEG:
            _check_jpeg(path, page, file)
        read: np.ndarray = page.asarray()
    if read.shape != page.keyframe.shape:
        refuse(path, f"has a page of {read.shape} instead of {page.keyframe.shape}")
    return read


def _contiguous(page: Any, file: Any, shift: int) -> np.ndarray:
    keyframe = page.keyframe
    file.seek(page.dataoffsets[0] + shift)
    stored = np.dtype(keyframe.parent.byteorder + keyframe.dtype.char)
    read = file.read_array(stored, int(np.prod(keyframe.shape)))
    return np.asarray(read.reshape(keyframe.shape).astype(keyframe.dtype))


def _segments(page: Any, file: Any) -> Iterator[bytes]:
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False):
        if size:
            file.seek(offset)
            yield file.read(size)


def _check_jpeg(path: Path, page: Any, file: Any) -> None:
    """Refuse a JPEG without its end, which libjpeg fills with grey."""
    for segment in _segments(page, file):
        if JPEG_END not in segment[-64:]:
            refuse(path, "has a JPEG tile that is cut short; copy it again")


def absent_tiles(keyframe: Any) -> tuple[str, ...]:
    """Note tiles that were never written, as GDAL leaves out those without data."""
    absent = sum(size == 0 for size in keyframe.databytecounts)
    if not absent:
        return ()
    filled = f"{absent} of its {len(keyframe.databytecounts)} tiles are absent"
    return (f"{filled} and were read as {keyframe.nodata}.",)


def is_lossy(keyframe: Any) -> bool:
    """Whether compression has changed the values of a page."""
    compression = int(keyframe.compression)
    if compression in LOSSY:
        return True
    if compression not in (*JPEG_2000, *WEBP):
        return False
    first = next(_segments(keyframe, keyframe.parent.filehandle), b"")
    if compression in WEBP:
        return b"VP8L" not in first[:64]
    style = first.find(b"\xff\x52")  # coding style; its last byte names the wavelet
    return style < 0 or first[style + 13 : style + 14] != b"\x01"
