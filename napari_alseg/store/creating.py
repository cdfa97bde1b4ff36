"""A new project from a folder of images, or from arrays that are already open.

All are tasks: a folder can be large. A project is built beside its place and moved
there when it is whole, so that nothing half-made is ever in its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_alseg.arrays import LabelMap, Progress, Task
from napari_alseg.errors import (
    AlsegError,
    BadClasses,
    BadValue,
    CannotWrite,
    MaskMismatch,
    UnreadableImage,
)
from napari_alseg.settings import ImportSettings

from .building import built_beside, refuse_taken
from .classes import default_classes
from .importing import (
    Entry,
    ImportPlan,
    OpenImage,
    list_folder,
    pair,
    plan_folders,
    plan_layers,
    refuse_any,
)
from .intensity import Window, intensity_windows, shared_windows
from .mask_readings import find_rule
from .masks import apply_rule, facts_of
from .project import Project
from .reading import as_kept, inspect, kept_dtype, read_plane
from .tables import ClassTable, read_classes


def class_table(csv: Path | None, names: Sequence[str]) -> ClassTable:
    """Return classes of a classes.csv, or of names.

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
    settings: ImportSettings | None = None,
) -> Task[Path]:
    """Make a project from a folder; return its path.

    Parameters
    ----------
    path : Path
        A new or empty folder.
    images : Path
        A folder of images, one image, or an OME-Zarr.
    table : ClassTable
        The classes, and how masks name them.
    labels : Path, optional
        Masks that are there already, named as their images; they count as labels.
    validation : Path, optional
        A folder with ``images/`` and ``masks/``: never asked, never learnt from.
    source : Path, optional
        Another domain, as a folder with ``images/`` and ``masks/`` or a data set that
        has one in ``train/``: learnt from by the recipe *adaptation*, never asked.
    settings : ImportSettings, optional

    Raises
    ------
    EmptyFolder, UnreadableImage, MaskMismatch, BadFiles, BadValue, CannotWrite
        And then nothing is left at `path`.
    """
    refuse_taken(path)
    other = None if source is None else domain(source, table)
    plan = yield from plan_folders(table, images, labels, validation, other, settings)
    return (yield from create(path, plan))


def create_from_arrays(
    path: Path,
    images: Mapping[str, np.ndarray | OpenImage],
    table: ClassTable,
    *,
    validation: Path | None = None,
    source: Path | None = None,
    settings: ImportSettings | None = None,
) -> Task[Path]:
    """Make a project from arrays by name.

    Return its path.

    Arrays are ``(H, W)`` or ``(H, W, K)``; three or four channels are a colour
    picture, of which a fourth (alpha) is dropped. Whatever else is open comes as an
    `OpenImage`. `validation`, `source` and `settings` as in `create_from_folder`.

    Raises
    ------
    BadValue
        If there is no array, or one is no single plane.
    """
    refuse_taken(path)
    opened = {
        name: image if isinstance(image, OpenImage) else _opened(name, image)
        for name, image in images.items()
    }
    other = None if source is None else domain(source, table)
    plan = yield from plan_layers(table, opened, validation, other, settings)
    return (yield from create(path, plan))


def domain(source: Path, table: ClassTable) -> tuple[Path, ClassTable]:
    """Return the folder of another domain, and its classes.

    Parameters
    ----------
    source : Path
        A data set, of which it is ``train/``; or a folder with ``images/`` and
        ``masks/``. A ``classes.csv`` in it says how its masks name the classes.
    table : ClassTable
        The classes of the project, and how masks name them where there is none.

    Raises
    ------
    BadClasses
        If the source has other classes than the project.
    """
    folder = source / "train" if (source / "train").is_dir() else source
    csv = source / "classes.csv"
    own = read_classes(csv) if csv.is_file() else table
    if own.names != table.names:
        raise BadClasses(
            f"{csv} names other classes than the data set: a source "
            f"has the same ones in the same order, {', '.join(table.names)}"
        )
    return folder, own


