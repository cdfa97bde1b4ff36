from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY_LIVE, TINY_PREDICTION, TINY_TRAINING
from live_by_hand import QUICK, ask, kept, start
from steps import answer

from napari_alseg.arrays import finish
from napari_alseg.errors import NothingToLearn
from napari_alseg.live.model import latest_full
from napari_alseg.settings import TrainingSettings
from napari_alseg.tasks.look import look
from napari_alseg.tasks.retrain import retrain

AS_LIVE = replace(TINY_TRAINING, recipe="live")


@pytest.fixture(autouse=True)
def quick_by_default(monkeypatch):
    """Where no settings are given, those of these tests are taken."""
    monkeypatch.setattr("napari_alseg.live.model.LiveSettings", lambda: QUICK)


@pytest.fixture
def answered(project, truth):
    """The project with twelve answered regions."""
    answer(project, ask(project), truth)
    return project


def learn_as_live(project, **how):
    return finish(
        retrain(project, TINY_LIVE, AS_LIVE, TINY_PREDICTION, live=QUICK, **how)
    )


def test_the_recipe_makes_a_lightweight_head_the_network_of_the_round(answered, truth):
    report = learn_as_live(answered)
    metadata = answered.weights.metadata(1)
    assert (metadata["network"], metadata["base"]) == (
        "live/" + TINY_LIVE.network,
        None,
    )
    assert metadata["sequence"] == answered.labels.sequence
    assert report.scores is not None
    assert answered.rounds.metrics(1).miou == report.scores.mean
    image = answered.images.names()[0]
    looking = look(answered, image, ["entropy"], prediction=TINY_PREDICTION)
    assert finish(looking) == image
    assert answered.outputs.has_fresh_map(image, "entropy")
    second = ask(answered, system="live")
    assert len(second.regions) == 12
    assert answered.rounds.read_ranking(2) is not None


def test_the_system_called_live_learns_so_by_itself(project, truth):
    answer(project, ask(project, system="live"), truth)
    plain = TrainingSettings(device="cpu")
    finish(retrain(project, TINY_LIVE, plain, TINY_PREDICTION, live=QUICK))
    assert project.weights.metadata(1)["network"] == "live/" + TINY_LIVE.network


def test_every_round_learns_all_labels_from_nothing(answered, truth):
    learn_as_live(answered)
    first = answered.weights.read(1)[0]
    kept(answered)  # a head that follows plays no part
    learn_as_live(answered)
    for name, array in answered.weights.read(1)[0].items():
        np.testing.assert_array_equal(array, first[name])


def test_a_lightweight_head_is_no_new_encoder(answered):
    learn_as_live(answered)
    assert latest_full(answered) is None
    assert start(answered).base is None


def test_without_labels_there_is_nothing_to_learn_live(project):
    ask(project)
    with pytest.raises(NothingToLearn, match="has a label yet"):
        learn_as_live(project)
