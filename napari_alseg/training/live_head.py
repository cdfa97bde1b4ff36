"""Training of the recipe `live`: a lightweight head on all labels."""

from napari_alseg.arrays import Task
from napari_alseg.live.model import Live
from napari_alseg.metrics import CurvePoint, Report

from .job import Learner, no_labels
from .plan import Checkpoint


def learn_live(
    learner: Learner, _checkpoint: Checkpoint | None, _until: float
) -> Task[Report]:
    """Teach a lightweight head all labels of a round, and keep its weights."""
    plan, settings = learner.plan, learner.live
    if not learner.labelled:
        raise no_labels(learner.project)
    live = yield from Live.start(
        learner.project,
        plan.network,
        settings,
        learner.prediction,
        plan.seed,
        plan.training.device,
        anew=True,
    )
    learner.project.weights.clear_checkpoint("training")
    yield from live.read_labels(plan.sequence)
    loss = yield from live.learn()
    curve = [CurvePoint(settings.first_steps, 1, loss, None)]
    learner.commit(live.network, curve, base=live.base and live.base[0])
    return (yield from learner.report(live.network, curve))
