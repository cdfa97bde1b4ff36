"""What the answers of a round teach the network, by the recipes of one stage.

A training is described by a `Plan`. Stopped, it leaves the plan and the state of its
run in the project, so that `session.retrain(resume=True)` goes on as if it had never
been stopped: with the same labels, though labelling went on.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from threading import Lock
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

from . import metrics, segmentation
from .arrays import Task, to_targets
from .errors import NothingToLearn
from .metrics import CurvePoint, Report
from .segmentation import Example, Network, Objective, Run
from .settings import (
    NetworkSettings,
    PredictionSettings,
    RecipeSettings,
    SpreadSettings,
    TrainingSettings,
)
from .store import Project

CACHED_BYTES = 1_000_000_000
"""Decoded training images kept in memory; the others are read again."""

# --- examples -------------------------------------------------------------------------


class Examples(Sequence[Example]):
    """Images with their labels as they were at one moment, read when needed.

    The newest used are kept in memory up to `CACHED_BYTES`; labelling goes on
    meanwhile without changing what is learnt. With `spread`, labels first spread to
    neighbours of like colour (`segmentation.spread`).
    """

    def __init__(
        self,
        project: Project,
        images: Sequence[str],
        sequence: int,
        spread: bool = False,
    ) -> None:
        self._project = project
        self.images = images
        self._sequence = sequence
        self._spread = spread
        self._lock = Lock()  # batches are read by several threads
        self._kept: OrderedDict[int, Example] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        with self._lock:
            if index not in self._kept:
                self._keep(index, self._read(self.images[index]))
            self._kept.move_to_end(index)
            return self._kept[index]

    def _read(self, image: str) -> Example:
        targets = to_targets(self._project.labels_at(image, self._sequence))
        pixels = self._project.read_image(image)
        if self._spread:
            classes = len(self._project.classes)
            how = asdict(SpreadSettings())
            targets = segmentation.spread(targets, pixels, classes, **how)
        return Example(pixels, targets)

    def _keep(self, index: int, example: Example) -> None:
        self._kept[index] = example
        self._bytes += example.image.nbytes + example.targets.nbytes
        while self._bytes > CACHED_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.image.nbytes + dropped.targets.nbytes


# --- the plan of a training -----------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """All that decides what a training leads to."""

    round: int
    sequence: int
    """The event up to which labels count."""
    seed: int
    network: NetworkSettings
    training: TrainingSettings
    recipe: RecipeSettings

    def metadata(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Plan":
        """Return the plan of metadata."""
        return cls(
            metadata["round"],
            metadata["sequence"],
            metadata["seed"],
            NetworkSettings(**metadata["network"]),
            TrainingSettings(**metadata["training"]),
            RecipeSettings(**metadata["recipe"]),
        )


Unfinished: TypeAlias = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]
"""Arrays and metadata of weights, or of a stopped training."""


def no_labels(project: Project) -> NothingToLearn:
    """Return what is raised where no person has labelled anything."""
    return NothingToLearn(
        f"no image of {project.path.name} has a label yet; answer asked regions or "
        "paint in the annotation layer first"
    )


class Learner:
    """What every recipe does with a project."""

    def __init__(
        self,
        project: Project,
        plan: Plan,
        prediction: PredictionSettings,
        spent: float = 0.0,
    ) -> None:
        self.project = project
        self.plan = plan
        self.prediction = prediction
        self._begun = perf_counter() - spent  # seconds before it was stopped count
        self.labelled = project.labelled(plan.sequence)
        """Images of the pool with a label at the moment of the plan."""
        self.validation = self.examples(project.images("validation"))

    def examples(self, images: Sequence[str], spread: bool = False) -> Examples:
        """Return images with their labels at the moment of the plan."""
        return Examples(self.project, images, self.plan.sequence, spread)

    def network(self, *, warm: bool) -> Network:
        """Return the network that a run starts from, on its device."""
        plan = self.plan
        net = segmentation.build(
            plan.network, len(self.project.classes), seed=plan.seed
        )
        stored = self.before() if warm else None
        if stored is not None:
            arrays, metadata = stored
            segmentation.load(net, _fitting(net, arrays))
            net.weights_source = metadata["weights_source"]
        return net.to(segmentation.choose_device(plan.training.device))

    def before(self) -> Unfinished | None:
        """Return the latest full network that learnt fewer labels; None if none did.

        So that a training which is done once more starts where it started first.
        """
        for number in range(self.plan.round, -1, -1):
            stored = self.project.weights.read(number)
            if stored is None or is_lightweight(stored[1]):
                continue
            earlier = number < self.plan.round
            if earlier or stored[1].get("sequence", -1) < self.plan.sequence:
                return stored
        return None

    def commit(self, net: Network, curve: Sequence[CurvePoint], **about: Any) -> None:
        """Make the weights those of the round, and say more about them."""
        number = self.plan.round
        arrays, metadata = segmentation.state(net), segmentation.metadata(net)
        metadata |= {"sequence": self.plan.sequence, **about}
        self.project.weights.commit(number, arrays, metadata)
        self.project.record(number, "train_seconds", self._seconds())
        self.project.record(number, "curve", [list(_row(point)) for point in curve])

    def save_checkpoint(
        self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        """Keep what is needed to go on."""
        whole = {"plan": self.plan.metadata(), "seconds": self._seconds(), **metadata}
        self.project.weights.write_aside("unfinished", arrays, whole)

    def _seconds(self) -> float:
        return perf_counter() - self._begun

    def report(self, net: Network, curve: Sequence[CurvePoint]) -> Task[Report]:
        """Measure the finished network, and note that the round has been learnt."""
        number, project = self.plan.round, self.project
        scores = yield from measure_scores(project, net, "validation", self.prediction)
        if scores is not None:
            project.record(number, "miou", scores.mean)
            project.record(number, "iou", list(scores.iou))
        project.record(number, "learnt", net.weights_source)
        return Report(number, tuple(curve), net.weights_source, scores)


def is_lightweight(metadata: Mapping[str, Any]) -> bool:
    """Whether weights are of a lightweight head on a frozen encoder."""
    return str(metadata["network"]).startswith(segmentation.LIVE)


def _fitting(net: Network, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Let a branch that only the one of two networks has be as it is."""
    own = segmentation.state(net)
    kept = {name: each for name, each in arrays.items() if name in own}
    branch = {name: own[name] for name in own if name.startswith("difficulty.")}
    return branch | kept


