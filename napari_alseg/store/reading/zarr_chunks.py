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
    inner = _codecs(codecs[0]) if _named(codecs[0], "sharding") else codecs
    if not any(_named(codec, "blosc") for codec in inner):
        return
    checksum = 4 if _named(inner[-1], "crc32c") else 0
    for file in _files(folder, array, selection):
        if not file.is_file():
            continue
        with file.open("rb") as chunk:
            pieces = _pieces(chunk, array, sharded=inner is not codecs)
            for at, size in pieces:
                chunk.seek(at)
                head = chunk.read(BLOSC_HEADER)
                said = int.from_bytes(head[12:16], "little")
                if len(head) < BLOSC_HEADER or said != size - checksum:
                    refuse(path, f"has a damaged chunk {file.name!r}; copy it again")


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


def _pieces(chunk: Any, array: Any, sharded: bool) -> Iterator[tuple[int, int]]:
    """Offset and size of what was compressed as one piece."""
    size = chunk.seek(0, 2)
    if not sharded:
        yield 0, size
        return
    count = math.prod(
        shard // piece for shard, piece in zip(array.shards, array.chunks, strict=True)
    )
    codec = _codecs(array)[0]
    checksum = 4 if _named(codec.index_codecs[-1], "crc32c") else 0
    ends = "end" in str(codec.index_location).lower()
    chunk.seek(max(0, size - INDEX_ENTRY * count - checksum) if ends else 0)
    index = np.frombuffer(chunk.read(INDEX_ENTRY * count), "<u8").reshape(-1, 2)
    for at, length in index.tolist():
        if length != 2**64 - 1:
            yield min(at, size), length if at + length <= size else -1
