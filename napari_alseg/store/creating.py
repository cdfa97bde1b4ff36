"""A new project from a folder of images, or from arrays that are already open.

Both are tasks: a folder can be large. What goes wrong half-way leaves no half-made
project behind.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_alseg.arrays import LabelMap, Progress, Task
from napari_alseg.errors import BadClasses, BadValue, EmptyFolder, MaskMismatch

from .classes import ClassTable, default_classes, read_classes
from .importing import image_files, pair_masks, read_image, read_mask
from .naming import stem
from .project import Project, Split


class _Entry(NamedTuple):
    """One image to add, read when its turn comes."""

    name: str
    image: Path | np.ndarray
    mask: Path | None
    split: Split
    table: ClassTable
    """How its mask names the classes."""


def class_table(csv: Path | None, names: Sequence[str]) -> ClassTable:
    """Return the classes of a classes.csv, or classes of these names.

    Raises
    ------
    BadValue
        If both are given, or neither.
    BadClasses
        If they contradict themselves.
    """
    if (csv is None) == (not names):
        raise BadValue(
            "give the classes once: as a classes.csv (value,name,red,green,blue) or as "
            "a list of names"
        )
    return ClassTable.of(default_classes(names)) if csv is None else read_classes(csv)


def create_from_folder(
    path: Path,
    images: Path,
    table: ClassTable,
    *,
    labels: Path | None = None,
    validation: Path | None = None,
    source: Path | None = None,
) -> Task[Path]:
    """Make a project from the images of a folder; return its path.

    Parameters
    ----------
    path : Path
        A new or empty folder.
    images : Path
        A folder of images, or one OME-Zarr image.
    table : ClassTable
        The classes, and how masks name them.
    labels : Path, optional
        Masks that are there already, named as their images; they count as labels.
    validation : Path, optional
        A folder with ``images/`` and ``masks/``: never asked, never learnt from.
    source : Path, optional
        Another domain, as a folder with ``images/`` and ``masks/`` or a data set that
        has one in ``train/``: learnt from by the recipe *adaptation*, never asked.

    Raises
    ------
    EmptyFolder, UnreadableImage, MaskMismatch, BadValue, CannotWrite
        And then nothing is left at `path`.
    """
    files = _files(images)
    masks = pair_masks(files, labels) if labels else {}
    entries = [_Entry(stem(f), f, masks.get(stem(f)), "pool", table) for f in files]
    entries += _labelled(validation, "validation", table)
    entries += _of_domain(source, table)
    return (yield from _create(path, entries, table))


def create_from_arrays(
    path: Path,
    images: Mapping[str, np.ndarray],
    table: ClassTable,
    *,
    validation: Path | None = None,
    source: Path | None = None,
) -> Task[Path]:
    """Make a project from arrays by name; return its path.

    Arrays are ``(H, W)`` or ``(H, W, K)`` with K up to 4 (a fourth channel is taken
    for alpha and dropped). `validation` and `source` as in `create_from_folder`.

    Raises
    ------
    BadValue
        If there is no array, or one is no single plane.
    """
    if not images:
        raise BadValue("no image layer is open; open images first, or give a folder")
    entries = [
        _Entry(name, _plane(name, array), None, "pool", table)
        for name, array in images.items()
    ]
    entries += _labelled(validation, "validation", table)
    entries += _of_domain(source, table)
    return (yield from _create(path, entries, table))


def domain(source: Path, table: ClassTable) -> tuple[Path, ClassTable]:
    """Return the folder with the images of another domain, and how its masks name them.

    Parameters
    ----------
    source : Path
        A data set, of which it is ``train/``; or a folder with ``images/`` and
        ``masks/``. A ``classes.csv`` in it says how its masks name the classes.
    table : ClassTable
        The classes, and how masks name them where there is none.

    Raises
    ------
    BadClasses
        If it comes with other classes.
    """
    folder = source / "train" if (source / "train").is_dir() else source
    if not (source / "classes.csv").is_file():
        return folder, table
    own = read_classes(source / "classes.csv")
    names = [entry.name for entry in table.classes]
    if [entry.name for entry in own.classes] != names:
        raise BadClasses(
            f"{source / 'classes.csv'} names other classes than the data set: a source "
            f"has the same ones in the same order, {', '.join(names)}"
        )
    return folder, own


def _of_domain(source: Path | None, table: ClassTable) -> Iterator[_Entry]:
    """Yield the images of another domain."""
    if source is not None:
        folder, own = domain(source, table)
        yield from _labelled(folder, "source", own)


def _files(images: Path) -> list[Path]:
    """Return the images of a folder; an OME-Zarr is one image."""
    if (images / "zarr.json").is_file() or (images / ".zattrs").is_file():
        return [images]
    return image_files(images)


def _labelled(folder: Path | None, split: Split, table: ClassTable) -> Iterator[_Entry]:
    """Yield the images of a folder for a split, each of which needs a mask."""
    if folder is None:
        return
    for part in ("images", "masks"):
        if not (folder / part).is_dir():
            raise EmptyFolder(
                f"{folder} has no folder {part!r}; {split} needs images/ and masks/"
            )
    for image, mask in paired(folder):
        yield _Entry(stem(image), image, mask, split, table)


def paired(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each image of ``images/`` with its mask in ``masks/``.

    Raises
    ------
    EmptyFolder
        If there is no image, or no mask fits any.
    MaskMismatch
        If an image has no mask.
    """
    files = image_files(folder / "images")
    masks = pair_masks(files, folder / "masks")
    for file in files:
        if stem(file) not in masks:
            raise MaskMismatch(
                f"{file} has no mask in {folder / 'masks'}; add one of the same name, "
                "or take the image out"
            )
        yield file, masks[stem(file)]


def _plane(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array as ``(H, W, K)``, K = 1 or 3."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise BadValue(
            f"the layer {name!r} has shape {array.shape}; one plane is needed, grey or "
            "colour: save the planes of a stack as single images"
        )
    return array[..., :3] if array.shape[2] == 4 else array


def _create(path: Path, entries: Iterable[_Entry], table: ClassTable) -> Task[Path]:
    """Add the images one by one; sweep the new folder if one cannot be added."""
    entries = list(entries)
    with swept_on_failure(path), Project.create(path, table.classes) as project:
        for done, entry in enumerate(entries, 1):
            image = entry.image
            if isinstance(image, Path):
                image = read_image(image)
            project.add_image(
                entry.name,
                image,
                split=entry.split,
                labels=_labels(entry),
                source=str(entry.image) if isinstance(entry.image, Path) else "",
            )
            yield Progress(done, len(entries), "adding images")
    return path


def _labels(entry: _Entry) -> LabelMap | None:
    return None if entry.mask is None else read_mask(entry.mask, entry.table)


@contextmanager
def swept_on_failure(path: Path) -> Iterator[None]:
    """Take away what was made in a new or empty folder when it cannot be finished."""
    ours = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    try:
        yield
    except BaseException:
        if ours:
            shutil.rmtree(path, ignore_errors=True)
        raise
