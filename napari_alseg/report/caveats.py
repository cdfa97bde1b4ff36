"""What must be known before numbers are compared."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_alseg.report.groups import RunGroup, training_settings
from napari_alseg.simulation.run import SimulationRun
from napari_alseg.simulation.summary import or_none
from napari_alseg.systems import RECIPES

FEW = 4
"""As many groups are named one by one."""


def unfinished(found: Mapping[Path, SimulationRun]) -> Iterator[str]:
    """Name the runs that have not come to their end."""
    for folder, run in found.items():
        if not run.finished:
            yield (
                f"{folder} is not finished: {len(run.rounds)} steps are done "
                f"({run.settings.planned_rounds} rounds were planned)"
            )


def incomparable(groups: Sequence[RunGroup]) -> Iterator[str]:
    """Name what was trained differently."""
    yield from _trainings(groups)
    values = _by_value(groups, [group.settings.recipe for group in groups])
    if len(values) > 1:
        yield (
            f"the recipe of learning is {_told(values)}; a difference in mIoU may come "
            "from learning as well as from asking"
        )
    yield from _terms(groups)
    values = _by_value(groups, [group.settings.answers for group in groups])
    if len(values) > 1:
        yield f"the answers are {_told(values)}; clicks and mIoU depend on it"


def _trainings(groups: Sequence[RunGroup]) -> Iterator[str]:
    trainings = [training_settings(group.run) for group in groups]
    for name in dict.fromkeys(name for each in trainings for name in each):
        values = _by_value(groups, [each.get(name) for each in trainings])
        if len(values) > 1:
            yield (
                f"not comparable: {name} is {_told(values)}; a difference in mIoU may "
                "come from this and not from what was asked"
            )


def _terms(groups: Sequence[RunGroup]) -> Iterator[str]:
    """Name the terms that differ among those who learn by them."""
    terms = [name for group in groups for name in RECIPES[group.settings.recipe].terms]
    for name in dict.fromkeys(terms):
        taking = [
            group for group in groups if name in RECIPES[group.settings.recipe].terms
        ]
        values = _by_value(taking, [each.settings.terms.get(name) for each in taking])
        if len(values) > 1:
            yield (
                f"the recipe's {name} is {_told(values)}; what is learnt depends on it"
            )


def unequal(groups: Sequence[RunGroup]) -> Iterator[str]:
    """Name what makes single columns unfair."""
    values = _by_value(groups, [group.seeds for group in groups])
    if len(values) > 1:
        yield f"the seeds are {_told(values)}"
    if all(len(group.runs) == 1 for group in groups):
        yield "there is one seed of each: how much chance is in the numbers is unknown"
    runs = [run for group in groups for run in group.runs]
    if len({(run.device, *run.versions.items()) for run in runs}) > 1:
        yield "the devices or versions differ: seconds cannot be compared"
    if not any(group.share_of_full for group in groups):
        yield (
            "no finished run of 'full' has the same training: the share of the full "
            "result is unknown"
        )


def _by_value(
    groups: Sequence[RunGroup], values: Sequence[Any]
) -> dict[str, list[str]]:
    """Return the names of groups by what each has."""
    found: dict[str, list[str]] = defaultdict(list)
    for group, value in zip(groups, values, strict=True):
        found[or_none(value)].append(group.name)
    return found


def _told(values: Mapping[str, Sequence[str]]) -> str:
    """Say who has which value; of many, name the exceptions."""
    most = max(values, key=lambda value: len(values[value]))
    others = {most: ["all others"]} if len(values[most]) > FEW else {}
    return "; ".join(
        f"{value} ({', '.join(names)})" for value, names in {**values, **others}.items()
    )
