"""Chunks of a zarr array: which are absent, and which are not whole.

Blosc reads as many bytes as a chunk's own header says, beyond the end of a chunk that
was cut short, and raises nothing. So these headers are compared with the files first.
"""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .picture import kept_dtype, refuse

BLOSC_HEADER = 16
INDEX_ENTRY = 16
ABSENT = 2**64 - 1
MOST_CHUNKS_COUNTED = 100_000


def check_codecs(path: Path, array: Any) -> None:
    """Refuse what is no number before anything is read; a pickle may hold code."""
    kept_dtype(np.dtype(array.dtype), path)
    for codec in getattr(array.metadata, "filters", None) or ():
        if "pickle" in str(getattr(codec, "codec_id", "")).lower():
            refuse(path, "is stored as Python objects; save it as numbers")


def absent(array: Any) -> tuple[str, ...]:
    """Note chunks that were never written and are read as the fill value."""
    if array.nchunks > MOST_CHUNKS_COUNTED:
        return ()
    missing = array.nchunks - array.nchunks_initialized
    if missing <= 0:
        return ()
    filled = f"{missing} of its {array.nchunks} chunks are absent"
    return (f"{filled} and were read as {array.fill_value}.",)


def check_chunks(
    path: Path, folder: Path, array: Any, selection: tuple[int | slice, ...]
) -> None:
    """Refuse chunks of a plane that Blosc would read beyond their end."""
    codecs = _codecs(array)
    sharded = _named(codecs[0], "sharding")
    inner = _codecs(codecs[0]) if sharded else codecs
    blosc = any(_named(codec, "blosc") for codec in inner)
    if not (blosc or sharded):
        return
    checksum = 4 if _named(inner[-1], "crc32c") else 0
    for file in filter(Path.is_file, _files(folder, array, selection)):
        with file.open("rb") as chunk:
            pieces = list(_shard(chunk, array) if sharded else _whole(chunk))
            if not all(_is_whole(chunk, *piece, checksum, blosc) for piece in pieces):
                refuse(path, f"has a damaged chunk {file.name!r}; copy it again")


def _is_whole(chunk: Any, at: int, size: int, checksum: int, blosc: bool) -> bool:
    """Whether a piece lies in its file, and Blosc's header says its length."""
    if at + size > chunk.seek(0, 2):
        return False
    chunk.seek(at)
    head = chunk.read(BLOSC_HEADER) if blosc else b""
    said = int.from_bytes(head[12:16], "little")
    return not blosc or (len(head) == BLOSC_HEADER and said == size - checksum)


def _codecs(array: Any) -> tuple[Any, ...]:
    """Codecs in the order of writing, of an array or of its shards."""
    said = getattr(array, "metadata", array)
    codecs = getattr(said, "codecs", None)
    if codecs is None:
        codecs = [*(said.filters or ()), said.compressor]
    return tuple(codecs) or (None,)


def _named(codec: Any, name: str) -> bool:
    return name in type(codec).__name__.lower()


def _files(
    folder: Path, array: Any, selection: tuple[int | slice, ...]
) -> Iterator[Path]:
    """Files of the chunks, or of the shards, that hold a selection."""
    stored = array.shards or array.chunks
    steps = [
        range(math.ceil(size / chunk)) if isinstance(at, slice) else (at // chunk,)
        for at, size, chunk in zip(selection, array.shape, stored, strict=True)
    ]
    for position in itertools.product(*steps):
        yield folder / array.metadata.encode_chunk_key(position)


def _whole(chunk: Any) -> Iterator[tuple[int, int]]:
    yield 0, chunk.seek(0, 2)


def _shard(chunk: Any, array: Any) -> Iterator[tuple[int, int]]:
    """Offset and size of each chunk within a shard, by the shard's index."""
    count = math.prod(
        shard // piece for shard, piece in zip(array.shards, array.chunks, strict=True)
    )
    codec, size = _codecs(array)[0], INDEX_ENTRY * count
    checksum = 4 if _named(codec.index_codecs[-1], "crc32c") else 0
    ends = "end" in str(codec.index_location).lower()
    start = chunk.seek(0, 2) - size - checksum
    if start < 0:
        yield 0, size
        return
    chunk.seek(start if ends else 0)
    index = np.frombuffer(chunk.read(size), "<u8").reshape(-1, 2)
    for at, length in index.tolist():
        if length != ABSENT:
            yield at, length
