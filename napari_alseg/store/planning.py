"""What an import will do, found out before anything is written.

`plan_folders` and `plan_layers` look at every image and mask, find the one rule of the
masks, and return an `ImportPlan` with its report. All files that cannot be imported
are named at once.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_alseg.arrays import Progress, Task
from napari_alseg.errors import (
    AlsegError,
    BadFiles,
    BadValue,
    EmptyFolder,
    MaskMismatch,
)
from napari_alseg.settings import ImportSettings

from .folders import Listing, list_folder
from .import_report import ImportReport, SplitReport, plural
from .intensity import Intensities
from .mask_readings import find_rule, pixels_of_labels
from .masks import MaskFacts, MaskRule, facts_of
from .naming import stem
from .pairing import Pairs, masks_among, pair
from .project import Split
from .reading import Picture, inspect
from .tables import ClassTable

MOST_TOLD = 30
"""Files at fault that are named one by one."""


@dataclass(frozen=True)
class OpenImage:
    """An image that is open somewhere: planes of it are read when they are needed.

    Attributes
    ----------
    planes
        Label of each plane; one empty label for a single image.
    shape
        Rows and columns.
    channels, colour, dtype
        As those of a `Picture`.
    read
        Gives a plane as an array of shape ``(H, W, K)``.
    """

    planes: tuple[str, ...]
    shape: tuple[int, int]
    channels: tuple[str, ...]
    colour: bool
    dtype: str
    read: Callable[[int], np.ndarray]
    notes: tuple[str, ...] = ()
    nodata: float | None = None


@dataclass(frozen=True)
class Entry:
    """One image to add."""

    name: str
    image: Picture | OpenImage
    plane: int
    split: Split
    mask: Picture | None = None
    mask_plane: int = 0
    rule: MaskRule | None = None

    @property
    def source(self) -> str:
        """Where the image comes from, for people."""
        if isinstance(self.image, OpenImage):
            return ""
        label = self.image.planes[self.plane]
        return f"{self.image.path}{f' ({label})' if label else ''}"


@dataclass(frozen=True)
class ImportPlan:
    """What will be imported, and how."""

    table: ClassTable
    entries: tuple[Entry, ...]
    rule: MaskRule | None
    """What the masks of the project mean; None without masks."""
    intensities: Intensities
    network_channels: tuple[int, ...]
    report: ImportReport = field(repr=False)


@dataclass(frozen=True)
class _Part:
    """Images of one split and where their masks lie."""

    split: Split
    images: Listing
    masks: Listing | None
    pairs: Pairs
    table: ClassTable
    needs_masks: bool


def plan_folders(
    table: ClassTable,
    images: Path,
    labels: Path | None = None,
    validation: Path | None = None,
    source: tuple[Path, ClassTable] | None = None,
    settings: ImportSettings | None = None,
) -> Task[ImportPlan]:
    """Plan an import of folders; nothing is written.

    Parameters
    ----------
    table
        The classes.
    images
        A folder of images, one image, or an OME-Zarr.
    labels
        Masks that are there already, named as their images.
    validation
        A folder with ``images/`` and ``masks/``.
    source
        Such a folder of another domain, and how its masks name the classes.
    settings

    Raises
    ------
    EmptyFolder, BadValue
        If a folder holds no image, or a setting makes no sense.
    UnreadableImage, MaskMismatch, BadFiles
        Naming every file at fault.
    AmbiguousMasks
        If the masks can be read in more than one way.
    """
    settings = settings or ImportSettings()
    parts = [_pool_part(table, images, labels, settings)]
    if validation is not None:
        parts.append(_labelled_part("validation", validation, table, settings))
    if source is not None:
        parts.append(_labelled_part("source", *source, settings))
    return (yield from plan_parts(table, parts, settings))


def plan_split_folders(
    table: ClassTable,
    splits: Mapping[Split, tuple[Path, ClassTable]],
    settings: ImportSettings | None = None,
) -> Task[ImportPlan]:
    """Plan an import of folders with ``images/`` and ``masks/``, one for each split."""
    settings = settings or ImportSettings()
    parts = [
        _labelled_part(split, folder, own, settings)
        for split, (folder, own) in splits.items()
    ]
    return (yield from plan_parts(table, parts, settings))


def plan_layers(
    table: ClassTable,
    images: Mapping[str, OpenImage],
    validation: Path | None = None,
    source: tuple[Path, ClassTable] | None = None,
    settings: ImportSettings | None = None,
) -> Task[ImportPlan]:
    """Plan an import of images that are open; see `plan_folders`.

    Raises
    ------
    BadValue
        If no image is open.
    """
    if not images:
        raise BadValue("no image layer is open; open images first, or give a folder")
    settings = settings or ImportSettings()
    parts = []
    if validation is not None:
        parts.append(_labelled_part("validation", validation, table, settings))
    if source is not None:
        parts.append(_labelled_part("source", *source, settings))
    return (yield from plan_parts(table, parts, settings, images))


def plan_parts(
    table: ClassTable,
    parts: Sequence[_Part],
    settings: ImportSettings,
    layers: Mapping[str, OpenImage] | None = None,
) -> Task[ImportPlan]:
    """Look at all files of some parts, and find the rule of their masks."""
    report, problems = ImportReport(), list[AlsegError]()
    intensities = Intensities.parse(settings.intensities)
    channels = parse_channels(settings.network_channels)
    entries = list(_layer_entries(layers or {}, report))
    total, done = sum(_file_count(part) for part in parts), 0
    facts: dict[int, list[MaskFacts]] = defaultdict(list)
    for number, part in enumerate(parts):
        looked = _Looking(part, report, problems, settings, facts[number])
        for _ in looked:
            done += 1
            yield Progress(done, total, "looking at files")
        entries += looked.entries
    _refuse(problems)
    _note_copies(entries, report, problems)
    rules = _rules(parts, facts, table, settings, report)
    entries = [_with_rule(entry, parts, rules) for entry in entries]
    _refuse(problems)
    _note_rendering(entries, intensities, channels, report)
    own = [rules[n] for n, part in enumerate(parts) if part.table is table]
    rule = next((each for each in own if each is not None), None)
    return ImportPlan(table, tuple(entries), rule, intensities, channels, report)


def parse_channels(text: str) -> tuple[int, ...]:
    """Read channels as people count them, from 1; return them from 0.

    Raises
    ------
    BadValue
        If they are no one to three numbers.

    Examples
    --------
    >>> parse_channels("4,1,2")
    (3, 0, 1)
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if len(parts) > 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise BadValue(
            "network channels are one to three numbers from 1, for example 4,1,2; got "
            f"{text!r}"
        )
    return tuple(int(part) - 1 for part in parts)


