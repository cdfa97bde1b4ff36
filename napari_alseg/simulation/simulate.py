"""Rounds with an oracle instead of a person: simulate a budget before it is spent.

A run is cut into stages: perhaps one that learns from another domain alone, perhaps one
whose images are labelled in full, then the rounds. A stage asks, answers, learns and
measures. What each step leaves in the project is durable, and every step depends only
on the seed, the round and what is there; so a run that was ended at any moment goes on
from the first step that is missing, and comes to the same result on the CPU. Only a
limit in minutes makes the result depend on how long it took.
"""

import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_alseg import __version__, segmentation, systems
from napari_alseg.arrays import LabelMap, Selection, Task
from napari_alseg.budget import Budget
from napari_alseg.errors import AlsegError, BadValue, Busy
from napari_alseg.metrics import Scores
from napari_alseg.selection.maps import trained_network
from napari_alseg.settings import (
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    Recipe,
    RecipeSettings,
    SimulationSettings,
    TrainingSettings,
    check,
)
from napari_alseg.simulation.dataset import (
    create_simulation,
    fingerprints,
    parse_size,
    truth_of,
)
from napari_alseg.simulation.oracle import Answers, Oracle
from napari_alseg.simulation.plan import Stage, refuse_too_many, selection_of, stages_of
from napari_alseg.simulation.run import FORMAT, Run, differences, read_run, write_run
from napari_alseg.store import Project, paired
from napari_alseg.tasks.query import query
from napari_alseg.tasks.retrain import retrain
from napari_alseg.training.cisc_r import never_paired
from napari_alseg.training.job import measure_scores, refuse_untaught_branch

