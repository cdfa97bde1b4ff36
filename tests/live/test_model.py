"""The live network of a project, and the recipe and the query that use it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY_LIVE, TINY_PREDICTION, TINY_REGIONS, TINY_TRAINING
from live_by_hand import QUICK, ask, kept, start
from steps import answer

from napari_alseg import segmentation, systems
from napari_alseg.arrays import Bounds, finish
from napari_alseg.errors import NothingToAsk
from napari_alseg.live.model import Live, latest_full, up_to_date
from napari_alseg.sample_data import CLASSES
from napari_alseg.settings import QuerySettings
from napari_alseg.store import Project
from napari_alseg.tasks.query import query
from napari_alseg.tasks.retrain import retrain


@pytest.fixture(autouse=True)
def quick_by_default(monkeypatch):
    """Where no settings are given, those of these tests are taken."""
    monkeypatch.setattr("napari_alseg.live.model.LiveSettings", lambda: QUICK)


@pytest.fixture
def answered(project, truth):
    """The project with twelve answered regions."""
    answer(project, ask(project), truth)
    return project


# --- labels ---------------------------------------------------------------------------


def test_without_labels_it_knows_nothing(project):
    live = start(project)
    finish(live.read_labels())
    assert (live.count, live.classes, live.ready, live.learnt) == (0, (), False, 0)
    assert (live.base, live.stale) == (None, False)


def test_two_classes_are_something_to_tell_apart(project):
    ask(project)
    live = start(project)
    project.labels.answer(1, 0, 1)
    assert finish(live.read_labels()) == (project.rounds.selection(1).regions[0].image,)
    assert (live.classes, live.ready) == ((0,), False)
    project.labels.answer(1, 11, 3)
    finish(live.read_labels())
    assert (live.classes, live.ready) == ((0, 2), True)
    assert live.count == 2 * QUICK.samples


def test_only_images_with_new_labels_are_read_again(answered):
    live = start(answered)
    assert set(finish(live.read_labels())) == set(answered.labels.labelled())
    assert finish(live.read_labels()) == ()
    name = answered.images.names()[2]
    answered.labels.stroke(name, Bounds(0, 0, 4, 4), np.full((4, 4), 2, np.uint8))
    assert finish(live.read_labels()) == (name,)
    assert live.sequence == answered.labels.sequence


def test_an_answer_taken_back_is_forgotten(project):
    ask(project)
    live = start(project)
    project.labels.answer(1, 0, 1)
    finish(live.read_labels())
    project.labels.answer(1, 1, 2)
    finish(live.read_labels())
    project.labels.undo()
    finish(live.read_labels())
    assert (live.classes, live.count) == ((0,), QUICK.samples)
    project.labels.undo()
    finish(live.read_labels())
    assert (live.classes, live.count) == ((), 0)


def test_labels_count_up_to_an_event(project):
    ask(project)
    before = project.labels.sequence
    for position, label in enumerate((1, 2, 3)):
        project.labels.answer(1, position, label)
    live = start(project)
    for sequence in (2, 3, 1):
        finish(live.read_labels(before + sequence))
        assert live.classes == tuple(range(sequence))


def test_labels_of_validation_images_are_not_learnt(project):
    ask(project)
    live = start(project)
    name = project.images.names("validation")[0]
    project.labels.stroke(name, Bounds(0, 0, 2, 2), np.full((2, 2), 4, np.uint8))
    assert finish(live.read_labels()) == ()
    assert live.count == 0


def test_samples_of_many_labels_stay_within_the_limit_and_keep_every_class(
    project, truth
):
    for image in project.images.names():
        labels = truth[image]
        project.labels.stroke(image, Bounds(0, 0, *labels.shape), labels)
    live = start(project, replace(QUICK, samples=100, most_samples=100))
    finish(live.read_labels())
    assert 50 < live.count <= 100
    present = np.unique([truth[image] for image in project.images.names()])
    assert live.classes == tuple((present[present > 0] - 1).tolist())


def test_beyond_the_limit_every_image_keeps_a_share_and_the_newest_counts(project):
    live = start(project, replace(QUICK, most_samples=100))
    for label, image in enumerate(project.images.names(), 1):
        labels = np.full((48, 64), 1 + label % 2, np.uint8)
        project.labels.stroke(image, Bounds(0, 0, *labels.shape), labels)
    finish(live.read_labels())
    assert 90 < live.count <= 100
    counts = np.bincount(live._owner, minlength=4)
    assert counts.min() > 5
    image = project.images.names()[0]
    project.labels.stroke(image, Bounds(0, 0, 1, 1), np.uint8([[4]]))
    finish(live.read_labels())
    assert 3 in live.classes
    assert live.count <= 100


# --- learning -------------------------------------------------------------------------


def test_it_learns_what_was_answered(answered, truth):
    live = start(answered, replace(QUICK, first_steps=150))
    finish(live.read_labels())
    finish(live.learn())
    right = []
    for image in answered.labels.labelled():
        pixels = answered.images.read(image)
        found = segmentation.predict(live.network, pixels, TINY_PREDICTION)
        said = 1 + found.probability.argmax(0).numpy()
        labelled = answered.labels.read(image) > 0
        right.append((said == truth[image])[labelled].mean())
    assert np.mean(right) > 0.7


def test_the_same_seed_learns_the_same(answered):
    heads = []
    for _ in range(2):
        live = start(answered, seed=3)
        finish(live.read_labels())
        finish(live.learn())
        finish(live.learn())
        heads.append(segmentation.state(live.network)["body.head.classify.weight"])
    np.testing.assert_array_equal(*heads)


def test_a_head_that_knows_something_takes_fewer_steps(answered):
    live = start(answered)
    finish(live.read_labels())
    assert [list(live.learn())[-1].total for _ in range(3)] == [40, 20, 20]
    assert live.learnt == 3
    assert list(live.learn(steps=60))[-1].total == 60


def test_a_new_head_takes_over_only_once_it_has_learnt(answered):
    live = start(answered)
    finish(live.read_labels())
    finish(live.learn())
    before = live.network.body.head
    task = live.begin_anew()
    next(task)
    assert (live.network.body.head, live.learnt) == (before, 1)
    for _ in task:
        pass
    assert live.network.body.head is not before
    assert live.learnt == 2


# --- from one start to the next -------------------------------------------------------


def messages(project, network=TINY_LIVE, **how):
    task = Live.start(project, network, QUICK, TINY_PREDICTION, **how)
    return {progress.message for progress in task}


def test_a_head_that_was_kept_is_taken_up_without_a_look_at_the_pool(answered):
    first = kept(answered)
    assert messages(answered) == {"loading the network"}
    again = start(answered)
    assert again.learnt == 1
    states = segmentation.state(first.network), segmentation.state(again.network)
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])
    assert (again.count, again.classes) == (first.count, first.classes)
    assert finish(again.read_labels()) == ()
    name = answered.images.names()[2]
    answered.labels.stroke(name, Bounds(0, 0, 4, 4), np.full((4, 4), 2, np.uint8))
    assert finish(again.read_labels()) == (name,)


def test_labels_that_were_not_read_yet_are_not_forgotten(answered):
    live = start(answered)
    reading = live.read_labels()
    next(reading)
    (first,) = set(answered.labels.labelled()) - live.unread.keys()
    assert live.behind
    live.keep()
    again = start(answered)
    assert again.behind
    assert {*finish(again.read_labels()), first} == set(answered.labels.labelled())
    everything = start(answered, anew=True)
    finish(everything.read_labels())
    assert again.count == everything.count


def test_the_latest_change_is_read_first(answered):
    live = start(answered)
    finish(live.read_labels())
    names = answered.images.names()[:3]
    for name in names:
        answered.labels.stroke(name, Bounds(0, 0, 4, 4), np.full((4, 4), 2, np.uint8))
    reading = live.read_labels()
    next(reading)
    answered.labels.stroke(names[0], Bounds(0, 0, 4, 4), np.full((4, 4), 3, np.uint8))
    assert finish(live.read_labels()) == (names[0], names[1])
    assert not live.unread


def test_a_head_that_was_kept_may_be_left_aside(answered):
    kept(answered)
    assert "looking at the pool" in messages(answered, anew=True)
    assert start(answered, anew=True).learnt == 0


@pytest.mark.parametrize(
    "other",
    [
        {"network": replace(TINY_LIVE, network="fpn")},
        {"network": replace(TINY_LIVE, encoder="tu-test_resnet")},
        {"settings": replace(QUICK, samples=3)},
    ],
    ids=["network", "encoder", "settings"],
)
def test_a_head_of_another_kind_is_not_taken_up(answered, other):
    kept(answered)
    assert start(answered, **other).learnt == 0


def test_its_encoder_is_that_of_the_latest_network_that_learnt_as_a_whole(answered):
    first = kept(answered)
    finish(retrain(answered, TINY_LIVE, TINY_TRAINING, TINY_PREDICTION))
    assert (latest_full(answered)[0], first.stale) == (1, True)
    live = start(answered)
    assert (live.base[0], live.stale, live.learnt) == (1, False, 0)
    assert "tuned in round 1" in live.network.weights_source
    arrays, _ = answered.weights.read(1)
    for name, value in live.network.encoder.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), arrays[f"body.encoder.{name}"])


def test_another_training_of_the_same_round_is_a_new_encoder(answered):
    finish(retrain(answered, TINY_LIVE, TINY_TRAINING, TINY_PREDICTION))
    first = kept(answered)
    assert not first.stale
    longer = replace(TINY_TRAINING, epochs=2)
    finish(retrain(answered, TINY_LIVE, longer, TINY_PREDICTION))
    assert first.stale
    assert start(answered).learnt == 0


def test_a_network_that_learnt_before_any_round_gives_its_encoder(project, truth):
    for image in project.images.names():
        labels = truth[image]
        project.labels.stroke(image, Bounds(0, 0, *labels.shape), labels)
    finish(retrain(project, TINY_LIVE, TINY_TRAINING, TINY_PREDICTION))
    live = start(project)
    assert live.base[0] == 0
    assert "tuned in round 0" in live.network.weights_source


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_kept_head_that_cannot_be_read_is_forgotten(answered, damage):
    kept(answered)
    file = answered.path / "weights" / "checkpoint-live.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        arrays, metadata = answered.weights.read_checkpoint("live")
        arrays.pop("samples.owner")
        answered.weights.write_checkpoint("live", arrays, metadata)
    live = start(answered)
    assert (live.learnt, live.count) == (0, 0)
    assert answered.weights.checkpoint_metadata("live") is None
    finish(live.read_labels())
    assert live.ready


# --- the recipe -----------------------------------------------------------------------


# --- asking by a live head ------------------------------------------------------------


def test_what_a_lightweight_head_does_not_know_the_network_is_asked(answered):
    deal = QuerySettings("deal-ds", "2 images")
    network = replace(TINY_LIVE, difficulty=True)
    finish(
        retrain(
            answered,
            network,
            replace(TINY_TRAINING, recipe="difficulty"),
            TINY_PREDICTION,
        )
    )
    asked = finish(query(answered, deal, TINY_PREDICTION, live=network))
    assert {region.score for region in asked.regions} != {0.0}


def test_without_two_classes_typical_regions_are_asked(project):
    asked = ask(project, "8 regions", "entropy", live=TINY_LIVE)
    assert len(asked.regions) == 8
    assert len(asked.images) > 1
    assert {region.score for region in asked.regions} == {0.0}
    assert project.rounds.read_ranking(1) is None


def test_with_two_classes_a_lightweight_head_scores_the_pool(answered):
    asked = ask(answered, "5 regions", "entropy", live=TINY_LIVE)
    ranking = answered.rounds.read_ranking(2)
    assert ranking is not None
    assert len(np.unique(ranking.score)) > 20
    seen = {
        (region.image, region.region) for region in answered.rounds.selection(1).regions
    }
    assert seen.isdisjoint((region.image, region.region) for region in asked.regions)
    assert max(region.score for region in asked.regions) == pytest.approx(
        ranking.score[ranking.open].max()
    )
    assert answered.weights.latest_round is None


def test_what_needs_no_network_loads_none(project, monkeypatch):
    def unwanted(*_):
        raise AssertionError

    monkeypatch.setattr("napari_alseg.tasks.query.up_to_date", unwanted)
    assert len(ask(project, system="random", live=TINY_LIVE).regions) == 12


def test_an_empty_project_has_nothing_to_ask_live(tmp_path):
    with (
        Project.create(tmp_path / "empty.alseg", CLASSES) as project,
        pytest.raises(NothingToAsk),
    ):
        ask(project, system="entropy", live=TINY_LIVE)


def test_what_it_says_of_an_image_does_not_change_by_itself(answered):
    live = finish(up_to_date(answered, TINY_LIVE, TINY_PREDICTION))
    assert (live.ready, live.learnt) == (True, 1)
    pixels = answered.images.read(answered.images.names()[0])
    first, second = (
        segmentation.predict(live.network, pixels, TINY_PREDICTION).probability
        for _ in range(2)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("system", "name"), [("entropy", "entropy"), ("ripu-ra", "ripu")]
)
def test_maps_that_live_left_are_not_taken_for_those_of_the_network(
    answered, system, name
):
    given = {} if system == "ripu-ra" else TINY_REGIONS
    settings = QuerySettings(system, "6 regions", **given)
    finish(query(answered, settings, TINY_PREDICTION, live=TINY_LIVE))
    image = answered.images.names()[0]
    values = systems.acquisition(name).values(systems.resolve(settings))
    assert answered.outputs.read_map(image, name) is not None
    assert not answered.outputs.has_fresh_map(image, name, values)