def paired(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each image of ``images/`` with its mask in ``masks/``.

    Raises
    ------
    EmptyFolder
        If there is no image, or no mask of one.
    MaskMismatch
        If an image has no mask, or names fit more than one way.
    """
    images, masks = list_folder(folder / "images"), list_folder(folder / "masks")
    pairs = pair(images.images, masks.images)
    for image in images.images:
        if image not in pairs.masks:
            raise MaskMismatch(
                f"{image} has no mask in {folder / 'masks'}; add one of the same name, "
                "or take the image out"
            )
        yield image, pairs.masks[image]


def read_mask(path: str | Path, table: ClassTable, choice: str = "") -> LabelMap:
    """Labels of a single mask by the fitting rule.

    Masks of a project are read by a rule that fits all of them (`plan_folders`).

    Raises
    ------
    UnreadableImage, MaskMismatch, AmbiguousMasks, BadValue
        As `find_rule` does.
    """
    picture = inspect(path)
    facts = facts_of(picture, len(table.classes))
    return apply_rule(picture, find_rule([facts], table, choice))


def create(path: Path, plan: ImportPlan) -> Task[Path]:
    """Make a project as planned.

    Its folder is there wholly or not at all.

    Raises
    ------
    UnreadableImage, MaskMismatch, BadFiles
        Naming every file at fault.
    BadValue, CannotWrite
        If something is in the way.
    """
    refuse_taken(path)
    problems: list[AlsegError] = []
    windows = yield from _shared(plan)
    with built_beside(path) as beside:
        with Project.create(
            beside,
            plan.table.classes,
            mask_rule=plan.rule,
            network_channels=plan.network_channels,
        ) as project:
            for done, entry in enumerate(plan.entries, 1):
                try:
                    image = read_entry(entry)
                    count = image.shape[2]
                    own = plan.intensities.given(count) or windows.get(count)
                    add_entry(project, entry, image, labels_of(entry), own)
                except CannotWrite:
                    raise
                except AlsegError as error:
                    problems.append(error)
                yield Progress(done, len(plan.entries), "adding images")
        refuse_any(problems)
    return path


def try_entries(plan: ImportPlan) -> Task[None]:
    """Read every image and mask of a plan and write nothing.

    Raises
    ------
    UnreadableImage, MaskMismatch, BadFiles
        Naming every file at fault.
    """
    problems: list[AlsegError] = []
    for done, entry in enumerate(plan.entries, 1):
        try:
            read_entry(entry)
            labels_of(entry)
        except AlsegError as error:
            problems.append(error)
        yield Progress(done, len(plan.entries), "reading images")
    refuse_any(problems)


def add_entry(
    project: Project,
    entry: Entry,
    image: np.ndarray,
    labels: LabelMap | None,
    windows: Sequence[Window] | None = None,
) -> None:
    """Add an entry's image with all that is known of it; see `Images.add`."""
    project.images.add(
        entry.name,
        image,
        split=entry.split,
        labels=labels,
        source=entry.source,
        channels=entry.image.channels,
        colour=entry.image.colour,
        nodata=entry.image.nodata,
        windows=windows,
    )


def read_entry(entry: Entry) -> np.ndarray:
    """Image of an entry, of shape ``(H, W, K)``.

    Raises
    ------
    UnreadableImage
        If the file is damaged, or no pixel of it is a finite number.
    """
    if isinstance(entry.image, OpenImage):
        name = Path(entry.name)
        image = entry.image.read(entry.plane)
        image = as_kept(image, kept_dtype(image.dtype, name))
    else:
        image = read_plane(entry.image, entry.plane)
    if image.dtype.kind == "f" and not np.isfinite(image).any():
        raise UnreadableImage(
            f"{entry.source or entry.name} has no finite pixel; take it out"
        )
    return image


def labels_of(entry: Entry) -> LabelMap | None:
    """Labels of an entry's mask; None without one."""
    if entry.mask is None or entry.rule is None:
        return None
    return apply_rule(entry.mask, entry.rule, entry.mask_plane)


def _shared(plan: ImportPlan) -> Task[dict[int, tuple[Window, ...]]]:
    """Measure the windows that the pool shares."""
    found: dict[int, list[tuple[Window, ...]]] = {}
    pool = [entry for entry in plan.entries if entry.split == "pool"]
    if not plan.intensities.shared:
        pool = []
    for done, entry in enumerate(pool, 1):
        try:
            image = read_entry(entry)
        except AlsegError:
            continue  # it is named when it is added
        windows = intensity_windows(image, entry.image.colour, entry.image.nodata)
        found.setdefault(image.shape[2], []).append(windows)
        yield Progress(done, len(pool), "measuring intensities")
    return {count: shared_windows(each) for count, each in found.items()}


def _opened(name: str, array: np.ndarray) -> OpenImage:
    """Array as an open image of one plane."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] > 4):
        raise BadValue(
            f"the layer {name!r} has shape {array.shape}; one plane is needed, grey or "
            "colour"
        )
    planes = array[..., None] if array.ndim == 2 else array
    colour = planes.shape[2] in (3, 4)
    kept = planes[..., :3]
    names = ("red", "green", "blue") if colour else ("grey", "2")[: planes.shape[2]]
    return OpenImage(
        ("",), array.shape[:2], names, colour, str(array.dtype), lambda _: kept
    )
