"""Training by a recipe of one stage."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from napari_alseg import segmentation
from napari_alseg.arrays import Task
from napari_alseg.metrics import CurvePoint, Report
from napari_alseg.segmentation import Objective, TrainingRun
from napari_alseg.store import Project
from napari_alseg.systems import RECIPES

from .job import Learner, no_labels
from .plan import Checkpoint


def learn_once(
    learner: Learner, checkpoint: Checkpoint | None, until: float
) -> Task[Report]:
    """Train by a recipe of one stage, until a part of it is done, 0..1."""
    plan, project = learner.plan, learner.project
    leaves_source = _leaves_source(learner)
    objective = _objective(learner, leaves_source)
    warm = plan.training.start == "last" or leaves_source
    net = learner.network(warm=warm and checkpoint is None)
    run = TrainingRun(net, plan.training, plan.seed)
    if checkpoint is not None:
        arrays, metadata = checkpoint
        run.load_checkpoint(arrays, metadata["run"])
    else:
        project.weights.clear_checkpoint("training")
        project.outputs.clear_pseudo_labels()  # another training took them for true

    def save_checkpoint() -> None:
        arrays, metadata = run.checkpoint()
        learner.save_checkpoint(arrays, {"run": metadata})

    try:
        yield from run.learn(objective, learner.validation, until=until)
    except (GeneratorExit, KeyboardInterrupt) as stop:
        # A step that was interrupted is half done: there is no going on exactly.
        if run.step and isinstance(stop, GeneratorExit):
            save_checkpoint()
        if worth_keeping(project, run.curve):
            learner.commit(net, run.curve)
        raise
    learner.commit(net, run.curve)  # first, if there is no room for the rest
    save_checkpoint()  # measuring may be stopped, too
    report = yield from learner.report(net, run.curve)
    if run.ended:
        project.weights.clear_checkpoint("training")
    return report


def _objective(learner: Learner, leaves_source: bool) -> Objective[Any]:
    """Return what the labels of the project and its source images teach."""
    project, training = learner.project, learner.plan.training
    recipe = learner.recipe
    source = learner.examples(project.images.names("source"))
    more: dict[str, Any] = {}
    if recipe.adapts and training.source_free:
        if len(source) and not leaves_source:
            recipe = RECIPES["partial"]
            examples = source
        else:
            examples = learner.examples(project.images.names(), training.spread)
    elif recipe.adapts:
        # All of the target counts, labelled or not.
        examples = learner.examples(project.images.names(), training.spread)
        more["source"] = source
    elif learner.labelled:
        examples = learner.examples(learner.labelled, training.spread)
    else:
        examples = source
    if not (learner.labelled or len(source)):
        raise no_labels(project)
    taught = chain(examples, more.get("source", ()))
    classes = len(project.classes)
    weight = segmentation.class_weights(taught, classes, training.class_balance)
    objective: Objective[Any] = recipe.make_objective(
        examples,
        training,
        learner.plan.seed,
        recipe=learner.plan.recipe,
        class_weight=weight,
        **more,
    )
    return objective


def _leaves_source(learner: Learner) -> bool:
    """Whether the network goes on from what the source alone has taught it."""
    free = learner.recipe.adapts and learner.plan.training.source_free
    return free and learner.before() is not None


def worth_keeping(project: Project, curve: Sequence[CurvePoint]) -> bool:
    """Whether a stopped training may take the place of the latest network.

    It must be as good on the validation images; without any, an epoch must be over.
    """
    if not curve or curve[-1].step == 0:
        return False
    latest = project.weights.latest_round
    if latest is None:
        return True
    measured = [point.miou for point in curve[1:] if point.miou is not None]
    if measured:
        return max(measured) >= (project.rounds.metrics(latest).miou or 0.0)
    return curve[-1].epoch > 0 and curve[0].miou is None
