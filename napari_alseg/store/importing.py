"""Images, masks and folders of them, as people have them, made into arrays.

`read_image` gives ``(H, W, K)`` with K = 1 or 3, in the file's own dtype where that
is uint8, uint16, int16 or float32. `read_mask` gives labels of the project.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from PIL import Image as pillow
from PIL import UnidentifiedImageError

from napari_alseg.arrays import LabelMap
from napari_alseg.errors import EmptyFolder, MaskMismatch, UnreadableImage

from .classes import ClassTable
from .naming import ENDINGS, PILLOW_ENDINGS, TIFF_ENDINGS, ZARR_ENDINGS, natural, stem

CHANNEL_AXES = "SC"
WIDER = {
    "bool": np.uint8,
    "int8": np.int16,
    "float16": np.float32,
    "int32": np.float32,
    "uint32": np.float32,
    "int64": np.float32,
    "uint64": np.float32,
    "float64": np.float32,
}
"""Numbers that are not kept as they are, and what they become."""
KEPT = ("uint8", "uint16", "int16", "float32")


def image_files(folder: str | Path) -> list[Path]:
    """Images of a folder in natural order, without those of its subfolders.

    Raises
    ------
    EmptyFolder
        If there is none, or no such folder.
    """
    folder = Path(folder)
    if folder.is_dir():
        found = [path for path in folder.iterdir() if _is_image(path)]
        if found:
            return sorted(found, key=natural)
    raise EmptyFolder(
        f"{folder} holds no image; files ending with {', '.join(ENDINGS)} are read"
    )


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    ending = path.name.lower().endswith
    return ending(ZARR_ENDINGS) if path.is_dir() else ending(ENDINGS)


def pair_masks(images: Iterable[Path], folder: str | Path) -> dict[str, Path]:
    """Mask of each image that has one, by the stem of the image.

    A mask has the name of its image, the ending aside.

    Raises
    ------
    EmptyFolder
        If the folder holds no mask of any of the images.
    """
    masks = {stem(path): path for path in image_files(folder)}
    pairs = {name: masks[name] for name in map(stem, images) if name in masks}
    if not pairs:
        raise EmptyFolder(
            f"no mask in {folder} has the name of an image (its masks: "
            f"{', '.join(list(masks)[:3])} ...); a mask is named as its image"
        )
    return pairs


def read_image(path: str | Path) -> np.ndarray:
    """Image of shape ``(H, W, K)``, K = 1 or 3, in its native dtype.

    Reads PNG, JPEG, TIFF and OME-Zarr (its largest level). Alpha is dropped, a second
    channel gets an empty third, a palette becomes its colours; numbers of more than
    16 bits become float32.

    Raises
    ------
    UnreadableImage
        If the file is no image, is a stack, or has more than three channels.
    """
    path = Path(path)
    array, axes = _read(path)
    planes = _plane(path, array, axes)
    if planes.dtype.name in WIDER:
        bits = 255 if planes.dtype == bool else 1
        planes = planes.astype(WIDER[planes.dtype.name]) * np.uint8(bits)
    if planes.dtype.name not in KEPT or not planes.size:
        raise UnreadableImage(
            f"{path} holds {planes.dtype} of shape {planes.shape}; "
            "give an image of whole or real numbers"
        )
    return planes


def _read(path: Path) -> tuple[np.ndarray, str]:
    """Array of a file and its axes, one letter each."""
    ending = path.name.lower().endswith
    if ending(TIFF_ENDINGS):
        return _read_tiff(path)
    if path.is_dir():
        return _read_zarr(path)
    if ending(PILLOW_ENDINGS):
        picture = _read_pillow(path, palette=False)
        return picture, "YXS"[: picture.ndim]
    raise UnreadableImage(
        f"{path} is no kind of image that is read; these are: {', '.join(ENDINGS)}"
    )


def _read_pillow(path: Path, palette: bool) -> np.ndarray:
    """Array of a PNG or JPEG; with `palette`, indices instead of their colours."""
    try:
        with pillow.open(path) as picture:
            if picture.mode in ("CMYK", "YCbCr", "PA") or (
                picture.mode == "P" and not palette
            ):
                return np.asarray(picture.convert("RGB"))
            array = np.asarray(picture)
            return array[..., 0] if picture.mode == "LA" else array
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UnreadableImage:
    return UnreadableImage(f"{path} cannot be read as an image: {error}")


def _read_tiff(path: Path) -> tuple[np.ndarray, str]:
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            array, axes = series.asarray(), series.axes
            alpha = "S" in axes and bool(series.keyframe.extrasamples)
    except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
        raise _unreadable(path, error) from error
    if alpha and array.shape[axes.index("S")] in (2, 4):
        colours = range(array.shape[axes.index("S")] - 1)
        array = array.take(colours, axis=axes.index("S"))
    return array, axes


def _read_zarr(path: Path) -> tuple[np.ndarray, str]:
    try:
        group = zarr.open_group(path, mode="r")
        found: Any = group.attrs.get("ome", group.attrs)
        scales = found["multiscales"][0]
        axes = "".join(axis["name"] for axis in scales["axes"])
        array: Any = group[scales["datasets"][0]["path"]]
        shape = array.shape
        if len(shape) == len(axes):
            _refuse_stack(path, shape, axes.upper())
        return np.asarray(array[...]), axes.upper()
    except (OSError, KeyError, IndexError, TypeError, RuntimeError) as error:
        raise UnreadableImage(
            f"{path} is no OME-Zarr image ({error}); give the folder whose metadata "
            "has 'multiscales'"
        ) from error


def _refuse_stack(path: Path, shape: tuple[int, ...], axes: str) -> None:
    stacked = [
        f"{axis} = {size}"
        for axis, size in zip(axes, shape, strict=True)
        if axis not in f"YX{CHANNEL_AXES}" and size > 1
    ]
    if stacked:
        raise UnreadableImage(
            f"{path} is a stack ({', '.join(stacked)}); one plane is needed, save the "
            "planes as single images"
        )


def _plane(path: Path, array: np.ndarray, axes: str) -> np.ndarray:
    """One plane with its channels last; K = 1 or 3."""
    _refuse_stack(path, array.shape, axes)
    channels = [at for at, axis in enumerate(axes) if axis in CHANNEL_AXES]
    wide = [at for at in channels if array.shape[at] > 1]
    if len(wide) > 1 or not {"Y", "X"} <= set(axes):
        raise UnreadableImage(
            f"{path} has the axes {axes} of sizes {array.shape}; one plane is needed"
        )
    order = [axes.index("Y"), axes.index("X"), *wide]
    rest = [at for at in range(array.ndim) if at not in order]
    planes = array.transpose(*order, *rest).reshape(
        array.shape[order[0]], array.shape[order[1]], -1
    )
    return _three_at_most(path, planes)


def _three_at_most(path: Path, planes: np.ndarray) -> np.ndarray:
    count = planes.shape[2]
    if count == 2:
        return np.concatenate([planes, np.zeros_like(planes[..., :1])], axis=2)
    if count == 4 and path.name.lower().endswith(PILLOW_ENDINGS):
        return np.ascontiguousarray(planes[..., :3])  # the fourth is alpha
    if count not in (1, 3):
        raise UnreadableImage(
            f"{path} has {count} channels; choose at most three and save them as one "
            "image"
        )
    return np.ascontiguousarray(planes)


def read_mask(path: str | Path, table: ClassTable) -> LabelMap:
    """Labels of a mask, whose pixels name classes by value or by colour.

    A mask with colours, or with a palette of colours, is read by them if the table
    knows all that occur; any other by its values (a palette's indices).

    Raises
    ------
    MaskMismatch
        Naming the file and the values or colours that are no class.
    UnreadableImage
        If the file is no image.
    """
    path = Path(path)
    values, coloured = _mask(path)
    if coloured is not None:
        labels = _by_colour(coloured, table.labels_of_colours)
        if labels is not None:
            return labels
    if values is None:
        raise MaskMismatch(
            f"{path} has colours that are no class: "
            f"{_strange_colours(coloured, table)}; known: "
            f"{', '.join(map(str, table.labels_of_colours))}"
        )
    return _by_value(path, values, table.labels_of_values)


def _mask(path: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Values of a mask, and its colours; None for what it has not."""
    image = read_image(path)
    if path.name.lower().endswith(PILLOW_ENDINGS):
        indices = _read_pillow(path, palette=True)
        if indices.ndim == 2:
            return indices, image if image.shape[2] == 3 else None
    if image.shape[2] == 1:
        return image[..., 0], None
    grey = (image == image[..., :1]).all()  # grey values saved as colours
    return image[..., 0] if grey else None, image


def _codes(coloured: np.ndarray) -> np.ndarray:
    """One number for each colour."""
    red, green, blue = np.moveaxis(coloured.astype(np.int64), -1, 0)
    return np.asarray((red << 32) | (green << 16) | blue)


def _by_colour(
    coloured: np.ndarray, labels: dict[tuple[int, int, int], int]
) -> LabelMap | None:
    known = _codes(np.array(list(labels)))
    codes, where = np.unique(_codes(coloured), return_inverse=True)
    if not np.isin(codes, known).all():
        return None
    label_of = dict(zip(known.tolist(), labels.values(), strict=True))
    found: LabelMap = np.array([label_of[code] for code in codes.tolist()], np.uint8)
    return np.asarray(found[where].reshape(coloured.shape[:2]))


def _strange_colours(coloured: Any, table: ClassTable) -> str:
    found = np.unique(coloured.reshape(-1, 3), axis=0)
    strange = [
        str(colour)
        for colour in map(tuple, found.tolist())
        if colour not in table.labels_of_colours
    ]
    return ", ".join(strange[:5]) + (" ..." if len(strange) > 5 else "")


def _by_value(path: Path, values: np.ndarray, labels: dict[int, int]) -> LabelMap:
    found, where = np.unique(values, return_inverse=True)
    strange = [value for value in found.tolist() if value not in labels]
    if strange:
        raise MaskMismatch(
            f"{path} has values that are no class: "
            f"{', '.join(map(str, strange[:5]))}{' ...' if len(strange) > 5 else ''}; "
            f"known: {', '.join(map(str, sorted(labels)))}"
        )
    table: LabelMap = np.array([labels[value] for value in found.tolist()], np.uint8)
    return table[where].reshape(values.shape)
