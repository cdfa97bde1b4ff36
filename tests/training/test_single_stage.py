from dataclasses import replace

import numpy as np
import pytest
from conftest import (
    TINY_PREDICTION,
    TINY_TRAINING,
)
from steps import answer, ask, learn

from napari_alseg import segmentation
from napari_alseg.segmentation import Adaptation, Partial, predict
from napari_alseg.selection.maps import trained_network
from napari_alseg.settings import RecipeSettings
from napari_alseg.systems import RECIPES


@pytest.fixture
def answered(project, truth):
    """A project with a round asked and answered."""
    answer(project, ask(project, "12 regions"), truth)
    return project


@pytest.fixture
def with_source(project, drawn):
    """A project with two source images, all labelled."""
    for scene in drawn[:2]:
        brighter = (scene.image // 2 + 100).astype(np.uint8)
        project.images.add(
            f"source {scene.name}", brighter, split="source", labels=scene.labels
        )
    return project


def weights(project) -> dict:
    arrays, _ = project.weights.read()
    return arrays


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


def seen_by(project, monkeypatch, training) -> tuple[list[str], list[str]]:
    """Names of the images that a training takes for the target and for the source."""
    seen = {}

    def objective_of(kind):
        def make(examples, settings, seed, *, source=(), **more):
            seen["target"] = list(examples.images)
            seen["source"] = list(getattr(source, "images", ()))
            if kind is Adaptation:
                more["source"] = source
            return kind(examples, settings, seed, **more)

        return make

    for kind in (Adaptation, Partial):
        monkeypatch.setattr(segmentation, kind.__name__, objective_of(kind))
    learn(project, training)
    return seen["target"], seen["source"]


@pytest.mark.parametrize(
    "recipe", [row.name for row in RECIPES.values() if row.objective]
)
def test_every_recipe_learns_predicts_and_asks_again(answered, recipe):
    report = learn(answered, replace(TINY_TRAINING, recipe=recipe))
    assert report.round == 1
    assert np.isfinite(report.curve[-1].loss)
    network = trained_network(answered, TINY_PREDICTION)
    assert (network.difficulty is not None) == (recipe == "difficulty")
    found = predict(
        network, answered.images.read(answered.images.names()[0]), TINY_PREDICTION
    )
    assert found.probability.isfinite().all()
    assert len(ask(answered).regions) == 6


def test_recipes_lead_to_different_weights(answered):
    found = []
    for recipe in ("partial", "consistency", "adaptation"):
        learn(answered, replace(TINY_TRAINING, recipe=recipe))
        found.append(weights(answered))
    assert not equal(found[0], found[1])
    assert not equal(found[0], found[2])


def test_the_source_alone_teaches_the_first_network(with_source):
    report = learn(with_source)
    assert report.round == 0
    assert with_source.weights.latest_round == 0
    asked = ask(with_source, system="ripu-ra", budget="1%", region_size=None)
    assert all(not region.image.startswith("source") for region in asked.regions)
    scores = {region.score for region in asked.regions}
    assert len(scores) > 1  # the network was asked, not chance


def test_adaptation_sees_all_of_both_domains(with_source, monkeypatch):
    training = replace(TINY_TRAINING, recipe="adaptation")
    target, source = seen_by(with_source, monkeypatch, training)
    assert target == list(with_source.images.names())
    assert source == list(with_source.images.names("source"))
    assert len(source) == 2


def test_source_free_sees_the_source_only_first(with_source, truth, monkeypatch):
    training = replace(TINY_TRAINING, recipe="adaptation", source_free=True)
    target, source = seen_by(with_source, monkeypatch, training)
    assert (target, source) == (list(with_source.images.names("source")), [])
    first = weights(with_source)
    answer(with_source, ask(with_source), truth)
    still = replace(training, learning_rate=1e-7, epochs=1)
    target, source = seen_by(with_source, monkeypatch, still)
    assert (target, source) == (list(with_source.images.names()), [])
    name = "body.segmentation_head.0.weight"
    np.testing.assert_allclose(weights(with_source)[name], first[name], atol=1e-5)


def test_other_recipes_leave_the_source_once_the_target_is_labelled(
    with_source, truth, monkeypatch
):
    answer(with_source, ask(with_source), truth)
    training = replace(TINY_TRAINING, recipe="partial")
    target, source = seen_by(with_source, monkeypatch, training)
    assert (target, source) == (list(with_source.labels.labelled()), [])


def test_balance_changes_what_is_learnt(answered):
    learn(answered)
    plain = weights(answered)
    learn(answered, replace(TINY_TRAINING, class_balance=1.0))
    assert not equal(plain, weights(answered))


def test_the_terms_of_a_recipe_can_be_weighed(answered):
    training = replace(TINY_TRAINING, recipe="consistency")
    learn(answered, training)
    usual = weights(answered)
    learn(answered, training, recipe=RecipeSettings(consistency=10.0))
    assert not equal(usual, weights(answered))
