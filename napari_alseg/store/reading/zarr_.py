"""OME-Zarr of any version, and plain zarr arrays."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from .axes import Layout, checked, resolved
from .picture import (
    Picture,
    Samples,
    as_kept,
    check_planes,
    check_size,
    kept_dtype,
    numbered,
    refuse,
)
from .zarr_chunks import absent, check_chunks, check_codecs

NAMES = {
    "Y": ("y", "row", "rows", "height"),
    "X": ("x", "col", "cols", "column", "columns", "width"),
    "C": ("c", "channel", "channels", "ch", "s", "sample", "samples"),
    "Z": ("z", "depth", "slice", "plane"),
    "T": ("t", "time", "frame"),
}
LETTERS = {name: letter for letter, names in NAMES.items() for name in names}
BY_TYPE = {"channel": "C", "time": "T"}
OLD_AXES = "TCZYX"
"""Of version 0.1 and 0.2, which do not name them."""
COLOUR_NAMES = (("red", "green", "blue"), ("r", "g", "b"))


class Image:
    """One image: its largest array, what its axes are and how channels are called."""

    def __init__(
        self, path: Path, folder: Path, array: Any, layout: Layout, meta: Any
    ) -> None:
        check_codecs(path, array)
        self.array = array
        self.folder = folder
        self.full = layout
        self.layout = checked(path, layout, np.dtype(array.dtype).itemsize)
        check_size(path, array.chunks, np.dtype(array.dtype).itemsize)
        self.names = _channel_names(meta)
        self.notes = absent(array)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What images have in common that are planes of one picture."""
        return self.layout.plane_shape, self.array.dtype


def _node(path: Path) -> str:
    """Whether a folder is a zarr "array" or "group"."""
    if (path / "zarr.json").is_file():
        said = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        return str(said["node_type"])
    if (path / ".zarray").is_file():
        return "array"
    if (path / ".zgroup").is_file():
        return "group"
    refuse(path, "is no zarr; give the folder that holds zarr.json or .zgroup")


def _metadata(path: Path) -> dict[str, Any]:
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    attributes = dict(group.attrs)
    found = attributes.get("ome", attributes)
    return found if isinstance(found, dict) else {}


def _open(path: Path, axes: str) -> tuple[list[Image], tuple[str, ...]]:
    """Images that are a folder's picture, and notes."""
    if _node(path) == "array":
        array = zarr.open_array(path, mode="r")
        image = Image(path, path, array, _plain_layout(path, array, axes), {})
        return [image], image.notes
    meta = _metadata(path)
    if "multiscales" in meta:
        image = _image(path, path, meta, axes)
        return [image], image.notes
    if "bioformats2raw.layout" in meta:
        return _series(path, axes)
    _refuse_group(path, meta)
    raise AssertionError


def _refuse_group(path: Path, meta: dict[str, Any]) -> None:
    if "plate" in meta:
        well = meta["plate"]["wells"][0]["path"]
        refuse(path, f"is a plate; give a field of it, such as {path.name}/{well}/0")
    if "well" in meta:
        field = meta["well"]["images"][0]["path"]
        refuse(path, f"is a well; give a field of it, such as {path.name}/{field}")
    refuse(
        path, "is no OME-Zarr image; give the folder whose metadata has 'multiscales'"
    )


def _series(path: Path, axes: str) -> tuple[list[Image], tuple[str, ...]]:
    """Images of a folder that bioformats2raw made: the largest, and those like it."""
    names = _metadata(path / "OME").get("series") if (path / "OME").is_dir() else None
    if names is None:
        numbers = (n for n in map(str, range(len(list(path.iterdir())))))
        names = [name for name in numbers if (path / name).is_dir()]
    if not names:
        refuse(path, "holds no series; copy all of its folders")
    images = []
    for name in names:
        within = path / str(name)
        if not within.is_dir():
            refuse(path, f"lacks its series {name}; copy all of its folders")
        images.append(_image(path, within, _metadata(within), axes))
    largest = max(images, key=lambda image: math.prod(image.layout.plane_shape[:2]))
    kept = [image for image in images if image.kind == largest.kind]
    passed = len(images) - len(kept)
    notes = tuple(dict.fromkeys(note for image in kept for note in image.notes))
    if passed:
        notes += (f"{passed} smaller or other images of the file were passed over.",)
    return kept, notes


def _image(path: Path, folder: Path, meta: dict[str, Any], axes: str) -> Image:
    """Open the largest level of an image."""
    if "multiscales" not in meta:
        refuse(path, f"has no 'multiscales' in {folder.name}; it is no OME-Zarr image")
    scales = meta["multiscales"][0]
    levels = [str(level["path"]) for level in scales["datasets"]]
    if not levels:
        refuse(path, "has no level of resolution")
    arrays = [(_level(path, folder, level), level) for level in levels]
    array, level = max(arrays, key=lambda one: math.prod(one[0].shape))
    letters = _letters(path, scales, len(array.shape))
    if len(letters) != len(array.shape):
        refuse(
            path,
            f"names {len(letters)} axes, but its array has the shape {array.shape}",
        )
    layout = Layout(letters, tuple(array.shape))
    if "Q" in letters:
        layout = resolved(path, layout, axes)
    return Image(path, folder / level, array, layout, meta)


