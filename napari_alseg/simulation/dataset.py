"""A data set with known masks as a project.

It is a folder with ``train/``, ``val/`` and perhaps ``test/``, each with ``images/``
and ``masks/``, and a ``classes.csv``. The training images become the pool; their masks
stay where they are and answer what is asked. mIoU is measured on ``test/`` if it is
there, and then ``val/`` chooses the best weights while learning; without ``test/`` it
is measured on ``val/``, and learning never looks at it.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np
from skimage.transform import resize

from napari_alseg.arrays import LabelMap, Progress, Task
from napari_alseg.errors import BadValue
from napari_alseg.simulation.run import Files
from napari_alseg.store import (
    ClassTable,
    Picture,
    Project,
    Split,
    add_entry,
    apply_rule,
    built_beside,
    domain,
    facts_of,
    find_rule,
    inspect,
    labels_of,
    paired,
    plan_split_folders,
    read_classes,
    read_entry,
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


def create_simulation(
    path: Path,
    dataset: Path,
    size: tuple[int, int] | None = None,
    source: Path | None = None,
) -> Task[None]:
    """Make a project of a data set, wholly or not.

    Parameters
    ----------
    path : Path
        The project's folder, not there yet; until all images are in, it is built
        beside its place.
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
    folders = {split: (dataset / f, table) for f, split in splits(dataset).items()}
    if source is not None:
        folders["source"] = domain(source, table)
    plan = yield from plan_split_folders(table, folders)
    with built_beside(path) as beside:
        with Project.create(beside, table.classes, mask_rule=plan.rule) as project:
            for done, entry in enumerate(plan.entries, 1):
                image = resized(read_entry(entry), size, order=1)
                labels = labels_of(entry) if entry.split != "pool" else None
                if labels is not None:
                    labels = resized(labels, size, order=0)
                add_entry(project, entry, image, labels)
                yield Progress(done, len(plan.entries), f"importing {entry.split}")


def splits(dataset: Path) -> dict[str, Split]:
    """Return what each folder of a data set is for."""
    if (dataset / "test").is_dir():
        return {"train": "pool", "val": "validation", "test": "test"}
    return {"train": "pool", "val": "test"}


def fingerprints(dataset: Path, source: Path | None = None) -> Files:
    """Return what tells data from others of the same name.

    It is made of the classes, and of the names and sizes of the files that a simulation
    reads. So it takes no time.

    Parameters
    ----------
    dataset, source
        As `create_simulation` takes them.

    Returns
    -------
    Files
        Its source is empty if there is none.

    Raises
    ------
    BadClasses, EmptyFolder, MaskMismatch
        As `create_simulation` does.
    """
    table = read_classes(dataset / "classes.csv")
    found = _fingerprint([dataset / folder for folder in splits(dataset)], table)
    if source is None:
        return Files(found, source="")
    folder, own = domain(source, table)
    return Files(found, _fingerprint([folder], own))


def _fingerprint(folders: Iterable[Path], table: ClassTable) -> str:
    told = [repr(table)]
    for folder in folders:
        for file in chain.from_iterable(paired(folder)):
            size = file.stat().st_size if file.is_file() else "folder"
            told.append(f"{folder.name}/{file.parent.name}/{file.name} {size}")
    return sha256("\n".join(told).encode()).hexdigest()[:12]


def truth_of(
    project: Project, dataset: Path, size: tuple[int, int] | None = None
) -> Callable[[str], LabelMap]:
    """Return the function from an image to its true labels.

    Raises
    ------
    BadValue
        If the data set has not the images that the project was made of.
    """
    masks = list(_planes_of_masks(dataset / "train"))
    images = project.images.names()
    if [Path(project.images.info(image).source).name for image in images] != [
        source for source, _, _ in masks
    ]:
        raise BadValue(
            f"{dataset / 'train'} has not the images that {project.path} was made of; "
            "give the same data set, or a new folder for the run"
        )
    rule = project.mask_rule or find_rule(
        [facts_of(mask, len(project.classes), plane) for _, mask, plane in masks],
        read_classes(dataset / "classes.csv"),
    )
    found = dict(zip(images, masks, strict=True))

    def truth(image: str) -> LabelMap:
        _, mask, plane = found[image]
        return resized(apply_rule(mask, rule, plane), size, order=0)

    return truth


def _planes_of_masks(folder: Path) -> Iterator[tuple[str, Picture, int]]:
    """Yield each image of a folder with its mask and plane."""
    for image, path in paired(folder):
        mask = inspect(path)
        for plane, label in enumerate(mask.planes):
            yield f"{image.name}{f' ({label})' if label else ''}", mask, plane


def resized(array: np.ndarray, size: tuple[int, int] | None, order: int) -> np.ndarray:
    """Image (order 1) or mask (order 0) resized."""
    if size is None or array.shape[:2] == size:
        return array
    smooth = order > 0
    scaled: np.ndarray = resize(
        array, size, order=order, preserve_range=True, anti_aliasing=smooth
    )
    whole = np.issubdtype(array.dtype, np.integer)
    return (scaled.round() if whole else scaled).astype(array.dtype)
