"""What a simulation does one after the other, planned from its settings alone.

The plan is the same before and after a run was cut off: it depends on the settings, the
seed and the images, and not on how far the run has come.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from napari_alseg.arrays import Selection
from napari_alseg.budget import Budget
from napari_alseg.errors import BadValue
from napari_alseg.settings import QuerySettings, SimulationSettings
from napari_alseg.simulation.run import Run
from napari_alseg.store import Project

FIRST_QUERY, LAST_QUERY = 0.25, 0.45
"""Parts of a single training after which its rounds ask: 10,000 and 18,000 of 40,000
steps in RIPU."""


@dataclass(frozen=True)
class Stage:
    """One step of a run, from asking to measuring."""

    kind: Literal["source", "initial", "asked"]
    round: int
    """Of the project; 0 asks nothing and learns from the source alone."""
    query: QuerySettings | None = None
    among: tuple[str, ...] | None = None
    """Images that are asked of, None for the whole pool."""
    part: tuple[float, float] = (0.0, 1.0)
    """Of the training, from where to where."""


def stages_of(
    project: Project, simulation: SimulationSettings, run: Run
) -> list[Stage]:
    """Return all stages of a run, those that are done included.

    Raises
    ------
    BadValue
        If they need more images than there are, or there are none.
    """
    stages = list(_whole_trainings(project, simulation, run))
    if not stages:
        raise BadValue(
            "a run without rounds learns nothing, unless it has a source or initial "
            "images; give at least one round"
        )
    if simulation.schedule == "rounds":
        return stages
    count = sum(stage.kind == "asked" for stage in stages)
    if count == 0:
        return stages
    ends = [*np.linspace(FIRST_QUERY, LAST_QUERY, count).tolist(), 1.0]
    begins = [0.0, *ends[:-1]]
    parts = zip(stages, begins, ends, strict=True)
    return [replace(stage, part=(begin, end)) for stage, begin, end in parts]


def _whole_trainings(
    project: Project, simulation: SimulationSettings, run: Run
) -> Iterator[Stage]:
    """Yield the stages, each with a training of its own."""
    first = run["after"]["round"] if run["after"] else 0
    number, initial = first, simulation.initial_images
    alone = not initial or run["training"]["source_free"]
    if run["source"] and alone and not run["after"]:
        yield Stage("source", 0)
    waiting = _drawn(project, simulation.seed, first)
    rounds, added = run["planned_rounds"], simulation.added_images
    refuse_too_many(run, len(waiting))
    if initial:
        number += 1
        whole = QuerySettings(
            simulation.system,
            "100%",
            simulation.seed,
            partition="image",
            acquisition="random",
            choice="everything",
        )
        yield Stage("initial", number, whole, tuple(waiting[:initial]))
    if not rounds:
        return
    budget = Budget.parse(run["budget"])
    shares = [budget] * rounds if added else budget.shares(rounds)
    for done, share in enumerate(shares):
        query = QuerySettings(
            simulation.system,
            str(share),
            simulation.seed,
            **simulation.parameters(),
        )
        begin = initial + done * added
        joining = tuple(waiting[begin : begin + added]) if added else None
        yield Stage("asked", number + 1 + done, query, joining)


def refuse_too_many(run: Run, there: int) -> None:
    """Refuse a run that needs more images than there are.

    Raises
    ------
    BadValue
        Saying how many it needs.
    """
    initial, added, rounds = (
        run[name] for name in ("initial_images", "added_images", "planned_rounds")
    )
    if initial + rounds * added > there:
        raise BadValue(
            f"{initial} initial images and {rounds} rounds with {added} more each are "
            f"more than the {there} that are there; give smaller numbers"
        )


def _drawn(project: Project, seed: int, first: int) -> list[str]:
    """Return the pool in a random order, without what the first rounds asked of."""
    taken = {
        image
        for number in project.rounds
        if number <= first
        for image in selection_of(project, number).images
    }
    pool = project.images()
    order = np.random.default_rng(seed).permutation(len(pool))
    return [pool[place] for place in order if pool[place] not in taken]


def selection_of(project: Project, number: int) -> Selection:
    """Return what a round that was asked asked."""
    selection = project.selection(number)
    assert selection is not None
    return selection
