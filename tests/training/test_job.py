"""`retrain` by every recipe, on tiny scenes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from conftest import (
    TINY_LIVE,
    TINY_NETWORK,
    TINY_PREDICTION,
    TINY_TRAINING,
)
from steps import answer, ask, learn

from napari_alseg.arrays import Bounds, Progress, finish
from napari_alseg.errors import BadValue, CannotWrite, NothingToLearn
from napari_alseg.segmentation import TrainingRun
from napari_alseg.selection.maps import trained_network
from napari_alseg.store.weights import Weights
from napari_alseg.tasks.retrain import retrain
from napari_alseg.training import job


@pytest.fixture
def answered(project, truth):
    """A project with a round asked and answered."""
    answer(project, ask(project, "12 regions"), truth)
    return project


def label_a_little_more(project):
    corner = Bounds(0, 0, 2, 2)
    project.labels.stroke(
        project.images.names()[0], corner, np.full((2, 2), 6, np.uint8)
    )


def weights(project) -> dict:
    arrays, _ = project.weights.read()
    return arrays


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


def test_the_system_of_the_round_names_the_recipe(project, truth):
    answer(project, ask(project, system="equal", region_size=None), truth)
    learn(project)
    by_system = weights(project)
    learn(project, replace(TINY_TRAINING, recipe="consistency"))
    assert equal(by_system, weights(project))
    learn(project, replace(TINY_TRAINING, recipe="partial"))
    assert not equal(by_system, weights(project))


def test_a_warm_start_goes_on_from_the_last_weights(answered):
    learn(answered)
    first = weights(answered)
    label_a_little_more(answered)
    still = replace(TINY_TRAINING, learning_rate=1e-7, epochs=1, start="last")
    learn(answered, still)
    name = "body.segmentation_head.0.weight"
    np.testing.assert_allclose(weights(answered)[name], first[name], atol=1e-5)
    learn(answered, replace(still, start="encoder"))
    assert not np.allclose(weights(answered)[name], first[name], atol=1e-3)


def test_a_warm_start_may_add_the_difficulty_branch(answered):
    learn(answered)
    label_a_little_more(answered)
    learn(answered, replace(TINY_TRAINING, recipe="difficulty", start="last"))
    assert trained_network(answered, TINY_PREDICTION).difficulty is not None
    learn(answered, replace(TINY_TRAINING, recipe="partial", start="last"))
    assert trained_network(answered, TINY_PREDICTION).difficulty is None


# --- stopping and going on ------------------------------------------------------------


def test_a_warm_start_passes_over_a_lightweight_head(answered, truth):
    learn(answered)
    first = weights(answered)
    answer(answered, ask(answered), truth)
    live = replace(TINY_TRAINING, recipe="live")
    finish(retrain(answered, TINY_LIVE, live, TINY_PREDICTION))
    answer(answered, ask(answered), truth)
    nothing = replace(TINY_TRAINING, start="last", learning_rate=1e-6)
    learn(answered, nothing)
    for name, array in weights(answered).items():
        if name.endswith("weight"):
            np.testing.assert_allclose(array, first[name], atol=1e-3)


def stop_after(project, step, training=TINY_TRAINING):
    task = retrain(project, TINY_NETWORK, training, TINY_PREDICTION)
    for progress in task:
        if progress.message == "learning" and progress.done >= step:
            break
    task.close()


def test_a_disk_that_is_full_at_the_end_does_not_take_the_network(
    answered, monkeypatch
):
    """What a training needs to be gone on with is several times as large."""

    def full(*_):
        raise CannotWrite("No space left on device")

    monkeypatch.setattr(Weights, "write_checkpoint", full)
    with pytest.raises(CannotWrite):
        learn(answered)
    assert answered.weights.latest_round == 1


@pytest.mark.parametrize("step", [1, 3])
def test_a_stopped_training_goes_on_exactly(answered, step, monkeypatch):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    learn(answered)
    whole = weights(answered)
    stop_after(answered, step)
    assert answered.weights.checkpoint_metadata("training") is not None
    report = learn(answered, resume=True)
    assert equal(whole, weights(answered))
    assert report.curve[-1].step == 4
    assert answered.weights.checkpoint_metadata("training") is None


def test_going_on_uses_the_labels_and_settings_it_was_begun_with(
    answered, truth, monkeypatch
):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    learn(answered)
    whole = weights(answered)
    stop_after(answered, 2)
    for position in range(3):
        answered.labels.answer(1, position, 1)  # another answer than before
    learn(answered, replace(TINY_TRAINING, epochs=7), resume=True)
    assert equal(whole, weights(answered))


def test_learning_anew_forgets_the_unfinished(answered, monkeypatch):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    stop_after(answered, 1)
    learn(answered)
    assert answered.weights.checkpoint_metadata("training") is None


def test_what_was_stopped_before_the_next_round_is_not_gone_on_with(
    answered, truth, monkeypatch
):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    stop_after(answered, 1)
    answer(answered, ask(answered), truth)
    assert learn(answered, resume=True).round == 2


def test_without_anything_stopped_resuming_begins(answered):
    assert learn(answered, resume=True).curve[-1].step == 4


# --- rounds within one training -------------------------------------------------------


def test_a_training_may_ask_on_its_way(answered, truth):
    training = replace(TINY_TRAINING, epochs=4)
    learn(answered, training, part=(0.0, 0.5))
    assert answered.weights.checkpoint_metadata("training") is not None
    half = answered.weights.read_checkpoint("training")[1]["run"]["step"]
    answer(answered, ask(answered), truth)
    report = learn(answered, training, part=(0.5, 1.0))
    assert report.round == 2
    assert report.curve[-1].step > half == 4
    assert [point.step for point in report.curve] == sorted(
        point.step for point in report.curve
    )
    assert answered.weights.checkpoint_metadata("training") is None


def test_there_is_no_second_half_without_a_first(answered):
    with pytest.raises(NothingToLearn, match="begin one at 0"):
        learn(answered, part=(0.5, 1.0))


# --- a source domain ------------------------------------------------------------------


# --- class balance --------------------------------------------------------------------


def test_a_warm_training_done_once_more_starts_where_it_did(answered, truth):
    """Not from its own weights, unless there are new labels."""
    learn(answered)
    answer(answered, ask(answered), truth)
    warm = replace(TINY_TRAINING, start="last")
    learn(answered, warm)
    first = weights(answered)
    learn(answered, warm)
    assert equal(first, weights(answered))
    label_a_little_more(answered)
    still = replace(warm, learning_rate=1e-7, epochs=1)
    learn(answered, still)
    name = "body.segmentation_head.0.weight"
    np.testing.assert_allclose(weights(answered)[name], first[name], atol=1e-5)


def test_a_later_part_can_be_resumed_and_done_once_more(answered, truth, monkeypatch):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    training = replace(TINY_TRAINING, epochs=4)
    learn(answered, training, part=(0.0, 0.5))
    kept = answered.weights.read_checkpoint("training")
    answer(answered, ask(answered), truth)
    learn(answered, training, part=(0.5, 1.0))
    whole = weights(answered)
    answered.weights.write_checkpoint(
        "training", *kept
    )  # as if killed before the second part began
    learn(answered, training, part=(0.5, 1.0), resume=True)
    assert equal(whole, weights(answered))
    answered.weights.write_checkpoint("training", *kept)
    task = retrain(answered, TINY_NETWORK, training, TINY_PREDICTION, part=(0.5, 1.0))
    for progress in task:
        if progress.message == "learning" and progress.done == 6:
            break
    task.close()
    learn(answered, training, part=(0.5, 1.0), resume=True)
    assert equal(whole, weights(answered))


def stop_while_measuring(project, monkeypatch, **arguments):
    """Stop when all is learnt and only the last measurement is left."""

    def never_ends(*_):
        yield Progress(0, 1, "measuring at last")

    with monkeypatch.context() as patch:
        patch.setattr(job, "measure_scores", never_ends)
        task = retrain(
            project, TINY_NETWORK, TINY_TRAINING, TINY_PREDICTION, **arguments
        )
        for progress in task:
            if progress.message == "measuring at last":
                break
        task.close()


def test_stopped_in_the_last_measurement_nothing_is_learnt_again(
    answered, truth, monkeypatch
):
    learn(answered, part=(0.0, 0.5))
    answer(answered, ask(answered), truth)
    stop_while_measuring(answered, monkeypatch, part=(0.5, 1.0))
    whole = weights(answered)
    monkeypatch.setattr(TrainingRun, "_step", lambda *_: pytest.fail("it learnt again"))
    report = learn(answered, part=(0.5, 1.0), resume=True)
    assert report.scores is not None
    assert equal(whole, weights(answered))
    assert answered.weights.checkpoint_metadata("training") is None


def test_seconds_before_a_stop_count(answered, monkeypatch):
    """A clock that moves on by a second whenever it is looked at."""
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    clock = itertools.count()
    monkeypatch.setattr(job, "perf_counter", lambda: next(clock))
    learn(answered)
    at_once = answered.rounds.metrics(1).train_seconds
    stop_after(answered, 2)
    before = answered.weights.read_checkpoint("training")[1]["seconds"]
    learn(answered, resume=True)
    assert before > 0
    assert answered.rounds.metrics(1).train_seconds == at_once + before


def test_a_branch_that_nothing_teaches_is_refused(answered):
    network = replace(TINY_NETWORK, difficulty=True)
    with pytest.raises(BadValue, match="take the recipe 'difficulty'"):
        finish(retrain(answered, network, TINY_TRAINING, TINY_PREDICTION))
