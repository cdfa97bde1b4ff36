"""One image on disk: an OME-Zarr 0.5 image with its label images and score maps.

::

    images/<id>/            multiscale image, axes c, y, x
      0 1 ...               levels, each half the size of the one before
      labels/annotation     label image, uint8, what people said
      labels/regions-<n>    label image, int32, one for each version of the partition
      labels/prediction     label image, uint8
      labels/pseudo         label image, uint8, what a network learns from besides
      maps/<name>           float16 scores (`score_maps`)

Nothing here knows the project or the ledger; every function takes the folder of an
image. zarr replaces a chunk in one step, so a reader never sees half a chunk.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from napari_alseg.arrays import Bounds, LabelClass, LabelMap

from .reading import numbered

CHUNK = 512
LARGEST_SINGLE_LEVEL = 1024
LABEL_AXES = ("y", "x")
IMAGE_AXES = ("c", "y", "x")
COLOURS = ("FF0000", "00FF00", "0000FF", "FF00FF", "00FFFF", "FFFF00")
"""Of the channels: red, green and blue first."""
GREY = "FFFFFF"
Window = tuple[float, float]


def level_count(shape: tuple[int, ...]) -> int:
    """Levels of a pyramid, down to 1024 pixels.

    Examples
    --------
    >>> level_count((360, 480)), level_count((1024, 2048)), level_count((5000, 80))
    (1, 2, 4)
    """
    side, levels = max(shape), 1
    while side > LARGEST_SINGLE_LEVEL:
        side, levels = -(-side // 2), levels + 1
    return levels


def halved(image: np.ndarray) -> np.ndarray:
    """Mean of each block of 2 x 2.

    An odd last row or column counts twice.
    """
    height, width, channels = image.shape
    half = np.empty(((height + 1) // 2, (width + 1) // 2, channels), image.dtype)
    for at in range(channels):  # one channel at a time is wide in memory
        even = np.pad(image[..., at], ((0, height % 2), (0, width % 2)), mode="edge")
        blocks = even.reshape(len(half), 2, half.shape[1], 2)
        mean = blocks.mean(axis=(1, 3), dtype=np.float64)
        whole = np.issubdtype(image.dtype, np.integer)
        half[..., at] = np.rint(mean) if whole else mean
    return half


def _multiscales(name: str, axes: tuple[str, ...], levels: int) -> list[dict[str, Any]]:
    """Return the OME-Zarr entry of levels and their scales."""
    kinds = {"c": "channel", "y": "space", "x": "space"}
    lead = len(axes) - 2

    def transformations(factor: int) -> list[dict[str, Any]]:
        centre = (factor - 1) / 2  # a coarse pixel lies in the middle of its block
        return [
            {"type": "scale", "scale": [1.0] * lead + [float(factor)] * 2},
            {"type": "translation", "translation": [0.0] * lead + [centre] * 2},
        ]

    return [
        {
            "name": name,
            "axes": [{"name": axis, "type": kinds[axis]} for axis in axes],
            "datasets": [
                {
                    "path": str(level),
                    "coordinateTransformations": transformations(2**level),
                }
                for level in range(levels)
            ],
        }
    ]


def _omero(
    image: np.ndarray, names: Sequence[str], colour: bool, windows: Sequence[Window]
) -> dict[str, Any]:
    """Return the OME-Zarr entry of how to show it."""
    grey = len(names) == 1
    return {
        "channels": [
            {
                "label": name,
                "color": GREY if grey else COLOURS[at % len(COLOURS)],
                "active": at < 3 or not colour,
                "window": _span(image[..., at], windows[at]),
            }
            for at, name in enumerate(names)
        ],
        "rdefs": {"model": "greyscale" if grey else "color"},
    }


def _span(plane: np.ndarray, window: Window) -> dict[str, float]:
    """Window, and the limits of what it may become."""
    limits = [0.0, 255.0]
    if plane.dtype != np.uint8:
        finite = plane[np.isfinite(plane)]
        limits = [float(finite.min()), float(finite.max())] if finite.size else []
    return {
        "start": window[0],
        "end": window[1],
        "min": min([*limits, window[0]]),
        "max": max([*limits, window[1]]),
    }


def new_array(
    folder: Path,
    shape: tuple[int, ...],
    dtype: np.dtype,
    axes: tuple[str, ...],
) -> zarr.Array:
    """Make an empty array in chunks of 512 pixels."""
    chunks = (*shape[:-2], min(CHUNK, shape[-2]), min(CHUNK, shape[-1]))
    return zarr.create_array(
        folder,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        compressors=ZstdCodec(level=1),
        dimension_names=axes,
    )


def create_image(
    folder: Path,
    image: np.ndarray,
    windows: Sequence[Window],
    names: Sequence[str] = (),
    colour: bool | None = None,
) -> None:
    """Write an image with its pyramid.

    Parameters
    ----------
    folder
        Must not exist yet; its name becomes the name of the image.
    image : array of shape (H, W, K)
        In its native dtype.
    windows
        Lowest and highest intensity to show, for each channel.
    names
        Of the channels; without them they are numbered.
    colour
        Whether the first three channels are red, green and blue; three channels are
        unless this says otherwise.
    """
    count = image.shape[2]
    colour = count == 3 if colour is None else colour
    names = names or numbered(count, colour)
    levels = level_count(image.shape[:2])
    ome = {
        "version": "0.5",
        "multiscales": _multiscales(folder.name, IMAGE_AXES, levels),
        "omero": _omero(image, names, colour, windows),
    }
    zarr.create_group(folder, attributes={"ome": ome})
    for level in range(levels):
        planes = np.moveaxis(image, -1, 0)
        array = new_array(folder / str(level), planes.shape, planes.dtype, IMAGE_AXES)
        array[...] = planes
        image = halved(image)
    zarr.create_group(
        folder / "labels", attributes={"ome": {"version": "0.5", "labels": []}}
    )
    zarr.create_group(folder / "maps")


def read_image(folder: Path) -> np.ndarray:
    """Image ``(H, W, K)`` in its native dtype."""
    planes = np.asarray(zarr.open_array(folder / "0", mode="r")[...])
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _image_label(classes: tuple[LabelClass, ...]) -> dict[str, Any]:
    """Return the OME-Zarr entry of colours and names."""
    described: dict[str, Any] = {"source": {"image": "../../"}}
    if classes:
        described["colors"] = [
            {"label-value": value, "rgba": [*entry.colour, 255]}
            for value, entry in enumerate(classes, start=1)
        ]
        described["properties"] = [
            {"label-value": value, "class": entry.name}
            for value, entry in enumerate(classes, start=1)
        ]
    return described


def _enlist(labels: Path, name: str) -> None:
    """Add a name to the list of label images."""
    group = zarr.open_group(labels, mode="r+")
    ome: Any = group.attrs["ome"]
    if name not in ome["labels"]:
        group.attrs["ome"] = {**ome, "labels": [*ome["labels"], name]}


def _create_labels(
    image_folder: Path,
    name: str,
    labels: np.ndarray,
    classes: tuple[LabelClass, ...],
) -> zarr.Group:
    """Write a new label image.

    It counts once its group is given a round.
    """
    folder, levels = image_folder / "labels" / name, level_count(labels.shape)
    ome = {
        "version": "0.5",
        "multiscales": _multiscales(name, LABEL_AXES, levels),
        "image-label": _image_label(classes),
    }
    group = zarr.create_group(folder, attributes={"ome": ome}, overwrite=True)
    for level in range(levels):
        coarse = labels[:: 2**level, :: 2**level]
        array = new_array(folder / str(level), coarse.shape, coarse.dtype, LABEL_AXES)
        array[...] = coarse
    _enlist(image_folder / "labels", name)
    return group


def has_labels(image_folder: Path, name: str) -> bool:
    """Whether a label image is there and whole."""
    return label_round(image_folder, name) is not None


def label_round(image_folder: Path, name: str) -> int | None:
    """Round of a label image; None without one.

    The round is written last, so a half-written label image has none, or that of
    the one it was about to replace.
    """
    number: int | None = label_attributes(image_folder, name).get("round")
    return number


def label_attributes(image_folder: Path, name: str) -> dict[str, Any]:
    """Return what a label image says of itself."""
    group = _label_group(image_folder, name, "r")
    return {} if group is None else dict(group.attrs)


def _label_group(
    image_folder: Path, name: str, mode: Literal["r", "r+"]
) -> zarr.Group | None:
    try:
        return zarr.open_group(image_folder / "labels" / name, mode=mode)
    except FileNotFoundError:
        return None


def remove_labels(image_folder: Path, name: str) -> None:
    """Remove a label image, also from the list."""
    group = zarr.open_group(image_folder / "labels", mode="r+")
    ome: Any = group.attrs["ome"]
    if name in ome["labels"]:
        others = [other for other in ome["labels"] if other != name]
        group.attrs["ome"] = {**ome, "labels": others}
    remove_node(image_folder / "labels" / name)


def remove_node(folder: Path) -> None:
    """Remove a group or an array.

    It stops counting in one step, before the rest.
    """
    (folder / "zarr.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def write_labels(
    image_folder: Path,
    name: str,
    labels: np.ndarray,
    classes: tuple[LabelClass, ...] = (),
    round: int = 0,
    weights: int | None = None,
) -> None:
    """Write a whole label image and put it on the list.

    Parameters
    ----------
    labels : integer array of shape (H, W)
        Of the image's size; the dtype of the first one written under a name stays.
    classes
        Names and colours of the labels 1..C; none for regions.
    round
        Kept with the labels; see `label_round`.
    weights
        Number of the weights that they were made with, if they were.
    """
    group = _label_group(image_folder, name, "r+")
    if group is None or "round" not in group.attrs:
        group = _create_labels(image_folder, name, labels, classes)
    else:
        whole = Bounds(0, 0, *labels.shape)
        write_window(image_folder, name, whole, labels)
    group.attrs.update({"weights": weights, "round": round})


def write_window(
    image_folder: Path, name: str, bounds: Bounds, labels: np.ndarray
) -> None:
    """Write a rectangle of labels into every level.

    Level k holds each ``2 ** k``-th pixel of level 0, so a window of it is a strided
    view of the patch and no level is ever read back.
    """
    row, column = bounds.row_start, bounds.column_start
    for level, array in enumerate(_stored_levels(image_folder / "labels" / name)):
        factor = 2**level
        coarse = labels[-row % factor :: factor, -column % factor :: factor]
        top, left = -(-row // factor), -(-column // factor)
        if coarse.size:
            array[top : top + coarse.shape[0], left : left + coarse.shape[1]] = coarse


def _stored_levels(folder: Path) -> Iterator[zarr.Array]:
    level = 0
    while (folder / str(level)).is_dir():
        yield zarr.open_array(folder / str(level), mode="r+")
        level += 1


def read_labels(
    image_folder: Path, name: str, bounds: Bounds | None = None, level: int = 0
) -> np.ndarray:
    """Label image, or the rectangle of it within `bounds`.

    Raises
    ------
    FileNotFoundError
        If there is none of that name.
    """
    array = zarr.open_array(image_folder / "labels" / name / str(level), mode="r")
    return np.asarray(array[... if bounds is None else bounds.slices])


def replace_labels(
    image_folder: Path,
    name: str,
    labels: np.ndarray,
    classes: tuple[LabelClass, ...],
) -> None:
    """Write a label image anew."""
    shutil.rmtree(image_folder / "labels" / name, ignore_errors=True)
    write_labels(image_folder, name, labels, classes)


def image_problems(image_folder: Path, shape: tuple[int, int]) -> list[str]:
    """Return what is wrong with an image itself, in words; empty if nothing is."""
    problems = []
    for level in range(level_count(shape)):
        try:
            zarr.open_array(image_folder / str(level), mode="r")
        except (OSError, ValueError) as error:
            problems.append(f"image level {level} cannot be read: {error}")
    return problems


def annotation_problems(image_folder: Path, expected: LabelMap) -> list[str]:
    """Return what is wrong with the annotation of an image; empty if nothing is."""
    problems = []
    for level in range(level_count(expected.shape)):
        try:
            stored = read_labels(image_folder, "annotation", level=level)
        except (OSError, ValueError, RuntimeError) as error:
            problems.append(f"annotation level {level} cannot be read: {error}")
            continue
        wanted = expected[:: 2**level, :: 2**level]
        if stored.shape != wanted.shape:
            problems.append(f"annotation level {level} has the size {stored.shape}")
        elif different := np.count_nonzero(stored != wanted):
            problems.append(
                f"annotation level {level} differs from the ledger in {different} "
                "pixels"
            )
    return problems
