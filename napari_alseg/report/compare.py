"""Simulated runs side by side: gains and costs.

Runs that differ by nothing but the seed are one `RunGroup`; its numbers are means over
the seeds, each with the sample standard deviation beside it. Everything else that
differs keeps runs apart and is named, so that no two trainings are mixed unseen.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

import numpy as np

from napari_alseg.errors import BadValue
from napari_alseg.metrics import area_under_curve
from napari_alseg.report.caveats import incomparable, unequal, unfinished
from napari_alseg.report.groups import (
    SHAPES,
    Comparison,
    Costs,
    GroupRound,
    MeanOverSeeds,
    RunGroup,
    group_names,
    over_seeds,
    shared_settings,
    training_settings,
)
from napari_alseg.simulation.run import FILE, SimulationRun, read_run

DEPTH = 3
"""Folders below a named one in which runs are looked for."""

Seeds: TypeAlias = tuple[SimulationRun, ...]
"""The runs of one group, by rising seed."""


def compare(folders: Sequence[Path]) -> Comparison:
    """Read runs and hold them side by side.

    Parameters
    ----------
    folders : sequence of Path
        Folders of runs, or folders that hold such folders.

    Raises
    ------
    BadValue
        If a folder holds no run, no run has a round, or their data sets differ.
    NewerFormat
        If a newer version wrote a run.
    """
    found = dict(entry for folder in folders for entry in find_runs(folder))
    if not found:
        raise BadValue("no run is named; give folders that 'simulate --out' wrote")
    begun = {folder: run for folder, run in found.items() if run.rounds}
    if not begun:
        raise BadValue(f"no round of {', '.join(map(str, found))} is done yet; wait")
    _refuse_other_data(begun)
    _refuse_other_files(begun)
    sets, repeated = _sorted(begun)
    names = group_names([runs[0] for runs in sets])
    common = _common_range(sets)
    groups = tuple(
        _group(name, runs, sets, names, common)
        for name, runs in zip(names, sets, strict=True)
    )
    warnings = *unfinished(found), *repeated, *incomparable(groups), *unequal(groups)
    return Comparison(groups[0].settings.dataset, groups, common, warnings)


# --- which runs belong together -------------------------------------------------------


def find_runs(folder: Path, depth: int = DEPTH) -> list[tuple[Path, SimulationRun]]:
    """Return the runs of a folder by their folders.

    That is its own, or those of the folders in it.

    Raises
    ------
    BadValue
        If there is none.
    """
    runs = list(_runs_in(folder, depth))
    if not runs:
        read_run(folder)  # says what is missing
    return runs


def _runs_in(folder: Path, depth: int) -> Iterator[tuple[Path, SimulationRun]]:
    if (folder / FILE).is_file():
        yield folder.resolve(), read_run(folder)
    elif depth and folder.is_dir() and folder.suffix != ".alseg":
        for inner in sorted(folder.iterdir()):
            yield from _runs_in(inner, depth - 1)


def _sorted(begun: Mapping[Path, SimulationRun]) -> tuple[list[Seeds], list[str]]:
    """Return runs by group, and warnings of repeated ones."""
    grouped: dict[str, dict[int, SimulationRun]] = defaultdict(dict)
    warnings = []
    for folder, run in begun.items():
        seeds = grouped[json.dumps(shared_settings(run), sort_keys=True)]
        if seeds.setdefault(run.settings.seed, run) is not run:
            warnings.append(
                f"{folder} repeats a run with the same settings and seed; it is left "
                "out"
            )
    sets = [tuple(seeds[seed] for seed in sorted(seeds)) for seeds in grouped.values()]
    return sets, warnings


def _refuse_other_data(runs: Mapping[Path, SimulationRun]) -> None:
    """Refuse runs of different data sets."""
    first = next(iter(runs))
    for folder, run in runs.items():
        other = runs[first]
        for what, here, there in (
            ("the data set", run.settings.dataset, other.settings.dataset),
            ("the classes", list(run.classes), list(other.classes)),
            ("images", run.pool.images, other.pool.images),
        ):
            if here != there:
                raise BadValue(
                    f"{folder} has {what} {here}, {first} has {there}; compare runs of "
                    "one data set"
                )


def _refuse_other_files(runs: Mapping[Path, SimulationRun]) -> None:
    """Refuse data of one name that has other files.

    Older runs do not know their files.
    """
    datasets: dict[str, tuple[Path, str]] = {}
    sources: dict[str, tuple[Path, str]] = {}
    for folder, run in runs.items():
        settings, files = run.settings, run.settings.files
        if files is None:
            continue
        for what, known, name, mine in (
            ("data sets", datasets, settings.dataset, files.dataset),
            ("sources", sources, settings.source, files.source),
        ):
            other, theirs = known.setdefault(name, (folder, mine))
            if mine != theirs:
                raise BadValue(
                    f"the {what} of {other} and {folder} have one name and other "
                    "files; compare runs of the same data"
                )


def _upper_bound(run: SimulationRun, sets: Sequence[Seeds]) -> Seeds | None:
    """Return the runs of `full` under the same training.

    Their answers are exact. Of several, those with the same recipe and source.
    """
    mine = training_settings(run) | {"source": ""}
    fitting = [
        runs
        for runs in sets
        if runs[0].settings.system == "full" and runs[0].settings.answers == "exact"
        if runs[0].last.fraction == 1
        if training_settings(runs[0]) | {"source": ""} == mine
    ]
    return max(fitting, key=lambda runs: _likeness(runs[0], run), default=None)


def _twin(run: SimulationRun, sets: Sequence[Seeds]) -> Seeds | None:
    """Return the runs that ask the same regions at random.

    Of several, those with the same recipe. The baseline itself and `full` have none.
    """
    if run.settings.system == "random" or run.settings.asks_everything:
        return None
    fitting = [runs for runs in sets if _random_twin(run, runs[0])]
    return max(fitting, key=lambda runs: _likeness(runs[0], run), default=None)


def _random_twin(run: SimulationRun, other: SimulationRun) -> bool:
    """Whether another run asks the same regions at random.

    All else is alike, but the recipe may be another, and its terms with it. Where both
    began after earlier rounds, those of each may be of its own system.
    """
    here, there = run.settings, other.settings
    if there.system != "random" or there.asks_everything:
        return False
    if any(here.asking.get(name) != there.asking.get(name) for name in SHAPES):
        return False
    mine, others = shared_settings(run), shared_settings(other)
    free = ["system", "recipe", "difficulty", "training.recipe"]
    if _continues_its_system(run) and _continues_its_system(other):
        free.append("after.system")
    apart = ("asking.",) if here.recipe == there.recipe else ("asking.", "terms.")
    return all(
        mine.get(name) == others.get(name)
        for name in {*mine, *others}
        if name not in free and not name.startswith(apart)
    )


def _continues_its_system(run: SimulationRun) -> bool:
    """Whether a run began after one of its own system."""
    after = run.settings.after
    return after is not None and after.system == run.settings.system


def _likeness(first: SimulationRun, second: SimulationRun) -> tuple[bool, bool]:
    here, there = first.settings, second.settings
    return here.recipe == there.recipe, here.source == there.source


# --- numbers --------------------------------------------------------------------------


def _group(
    name: str,
    runs: Seeds,
    sets: Sequence[Seeds],
    names: Sequence[str],
    common: tuple[float, float] | None,
) -> RunGroup:
    ended = _furthest(runs)
    upper, twin = _upper_bound(runs[0], sets), _twin(runs[0], sets)
    shares = [_final(run) / bound for run, bound in _paired(ended, upper) if bound]
    as_far = [run for run in twin or () if len(run.rounds) == len(ended[0].rounds)]
    gains = [_final(run) - bound for run, bound in _paired(ended, as_far)]
    areas = [area for run in runs if (area := _area(run, common)) is not None]
    return RunGroup(
        name,
        runs,
        rounds=tuple(_rounds(runs)),
        iou={label: _class_iou(label, ended) for label in runs[0].classes},
        full=_if_any([_final(run) for run in _furthest(upper or ())]),
        share_of_full=_if_any(shares),
        area=_if_any(areas),
        gain=_if_any(gains),
        baseline=names[sets.index(twin)] if twin else "",
    )


def _if_any(values: Sequence[float]) -> MeanOverSeeds | None:
    return over_seeds(values) if values else None


def _class_iou(label: str, runs: Sequence[SimulationRun]) -> MeanOverSeeds | None:
    """Last IoU of a class, if it occurs."""
    values = [run.last.iou[label] for run in runs]
    return _if_any([value for value in values if value is not None])


def _furthest(runs: Sequence[SimulationRun]) -> list[SimulationRun]:
    """Return the runs that have done most rounds."""
    most = max((len(run.rounds) for run in runs), default=0)
    return [run for run in runs if len(run.rounds) == most]


def _final(run: SimulationRun) -> float:
    return run.last.miou


def _rounds(runs: Seeds) -> Iterator[GroupRound]:
    """Yield the rounds that at least one seed has done."""
    rows = [list(zip(run.rounds, _seconds(run), strict=True)) for run in runs]
    for place in range(max(map(len, rows))):
        here = [of_run[place] for of_run in rows if place < len(of_run)]
        costs = [
            Costs(row.fraction, row.regions, row.images, row.clicks, seconds)
            for row, seconds in here
        ]
        yield GroupRound(
            here[0][0].round,
            Costs(*(float(np.mean(of_seeds)) for of_seeds in zip(*costs, strict=True))),
            over_seeds([row.miou for row, _ in here]),
        )


def _seconds(run: SimulationRun) -> list[float]:
    """Return the seconds of computing up to each round."""
    return [*accumulate(row.seconds.total for row in run.rounds)]


def _paired(
    runs: Sequence[SimulationRun], others: Sequence[SimulationRun] | None
) -> Iterator[tuple[SimulationRun, float]]:
    """Yield each run with the last mIoU of its counterpart.

    That is the one of its own seed, or else the mean over all.
    """
    if not others:
        return
    of_seed = {other.settings.seed: _final(other) for other in _furthest(others)}
    mean = float(np.mean(list(of_seed.values())))
    for run in runs:
        yield run, of_seed.get(run.settings.seed, mean)


def _curve(run: SimulationRun) -> tuple[list[float], list[float]]:
    """Return rising shares of labelled pixels, and their mIoU."""
    found = {row.fraction: row.miou for row in run.rounds if row.fraction}
    return list(found), list(found.values())


def _common_range(sets: Sequence[Seeds]) -> tuple[float, float] | None:
    """Return the shares of pixels that all curves span.

    Curves of one point do not count; None if there is no such range.
    """
    runs = [run for of_group in sets for run in of_group]
    curves = [_curve(run)[0] for run in runs if not run.settings.asks_everything]
    spans = [(shares[0], shares[-1]) for shares in curves if len(shares) > 1]
    if not spans:
        return None
    start, stop = max(first for first, _ in spans), min(last for _, last in spans)
    return (start, stop) if start < stop else None


def _area(run: SimulationRun, common: tuple[float, float] | None) -> float | None:
    shares, miou = _curve(run)
    if common is None or len(shares) < 2 or run.settings.asks_everything:
        return None
    return area_under_curve(shares, miou, *common)
