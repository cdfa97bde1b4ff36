"""Rounds with an oracle instead of a person.

A run is cut into stages: perhaps one that learns from another domain alone, perhaps one
whose images are labelled in full, then the rounds. A stage asks, answers, learns and
measures. What each step leaves in the project is durable. Every step depends only on
the seed, the round and what is there. So a run that was ended at any moment resumes at
its first missing step. On the CPU it comes to the same result. Only a limit in minutes
makes the result depend on how long it took.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_alseg import segmentation
from napari_alseg.arrays import Task
from napari_alseg.errors import AlsegError, BadValue, Busy
from napari_alseg.settings import (
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    RecipeSettings,
    SimulationSettings,
    TrainingSettings,
    check,
)
from napari_alseg.simulation.checks import (
    refuse_incompatible_parts,
    refuse_masks_without_class,
    refuse_other_beginning,
    refuse_unfit,
)
from napari_alseg.simulation.dataset import create_simulation, truth_of
from napari_alseg.simulation.inputs import Inputs, settings_of
from napari_alseg.simulation.plan import refuse_too_many, stages_of
from napari_alseg.simulation.run import (
    FILE,
    Pool,
    RunSettings,
    SimulationRun,
    differences,
    read_run,
    versions,
    write_run,
)
from napari_alseg.simulation.stage import do_stage
from napari_alseg.simulation.summary import write_summary
from napari_alseg.store import Project, paired
from napari_alseg.training.cisc_r import never_paired


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read seeds with commas between them; an empty text names none.

    Raises
    ------
    BadValue
        If something else is there, or a seed comes twice.

    Examples
    --------
    >>> parse_seeds("0,1, 2")
    (0, 1, 2)
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    seeds = [int(part) for part in parts if part.isdecimal()]
    if len(set(seeds)) < len(parts):
        raise BadValue(
            f"seeds are different whole numbers, for example 0,1,2; got {text!r}"
        )
    return tuple(seeds)


def simulate_seeds(
    dataset: Path,
    out: Path,
    seeds: Sequence[int],
    simulation: SimulationSettings | None = None,
    *,
    after: Path | None = None,
    **others: Any,
) -> Task[list[SimulationRun]]:
    """Simulate seed by seed, each in ``OUT/seed-N``.

    Parameters
    ----------
    dataset, out, simulation
        As `simulate` takes them; the seed of `simulation` is not used.
    seeds : sequence of int
    after : Path, optional
        If it holds ``seed-N``, each seed begins after the run of its own seed.
    **others
        As `simulate` takes them.

    Raises
    ------
    BadValue
        If `out` is itself a run.
    """
    if (out / FILE).exists():
        raise BadValue(f"{out} holds a single run; give another folder for all seeds")
    runs = []
    for seed in seeds:
        of_seed = after / f"seed-{seed}" if after else None
        run = yield from simulate(
            dataset,
            out / f"seed-{seed}",
            replace(simulation or SimulationSettings(), seed=seed),
            after=of_seed if of_seed and of_seed.is_dir() else after,
            **others,
        )
        runs.append(run)
    return runs


def simulate(
    dataset: Path,
    out: Path,
    simulation: SimulationSettings | None = None,
    *,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    recipe: RecipeSettings | None = None,
    live: LiveSettings | None = None,
    prediction: PredictionSettings | None = None,
    source: Path | None = None,
    after: Path | None = None,
    resume: bool = False,
) -> Task[SimulationRun]:
    """Ask, answer and learn for some rounds.

    ``run.json``, a curve and a table are written after each.

    Parameters
    ----------
    dataset : Path
        As the module `dataset` says.
    out : Path
        A new folder, or that of a run which is resumed.
    simulation : SimulationSettings, optional
    network : NetworkSettings, optional
    training : TrainingSettings, optional
    recipe : RecipeSettings, optional
        How much the special terms of the training's recipe count.
    live : LiveSettings, optional
        For the recipe 'live'.
    prediction : PredictionSettings, optional
    source : Path, optional
        Labelled images of another domain, as `create_simulation` takes them.
    after : Path, optional
        A finished run on the same data: this one begins with a copy of its project,
        with its labels, weights, rounds and costs.
    resume : bool
        Resume the run in `out` if one is there.

    Returns
    -------
    SimulationRun

    Raises
    ------
    EmptyFolder, BadClasses, MaskMismatch
        If the data set is not laid out as that module says.
    BadValue
        If settings contradict one another, a run is there that is not to be resumed
        or has other settings, or `after` was made of other data.
    """
    inputs = Inputs(
        dataset,
        out,
        check(simulation or SimulationSettings()),
        network or NetworkSettings(),
        check(training or TrainingSettings()),
        check(recipe or RecipeSettings()),
        check(live or LiveSettings()),
        check(prediction or PredictionSettings()),
        source,
        after,
    )
    run = new = _new(inputs)
    if any((out / name).exists() for name in (FILE, inputs.project.name)):
        run = _there(new.settings, out, resume)
    if run.finished:
        return run
    if run.rounds == new.rounds:
        yield from _begin(inputs, run)
    with Project.open(inputs.project) as project:
        run = yield from _do_stages(inputs, project, run)
    run = replace(run, finished=True)
    write_run(run, out)
    return run


def _do_stages(
    inputs: Inputs, project: Project, run: SimulationRun
) -> Task[SimulationRun]:
    """Do the missing stages, each written before the next."""
    classes = tuple(entry.name for entry in project.classes)
    run = replace(run, classes=classes, pool=_pool(project))
    truth = truth_of(project, inputs.dataset, inputs.size)
    done = {row.round for row in run.rounds}
    for stage in stages_of(project, inputs.simulation, run.settings):
        if stage.round not in done:
            run = yield from do_stage(stage, inputs, project, truth, run)
            write_run(run, inputs.out)
            write_summary(run, inputs.out)
    return run


def _pool(project: Project) -> Pool:
    shapes = [project.images.info(image).shape for image in project.images.names()]
    return Pool(len(shapes), sum(rows * columns for rows, columns in shapes))


# --- beginning and resuming -----------------------------------------------------------


def _new(inputs: Inputs) -> SimulationRun:
    """Return a run without rounds of its own.

    Raises
    ------
    BadValue
        If its parts do not go together.
    """
    refuse_incompatible_parts(inputs)
    before = read_run(inputs.after) if inputs.after else None
    settings = settings_of(inputs, before)
    refuse_unfit(settings)
    if before:
        refuse_other_beginning(settings, before)
    return SimulationRun(
        settings,
        finished=False,
        weights="",
        classes=(),
        pool=Pool(),
        device=str(segmentation.choose_device(inputs.training.device)),
        rounds=before.rounds if before else (),
        versions=versions(),
    )


def _there(settings: RunSettings, out: Path, resume: bool) -> SimulationRun:
    """Return the run that is in a folder already.

    Raises
    ------
    BadValue
        If it is not to be resumed, or has other settings.
    """
    if not resume:
        raise BadValue(
            f"{out} holds a run already; resume it (--resume) or give a new folder"
        )
    known = read_run(out)
    different = differences(known.settings.flat(), settings.flat())
    for name in ("dataset", "source"):
        changed = different.pop(f"files.{name}", None)
        if changed and name not in different:
            raise BadValue(
                f"the images, masks or classes of {getattr(settings, name)} are not "
                f"those that the run in {out} was begun with; give these, or a new "
                "folder"
            )
    if different:
        told = "; ".join(
            f"{name} was {was!r}, is {now!r}" for name, (was, now) in different.items()
        )
        raise BadValue(
            f"the run in {out} has other settings: {told}; give the same, or a new "
            "folder"
        )
    return known


def _begin(inputs: Inputs, run: SimulationRun) -> Task[None]:
    """Make the project, unless it is there.

    If the run cannot be, nothing new is left.
    """
    simulation, made = inputs.simulation, not inputs.project.exists()
    if not inputs.after and (simulation.initial_images or simulation.added_images):
        refuse_too_many(run.settings, len(list(paired(inputs.dataset / "train"))))
    segmentation.build(inputs.network, classes=2)  # unknown names are refused here
    write_run(run, inputs.out)
    if run.rounds:
        write_summary(run, inputs.out)
    try:
        if made:
            yield from _make_project(inputs)
        _check_project(inputs, run.settings)
    except AlsegError:
        if made:
            shutil.rmtree(inputs.project, ignore_errors=True)
            (inputs.out / FILE).unlink()
        raise


def _make_project(inputs: Inputs) -> Task[None]:
    if inputs.after is not None:
        _copy_project(inputs.after / inputs.project.name, inputs.project)
    else:
        yield from create_simulation(
            inputs.project, inputs.dataset, inputs.size, inputs.source
        )


def _check_project(inputs: Inputs, settings: RunSettings) -> None:
    """Refuse a project that the run cannot be done with."""
    with Project.open(inputs.project) as project:
        stages_of(project, inputs.simulation, settings)
        never_paired(project, inputs.terms)
        truth = truth_of(project, inputs.dataset, inputs.size)
        refuse_masks_without_class(project, truth)


def _copy_project(original: Path, path: Path) -> None:
    """Copy the project of a finished run, wholly or not.

    Raises
    ------
    Busy
        If somebody may be writing to it.
    """
    if (original / "lock.json").exists():
        raise Busy(f"{original} is open elsewhere; close it there and try again")
    partial = path.with_name(path.name + ".importing")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(original, partial)
    partial.rename(path)
