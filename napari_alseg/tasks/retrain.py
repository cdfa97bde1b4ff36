"""The task that learns all labels of a round."""

from dataclasses import replace

from napari_alseg import systems
from napari_alseg.arrays import Progress, Task
from napari_alseg.errors import BadValue, NothingToLearn
from napari_alseg.metrics import Report
from napari_alseg.settings import (
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    RecipeSettings,
    TrainingSettings,
    check,
)
from napari_alseg.store import Project
from napari_alseg.training.job import Learner, refuse_untaught_branch
from napari_alseg.training.plan import Checkpoint, Plan


def retrain(
    project: Project,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    prediction: PredictionSettings | None = None,
    seed: int = 0,
    *,
    recipe: RecipeSettings | None = None,
    live: LiveSettings | None = None,
    resume: bool = False,
    part: tuple[float, float] = (0.0, 1.0),
) -> Task[Report]:
    """Train a network on all labels and make its weights the project's latest.

    By default every round starts again from the pretrained encoder and replays all
    labels: going on from the last round would favour the labels that came first, and
    a network that has once settled learns less from what is added (warm starts are
    known to generalise worse: Ash & Adams, NeurIPS 2020). ``start="last"`` needs
    fewer epochs instead.

    Closing the task keeps the best weights so far, and what is needed to go on.

    Parameters
    ----------
    project : Project
    network : NetworkSettings, optional
    training : TrainingSettings, optional
        Its recipe is that of the system of the latest round if it names none.
    prediction : PredictionSettings, optional
        For the final look at the validation images.
    seed : int
        Same seed, same labels, same CPU and threads: same weights.
    recipe : RecipeSettings, optional
        How much the special terms count.
    live : LiveSettings, optional
        For the recipe 'live'.
    resume : bool
        Go on with the training of this round that was stopped, exactly as it was
        begun, whatever else is given here; start anew if there is none.
    part : (float, float)
        The part of the training that this call does, 0..1. One that does not begin at
        0 goes on where the last call ended, with the labels of now: so RIPU asks
        while one training runs.

    Raises
    ------
    NothingToLearn
        If no image has a label, or there is nothing to go on with.
    BadValue
        If a part is asked of the recipe 'rectified', which has stages of its own; or
        the network has a difficulty branch and another recipe than that.
    """
    begin, end = part
    plan = _plan(
        project,
        seed,
        network or NetworkSettings(),
        check(training or TrainingSettings()),
        check(recipe or RecipeSettings()),
    )
    plan, checkpoint, spent = _where_to_begin(project, plan, begin, resume)
    learner = Learner(project, plan, prediction or PredictionSettings(), live, spent)
    if plan.network.difficulty:
        refuse_untaught_branch(learner.recipe)
    if learner.recipe.whole and part != (0.0, 1.0):
        raise BadValue(
            f"the recipe {learner.recipe.name!r} is learnt as a whole, in stages of "
            "its own; ask rounds after it, or take another recipe"
        )
    yield Progress(0, 1, "loading the network")
    report: Report = yield from learner.recipe.learn(learner, checkpoint, end)
    return report


def _plan(
    project: Project,
    seed: int,
    network: NetworkSettings,
    training: TrainingSettings,
    terms: RecipeSettings,
) -> Plan:
    """Return the plan of a new training, its recipe that of the system if none."""
    if training.recipe is None:
        named = systems.recipe_after(project.rounds.selection()).name
        training = replace(training, recipe=named)
    if systems.recipe(str(training.recipe)).teaches_difficulty:
        network = replace(network, difficulty=True)
    return Plan(
        project.rounds.latest, project.labels.sequence, seed, network, training, terms
    )


def _where_to_begin(
    project: Project, plan: Plan, begin: float, resume: bool
) -> tuple[Plan, Checkpoint | None, float]:
    """Return the plan, the checkpoint to go on from, and the seconds spent before."""
    wanted = resume or begin
    checkpoint = project.weights.read_checkpoint("training") if wanted else None
    if begin and checkpoint is None:
        raise NothingToLearn(
            f"there is no training to go on with from {begin:.0%}; begin one at 0"
        )
    if resume and checkpoint and checkpoint[1]["plan"]["round"] == plan.round:
        metadata = checkpoint[1]
        spent = metadata.get("seconds", 0.0)  # older ones lack it
        return Plan.of(metadata["plan"]), checkpoint, spent
    if not begin:
        checkpoint = None  # of another round: what was asked since counts
    return plan, checkpoint, 0.0
