"""CISC-R as a whole, on tiny scenes: one image labelled, three not."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_PREDICTION, TINY_TRAINING
from steps import learn as learn_by

from napari_alseg.arrays import Bounds, finish
from napari_alseg.errors import BadValue, CannotWrite, NothingToLearn, UnknownName
from napari_alseg.segmentation import TrainingRun
from napari_alseg.segmentation.cisc_r import pairs
from napari_alseg.settings import QuerySettings, RecipeSettings
from napari_alseg.store import PSEUDO_WEIGHT
from napari_alseg.tasks.query import query
from napari_alseg.tasks.retrain import retrain
from napari_alseg.training import cisc_r

RECTIFIED = replace(TINY_TRAINING, recipe="rectified")


@pytest.fixture
def labelled(project, truth):
    """A project with two images labelled, one of them in part."""
    whole, part, *_ = project.images.names()
    project.labels.stroke(whole, Bounds(0, 0, 48, 64), truth[whole])
    project.labels.stroke(part, Bounds(0, 0, 48, 32), truth[part][:, :32])
    return project


def learn(project, training=RECTIFIED, **more):
    return learn_by(project, training, **more)


def equal(first: dict, second: dict) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_pseudo_labels_fill_what_no_person_labelled(labelled):
    before = {image: labelled.labels.read(image) for image in labelled.images.names()}
    events, cost = labelled.labels.sequence, labelled.rounds.cost()
    report = learn(labelled)
    assert report.scores is not None
    assert labelled.weights.latest_round == 0
    whole, part, *rest = labelled.images.names()
    assert labelled.outputs.read_pseudo_labels(whole) is None
    pseudo = labelled.outputs.read_pseudo_labels(part)
    assert (pseudo[:, :32] == 0).all()
    assert (pseudo[:, 32:] > 0).all()
    for image in rest:
        assert (labelled.outputs.read_pseudo_labels(image) > 0).all()
        weight = labelled.outputs.read_map(image, PSEUDO_WEIGHT)
        assert weight.min() >= 0
        assert weight.max() <= 1
    for image, labels in before.items():
        assert np.array_equal(labels, labelled.labels.read(image))
    assert (events, cost) == (labelled.labels.sequence, labelled.rounds.cost())


def test_three_networks_are_taught_and_half_of_the_images_first(labelled, monkeypatch):
    taught = []
    objective = cisc_r._objective

    def spy(learner, stage, *rest):
        taught.append((stage.number, tuple(stage.reliable)))
        return objective(learner, stage, *rest)

    monkeypatch.setattr(cisc_r, "_objective", spy)
    learn(labelled)
    assert [number for number, _ in taught] == [1, 2, 3]
    assert len(taught[1][1]) == 1  # half of three, rounded down
    assert set(taught[1][1]) < set(labelled.images.names()[1:])


def test_classes_that_never_pair_rectify_nothing(labelled, monkeypatch):
    """Without any pair, each pseudo label counts in full."""
    asked, held = [], pairs.classes_held

    def spy(examples, never=()):
        asked.append(list(never))
        return held(examples, never)

    monkeypatch.setattr(pairs, "classes_held", spy)
    names = [entry.name for entry in labelled.classes]
    *_, image = labelled.images.names()
    learn(labelled)
    assert labelled.outputs.read_map(image, PSEUDO_WEIGHT).min() < 1
    asked.clear()
    learn(labelled, recipe=RecipeSettings(never=", ".join(names)))
    assert labelled.outputs.read_map(image, PSEUDO_WEIGHT).min() == 1
    known = [never for never in asked if never]
    assert known == [list(range(len(names)))] * 2  # of both lists of labelled images
    with pytest.raises(UnknownName, match=f"unknown class '{names[0]}x'"):
        learn(labelled, recipe=RecipeSettings(never=f"{names[0]}x"))


def test_another_training_takes_the_pseudo_labels_away(labelled):
    learn(labelled)
    learn(labelled, replace(TINY_TRAINING, recipe="partial"))
    image = labelled.images.names()[-1]
    assert labelled.outputs.read_pseudo_labels(image) is None
    assert PSEUDO_WEIGHT not in labelled.outputs.map_names(image)


def test_where_all_is_labelled_the_first_stage_is_all(project, truth):
    for image in project.images.names():
        project.labels.stroke(image, Bounds(0, 0, 48, 64), truth[image])
    report = learn(project)
    assert report.curve[-1].step == 4
    assert all(
        project.outputs.read_pseudo_labels(i) is None for i in project.images.names()
    )


def test_void_in_an_image_that_is_labelled_as_a_whole_gets_no_pseudo_labels(
    labelled, truth
):
    part = labelled.images.names()[1]
    nearly = np.where(np.arange(64) < 60, truth[part], 0).astype(np.uint8)
    labelled.labels.stroke(part, Bounds(0, 0, 48, 64), nearly)
    learn(labelled)
    assert labelled.outputs.read_pseudo_labels(part) is None


def test_without_a_label_there_is_nothing_to_learn(project):
    with pytest.raises(NothingToLearn, match="has a label yet"):
        learn(project)


def test_it_is_learnt_as_a_whole(labelled):
    with pytest.raises(BadValue, match="as a whole"):
        learn(labelled, part=(0.0, 0.5))


def test_the_system_of_its_name_uses_it(project, truth):
    settings = QuerySettings("cisc-r", "1 images")
    asked = finish(query(project, settings, TINY_PREDICTION))
    (region,) = asked.regions
    project.labels.answer_all(asked.round, {0: truth[region.image]})
    learn(project, TINY_TRAINING)
    others = [image for image in project.images.names() if image != region.image]
    assert all(
        (project.outputs.read_pseudo_labels(image) > 0).all() for image in others
    )


@pytest.mark.parametrize("place", ["(1 of 3)", "giving", "(2 of 3)", "(3 of 3)"])
def test_stopped_anywhere_it_goes_on_exactly(labelled, place, monkeypatch):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    learn(labelled)
    whole, _ = labelled.weights.read()
    pseudo = {
        i: labelled.outputs.read_pseudo_labels(i) for i in labelled.images.names()[1:]
    }
    task = retrain(labelled, TINY_NETWORK, RECTIFIED, TINY_PREDICTION)
    for progress in task:
        if place in progress.message and progress.done > 0:
            break
    task.close()
    assert labelled.weights.checkpoint_metadata("training") is not None
    learn(labelled, resume=True)
    found, _ = labelled.weights.read()
    assert equal(whole, found)
    for image, labels in pseudo.items():
        assert np.array_equal(labels, labelled.outputs.read_pseudo_labels(image))


def test_stopped_in_a_later_stage_the_stage_before_is_kept(labelled, monkeypatch):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    task = retrain(labelled, TINY_NETWORK, RECTIFIED, TINY_PREDICTION)
    for progress in task:
        if "(2 of 3)" in progress.message and progress.done > 0:
            break
    task.close()
    arrays, metadata = labelled.weights.read_checkpoint("training")
    kept, _ = labelled.weights.read()
    teacher = {
        name.removeprefix("teacher/"): each
        for name, each in arrays.items()
        if name.startswith("teacher/")
    }
    assert metadata["stage"] == 2
    assert equal(kept, teacher)


def test_few_labels_in_a_large_pool_are_no_error(labelled, monkeypatch):
    """An epoch of the pool is many of the labelled images."""
    monkeypatch.setattr(cisc_r, "MOST_EPOCHS", 3)
    report = learn(labelled)
    assert report.curve[-1].step == 3 * 2  # of three images, two at a time


def test_a_stage_is_on_disk_before_the_next_one_begins(labelled):
    task = retrain(labelled, TINY_NETWORK, RECTIFIED, TINY_PREDICTION)
    for progress in task:
        if "giving" in progress.message:
            break
    # Nobody has stopped it, it might crash.
    assert labelled.weights.checkpoint_metadata("training")["stage"] == 1
    task.close()


def test_a_disk_that_is_full_at_the_end_does_not_take_the_network(
    labelled, monkeypatch
):
    save_checkpoint = cisc_r._save_checkpoint

    def full_at_last(learner, stage, run):
        if stage.number == cisc_r.STAGES:
            raise CannotWrite("No space left on device")
        save_checkpoint(learner, stage, run)

    monkeypatch.setattr(cisc_r, "_save_checkpoint", full_at_last)
    with pytest.raises(CannotWrite):
        learn(labelled)
    assert labelled.weights.latest_round == 0


def test_stopped_while_weighing_nothing_is_learnt_again(labelled, monkeypatch):
    learn(labelled)
    whole, _ = labelled.weights.read()
    task = retrain(labelled, TINY_NETWORK, RECTIFIED, TINY_PREDICTION)
    for progress in task:
        if "weighing" in progress.message:
            break
    task.close()
    monkeypatch.setattr(TrainingRun, "_step", lambda *_: pytest.fail("it learnt again"))
    assert learn(labelled, resume=True).scores is not None
    assert equal(whole, labelled.weights.read()[0])
    assert labelled.weights.checkpoint_metadata("training") is None


def test_looks_are_as_far_apart_as_steps_are_many(labelled, monkeypatch):
    """An epoch of few images is short: two of the pool's are four of half of it."""
    made = []

    class Spy(TrainingRun):
        def __init__(self, network, settings, seed):
            super().__init__(network, settings, seed)
            made.append(settings)

    monkeypatch.setattr(cisc_r, "TrainingRun", Spy)
    learn(labelled, replace(RECTIFIED, epochs=4, validate_every=2, minutes=3.0))
    assert [each.epochs for each in made] == [8, 16, 6]
    assert [each.validate_every for each in made] == [4, 8, 3]
    assert {each.minutes for each in made} == {1.0}


def test_a_single_stage_has_all_the_time(project, truth, monkeypatch):
    made = []

    class Spy(TrainingRun):
        def __init__(self, network, settings, seed):
            super().__init__(network, settings, seed)
            made.append(settings.minutes)

    monkeypatch.setattr(cisc_r, "TrainingRun", Spy)
    for image in project.images.names():
        project.labels.stroke(image, Bounds(0, 0, 48, 64), truth[image])
    learn(project, replace(RECTIFIED, minutes=3.0))
    assert made == [3.0]