# --- parts ----------------------------------------------------------------------------


def _pool_part(
    table: ClassTable, images: Path, labels: Path | None, settings: ImportSettings
) -> _Part:
    listing = list_folder(images)
    if labels is not None and labels.resolve() == images.resolve():
        listing, masks = _same_folder(listing, settings.mask_suffix)
    else:
        _refuse_masks_among(listing)
        masks = None if labels is None else list_folder(labels)
    pairs = Pairs({}, (), {})
    if masks is not None:
        pairs = pair(listing.images, masks.images, settings.mask_suffix)
        _refuse_no_pair(pairs, masks, listing)
    return _Part("pool", listing, masks, pairs, table, False)


def _same_folder(listing: Listing, suffix: str) -> tuple[Listing, Listing]:
    """Tell images and masks of one folder apart by the endings of their names."""
    masks = set(masks_among(listing.images))
    if suffix:
        masks = {path for path in listing.images if stem(path).endswith(suffix)}
    images = tuple(path for path in listing.images if path not in masks)
    rest = (listing.others, listing.subfolders)
    found = tuple(path for path in listing.images if path in masks)
    return Listing(listing.folder, images, *rest), Listing(
        listing.folder, found, {}, ()
    )


def _refuse_masks_among(listing: Listing) -> None:
    """Name files among the images that look like masks of others."""
    found = masks_among(listing.images)
    if found:
        named = ", ".join(f"{m} of {i.name}" for m, i in list(found.items())[:5])
        raise MaskMismatch(
            f"{len(found)} of the images look like masks of others ({named}): put masks "
            "into a folder of their own, or give this folder as the labels, too"
        )


def _refuse_no_pair(pairs: Pairs, masks: Listing, images: Listing) -> None:
    if not pairs.masks:
        some = ", ".join(path.name for path in masks.images[:3])
        raise EmptyFolder(
            f"no mask in {masks.folder} has the name of an image of {images.folder} "
            f"(its masks: {some} ...); a mask is named as its image, or gets one ending "
            "more (--mask-suffix)"
        )


def _labelled_part(
    split: Split, folder: Path, table: ClassTable, settings: ImportSettings
) -> _Part:
    """Images of a folder for a split, each of which needs a mask."""
    for part in ("images", "masks"):
        if not (folder / part).is_dir():
            raise EmptyFolder(
                f"{folder} has no folder {part!r}; {split} needs images/ and masks/"
            )
    images, masks = list_folder(folder / "images"), list_folder(folder / "masks")
    pairs = pair(images.images, masks.images, settings.mask_suffix)
    _refuse_no_pair(pairs, masks, images)
    return _Part(split, images, masks, pairs, table, True)


def _file_count(part: _Part) -> int:
    return len(part.images.images)


# --- looking --------------------------------------------------------------------------