OF_ANSWERS: tuple[Recipe, ...] = ("rectified", "live")
"""Recipes that begin with answers of the pool, and learn them as a whole."""
NETWORK = ("network", "encoder", "pretrained")
"""What a run must have in common with the one that it begins after."""
PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "numpy", "zarr")


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
) -> Task[list[Run]]:
    """Simulate with one seed after the other, each in its folder ``OUT/seed-N``.

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
    if (out / "run.json").exists():
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
) -> Task[Run]:
    """Ask, answer and learn for some rounds; write ``run.json``, a curve and a table.

    Parameters
    ----------
    dataset : Path
        As `dataset` says.
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
        Go on with the run in `out` if one is there.

    Returns
    -------
    dict
        What ``run.json`` holds.

    Raises
    ------
    EmptyFolder, BadClasses, MaskMismatch
        If the data set is not laid out as `dataset` says.
    BadValue
        If settings contradict one another, a run is there that is not to be resumed
        or has other settings, or `after` was made of other data.
    """
    simulation = check(simulation or SimulationSettings())
    given = _Given(
        dataset,
        out,
        simulation,
        network or NetworkSettings(),
        check(training or TrainingSettings()),
        check(recipe or RecipeSettings()),
        check(live or LiveSettings()),
        check(prediction or PredictionSettings()),
        parse_size(simulation.size),
        source,
        after,
    )
    _refuse_incompatible_parts(simulation, given.training, source, after)
    described = _described(given)
    run = _there(described, out, resume)
    if run["finished"]:
        return run
    if run["rounds"] == described["rounds"]:
        yield from _begin(given, run)
    with Project.open(given.path) as project:
        run["classes"] = [entry.name for entry in project.classes]
        run["pool"] = _pool(project)
        truth = truth_of(project, dataset, given.size)
        done = {row["round"] for row in run["rounds"]}
        for stage in stages_of(project, simulation, run):
            if stage.round not in done:
                row = yield from _do_stage(stage, given, project, truth, run)
                run["weights"] = project.metrics(stage.round)["learnt"]
                run["rounds"].append(row)
                write_run(run, out)
    run["finished"] = True
    write_run(run, out)
    return run


@dataclass(frozen=True)
class _Given:
    """All that a run is given."""

    dataset: Path
    out: Path
    simulation: SimulationSettings
    network: NetworkSettings
    training: TrainingSettings
    recipe: RecipeSettings
    live: LiveSettings
    prediction: PredictionSettings
    size: tuple[int, int] | None
    source: Path | None
    after: Path | None

    @property
    def path(self) -> Path:
        """Folder of the project."""
        return self.out / "project.alseg"


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "napari-alseg": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


# --- beginning and going on -----------------------------------------------------------


def _refuse_incompatible_parts(
    simulation: SimulationSettings,
    training: TrainingSettings,
    source: Path | None,
    after: Path | None,
) -> None:
    """Refuse settings that contradict one another."""
    adding = simulation.protocol == "added-images"
    if adding != (simulation.added_images > 0):
        raise BadValue(
            f"protocol {simulation.protocol} with added_images "
            f"{simulation.added_images}: give how many images join in each round, "
            "above zero, with the protocol added-images and only with it"
        )
    recipe = _recipe_of(simulation, training)
    if training.source_free and (source is None or recipe != "adaptation"):
        raise BadValue(
            "source_free leaves a source after the first network: give a source, and "
            f"take the recipe 'adaptation' instead of {recipe!r}"
        )
    if simulation.schedule == "one-run":
        if after is not None:
            raise BadValue(
                "a single training cannot begin after another run; take the schedule "
                "rounds"
            )
        if recipe in OF_ANSWERS:
            raise BadValue(
                f"the recipe {recipe!r} has no single training that could pause to "
                "ask; take the schedule rounds, or another recipe"
            )
        if source is None and not simulation.initial_images:
            raise BadValue(
                "a single training learns for a while before it first asks: give a "
                "source, or initial images"
            )
        if source is not None and training.source_free and simulation.initial_images:
            raise BadValue(
                "a single training leaves its source only once: without source_free "
                "it may also have initial images"
            )


def _refuse_unfit(run: Run) -> None:
    """Refuse a budget, answers or a recipe that do not go with what is asked."""
    asking, recipe = run["asking"], run["recipe"]
    budget = Budget.parse(run["budget"])
    systems.refuse_unfit_budget(asking["partition"], budget)
    if run["protocol"] == "pool" and run["planned_rounds"]:
        budget.shares(run["planned_rounds"])
    if run["difficulty"]:
        refuse_untaught_branch(recipe)
    if run["answers"] == "dominant" and asking["partition"] == "image":
        raise BadValue(
            "answers 'dominant' would give a whole image a single class; take exact "
            "answers, or a partition with smaller regions"
        )
    needs = systems.acquisition(asking["acquisition"]).needs
    if "difficulty" in needs and recipe != "difficulty":
        raise BadValue(
            f"{run['system']} asks where the network thinks itself wrong, which the "
            f"recipe {recipe!r} does not teach it; take the recipe 'difficulty'"
        )


def _refuse_ignored(project: Project, truth: Callable[[str], LabelMap]) -> None:
    """Refuse a data set that has no class anywhere to learn, or to measure."""
    for images, labels, what in (
        (project.images(), truth, "is learnt from"),
        (project.images("test"), project.read_labels, "measures"),
    ):
        if not any(labels(image).any() for image in images):
            raise BadValue(
                f"no image that {what} has a pixel of a class in its mask: look at the "
                "masks and at classes.csv"
            )


def _recipe_of(simulation: SimulationSettings, training: TrainingSettings) -> Recipe:
    """Return how the run learns: as it says, else as its system has it."""
    return training.recipe or systems.system(simulation.system).recipe


def _described(given: _Given) -> Run:
    """Return a run without rounds of its own: all that it depends on.

    Raises
    ------
    BadValue
        If its parts do not go together.
    """
    simulation, network = given.simulation, given.network
    training, source = given.training, given.source
    asking = systems.completed(
        QuerySettings(simulation.system, **simulation.parameters())
    )
    whole_pool = simulation.protocol == "pool"
    full = asking.choice == "everything"
    run = {
        "format": FORMAT,
        "finished": False,
        "system": simulation.system,
        "dataset": given.dataset.resolve().name,
        "source": source.resolve().name if source else "",
        "after": None,
        "seed": simulation.seed,
        "budget": "100%" if full else str(Budget.parse(simulation.budget)),
        "planned_rounds": 1 if full and whole_pool else simulation.rounds,
        "size": simulation.size,
        "answers": simulation.answers,
        "protocol": simulation.protocol,
        "initial_images": simulation.initial_images,
        "added_images": simulation.added_images,
        "schedule": simulation.schedule,
        "network": network.network,
        "encoder": network.encoder,
        "pretrained": network.weights,
        "weights": "",
        "difficulty": network.difficulty,
        "recipe": _recipe_of(simulation, training),
        "asking": asking.parameters(),
        "training": asdict(training),
        "classes": [],
        "pool": {},
        "device": str(segmentation.choose_device(training.device)),
        "rounds": [],
        "versions": versions(),
        "terms": asdict(given.recipe),
        "prediction": asdict(given.prediction),
        "files": fingerprints(given.dataset, source),
    }
    if run["recipe"] == "live":
        run["live"] = asdict(given.live)
    _refuse_unfit(run)
    if given.after:
        before = read_run(given.after)
        _refuse_other_data(run, before)
        run["after"] = {
            "system": before["system"],
            "seed": before["seed"],
            "round": before["rounds"][-1]["round"],
        }
        run["rounds"] = list(before["rounds"])
    return run


def _refuse_other_data(run: Run, before: Run) -> None:
    """Refuse to begin after a run that is not finished or has other data or network.

    One curve is drawn through both.
    """
    if not before["finished"]:
        raise BadValue(
            "the run to begin after has not come to its end; finish it with --resume"
        )
    for name in ("dataset", "size", "source", *NETWORK):
        if run[name] != before.get(name):
            raise BadValue(
                f"the run to begin after has {name} {before.get(name)!r}, this one "
                f"{run[name]!r}; give the same"
            )
    if run["files"] != before.get("files", run["files"]):  # older runs do not say
        raise BadValue(
            "the run to begin after was made of other images, masks or classes; give "
            "the same data"
        )


def _there(run: Run, out: Path, resume: bool) -> Run:
    """Return the run that is in a folder already, or else the new one.

    Raises
    ------
    BadValue
        If one is there that is not to be resumed, or has other settings.
    """
    if not any((out / name).exists() for name in ("run.json", "project.alseg")):
        return run
    if not resume:
        raise BadValue(
            f"{out} holds a run already; go on with it (--resume) or give a new folder"
        )
    known = read_run(out)
    different = differences(known, run)
    for name in ("dataset", "source"):
        changed = different.pop(f"files.{name}", None)
        if changed and name not in different:
            raise BadValue(
                f"the images, masks or classes of {run[name]} are not those that the "
                f"run in {out} was begun with; give these, or a new folder"
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


def _begin(given: _Given, run: Run) -> Task[None]:
    """Make the project, unless it is there; if the run cannot be, leave nothing new."""
    simulation, made = given.simulation, not given.path.exists()
    if not given.after and (simulation.initial_images or simulation.added_images):
        refuse_too_many(run, len(list(paired(given.dataset / "train"))))
    segmentation.build(given.network, classes=2)  # unknown names are refused here
    write_run(run, given.out)
    try:
        if made and given.after is None:
            yield from create_simulation(
                given.path, given.dataset, given.size, given.source
            )
        elif made and given.after is not None:
            _copy_project(given.after, given.path)
        with Project.open(given.path) as project:
            stages_of(project, simulation, run)
            never_paired(project, given.recipe)
            _refuse_ignored(project, truth_of(project, given.dataset, given.size))
    except AlsegError:
        if made:
            shutil.rmtree(given.path, ignore_errors=True)
            (given.out / "run.json").unlink()
        raise


def _copy_project(after: Path, path: Path) -> None:
    """Copy the project of a finished run; it is there wholly or not at all.

    Raises
    ------
    Busy
        If somebody may be writing to it.
    """
    original = after / "project.alseg"
    if (original / "lock.json").exists():
        raise Busy(f"{original} is open elsewhere; close it there and try again")
    partial = path.with_name(path.name + ".importing")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(original, partial)
    partial.rename(path)


def _pool(project: Project) -> dict[str, int]:
    """Return how much there is to ask."""
    shapes = [project.info(image).shape for image in project.images()]
    return {
        "images": len(shapes),
        "pixels": sum(rows * columns for rows, columns in shapes),
    }


# --- one stage ------------------------------------------------------------------------


def _do_stage(
    stage: Stage,
    given: _Given,
    project: Project,
    truth: Callable[[str], LabelMap],
    run: Run,
) -> Task[dict[str, Any]]:
    """Ask, answer, learn and measure, as far as that is not done; its row."""
    # The first regions are described by the encoder of the later lightweight head.
    first = run["recipe"] == "live" and not project.weights.rounds
    encoder = given.network if first else None
    selection = yield from _asked(project, stage, given.prediction, encoder)
    in_full = stage.kind == "initial"
    oracle = Oracle(truth, "exact" if in_full else given.simulation.answers)
    answers = _answered(project, selection, oracle)
    if "learnt" not in project.metrics(stage.round):
        yield from retrain(
            project,
            given.network,
            replace(given.training, recipe=_recipe_at(stage, run)),
            given.prediction,
            given.simulation.seed,
            recipe=given.recipe,
            live=given.live,
            resume=_stopped(project, stage),
            part=stage.part,
        )
    scores = yield from _final_scores(project, given.prediction)
    return _row(project, stage, run, answers, scores)


def _asked(
    project: Project,
    stage: Stage,
    prediction: PredictionSettings,
    live: NetworkSettings | None,
) -> Task[Selection | None]:
    """Ask what the stage asks, unless it is asked already."""
    if stage.query is None:
        return None
    if stage.round in project.rounds:
        return selection_of(project, stage.round)
    return (
        yield from query(project, stage.query, prediction, among=stage.among, live=live)
    )


def _answered(
    project: Project, selection: Selection | None, oracle: Oracle
) -> Answers | None:
    """Answer what is still open of a selection; return all its answers."""
    if selection is None:
        return None
    answers = oracle.answers(project, selection)
    number = selection.round
    states = project.states(number)
    still_open = {at for at, state in enumerate(states) if state == "open"}
    patches = answers.patches
    project.answer_all(number, {at: patches[at] for at in patches if at in still_open})
    for position in answers.skipped:
        project.skip(number, position)
    return answers


def _stopped(project: Project, stage: Stage) -> bool:
    """Whether this stage's training was stopped on its way."""
    unfinished = project.weights.read_aside("unfinished")
    return unfinished is not None and unfinished[1]["plan"]["round"] == stage.round


