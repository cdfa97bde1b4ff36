"""What is in a project, counted from its ledger and labels; nothing is changed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from napari_alseg.arrays import Progress, Task
from napari_alseg.errors import WeightsMismatch

from .images import SPLITS
from .project import Project
from .weights import Checkpoint


@dataclass(frozen=True)
class ClassSummary:
    """A class and the pixels of the pool that have it."""

    name: str
    colour: tuple[int, int, int]
    key: str
    pixels: int


@dataclass(frozen=True)
class RoundSummary:
    """What a round asked and what came of it."""

    round: int
    system: str
    budget: str
    asked: int
    answered: int
    skipped: int
    open: int
    miou: float | None
    """Of the network that learnt in it, 0..1.

    None if it was not measured.
    """


@dataclass(frozen=True)
class WeightsSummary:
    """A network that is kept."""

    name: str
    """'round 3', 'training checkpoint' or 'live checkpoint'."""
    round: int | None
    miou: float | None


@dataclass(frozen=True)
class Summary:
    """What is in a project.

    Attributes
    ----------
    images
        Number of images in each split.
    asked, answered, skipped, open
        Regions of all rounds.
    labelled_pixels, pixels
        Of the pool.
    seconds
        That answering took.
    masks
        What the values of masks mean that came in; empty if none did.
    """

    path: str
    images: dict[str, int]
    classes: tuple[ClassSummary, ...]
    rounds: tuple[RoundSummary, ...]
    asked: int
    answered: int
    skipped: int
    open: int
    labelled_pixels: int
    pixels: int
    clicks: int
    seconds: float
    weights: tuple[WeightsSummary, ...]
    masks: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield the summary for people, line by line."""
        counts = ", ".join(f"{n} {split}" for split, n in self.images.items() if n)
        yield f"{self.path}: images: {counts or 'none'}"
        for entry in self.classes:
            yield f"  {entry.name}: {entry.pixels} pixels"
        share = self.labelled_pixels / max(1, self.pixels)
        yield (
            f"labelled: {self.labelled_pixels} of {self.pixels} pixels ({share:.2%}), "
            f"{self.clicks} clicks, {self.seconds:.0f} seconds"
        )
        for each in self.rounds:
            yield (
                f"round {each.round} ({each.system}, {each.budget}): asked "
                f"{each.asked}, answered {each.answered}, skipped {each.skipped}, "
                f"open {each.open}{_miou(each.miou)}"
            )
        for kept in self.weights:
            yield f"weights: {kept.name}{_miou(kept.miou)}"
        if self.masks:
            yield f"masks: {self.masks}"


def summarise(project: Project) -> Task[Summary]:
    """Count what is in a project.

    One image of the pool at a time is read.
    """
    counts: Counter[int] = Counter()
    pool, pixels, labelled = project.images.names(), 0, {*project.labels.labelled()}
    for done, image in enumerate(pool, 1):
        rows, columns = project.images.info(image).shape
        pixels += rows * columns
        if image in labelled:
            counts.update(_counted(project.labels.read(image)))
        yield Progress(done, len(pool), "counting labels")
    rounds = tuple(_round(project, number) for number in project.rounds.numbers)
    cost = project.rounds.cost()
    return Summary(
        str(project.path),
        {split: len(project.images.names(split)) for split in SPLITS},
        tuple(
            ClassSummary(entry.name, entry.colour, entry.key, counts[label])
            for label, entry in enumerate(project.classes, start=1)
        ),
        rounds,
        sum(each.asked for each in rounds),
        sum(each.answered for each in rounds),
        sum(each.skipped for each in rounds),
        sum(each.open for each in rounds),
        sum(counts.values()),
        pixels,
        cost.clicks,
        cost.seconds,
        _weights(project),
        _masks(project),
    )


def _miou(value: float | None) -> str:
    return "" if value is None else f", mIoU {value:.1%}"


def _counted(labels: np.ndarray) -> dict[int, int]:
    """Pixels of each label above 0."""
    counts = np.bincount(labels.ravel())
    return {label: int(n) for label, n in enumerate(counts) if label and n}


def _round(project: Project, number: int) -> RoundSummary:
    selection = project.rounds.selection(number)
    assert selection is not None  # it is one of the project's
    states = project.rounds.states(number)
    return RoundSummary(
        number,
        selection.system,
        selection.budget,
        len(states),
        states.count("answered"),
        states.count("skipped"),
        states.count("open"),
        project.rounds.metrics(number).miou,
    )


def _weights(project: Project) -> tuple[WeightsSummary, ...]:
    found = [
        WeightsSummary(f"round {number}", number, project.rounds.metrics(number).miou)
        for number in project.weights.rounds
    ]
    for kind in get_args(Checkpoint):
        name = f"{kind} checkpoint"
        try:
            kept = project.weights.checkpoint_metadata(kind) is not None
        except WeightsMismatch:
            kept, name = True, f"{name} (damaged)"
        if kept:
            found.append(WeightsSummary(name, None, None))
    return tuple(found)


def _masks(project: Project) -> str:
    names = [entry.name for entry in project.classes]
    return project.mask_rule.sentence(names) if project.mask_rule else ""