class _Looking:
    """Look at the files of a part, one image and its mask at a time.

    Iterating does the work; `entries` holds what was found so far.
    """

    def __init__(
        self,
        part: _Part,
        report: ImportReport,
        problems: list[AlsegError],
        settings: ImportSettings,
        facts: list[MaskFacts],
    ) -> None:
        self.part, self.report, self.problems = part, report, problems
        self.settings, self.facts = settings, facts
        self.entries: list[Entry] = []
        self._parts_of: dict[Path, Path] = {}

    def __iter__(self) -> Iterator[None]:
        part = self.part
        found = self.report.splits.setdefault(part.split, SplitReport())
        found.masks_given = part.masks is not None
        for listing in (part.images, part.masks):
            for text in listing.passed_over() if listing else ():
                self.report.note(f"{listing.folder}: {text}")  # type: ignore[union-attr]
        _note_pairs(part, self.report)
        for path in part.images.images:
            try:
                self._look(path, found)
            except AlsegError as error:
                self.problems.append(error)
            yield

    def _look(self, path: Path, found: SplitReport) -> None:
        whole = self._parts_of.get(path.resolve())
        if whole is not None:
            self.report.note(f"{path} is a part of {whole.name} and read with it")
            return
        picture = inspect(path, self.settings.axes)
        for other in picture.parts:
            self._parts_of.setdefault(other.resolve(), path)
        for text in picture.notes:
            self.report.note(f"{path.name}: {text}")
        _count(found, picture)
        mask = self._mask(path, picture)
        found.masks += len(picture.planes) if mask else 0
        for plane, label in enumerate(picture.planes):
            name = f"{stem(path)}-{label}" if label else stem(path)
            self.entries.append(
                Entry(name, picture, plane, self.part.split, mask, plane)
            )

    def _mask(self, path: Path, picture: Picture) -> Picture | None:
        mask_path = self.part.pairs.masks.get(path)
        if mask_path is None:
            if self.part.needs_masks:
                raise MaskMismatch(
                    f"{path} has no mask in {self.part.masks.folder}; add one of the "  # type: ignore[union-attr]
                    "same name, or take the image out"
                )
            return None
        mask = inspect(mask_path, self.settings.axes)
        if len(mask.planes) != len(picture.planes):
            raise MaskMismatch(
                f"{mask_path} has {len(mask.planes)} planes, its image "
                f"{len(picture.planes)}; a mask has one for each"
            )
        if mask.shape != picture.shape:
            raise MaskMismatch(
                f"{mask_path} has {mask.shape} rows and columns, its image "
                f"{picture.shape}; give a mask of the image's size"
            )
        count = len(self.part.table.classes)
        for plane in range(len(mask.planes)):
            self.facts.append(facts_of(mask, count, plane))
        return mask


def _count(found: SplitReport, picture: Picture | OpenImage) -> None:
    planes = len(picture.planes)
    found.files += 1
    found.images += planes
    found.dtypes[picture.dtype] += planes
    found.channels[_channel_text(picture)] += planes
    found.sizes[picture.shape] += planes


def _channel_text(picture: Picture | OpenImage) -> str:
    count = len(picture.channels)
    if picture.colour and count == 3:
        return "colour"
    return "grey" if count == 1 else f"{count} channels ({', '.join(picture.channels)})"


def _note_pairs(part: _Part, report: ImportReport) -> None:
    for affix, count in part.pairs.affixes.items():
        if affix != "*":
            report.note(
                f"{plural(count, 'mask')} named {affix}, where * is the image's name"
            )
    if part.pairs.left:
        names = ", ".join(path.name for path in part.pairs.left[:5])
        more = ", ..." if part.pairs.left[5:] else ""
        left = plural(len(part.pairs.left), "mask")
        report.note(f"{left} without an image: {names}{more}")


def _layer_entries(
    layers: Mapping[str, OpenImage], report: ImportReport
) -> Iterator[Entry]:
    for name, image in layers.items():
        _count(report.splits.setdefault("pool", SplitReport()), image)
        for text in image.notes:
            report.note(f"{name}: {text}")
        for plane, label in enumerate(image.planes):
            yield Entry(f"{name}-{label}" if label else name, image, plane, "pool")


# --- rules ----------------------------------------------------------------------------


