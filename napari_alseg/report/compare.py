"""Simulated runs side by side: what each learnt for what it cost.

Runs that differ by nothing but the seed are one `Group`; its numbers are means over
the seeds, each with the sample standard deviation beside it. Everything else that
differs keeps runs apart and is named, so that no two trainings are mixed unseen.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from napari_alseg.errors import BadValue
from napari_alseg.metrics import area_under_curve
from napari_alseg.settings import OF_COMPUTER, TERMS
from napari_alseg.simulation.run import Run, is_off, or_none, read_run, wanted

COSTS = ("pixels", "regions", "images", "clicks", "seconds")
"""What mIoU is held against."""
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
FEW = 4
"""As many groups are named one by one."""
DEPTH = 3
"""Folders below a named one in which runs are looked for."""


@dataclass(frozen=True)
class Spread:
    """A number over several seeds."""

    mean: float
    deviation: float | None
    """Sample standard deviation (n - 1); None of a single seed."""
    seeds: int


@dataclass(frozen=True)
class Point:
    """One round of a group, its costs counted from the first round."""

    round: int
    costs: dict[str, float]
    """Mean over the seeds, by the names in `COSTS`; pixels as a share 0..1."""
    miou: Spread


@dataclass(frozen=True)
class Group:
    """Runs that differ by nothing but the seed."""

    name: str
    runs: tuple[Run, ...]
    points: tuple[Point, ...]
    iou: dict[str, Spread | None]
    """Of the last round, by class; None where the class is absent."""
    full: Spread | None
    """Last mIoU of `full`, by exact answers, under the same training."""
    share_of_full: Spread | None
    """Last mIoU over that of `full`."""
    area: Spread | None
    """Mean mIoU over the shares of pixels that all groups have in common."""
    gain: Spread | None
    """Last mIoU less that of the baseline."""
    baseline: str
    """Name of the group that asks the same kind of regions at random; may be empty."""

    @property
    def run(self) -> Run:
        """The first run, for what all of them share."""
        return self.runs[0]

    @property
    def is_full(self) -> bool:
        """Whether it asks everything: the upper bound."""
        return bool(self.run["asking"]["choice"] == "everything")


@dataclass(frozen=True)
class Comparison:
    """All groups of runs on one data set."""

    dataset: str
    groups: tuple[Group, ...]
    common: tuple[float, float] | None
    """Shares of pixels between which `Group.area` is taken."""
    warnings: tuple[str, ...]
    """What must be known before numbers are compared."""

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self.groups[0].run["classes"])


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
    begun = {folder: run for folder, run in found.items() if run["rounds"]}
    if not begun:
        raise BadValue(f"no round of {', '.join(map(str, found))} is done yet; wait")
    _refuse_other_data(begun)
    warnings = list(_unfinished(found))
    grouped: dict[str, dict[int, Run]] = defaultdict(dict)
    for folder, run in begun.items():
        seeds = grouped[_key(run)]
        if run["seed"] in seeds:
            warnings.append(
                f"{folder} repeats a run with the same settings and seed; it is left "
                "out"
            )
        seeds.setdefault(run["seed"], run)
    sets = [tuple(seeds[seed] for seed in sorted(seeds)) for seeds in grouped.values()]
    names = _names([runs[0] for runs in sets])
    common = _common_range(sets)
    groups = tuple(
        _group(name, runs, sets, names, common)
        for name, runs in zip(names, sets, strict=True)
    )
    warnings += [*_incomparable(groups), *_unequal(groups)]
    dataset = groups[0].run["dataset"]
    return Comparison(dataset, groups, common, tuple(warnings))


def find_runs(folder: Path, depth: int = DEPTH) -> list[tuple[Path, Run]]:
    """Return the run of a folder, or those of the folders in it.

    Raises
    ------
    BadValue
        If there is none.
    """
    runs = list(_runs_in(folder, depth))
    if not runs:
        read_run(folder)  # says what is missing
    return runs


def _runs_in(folder: Path, depth: int) -> Iterator[tuple[Path, Run]]:
    if (folder / "run.json").is_file():
        yield folder.resolve(), read_run(folder)
    elif depth and folder.is_dir() and folder.suffix != ".alseg":
        for inner in sorted(folder.iterdir()):
            yield from _runs_in(inner, depth - 1)


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation.

    Examples
    --------
    >>> spread([0.0, 0.5, 1.0])
    Spread(mean=0.5, deviation=0.5, seeds=3)
    """
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, len(values))


