"""What every recipe does with a project.

A training is described by a `Plan`. Stopped, it leaves the plan and a checkpoint in the
project, so that `retrain(resume=True)` ends as if it had never been stopped: with the
same labels, though labelling went on.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from napari_alseg import metrics, segmentation
from napari_alseg.arrays import Task
from napari_alseg.errors import BadValue, NothingToLearn
from napari_alseg.metrics import CurvePoint, Report
from napari_alseg.segmentation import Network
from napari_alseg.segmentation.head.head import is_lightweight
from napari_alseg.settings import LiveSettings, PredictionSettings
from napari_alseg.store import Project
from napari_alseg.systems import Recipe, recipe

from .examples import Examples
from .plan import Checkpoint, Plan


def no_labels(project: Project) -> NothingToLearn:
    """Return the error of a project without labels."""
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
        live: LiveSettings | None = None,
        spent: float = 0.0,
    ) -> None:
        self.project = project
        self.plan = plan
        self.recipe = recipe(plan.training.recipe or "partial")
        self.prediction = prediction
        self.live = live or LiveSettings()
        self._begun = perf_counter() - spent  # seconds before it was stopped count
        self.labelled = project.labels.labelled(plan.sequence)
        """Images of the pool with a label at the moment of the plan."""
        self.validation = self.examples(project.images.names("validation"))

    def examples(self, images: Sequence[str], spread: bool = False) -> Examples:
        """Return images with their labels at the moment of the plan."""
        return Examples(self.project, images, self.plan.sequence, spread)

    def network(self, *, warm: bool) -> Network:
        """Network that a run starts from, on its device."""
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

    def before(self) -> Checkpoint | None:
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
        self.project.rounds.record(number, train_seconds=self._seconds())
        self.project.rounds.record(number, curve=[list(_row(point)) for point in curve])

    def save_checkpoint(
        self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        """Keep what is needed to go on."""
        whole = {"plan": self.plan.metadata(), "seconds": self._seconds(), **metadata}
        self.project.weights.write_checkpoint("training", arrays, whole)

    def _seconds(self) -> float:
        return perf_counter() - self._begun

    def report(self, net: Network, curve: Sequence[CurvePoint]) -> Task[Report]:
        """Measure the finished network, and note that the round has been learnt."""
        number, project = self.plan.round, self.project
        scores = yield from measure_scores(project, net, "validation", self.prediction)
        if scores is not None:
            project.rounds.record(number, miou=scores.mean)
            project.rounds.record(number, iou=list(scores.iou))
        project.rounds.record(number, learnt=net.weights_source)
        return Report(number, tuple(curve), net.weights_source, scores)


def _fitting(net: Network, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Let a branch that only the one of two networks has be as it is."""
    own = segmentation.state(net)
    kept = {name: each for name, each in arrays.items() if name in own}
    branch = {name: own[name] for name in own if name.startswith("difficulty.")}
    return branch | kept


def _row(point: CurvePoint) -> tuple[int, int, float | None, float | None]:
    return point.step, point.epoch, point.loss, point.miou


def measure_scores(
    project: Project,
    network: Network,
    split: str,
    prediction: PredictionSettings | None = None,
) -> Task[metrics.Scores | None]:
    """Return IoU on the labelled pixels of a split; None if it has none."""
    images = project.images.names(split)
    if not images:
        return None
    examples = Examples(project, images, project.labels.sequence)
    confusion = yield from segmentation.evaluate(
        network, examples, prediction or PredictionSettings()
    )
    return metrics.scores(confusion) if confusion.any() else None


def refuse_untaught_branch(recipe: Recipe) -> None:
    """Refuse a difficulty branch that nothing teaches.

    Raises
    ------
    BadValue
        Naming the recipe that does.
    """
    if not recipe.teaches_difficulty:
        raise BadValue(
            f"the recipe {recipe.name!r} does not teach the branch of the network's "
            "'difficulty': take the recipe 'difficulty', or leave the branch out"
        )