def learn_once(
    learner: Learner, unfinished: Unfinished | None, until: float
) -> Task[Report]:
    """Train by a recipe of one stage, until a part of it is done, 0..1."""
    plan, project = learner.plan, learner.project
    leaves_source = _leaves_source(learner)
    objective = _objective(learner, leaves_source)
    warm = plan.training.start == "last" or leaves_source
    net = learner.network(warm=warm and unfinished is None)
    run = Run(net, plan.training, plan.seed)
    if unfinished is not None:
        arrays, metadata = unfinished
        run.load_checkpoint(arrays, metadata["run"])
    else:
        project.weights.clear_aside("unfinished")
        project.clear_pseudo_labels()  # they are what another training took for true

    def save_checkpoint() -> None:
        arrays, metadata = run.state()
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
        project.weights.clear_aside("unfinished")
    return report


OBJECTIVES: dict[str, Callable[..., Objective[Any]]] = {
    "partial": segmentation.Partial,
    "consistency": segmentation.Consistency,
    "difficulty": segmentation.Difficulty,
    "adaptation": segmentation.Adaptation,
}


def _objective(learner: Learner, leaves_source: bool) -> Objective[Any]:
    """Return what the labels of the project and its source images teach."""
    project, training = learner.project, learner.plan.training
    recipe = training.recipe or "partial"
    source = learner.examples(project.images("source"))
    more: dict[str, Any] = {}
    if recipe == "adaptation" and training.source_free:
        if len(source) and not leaves_source:
            recipe = "partial"
            examples = source
        else:
            examples = learner.examples(project.images(), training.spread)
    elif recipe == "adaptation":
        # All of the target counts, labelled or not.
        examples = learner.examples(project.images(), training.spread)
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
    return OBJECTIVES[recipe](
        examples,
        training,
        learner.plan.seed,
        recipe=learner.plan.recipe,
        class_weight=weight,
        **more,
    )


def _leaves_source(learner: Learner) -> bool:
    """Whether the network goes on from what the source alone has taught it."""
    training = learner.plan.training
    free = training.recipe == "adaptation" and training.source_free
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
        return max(measured) >= float(project.metrics(latest).get("miou", 0.0))
    return curve[-1].epoch > 0 and curve[0].miou is None


def _row(point: CurvePoint) -> tuple[int, int, float | None, float | None]:
    return point.step, point.epoch, point.loss, point.miou


def measure_scores(
    project: Project,
    network: Network,
    split: str,
    prediction: PredictionSettings | None = None,
) -> Task[metrics.Scores | None]:
    """Return IoU on the labelled pixels of a split; None if it has none."""
    images = project.images(split)
    if not images:
        return None
    examples = Examples(project, images, project.sequence)
    confusion = yield from segmentation.evaluate(
        network, examples, prediction or PredictionSettings()
    )
    return metrics.scores(confusion) if confusion.any() else None
