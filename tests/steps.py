"""Steps of a round that many tests take: ask, answer, learn."""

from conftest import TINY_NETWORK, TINY_PREDICTION, TINY_REGIONS, TINY_TRAINING

from napari_alseg.arrays import finish
from napari_alseg.settings import QuerySettings
from napari_alseg.simulation.oracle import Oracle
from napari_alseg.tasks.query import query
from napari_alseg.tasks.retrain import retrain


def ask(project, budget="6 regions", system="entropy", seed=0, live=None, **parameters):
    """Ask small regions by a system."""
    settings = QuerySettings(system, budget, seed, **TINY_REGIONS | parameters)
    return finish(query(project, settings, TINY_PREDICTION, live=live))


def answer(project, selection, truth):
    """Answer all regions of a selection by the truth."""
    answers = Oracle(truth.__getitem__).answers(project, selection)
    project.labels.answer_all(selection.round, answers.patches)


def learn(project, training=TINY_TRAINING, **more):
    """Learn all labels with a tiny network."""
    return finish(retrain(project, TINY_NETWORK, training, TINY_PREDICTION, **more))
