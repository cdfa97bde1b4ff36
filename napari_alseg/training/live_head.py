"""Training of the recipe `live`: a lightweight head on all labels."""

from napari_alseg.arrays import Task
from napari_alseg.live.model import Live
from napari_alseg.metrics import CurvePoint, Report
from napari_alseg.settings import LiveSettings

from .job import Learner, no_labels


def learn_live(learner: Learner, settings: LiveSettings) -> Task[Report]:
    """Teach a lightweight head all labels of a round, and keep its weights."""
    plan = learner.plan
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
    learner.project.weights.clear_aside("unfinished")
    yield from live.read_labels(plan.sequence)
    loss = yield from live.learn()
    curve = [CurvePoint(settings.first_steps, 1, loss, None)]
    learner.commit(live.network, curve, base=live.base and live.base[0])
    return (yield from learner.report(live.network, curve))