# --- which runs belong together -------------------------------------------------------


def _refuse_other_data(runs: dict[Path, Run]) -> None:
    """Refuse runs of different data sets."""
    first = next(iter(runs))
    for folder, run in runs.items():
        for what, here, there in (
            ("the data set", run["dataset"], runs[first]["dataset"]),
            ("the classes", run["classes"], runs[first]["classes"]),
            ("images", run["pool"]["images"], runs[first]["pool"]["images"]),
        ):
            if here != there:
                raise BadValue(
                    f"{folder} has {what} {here}, {first} has {there}; compare runs of "
                    "one data set"
                )
    telling = {f: run for f, run in runs.items() if "files" in run}  # older do not
    for kind, what in (("dataset", "data sets"), ("source", "sources")):
        known: dict[str, tuple[Path, str]] = {}
        for folder, run in telling.items():
            files = run["files"][kind]
            other, theirs = known.setdefault(run[kind], (folder, files))
            if files != theirs:
                raise BadValue(
                    f"the {what} of {other} and {folder} have one name and other "
                    "files; compare runs of the same data"
                )


def _settings(run: Run) -> dict[str, Any]:
    """Return all settings but the seed that are not off, by flat name."""
    apart = ("format", "seed", "after.seed", "files.dataset", "files.source")
    return {
        name: each
        for name, each in wanted(run).items()
        if name not in apart and not is_off(each)
    }


def _key(run: Run) -> str:
    return json.dumps(_settings(run), sort_keys=True)


def _names(runs: Sequence[Run]) -> list[str]:
    """Name each group by its system, and by what tells it from its namesakes.

    That is what all of them have, each with another value, unless some would still
    have one name.
    """
    short, whole = [], []
    for run in runs:
        namesakes = [_settings(other) for other in runs if _same_system(run, other)]
        differing = [
            name
            for name in _settings(run)
            if any(other.get(name) != _settings(run)[name] for other in namesakes)
        ]
        if "recipe" in differing and "training.recipe" in differing:
            differing.remove("training.recipe")  # it is the same, where it was given
        shared = [name for name in differing if all(name in n for n in namesakes)]
        short.append(_name(run, shared or differing))
        whole.append(_name(run, differing))
    return [
        long if short.count(name) > 1 else name
        for name, long in zip(short, whole, strict=True)
    ]


def _name(run: Run, settings: Sequence[str]) -> str:
    """Return the system of a run, and some of its settings."""
    known = _settings(run)
    told = ", ".join(f"{_in_words(name)} {known[name]}" for name in settings)
    return f"{run['system']} ({told})" if told else str(run["system"])


def _in_words(name: str) -> str:
    """Return a flat name as people say it.

    Examples
    --------
    >>> _in_words("asking.region_size"), _in_words("after.system")
    ('region size', 'after system')
    """
    inner = name if name.startswith("after") else name.rsplit(".")[-1]
    return inner.replace("_", " ").replace(".", " ")


def _same_system(first: Run, second: Run) -> bool:
    return bool(first["system"] == second["system"])


def _training(run: Run) -> dict[str, Any]:
    """Return the settings that decide what can be learnt from equal labels.

    The recipe is left to the system.
    """
    return {
        name: value
        for name, value in _settings(run).items()
        if name in TRAINING
        or (
            name.startswith("training.")
            and name.removeprefix("training.") not in ("recipe", *OF_COMPUTER)
        )
    }


def _random_twin(run: Run, other: Run) -> bool:
    """Whether another run differs only in asking the same regions at random.

    The recipe may be another, and its terms with it. Where rounds go on from earlier
    ones, those of each may be of its own system.
    """
    if other["system"] != "random" or _is_full(other):
        return False
    if any(run["asking"].get(n) != other["asking"].get(n) for n in SHAPES):
        return False
    mine, others = _settings(run), _settings(other)
    free = ["system", "recipe", "difficulty", "training.recipe"]
    if _goes_on(run) and _goes_on(other):
        free.append("after.system")
    alike = run["recipe"] == other["recipe"]
    apart = ("asking.",) if alike else ("asking.", "terms.")
    return all(
        mine.get(name) == others.get(name)
        for name in {*mine, *others}
        if name not in free and not name.startswith(apart)
    )


