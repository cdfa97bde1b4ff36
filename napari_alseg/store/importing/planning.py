"""What an import will do, found out before anything is written.

`plan_folders` and `plan_layers` look at every image and mask, find the one rule of the
masks, and return an `ImportPlan` with its report. All files that cannot be imported
are named at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from pathlib import Path

from napari_alseg.arrays import Progress, Task
from napari_alseg.errors import AmbiguousMasks, BadValue, MaskMismatch
from napari_alseg.settings import ImportSettings
from napari_alseg.store.images import Split
from napari_alseg.store.intensity import Intensities
from napari_alseg.store.mask_evidence import pixels_of_labels
from napari_alseg.store.mask_readings import find_rule
from napari_alseg.store.masks import MaskFacts, MaskRule
from napari_alseg.store.tables import ClassTable

from .looking import (
    Entry,
    Looking,
    OpenImage,
    layer_entries,
    note_copies,
    refuse_any,
)
from .parts import Part, labelled_part, pool_part
from .report import ImportReport


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
    pool = pool_part(table, images, labels, settings)
    parts = [pool, *_beside(table, validation, source, settings)]
    return (yield from plan_parts(table, parts, settings))


def plan_split_folders(
    table: ClassTable,
    splits: Mapping[Split, tuple[Path, ClassTable]],
    settings: ImportSettings | None = None,
) -> Task[ImportPlan]:
    """Plan an import of folders with ``images/`` and ``masks/``, one for each split."""
    settings = settings or ImportSettings()
    parts = [
        labelled_part(split, folder, own, settings)
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
    """Plan an import of open images; see `plan_folders`.

    Raises
    ------
    BadValue
        If no image is open.
    """
    if not images:
        raise BadValue("no image layer is open; open images first, or give a folder")
    settings = settings or ImportSettings()
    parts = _beside(table, validation, source, settings)
    return (yield from plan_parts(table, parts, settings, images))


def _beside(
    table: ClassTable,
    validation: Path | None,
    source: tuple[Path, ClassTable] | None,
    settings: ImportSettings,
) -> list[Part]:
    """Return the parts that come beside the pool."""
    parts = []
    if validation is not None:
        parts.append(labelled_part("validation", validation, table, settings))
    if source is not None:
        parts.append(labelled_part("source", *source, settings))
    return parts


def plan_parts(
    table: ClassTable,
    parts: Sequence[Part],
    settings: ImportSettings,
    layers: Mapping[str, OpenImage] | None = None,
) -> Task[ImportPlan]:
    """Look at all files of some parts, and find the rule of their masks."""
    report = ImportReport()
    problems = [part.problem for part in parts if part.problem is not None]
    intensities = Intensities.parse(settings.intensities)
    channels = parse_channels(settings.network_channels)
    entries = list(layer_entries(layers or {}, report))
    total, done = sum(len(part.images.images) for part in parts), 0
    facts: dict[int, list[MaskFacts]] = defaultdict(list)
    for number, part in enumerate(parts):
        looked = Looking(part, report, problems, settings, facts[number])
        for _ in looked:
            done += 1
            yield Progress(done, total, "looking at files")
        entries += looked.entries
    note_copies(entries, report, problems)
    rules: list[MaskRule | None] = []
    try:
        rules = _rules(parts, facts, table, settings, report)
    except MaskMismatch as error:
        if not problems or not isinstance(error, AmbiguousMasks):
            problems.append(error)
    refuse_any(problems)
    entries = [_with_rule(entry, parts, rules) for entry in entries]
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


# --- rules ----------------------------------------------------------------------------


def _rules(
    parts: Sequence[Part],
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
    entry: Entry, parts: Sequence[Part], rules: Sequence[MaskRule | None]
) -> Entry:
    for part, rule in zip(parts, rules, strict=True):
        if part.split == entry.split and entry.mask is not None:
            return replaced(entry, rule=rule)
    return entry


def _note_rendering(
    entries: Iterable[Entry],
    intensities: Intensities,
    channels: tuple[int, ...],
    report: ImportReport,
) -> None:
    """Say how intensities are shown and networks see channels."""
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
