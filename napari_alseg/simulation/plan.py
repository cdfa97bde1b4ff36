"""What a simulation does one after the other.

The plan is the same before and after a run was cut off. It depends on the settings, the
seed and the images, and not on how far the run has come.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_alseg.arrays import Selection
from napari_alseg.budget import Budget
from napari_alseg.errors import BadValue
from napari_alseg.settings import QuerySettings, SimulationSettings
from napari_alseg.simulation.run import RunSettings, StageKind
from napari_alseg.store import Project

FIRST_QUERY, LAST_QUERY = 0.25, 0.45
"""Parts of a single training after which its rounds ask: 10,000 and 18,000 of 40,000
steps in RIPU."""


@dataclass(frozen=True)
class SimulationStage:
    """One step of a run, from asking to measuring."""

    kind: StageKind
    round: int
    """Of the project; 0 asks nothing and learns from the source alone."""
    query: QuerySettings | None = None
    among: tuple[str, ...] | None = None
    """Images that are asked of, None for the whole pool."""
    part: tuple[float, float] = (0.0, 1.0)
    """Of the training, from where to where."""


def stages_of(
    project: Project, simulation: SimulationSettings, settings: RunSettings
) -> list[SimulationStage]:
    """Return all stages of a run, those that are done included.

    Raises
    ------
    BadValue
        If they need more images than there are, or there are none.
    """
    stages = list(_whole_trainings(project, simulation, settings))
    if not stages:
        raise BadValue(
            "a run without rounds learns nothing, unless it has a source or initial "
            "images; give at least one round"
        )
    if settings.schedule == "rounds":
        return stages
    return _parts_of_one_training(stages)


def _parts_of_one_training(stages: list[SimulationStage]) -> list[SimulationStage]:
    """Stages, each with its part of a single training."""
    count = sum(stage.kind == "asked" for stage in stages)
    if count == 0:
        return stages
    ends = [*np.linspace(FIRST_QUERY, LAST_QUERY, count).tolist(), 1.0]
    begins = [0.0, *ends[:-1]]
    parts = zip(stages, begins, ends, strict=True)
    return [replace(stage, part=(begin, end)) for stage, begin, end in parts]


def _whole_trainings(
    project: Project, simulation: SimulationSettings, settings: RunSettings
) -> Iterator[SimulationStage]:
    """Yield the stages, each with a training of its own."""
    after, initial = settings.after, settings.initial_images
    number = after.round if after else 0
    alone = not initial or settings.leaves_source
    if settings.source and alone and not after:
        yield SimulationStage("source", 0)
    waiting = _drawn(project, settings.seed, number)
    refuse_too_many(settings, len(waiting))
    if initial:
        number += 1
        yield SimulationStage(
            "initial", number, _in_full(settings), tuple(waiting[:initial])
        )
    for done, share in enumerate(_shares(settings)):
        query = QuerySettings(
            settings.system, str(share), settings.seed, **simulation.parameters()
        )
        joining = _joining(settings, waiting, done)
        yield SimulationStage("asked", number + 1 + done, query, joining)


def _in_full(settings: RunSettings) -> QuerySettings:
    """Return what asks whole images."""
    return QuerySettings(
        settings.system,
        "100%",
        settings.seed,
        partition="image",
        acquisition="random",
        choice="everything",
    )


def _shares(settings: RunSettings) -> Sequence[Budget]:
    """Return the budget of each round.

    Of images that join, each round has the whole budget.
    """
    if not settings.planned_rounds:
        return ()
    budget = Budget.parse(settings.budget)
    if settings.added_images:
        return [budget] * settings.planned_rounds
    return budget.shares(settings.planned_rounds)


def _joining(
    settings: RunSettings, waiting: Sequence[str], done: int
) -> tuple[str, ...] | None:
    """Return the images that join after so many rounds.

    None asks of the whole pool.
    """
    if not settings.added_images:
        return None
    begin = settings.initial_images + done * settings.added_images
    return tuple(waiting[begin : begin + settings.added_images])


def refuse_too_many(settings: RunSettings, there: int) -> None:
    """Refuse a run that needs more images than there are.

    Raises
    ------
    BadValue
        Saying how many it needs.
    """
    initial, added = settings.initial_images, settings.added_images
    rounds = settings.planned_rounds
    if initial + rounds * added > there:
        raise BadValue(
            f"{initial} initial images and {rounds} rounds with {added} more each are "
            f"more than the {there} that are there; give smaller numbers"
        )


def _drawn(project: Project, seed: int, first: int) -> list[str]:
    """Images not asked of yet, in random order."""
    taken = {
        image
        for number in project.rounds.numbers
        if number <= first
        for image in asked_selection(project, number).images
    }
    pool = project.images.names()
    order = np.random.default_rng(seed).permutation(len(pool))
    return [pool[place] for place in order if pool[place] not in taken]


def asked_selection(project: Project, number: int) -> Selection:
    """Return what a round that was asked asked."""
    selection = project.rounds.selection(number)
    assert selection is not None
    return selection