def _recipe_at(stage: Stage, run: Run) -> Recipe:
    """Return how a stage learns: as the run does, also before the first round.

    So RIPU's single training has all its terms throughout, and DEAL's first network
    has its branch. Only what begins with answers learns a source by its labels alone.
    """
    recipe: Recipe = run["recipe"]
    return "partial" if stage.kind == "source" and recipe in OF_ANSWERS else recipe


# --- results --------------------------------------------------------------------------


def _final_scores(project: Project, prediction: PredictionSettings) -> Task[Scores]:
    """Measure the latest network on the test split."""
    network = trained_network(project, prediction)
    assert network is not None
    scores = yield from measure_scores(project, network, "test", prediction)
    assert scores is not None
    return scores


def _row(
    project: Project, stage: Stage, run: Run, answers: Answers | None, scores: Scores
) -> dict[str, Any]:
    """Return one stage's entry of ``run.json``, costs counted from the first round."""
    asked = [selection_of(project, n) for n in project.rounds if n <= stage.round]
    pixels = sum(selection.pixels for selection in asked)
    before = run["rounds"][-1]["clicks"] if run["rounds"] else 0
    recorded = project.metrics(stage.round)
    return {
        "round": stage.round,
        "stage": stage.kind,
        "part": list(stage.part),
        "pixels": pixels,
        "fraction": pixels / run["pool"]["pixels"],
        "regions": sum(len(selection.regions) for selection in asked),
        "images": len({image for selection in asked for image in selection.images}),
        "clicks": before + (answers.clicks if answers else 0),
        "miou": scores.mean,
        "iou": dict(zip(run["classes"], scores.iou, strict=True)),
        "seconds": {
            part: recorded.get(f"{part}_seconds", 0.0)
            for part in ("score", "choose", "train")
        },
    }