def _rules(
    parts: Sequence[_Part],
    facts: Mapping[int, list[MaskFacts]],
    table: ClassTable,
    settings: ImportSettings,
    report: ImportReport,
) -> list[MaskRule | None]:
    """Find the rule of each part: one for all that name the classes alike."""
    groups: dict[int, list[int]] = defaultdict(list)
    for number, part in enumerate(parts):
        if facts[number]:
            groups[id(part.table)].append(number)
    rules: list[MaskRule | None] = [None] * len(parts)
    for numbers in groups.values():
        own = parts[numbers[0]].table
        together = [each for number in numbers for each in facts[number]]
        rule = find_rule(together, own, settings.mask_values)
        for number in numbers:
            rules[number] = rule
        report.rules.append(rule.sentence(table.names))
        for label, count in sorted(pixels_of_labels(together, rule).items()):
            name = table.names[label - 1] if label else "unlabelled"
            report.pixels[name] = report.pixels.get(name, 0) + count
    for name in table.names if report.pixels else ():
        if not report.pixels.get(name):
            report.note(f"no mask has a pixel of {name}")
    return rules


def _with_rule(
    entry: Entry, parts: Sequence[_Part], rules: Sequence[MaskRule | None]
) -> Entry:
    for part, rule in zip(parts, rules, strict=True):
        if part.split == entry.split and entry.mask is not None:
            return Entry(
                entry.name,
                entry.image,
                entry.plane,
                entry.split,
                entry.mask,
                entry.mask_plane,
                rule,
            )
    return entry


def _note_rendering(
    entries: Iterable[Entry],
    intensities: Intensities,
    channels: tuple[int, ...],
    report: ImportReport,
) -> None:
    """Say how intensities are shown, and which channels networks see."""
    images = [entry.image for entry in entries]
    for count in sorted({len(image.channels) for image in images}):
        intensities.given(count)
        beyond = [str(at + 1) for at in channels if at >= count]
        if beyond and count > 1:
            report.note(f"images of {count} channels have no {' or '.join(beyond)}")
    if intensities.windows:
        told = ", ".join(f"{low:g} to {high:g}" for low, high in intensities.windows)
        report.rendering.append(f"intensities: {told} become black to white")
    elif any(image.dtype != "uint8" for image in images):
        whose = (
            "the pool shares one window"
            if intensities.shared
            else "each image by itself"
        )
        report.rendering.append(
            f"intensities: {whose}, from the 0.1 to the 99.9 percentile of a channel"
        )
    if any(len(image.channels) > 3 for image in images) or channels:
        seen = [str(at + 1) for at in channels or (0, 1, 2)]
        report.rendering.append(
            f"networks see channel{'s' if seen[1:] else ''} {', '.join(seen)}; the "
            "window shows all"
        )


# --- the same file twice --------------------------------------------------------------


def _note_copies(
    entries: Sequence[Entry], report: ImportReport, problems: list[AlsegError]
) -> None:
    """Refuse files that are in the pool and measure, too; name copies of them."""
    paths: dict[str, dict[Path, Path]] = defaultdict(dict)
    for entry in entries:
        if isinstance(entry.image, Picture):
            paths[entry.split][entry.image.path.resolve()] = entry.image.path
    learnt = paths["pool"] | paths["source"]
    for split in ("validation", "test"):
        same = sorted(set(learnt) & set(paths[split]))
        if same:
            problems.append(
                BadValue(
                    f"{_named([paths[split][p] for p in same])} in the pool and in "
                    f"{split}, too: what is measured must not be learnt from; give "
                    "other images"
                )
            )
        copies = list(_copies(learnt.values(), paths[split].values()))
        if copies and not same:
            names = ", ".join(f"{a.name} = {b}" for a, b in copies[:3])
            more = ", ..." if copies[3:] else ""
            report.note(
                f"{len(copies)} images of the pool are copies of {split} images "
                f"({names}{more}): what is measured will have been learnt"
            )


def _named(paths: Sequence[Path]) -> str:
    some = ", ".join(map(str, paths[:5]))
    more = f" and {len(paths) - 5} more" if paths[5:] else ""
    return f"{some}{more} {'are' if paths[1:] else 'is'}"


def _copies(
    first: Iterable[Path], second: Iterable[Path]
) -> Iterator[tuple[Path, Path]]:
    """Yield files with the same bytes; only those of one size are read."""
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in second:
        if path.is_file():
            sizes[path.stat().st_size].append(path)
    for path in first:
        if not path.is_file():
            continue
        for other in sizes.get(path.stat().st_size, ()):
            if _digest(path) == _digest(other):
                yield path, other
                break


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


# --- refusals -------------------------------------------------------------------------


def _refuse(problems: Sequence[AlsegError]) -> None:
    """Raise the one problem, or all of them as one."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise all_of(problems)


def all_of(problems: Sequence[AlsegError]) -> BadFiles:
    """Return one error that names all problems."""
    lines = [f"  {problem}" for problem in problems[:MOST_TOLD]]
    if problems[MOST_TOLD:]:
        lines.append(f"  ... and {len(problems) - MOST_TOLD} more")
    return BadFiles(f"{len(problems)} files cannot be imported:\n" + "\n".join(lines))