def _level(path: Path, folder: Path, level: str) -> Any:
    within = folder / level
    if not within.is_dir():
        refuse(path, f"lacks its level {level!r}; copy all of its folders")
    return zarr.open_array(within, mode="r")


def _letters(path: Path, scales: dict[str, Any], count: int) -> str:
    """Find a letter for each axis, by its name or else by its type."""
    axes = scales.get("axes")
    if axes is None:
        return OLD_AXES if count == len(OLD_AXES) else "Q" * (count - 2) + "YX"
    named = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    letters = [
        LETTERS.get(str(axis.get("name", "")).lower())
        or BY_TYPE.get(str(axis.get("type", "")).lower())
        for axis in named
    ]
    return _filled(letters)


def _filled(letters: list[str | None]) -> str:
    """Letters with the last unnamed axes as Y and X, where these are wanting.

    Examples
    --------
    >>> _filled(["C", None, None]), _filled([None, "Y", "X"])
    ('CYX', 'QYX')
    """
    wanted = [letter for letter in "XY" if letter not in letters]
    found = list(letters)
    for at in reversed(range(len(found))):
        if found[at] is None:
            found[at] = wanted.pop(0) if wanted else "Q"
    return "".join(letter or "Q" for letter in found)


def _plain_layout(path: Path, array: Any, axes: str) -> Layout:
    """Axes of an array without OME metadata: as it names them, or as given."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    shape = tuple(array.shape)
    if len(shape) < 2:
        refuse(path, f"has the shape {shape}; rows and columns are wanted")
    if any(names):
        letters = _filled([LETTERS.get(str(name).lower()) for name in names])
    else:
        letters = "Q" * (len(shape) - 2) + "YX"
    return resolved(path, Layout(letters, shape), axes)


def _channel_names(meta: dict[str, Any]) -> tuple[str, ...]:
    omero = meta.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return ()
    said = [one.get("label") if isinstance(one, dict) else None for one in channels]
    names = tuple(str(name) for name in said if name)
    return names if len({*names}) == len(said) else ()


def _planes(images: list[Image]) -> tuple[str, ...]:
    if len(images) == 1:
        return images[0].layout.planes
    return tuple(
        f"s{number}-{label}".strip("-")
        for number, image in enumerate(images, start=1)
        for label in image.layout.planes
    )


def _channels(image: Image) -> tuple[tuple[str, ...], bool]:
    """Names of the channels, and whether they are red, green, blue."""
    count = image.layout.plane_shape[2]
    if len(image.names) != count or count == 1:
        return numbered(count, False), False
    lower = tuple(name.lower() for name in image.names)
    if lower in COLOUR_NAMES:
        return COLOUR_NAMES[0], True
    return image.names, False


def inspect(path: Path, axes: str) -> Picture:
    """Say what a zarr holds."""
    images, notes = _open(path, axes)
    check_planes(path, sum(len(image.layout.planes) for image in images))
    first = images[0]
    rows, columns, _ = first.layout.plane_shape
    channels, colour = _channels(first)
    return Picture(
        path,
        _planes(images),
        (rows, columns),
        channels,
        colour,
        kept_dtype(np.dtype(first.array.dtype), path),
        parts=(path,),
        notes=notes,
        axes=axes,
    )


def _find(images: Iterable[Image], plane: int) -> tuple[Image, int]:
    for image in images:
        count = len(image.layout.planes)
        if plane < count:
            return image, plane
        plane -= count
    raise IndexError("no such plane")


def _stored(picture: Picture, plane: int) -> np.ndarray:
    """Read samples ``(H, W, K)`` of one plane; the others are not read."""
    images, _ = _open(picture.path, picture.axes)
    image, number = _find(images, plane)
    cut = image.full.selection(number)
    check_chunks(picture.path, image.folder, image.array, cut)
    values = np.asarray(image.array[cut])
    return image.full.channels_last(values)


def pixels(picture: Picture, plane: int) -> np.ndarray:
    """Read pixels ``(H, W, K)`` of a plane."""
    return as_kept(_stored(picture, plane), picture.dtype)


def samples(picture: Picture, plane: int) -> Samples:
    """Read samples of a plane as they are stored."""
    values = _stored(picture, plane)
    native = values.dtype.newbyteorder("=")
    values = np.ascontiguousarray(values.astype(native, copy=False))
    return Samples(values, None, None, 8 * values.dtype.itemsize, {})
