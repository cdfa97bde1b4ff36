"""CISC-R: three trainings, also on images without labels.

1. The labelled images alone teach a first network, pixels of a class being made alike
   across images.
2. It gives every unlabelled pixel of the pool a pseudo label. Images whose pseudo
   labels suit their features (the reliable half) teach a second network, which begins
   anew; the first says how much each pseudo label counts.
3. The second network gives the other half new pseudo labels, and all teach a third,
   which begins anew and is kept.

Wu et al., TPAMI 2023; `segmentation.rectify` has the losses and what departs from it.
Pseudo labels are kept in the project, in a layer of their own: no loss takes them for
labels, and no person's labels change. "Unlabelled" counts by pixel: an image of which
some regions were answered has pseudo labels everywhere else. Each training takes as
many steps as `epochs` passes over the pool, however few images it sees, so that the
first network is a teacher worth having.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from napari_alseg import segmentation
from napari_alseg.arrays import IGNORE, NOTE, Progress, Task, to_labels, to_targets
from napari_alseg.errors import UnknownName
from napari_alseg.metrics import Report
from napari_alseg.segmentation import Example, Network, Objective, TrainingRun
from napari_alseg.segmentation.cisc_r import pairs, pseudo
from napari_alseg.settings import MOST_EPOCHS, RecipeSettings, TrainingSettings
from napari_alseg.store import PSEUDO_WEIGHT, Project

from .examples import Examples
from .job import Learner, no_labels
from .plan import Checkpoint
from .single_stage import worth_keeping

STAGES = 3
LEAST_UNLABELLED = 0.25
"""Share of an image without labels from which on it has pseudo labels; what is left of
an image that was labelled as a whole is ignored, and has no class to guess."""


class PseudoExamples(Examples):
    """Images with pseudo labels where they lack labels."""

    def _read(self, image: str) -> Example:
        known = super()._read(image)
        labels = self._project.outputs.read_pseudo_labels(image)
        if labels is None:
            return Example(known.image, np.full_like(known.targets, IGNORE))
        targets = pseudo.where_unlabelled(to_targets(labels), known.targets)
        return Example(known.image, targets)


@dataclass
class _Stage:
    """Where a training stands: what a stopped one needs beside its run."""

    number: int
    teacher: Network | None
    reliable: Sequence[str]
    queried: np.ndarray | None
    """Classes for which each labelled image may be a partner; bool (n, 254)."""


def learn_rectified(
    learner: Learner, checkpoint: Checkpoint | None, _until: float
) -> Task[Report]:
    """Train by the recipe 'rectified', always as a whole.

    Stopped in a later stage, the network of the stage before is kept.

    Raises
    ------
    NothingToLearn
        If no image of the pool has a label.
    UnknownName
        If a class that is never to make a pair is none of the project's.
    """
    project, plan = learner.project, learner.plan
    if not learner.labelled:
        raise no_labels(project)
    never_paired(project, plan.recipe)  # unknown names are refused at once
    labelled = learner.examples(learner.labelled, plan.training.spread)
    unlabelled = _unlabelled(learner)
    if checkpoint is None:
        project.weights.clear_checkpoint("training")
        project.outputs.clear_pseudo_labels()
        stage = _Stage(1, None, (), None)
        state: Checkpoint | None = None
    else:
        stage, state = _loaded(learner, checkpoint)
    last = STAGES if unlabelled else 1
    while True:
        run = yield from _learn_stage(learner, stage, state, labelled, unlabelled, last)
        state = None
        if stage.number == last:
            break
        stage = yield from _next_stage(learner, stage, run, labelled, unlabelled)
    net, curve = run.network, run.curve
    learner.commit(net, curve)  # first, if there is no room for the rest
    _save_checkpoint(learner, stage, run)  # weighing and measuring may be stopped, too
    if stage.teacher is not None:
        yield from _write_weights(learner, stage, labelled, unlabelled)
    report = yield from learner.report(net, curve)
    project.weights.clear_checkpoint("training")
    return report


def never_paired(project: Project, recipe: RecipeSettings) -> list[int]:
    """Return the classes that make no pair.

    Raises
    ------
    UnknownName
        If the project has no such class.
    """
    names = [entry.name for entry in project.classes]
    wanted = [name.strip() for name in recipe.never.split(",")]
    for name in filter(None, wanted):
        if name not in names:
            raise UnknownName("class", name, names)
    return [names.index(name) for name in wanted if name]


def _unlabelled(learner: Learner) -> tuple[str, ...]:
    """Images of the pool with enough pixels that have no label."""
    project, plan = learner.project, learner.plan
    some = set(learner.labelled)

    def open_share(image: str) -> float:
        if image not in some:
            return 1.0
        return float((project.labels.at(image, plan.sequence) == 0).mean())

    return tuple(
        image
        for image in project.images.names()
        if open_share(image) >= LEAST_UNLABELLED
    )


def _objective(
    learner: Learner,
    stage: _Stage,
    labelled: Examples,
    unlabelled: Sequence[str],
) -> Task[Objective[Any]]:
    """Return what a stage learns."""
    plan = learner.plan
    classes, balance = len(learner.project.classes), plan.training.class_balance
    weight = segmentation.class_weights(labelled, classes, balance)
    training = _training(learner, stage, unlabelled)
    if stage.teacher is None:
        never = never_paired(learner.project, plan.recipe)
        held = yield from pairs.classes_held(labelled, never)
        return segmentation.Pairwise(
            labelled,
            training,
            plan.seed,
            held=held,
            recipe=plan.recipe,
            class_weight=weight,
        )
    images = stage.reliable if stage.number == 2 else unlabelled
    place = {image: index for index, image in enumerate(labelled.images)}
    guessed = PseudoExamples(learner.project, images, plan.sequence)
    held = yield from pairs.classes_held(guessed)
    return segmentation.Rectified(
        guessed,
        labelled,
        stage.teacher,
        training,
        plan.seed + stage.number,
        held=held,
        queried=stage.queried,
        own=[place.get(image) for image in images],
        class_weight=weight,
    )


def _training(
    learner: Learner, stage: _Stage, unlabelled: Sequence[str]
) -> TrainingSettings:
    """Let each stage take as many steps as an epoch of the whole pool, times epochs.

    All trainings share the time that one may take.
    """
    training = learner.plan.training
    images = (learner.labelled, stage.reliable, unlabelled)[stage.number - 1]
    more = len(learner.project.images.names()) / len(images)
    return replace(
        training,
        epochs=min(ceil(training.epochs * more), MOST_EPOCHS),
        validate_every=min(ceil(training.validate_every * more), MOST_EPOCHS),
        minutes=training.minutes / (STAGES if unlabelled else 1),
    )


def _learn_stage(
    learner: Learner,
    stage: _Stage,
    state: Checkpoint | None,
    labelled: Examples,
    unlabelled: Sequence[str],
    last: int,
) -> Task[TrainingRun]:
    """Train the network of one stage, which begins anew."""
    plan = learner.plan
    training = _training(learner, stage, unlabelled)
    warm = stage.number == 1 and plan.training.start == "last" and state is None
    net = learner.network(warm=warm)
    run = TrainingRun(net, training, plan.seed + stage.number)
    if state is not None:
        run.load_checkpoint(*state)
    try:
        objective = yield from _objective(learner, stage, labelled, unlabelled)
        for progress in run.learn(objective, learner.validation):
            if not progress.message.startswith(NOTE):
                message = f"{progress.message} ({stage.number} of {last})"
                progress = replace(progress, message=message)
            yield progress
    except (GeneratorExit, KeyboardInterrupt) as stop:
        if isinstance(stop, GeneratorExit):  # a step was not interrupted half-way
            _save_checkpoint(learner, stage, run)
        if stage.teacher is not None:
            learner.commit(stage.teacher, run.curve)
        elif worth_keeping(learner.project, run.curve):
            learner.commit(net, run.curve)
        raise
    return run


def _next_stage(
    learner: Learner,
    stage: _Stage,
    run: TrainingRun,
    labelled: Examples,
    unlabelled: Sequence[str],
) -> Task[_Stage]:
    """Give pseudo labels, and find out which are reliable."""
    net = run.network
    _save_checkpoint(
        learner, stage, run
    )  # whatever happens from here on, going on begins here
    following = replace(stage, number=stage.number + 1, teacher=net)
    known = set(stage.reliable)
    try:
        images = [image for image in unlabelled if image not in known]
        yield from _write_pseudo_labels(learner, net, images)
        if stage.number > 1:
            return following
        return (yield from _ranked(learner, following, net, labelled, unlabelled))
    except (GeneratorExit, KeyboardInterrupt):
        learner.commit(net, run.curve)
        raise


def _write_pseudo_labels(
    learner: Learner, net: Network, images: Sequence[str]
) -> Task[None]:
    project, plan = learner.project, learner.plan
    for done, image in enumerate(images, 1):
        pixels = project.images.read(image)
        targets, _ = pseudo.pseudo_labels(net, pixels, learner.prediction)
        known = to_targets(project.labels.at(image, plan.sequence))
        labels = to_labels(pseudo.where_unlabelled(targets, known))
        project.outputs.write_pseudo_labels(image, labels, plan.round)
        yield Progress(done, len(images), "giving pseudo labels")


def _ranked(
    learner: Learner,
    stage: _Stage,
    net: Network,
    labelled: Examples,
    unlabelled: Sequence[str],
) -> Task[_Stage]:
    """Find the reliable half, and the labelled images that show a class best."""
    settings = learner.prediction
    anchors = yield from pseudo.class_anchors(net, labelled, settings)
    losses = []
    for index in range(len(labelled)):
        losses.append(pseudo.class_losses(net, labelled[index], anchors, settings))
        yield Progress(index + 1, len(labelled), "comparing labels")
    never = never_paired(learner.project, learner.plan.recipe)
    held = yield from pairs.classes_held(labelled, never)
    guessed = PseudoExamples(learner.project, unlabelled, learner.plan.sequence)
    scores = []
    for index in range(len(guessed)):
        scores.append(pseudo.unreliability(net, guessed[index], anchors, settings))
        yield Progress(index + 1, len(guessed), "comparing pseudo labels")
    # With a single image there is no half.
    half = pseudo.reliable_half(scores) or range(len(unlabelled))
    return replace(
        stage,
        reliable=[unlabelled[index] for index in half],
        queried=pseudo.query_half(held, np.array(losses)),
    )


def _write_weights(
    learner: Learner,
    stage: _Stage,
    labelled: Examples,
    unlabelled: Sequence[str],
) -> Task[None]:
    """Write how much each pseudo label counts, beside one labelled image."""
    assert stage.teacher is not None and stage.queried is not None
    project, plan = learner.project, learner.plan
    guessed = PseudoExamples(project, unlabelled, plan.sequence)
    place = {image: index for index, image in enumerate(labelled.images)}
    numbers = np.random.default_rng([plan.seed, plan.round]).random(len(unlabelled))
    never = never_paired(project, plan.recipe)
    for index, image in enumerate(unlabelled):
        example = guessed[index]
        held = pairs.shares(example.targets) >= pairs.LEAST_SHARE
        other, _ = pairs.partner(
            held, stage.queried, float(numbers[index]), place.get(image)
        )
        weight = pseudo.rectification(
            stage.teacher, example, labelled[other], learner.prediction, never
        )
        project.outputs.write_map(image, PSEUDO_WEIGHT, weight, plan.round)
        yield Progress(index + 1, len(unlabelled), "weighing pseudo labels")


# --- stopping and going on ------------------------------------------------------------


def _save_checkpoint(learner: Learner, stage: _Stage, run: TrainingRun) -> None:
    """Keep a stage: its run, its teacher, and what the stages before found out."""
    arrays, metadata = run.checkpoint()
    kept: dict[str, np.ndarray] = {f"run/{name}": each for name, each in arrays.items()}
    if stage.teacher is not None:
        teacher = segmentation.state(stage.teacher)
        kept |= {f"teacher/{name}": each for name, each in teacher.items()}
    if stage.queried is not None:
        kept["queried"] = stage.queried.astype(np.uint8)
    learner.save_checkpoint(
        kept, {"run": metadata, "stage": stage.number, "reliable": list(stage.reliable)}
    )


def _loaded(learner: Learner, checkpoint: Checkpoint) -> tuple[_Stage, Checkpoint]:
    """Return the stage that was stopped, and the state of its run."""
    arrays, metadata = checkpoint
    queried = arrays.get("queried")
    stage = _Stage(
        metadata["stage"],
        None,
        metadata["reliable"],
        None if queried is None else queried.astype(bool),
    )
    teacher = _named("teacher/", arrays)
    if teacher:
        stage.teacher = learner.network(warm=False)
        segmentation.load(stage.teacher, teacher)
        stage.teacher.eval()
    return stage, (_named("run/", arrays), metadata["run"])


def _named(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays whose names have a prefix, without it."""
    return {
        name.removeprefix(prefix): each
        for name, each in arrays.items()
        if name.startswith(prefix)
    }