def _goes_on(run: Run) -> bool:
    """Whether a run began after one of its own system."""
    return run["after"] is not None and run["after"]["system"] == run["system"]


def _is_full(run: Run) -> bool:
    return bool(run["asking"]["choice"] == "everything")


# --- numbers --------------------------------------------------------------------------


def _group(
    name: str,
    runs: tuple[Run, ...],
    sets: Sequence[tuple[Run, ...]],
    names: Sequence[str],
    common: tuple[float, float] | None,
) -> Group:
    ended = _furthest(runs)
    last = [run["rounds"][-1] for run in ended]
    iou: dict[str, Spread | None] = {}
    for label in runs[0]["classes"]:
        values = [row["iou"][label] for row in last if row["iou"][label] is not None]
        iou[label] = spread(values) if values else None
    upper = _upper_bound(runs[0], sets)
    bounds = list(_paired(ended, upper))
    shares = [_final(run) / bound for run, bound in bounds if bound]
    twin = _twin(runs[0], sets)
    done = len(ended[0]["rounds"])
    as_far = [run for run in twin or () if len(run["rounds"]) == done]
    gains = [_final(run) - bound for run, bound in _paired(ended, as_far)]
    areas = [area for run in runs if (area := _area(run, common)) is not None]
    return Group(
        name,
        runs,
        tuple(_points(runs)),
        iou,
        spread([_final(each) for each in _furthest(upper)]) if upper else None,
        spread(shares) if shares else None,
        spread(areas) if areas else None,
        spread(gains) if gains else None,
        names[sets.index(twin)] if twin else "",
    )


