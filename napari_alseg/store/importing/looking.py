"""What is found when each file of an import is looked at, and what is wrong with it."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_alseg.errors import (
    AlsegError,
    BadFiles,
    BadValue,
    MaskMismatch,
    UnreadableImage,
)
from napari_alseg.settings import ImportSettings
from napari_alseg.store.images import Split
from napari_alseg.store.masks import MaskFacts, MaskRule, facts_of
from napari_alseg.store.naming import stem
from napari_alseg.store.reading import Picture, inspect

from .parts import Part
from .report import ImportReport, SplitReport, plural

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


class Looking:
    """Look at the files of a part, one image and its mask at a time.

    Iterating does the work; `entries` holds what was found so far.
    """

    def __init__(
        self,
        part: Part,
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
            self.report.note_of(path.name, f"Part of {whole.name}, and read with it.")
            return
        picture = inspect(path, self.settings.axes)
        for other in picture.parts:
            self._parts_of.setdefault(other.resolve(), path)
        for text in picture.notes:
            self.report.note_of(path.name, text)
        _count(found, picture)
        mask = self._mask(path, picture)
        found.masks += len(picture.planes) if mask else 0
        for plane, label in enumerate(picture.planes):
            name = f"{stem(path)}-{label}" if label else stem(path)
            self.entries.append(
                Entry(name, picture, plane, self.part.split, mask, plane)
            )

    def _inspected(self, mask: Path) -> Picture:
        """Inspect a mask; axes that were given are for those that do not say theirs."""
        try:
            return inspect(mask)
        except UnreadableImage:
            if not self.settings.axes:
                raise
            return inspect(mask, self.settings.axes)

    def _mask(self, path: Path, picture: Picture) -> Picture | None:
        mask_path = self.part.pairs.masks.get(path)
        if mask_path is None:
            if self.part.needs_masks:
                raise MaskMismatch(
                    f"{path} has no mask in {self.part.masks.folder}; add one of the "  # type: ignore[union-attr]
                    "same name, or take the image out"
                )
            return None
        mask = self._inspected(mask_path)
        if len(mask.planes) != len(picture.planes):
            raise MaskMismatch(
                f"{mask_path} has {plural(len(mask.planes), 'plane')}, its image "
                f"{len(picture.planes)}; a mask has one for each"
            )
        if mask.shape != picture.shape:
            raise MaskMismatch(
                f"{mask_path} has {_size(mask)} pixels, its image {_size(picture)} "
                "(rows x columns); give a mask of the image's size"
            )
        count = len(self.part.table.classes)
        for plane in range(len(mask.planes)):
            self.facts.append(facts_of(mask, count, plane))
        return mask


def _size(picture: Picture) -> str:
    rows, columns = picture.shape
    return f"{rows} x {columns}"


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


def _note_pairs(part: Part, report: ImportReport) -> None:
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


def layer_entries(
    layers: Mapping[str, OpenImage], report: ImportReport
) -> Iterator[Entry]:
    """Yield each plane of images that are open, and count them in the report."""
    for name, image in layers.items():
        _count(report.splits.setdefault("pool", SplitReport()), image)
        for text in image.notes:
            report.note_of(name, text)
        for plane, label in enumerate(image.planes):
            yield Entry(f"{name}-{label}" if label else name, image, plane, "pool")


# --- the same file twice --------------------------------------------------------------


def note_copies(
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
                f"{plural(len(copies), 'image')} of the pool "
                f"{'are copies' if copies[1:] else 'is a copy'} of {split} images "
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
    contents: dict[int, dict[bytes, Path]] = {}
    for path in first:
        size = path.stat().st_size if path.is_file() else None
        if size is None or size not in sizes:
            continue
        if size not in contents:  # each file is read once
            contents[size] = {_digest(other): other for other in reversed(sizes[size])}
        other = contents[size].get(_digest(path))
        if other is not None:
            yield path, other


def _digest(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


# --- refusals -------------------------------------------------------------------------


def refuse_any(problems: Sequence[AlsegError]) -> None:
    """Raise all problems as one error."""
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
