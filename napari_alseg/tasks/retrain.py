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
from napari_alseg.training.cisc_r import learn_rectified
from napari_alseg.training.job import Learner, refuse_untaught_branch
from napari_alseg.training.live_head import learn_live
from napari_alseg.training.plan import Plan
from napari_alseg.training.single_stage import learn_once


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
    number = project.latest_round
    plan = Plan(
        number,
        project.sequence,
        seed,
        network or NetworkSettings(),
        check(training or TrainingSettings()),
        check(recipe or RecipeSettings()),
    )
    if plan.training.recipe is None:
        named = systems.recipe_after(project.selection())
        plan = replace(plan, training=replace(plan.training, recipe=named))
    if plan.training.recipe == "difficulty":
        plan = replace(plan, network=replace(plan.network, difficulty=True))
    unfinished = project.weights.read_aside("unfinished") if resume or begin else None
    if begin and unfinished is None:
        raise NothingToLearn(
            f"there is no training to go on with from {begin:.0%}; begin one at 0"
        )
    spent = 0.0
    if resume and unfinished and unfinished[1]["plan"]["round"] == number:
        plan = Plan.of(unfinished[1]["plan"])
        spent = unfinished[1].get("seconds", 0.0)  # older ones lack it
    elif not begin:
        unfinished = None  # of another round: what was asked since counts
    if plan.network.difficulty:
        refuse_untaught_branch(plan.training.recipe)
    yield Progress(0, 1, "loading the network")
    learner = Learner(project, plan, prediction or PredictionSettings(), spent)
    if plan.training.recipe == "live":
        return (yield from learn_live(learner, live or LiveSettings()))
    if plan.training.recipe == "rectified":
        if part != (0.0, 1.0):
            raise BadValue(
                "the recipe 'rectified' is learnt as a whole, in three stages; ask "
                "rounds after it, or take another recipe"
            )
        return (yield from learn_rectified(learner, unfinished))
    return (yield from learn_once(learner, unfinished, end))