def _furthest(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that have done most rounds: no others are at the last point."""
    most = max(len(run["rounds"]) for run in runs)
    return [run for run in runs if len(run["rounds"]) == most]


def _final(run: Run) -> float:
    return float(run["rounds"][-1]["miou"])


def _points(runs: Sequence[Run]) -> Iterator[Point]:
    """Yield the rounds that at least one seed has done."""
    rows = [list(zip(run["rounds"], _seconds(run), strict=True)) for run in runs]
    for place in range(max(map(len, rows))):
        here = [of_run[place] for of_run in rows if place < len(of_run)]
        costs = {
            "pixels": [row["fraction"] for row, _ in here],
            "seconds": [seconds for _, seconds in here],
        } | {name: [row[name] for row, _ in here] for name in COSTS[1:4]}
        yield Point(
            here[0][0]["round"],
            {name: float(np.mean(costs[name])) for name in COSTS},
            spread([row["miou"] for row, _ in here]),
        )


def _seconds(run: Run) -> list[float]:
    """Return the seconds of computing up to each round."""
    return [*accumulate(sum(row["seconds"].values()) for row in run["rounds"])]


def _upper_bound(run: Run, sets: Sequence[tuple[Run, ...]]) -> tuple[Run, ...] | None:
    """Return the runs of `full`, by exact answers, under the same training.

    Of several, those with the same recipe and the same source.
    """
    mine = _training(run) | {"source": ""}
    fitting = [
        runs
        for runs in sets
        if runs[0]["system"] == "full" and runs[0]["answers"] == "exact"
        if runs[0]["rounds"][-1]["fraction"] == 1
        if _training(runs[0]) | {"source": ""} == mine
    ]
    return max(fitting, key=lambda runs: _likeness(runs[0], run), default=None)


def _twin(run: Run, sets: Sequence[tuple[Run, ...]]) -> tuple[Run, ...] | None:
    """Return the runs that ask the same regions at random, by the same recipe if any.

    The baseline itself and `full` have none.
    """
    if run["system"] == "random" or _is_full(run):
        return None
    fitting = [runs for runs in sets if _random_twin(run, runs[0])]
    return max(fitting, key=lambda runs: _likeness(runs[0], run), default=None)


def _likeness(first: Run, second: Run) -> tuple[bool, bool]:
    return first["recipe"] == second["recipe"], first["source"] == second["source"]


def _paired(
    runs: Sequence[Run], others: Sequence[Run] | None
) -> Iterator[tuple[Run, float]]:
    """Yield each run with the other's last mIoU: its own seed's, or else the mean."""
    if not others:
        return
    of_seed = {other["seed"]: _final(other) for other in _furthest(others)}
    mean = float(np.mean(list(of_seed.values())))
    for run in runs:
        yield run, of_seed.get(run["seed"], mean)


def _curve(run: Run) -> tuple[list[float], list[float]]:
    """Return the shares of labelled pixels, above 0 and rising, and their mIoU."""
    found = {row["fraction"]: row["miou"] for row in run["rounds"] if row["fraction"]}
    return list(found), list(found.values())


def _common_range(sets: Sequence[tuple[Run, ...]]) -> tuple[float, float] | None:
    """Return the shares that all curves of more than one point span; None if none."""
    curves = [_curve(run)[0] for runs in sets for run in runs if not _is_full(run)]
    spans = [(shares[0], shares[-1]) for shares in curves if len(shares) > 1]
    if not spans:
        return None
    start, stop = max(first for first, _ in spans), min(last for _, last in spans)
    return (start, stop) if start < stop else None


def _area(run: Run, common: tuple[float, float] | None) -> float | None:
    shares, miou = _curve(run)
    if common is None or len(shares) < 2 or _is_full(run):
        return None
    return area_under_curve(shares, miou, *common)


# --- what must be known ---------------------------------------------------------------


def _unfinished(found: dict[Path, Run]) -> Iterator[str]:
    for folder, run in found.items():
        if not run["finished"]:
            yield (
                f"{folder} is not finished: {len(run['rounds'])} steps are done "
                f"({run['planned_rounds']} rounds were planned)"
            )


def _incomparable(groups: Sequence[Group]) -> Iterator[str]:
    """Name what was trained differently."""
    trainings = [_training(group.run) for group in groups]
    for name in dict.fromkeys(name for each in trainings for name in each):
        values = _by_value(groups, [each.get(name) for each in trainings])
        if len(values) > 1:
            yield (
                f"not comparable: {name} is {_told(values)}; a difference in mIoU may "
                "come from this and not from what was asked"
            )
    values = _by_value(groups, [group.run["recipe"] for group in groups])
    if len(values) > 1:
        yield (
            f"the recipe of learning is {_told(values)}; a difference in mIoU may come "
            "from learning as well as from asking"
        )
    terms = [name for group in groups for name in TERMS[group.run["recipe"]]]
    for name in dict.fromkeys(terms):
        taking = [group for group in groups if name in TERMS[group.run["recipe"]]]
        values = _by_value(taking, [each.run["terms"].get(name) for each in taking])
        if len(values) > 1:
            yield (
                f"the recipe's {name} is {_told(values)}; what is learnt depends on it"
            )
    values = _by_value(groups, [group.run["answers"] for group in groups])
    if len(values) > 1:
        yield f"the answers are {_told(values)}; clicks and mIoU depend on it"


def _unequal(groups: Sequence[Group]) -> Iterator[str]:
    """Name what makes single columns unfair."""
    values = _by_value(
        groups, [", ".join(str(run["seed"]) for run in g.runs) for g in groups]
    )
    if len(values) > 1:
        yield f"the seeds are {_told(values)}"
    if all(len(group.runs) == 1 for group in groups):
        yield "there is one seed of each: how much chance is in the numbers is unknown"
    computers = {(r["device"], *r["versions"].items()) for g in groups for r in g.runs}
    if len(computers) > 1:
        yield "the devices or versions differ: seconds cannot be compared"
    if not any(group.share_of_full for group in groups):
        yield (
            "no finished run of 'full' has the same training: the share of the full "
            "result is unknown"
        )


def _by_value(groups: Sequence[Group], values: Sequence[Any]) -> dict[str, list[str]]:
    """Return the names of groups by what each has."""
    found: dict[str, list[str]] = defaultdict(list)
    for group, value in zip(groups, values, strict=True):
        found[or_none(value)].append(group.name)
    return found


def _told(values: dict[str, list[str]]) -> str:
    """Say who has which value; of many groups only those that differ from most."""
    most = max(values, key=lambda value: len(values[value]))
    others = {most: ["all others"]} if len(values[most]) > FEW else {}
    return "; ".join(
        f"{value} ({', '.join(names)})" for value, names in (values | others).items()
    )
