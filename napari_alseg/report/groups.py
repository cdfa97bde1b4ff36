"""Groups of runs: their numbers, costs and names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from napari_alseg.settings import OF_COMPUTER
from napari_alseg.simulation.run import RunSettings, SimulationRun, is_off

TRAINING = ("network", "encoder", "pretrained", "size", "source")
"""Settings, beside those named ``training.``, that mIoU depends on."""
SHAPES = (
    "partition",
    "region_size",
    "compactness",
    "segment_scale",
    "segment_size",
    "rows",
    "columns",
    "window",
)
"""Settings of asking that say what a region is."""
APART = ("seed", "after.seed", "files.dataset", "files.source")
"""Settings that do not part groups."""


@dataclass(frozen=True)
class MeanOverSeeds:
    """A number over several seeds."""

    mean: float
    deviation: float | None
    """Sample standard deviation (n - 1); None of a single seed."""
    seeds: int


def over_seeds(values: Sequence[float]) -> MeanOverSeeds:
    """Return mean and sample standard deviation.

    Examples
    --------
    >>> over_seeds([0.0, 0.5, 1.0])
    MeanOverSeeds(mean=0.5, deviation=0.5, seeds=3)
    """
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return MeanOverSeeds(float(np.mean(values)), deviation, len(values))


class Costs(NamedTuple):
    """Costs from the first round on, means over seeds."""

    pixels: float
    """As a share of the pool, 0..1."""
    regions: float
    images: float
    clicks: float
    seconds: float


@dataclass(frozen=True)
class Cost:
    """One thing that mIoU is held against."""

    name: str
    axis: str
    of: Callable[[Costs], float]
    scale: float = 1.0
    """From its value to that on the axis."""


COSTS = (
    Cost("pixels", "asked pixels (% of the pool)", lambda costs: costs.pixels, 100),
    Cost("regions", "asked regions", lambda costs: costs.regions),
    Cost("images", "images with an asked region", lambda costs: costs.images),
    Cost("clicks", "clicks", lambda costs: costs.clicks),
    Cost("seconds", "seconds of computing", lambda costs: costs.seconds),
)
"""All that mIoU is held against, in the order of the page."""


@dataclass(frozen=True)
class GroupRound:
    """One round of a group."""

    round: int
    costs: Costs
    miou: MeanOverSeeds


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ by nothing but the seed."""

    name: str
    runs: tuple[SimulationRun, ...]
    rounds: tuple[GroupRound, ...]
    iou: Mapping[str, MeanOverSeeds | None]
    """Of the last round, by class; None where the class is absent."""
    full: MeanOverSeeds | None
    """Last mIoU of `full`, by exact answers, under the same training."""
    share_of_full: MeanOverSeeds | None
    """Last mIoU over that of `full`."""
    area: MeanOverSeeds | None
    """Mean mIoU over the shares of pixels that all groups have in common."""
    gain: MeanOverSeeds | None
    """Last mIoU less that of the baseline."""
    baseline: str
    """Name of the group that asks the same kind of regions at random; may be empty."""

    @property
    def run(self) -> SimulationRun:
        """The first run, for what all of them share."""
        return self.runs[0]

    @property
    def settings(self) -> RunSettings:
        """The settings that all runs share, but for the seed."""
        return self.run.settings

    @property
    def last(self) -> GroupRound:
        """The last round that any seed has done."""
        return self.rounds[-1]

    @property
    def seeds(self) -> str:
        """The seeds of the runs, as text."""
        return ", ".join(str(run.settings.seed) for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """All groups of runs on one data set."""

    dataset: str
    groups: tuple[RunGroup, ...]
    common: tuple[float, float] | None
    """Shares of pixels between which `RunGroup.area` is taken."""
    warnings: tuple[str, ...]
    """What must be known before numbers are compared."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.groups[0].run.classes


# --- settings -------------------------------------------------------------------------


def shared_settings(run: SimulationRun) -> dict[str, Any]:
    """Return the settings that all runs of a group share.

    By flat name, without those that are off.
    """
    return {
        name: each
        for name, each in run.settings.flat().items()
        if name not in APART and not is_off(each)
    }


def training_settings(run: SimulationRun) -> dict[str, Any]:
    """Return the settings that training depends on.

    The recipe is left to the system.
    """
    free = {f"training.{name}" for name in ("recipe", *OF_COMPUTER)}
    return {
        name: value
        for name, value in shared_settings(run).items()
        if name in TRAINING or (name.startswith("training.") and name not in free)
    }


# --- names ----------------------------------------------------------------------------


def group_names(runs: Sequence[SimulationRun]) -> list[str]:
    """Name each group by its system and its peculiarities.

    A peculiarity is a setting that all groups of the system have, each with another
    value. Where that leaves two with one name, it is any setting that differs.
    """
    short, whole = zip(*(_short_and_whole(run, runs) for run in runs), strict=True)
    return [
        long if short.count(name) > 1 else name
        for name, long in zip(short, whole, strict=True)
    ]


def _short_and_whole(
    run: SimulationRun, runs: Sequence[SimulationRun]
) -> tuple[str, str]:
    """Name a group by shared settings, and by all."""
    mine = shared_settings(run)
    alike = (other for other in runs if other.settings.system == run.settings.system)
    namesakes = [shared_settings(other) for other in alike]
    differing = [
        name
        for name in mine
        if any(other.get(name) != mine[name] for other in namesakes)
    ]
    if "recipe" in differing and "training.recipe" in differing:
        differing.remove("training.recipe")  # it is the same, where it was given
    shared = [name for name in differing if all(name in other for other in namesakes)]
    return _name(run, shared or differing), _name(run, differing)


def _name(run: SimulationRun, settings: Sequence[str]) -> str:
    """Return the system and some settings."""
    known = shared_settings(run)
    told = ", ".join(f"{_in_words(name)} {known[name]}" for name in settings)
    return f"{run.settings.system} ({told})" if told else run.settings.system


def _in_words(name: str) -> str:
    """Return a flat name as people say it.

    Examples
    --------
    >>> _in_words("asking.region_size"), _in_words("after.system")
    ('region size', 'after system')
    """
    inner = name if name.startswith("after") else name.rsplit(".")[-1]
    return inner.replace("_", " ").replace(".", " ")
