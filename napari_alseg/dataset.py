"""A data set with known masks, brought into a project to rehearse labelling.

It is a folder with ``train/``, ``val/`` and perhaps ``test/``, each with ``images/``
and ``masks/``, and a ``classes.csv``. The training images become the pool; their masks
stay where they are and answer what is asked. mIoU is measured on ``test/`` if it is
there, and then ``val/`` chooses the best weights while learning; without ``test/`` it
is measured on ``val/``, and learning never looks at it.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np
from skimage.transform import resize

from .arrays import LabelMap, Progress, Task
from .errors import BadValue, MaskMismatch
from .store import (
    ClassTable,
    Project,
    Split,
    domain,
    paired,
    read_classes,
    read_image,
    read_mask,
    stem,
    swept_on_failure,
)


def parse_size(text: str) -> tuple[int, int] | None:
    """Read ``ROWSxCOLUMNS``; an empty text is no size.

    Raises
    ------
    BadValue
        If the text is neither.

    Examples
    --------
    >>> parse_size("180x240")
    (180, 240)
    """
    if not text:
        return None
    rows, _, columns = text.partition("x")
    if not (rows.isdigit() and columns.isdigit() and int(rows) and int(columns)):
        raise BadValue(f"a size is ROWSxCOLUMNS, for example 180x240; got {text!r}")
    return int(rows), int(columns)


def create_rehearsal(
    path: Path,
    dataset: Path,
    size: tuple[int, int] | None = None,
    source: Path | None = None,
) -> Task[None]:
    """Make a project of a data set; the path is there wholly or not at all.

    Parameters
    ----------
    path : Path
        The project's folder, not there yet. Until all images are in, they lie beside
        it in a folder that ends in ``.importing``; an older one is swept away.
    dataset : Path
    size : (rows, columns), optional
        That images and masks are resized to.
    source : Path, optional
        Labelled images of another domain: a data set, of which ``train/`` is taken, or
        a folder with ``images/`` and ``masks/``.

    Raises
    ------
    EmptyFolder, BadClasses, MaskMismatch
        If a data set is not laid out as this module says, or the source has other
        classes.
    """
    table = read_classes(dataset / "classes.csv")
    # What is missing is said before anything is made.
    parts: list[tuple[list[tuple[Path, Path]], Split, ClassTable]] = [
        (list(paired(dataset / folder)), split, table)
        for folder, split in splits(dataset).items()
    ]
    if source is not None:
        folder, own = domain(source, table)
        parts.append((list(paired(folder)), "source", own))
    unfinished = path.with_name(path.name + ".importing")
    shutil.rmtree(unfinished, ignore_errors=True)
    with swept_on_failure(unfinished):
        with Project.create(unfinished, table.classes) as project:
            for pairs, split, names in parts:
                yield from _add(project, pairs, split, names, size)
        unfinished.rename(path)


def splits(dataset: Path) -> dict[str, Split]:
    """Return what each folder of a data set is for."""
    if (dataset / "test").is_dir():
        return {"train": "pool", "val": "validation", "test": "test"}
    return {"train": "pool", "val": "test"}


def fingerprints(dataset: Path, source: Path | None = None) -> dict[str, str]:
    """Return what tells a data set and another domain from others of the same names.

    It is made of what the classes are and of the names and sizes of the images and
    masks that a rehearsal reads, which takes no time.

    Parameters
    ----------
    dataset, source
        As `create_rehearsal` takes them.

    Returns
    -------
    dict
        ``"dataset"`` and ``"source"``, empty if there is none.

    Raises
    ------
    BadClasses, EmptyFolder, MaskMismatch
        As `create_rehearsal` does.
    """
    table = read_classes(dataset / "classes.csv")
    found = _fingerprint([dataset / folder for folder in splits(dataset)], table)
    if source is None:
        return {"dataset": found, "source": ""}
    folder, own = domain(source, table)
    return {"dataset": found, "source": _fingerprint([folder], own)}


def _fingerprint(folders: Iterable[Path], table: ClassTable) -> str:
    told = [repr(table)]
    for folder in folders:
        for file in chain.from_iterable(paired(folder)):
            size = file.stat().st_size if file.is_file() else "folder"
            told.append(f"{folder.name}/{file.parent.name}/{file.name} {size}")
    return sha256("\n".join(told).encode()).hexdigest()[:12]


def _add(
    project: Project,
    pairs: Sequence[tuple[Path, Path]],
    split: Split,
    table: ClassTable,
    size: tuple[int, int] | None,
) -> Task[None]:
    """Add images of a folder; all but those of the pool come with their masks."""
    for done, (image, mask) in enumerate(pairs, 1):
        pixels, labels = read_image(image), read_mask(mask, table)
        if pixels.shape[:2] != labels.shape:
            raise MaskMismatch(
                f"{mask} has {labels.shape} rows and columns, its image "
                f"{pixels.shape[:2]}; give a mask of the image's size"
            )
        project.add_image(
            stem(image),
            resized(pixels, size, order=1),
            split=split,
            labels=None if split == "pool" else resized(labels, size, order=0),
            source=str(image),
        )
        yield Progress(done, len(pairs), f"importing {image.parents[1].name}")


def truth_of(
    project: Project, dataset: Path, size: tuple[int, int] | None = None
) -> Callable[[str], LabelMap]:
    """Return what gives the true labels of an image of the pool, read when asked for.

    Raises
    ------
    BadValue
        If the data set has not the images that the project was made of.
    """
    table = read_classes(dataset / "classes.csv")
    images, pairs = project.images(), list(paired(dataset / "train"))
    if [Path(project.info(i).source).name for i in images] != [
        p.name for p, _ in pairs
    ]:
        raise BadValue(
            f"{dataset / 'train'} has not the images that {project.path} was made of; "
            "give the same data set, or a new folder for the run"
        )
    masks = {image: mask for image, (_, mask) in zip(images, pairs, strict=True)}
    return lambda image: resized(read_mask(masks[image], table), size, order=0)


def resized(array: np.ndarray, size: tuple[int, int] | None, order: int) -> np.ndarray:
    """Return an image (order 1) or mask (order 0) with so many rows and columns."""
    if size is None or array.shape[:2] == size:
        return array
    smooth = order > 0
    scaled: np.ndarray = resize(
        array, size, order=order, preserve_range=True, anti_aliasing=smooth
    )
    whole = np.issubdtype(array.dtype, np.integer)
    return (scaled.round() if whole else scaled).astype(array.dtype)
