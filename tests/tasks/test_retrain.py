from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_PREDICTION, TINY_TRAINING
from steps import answer, ask, learn

from napari_alseg.arrays import Progress
from napari_alseg.errors import (
    BadValue,
    NothingToLearn,
)
from napari_alseg.metrics import CurvePoint
from napari_alseg.selection.maps import trained_network
from napari_alseg.settings import TrainingSettings
from napari_alseg.store import Project
from napari_alseg.tasks.retrain import retrain
from napari_alseg.training import single_stage


def test_nothing_is_learnt_from_no_label(project):
    with pytest.raises(NothingToLearn, match="has a label yet"):
        learn(project)


def test_a_stopped_training_keeps_its_best(project, truth):
    answer(project, ask(project), truth)
    task = retrain(
        project, TINY_NETWORK, TrainingSettings(epochs=50, batch_size=2, device="cpu")
    )
    for progress in task:
        if progress.done > 1:
            break
    task.close()
    assert project.weights.latest_round == 1
    assert trained_network(project, TINY_PREDICTION) is not None


def test_a_training_stopped_before_its_first_step_changes_nothing(project, truth):
    answer(project, ask(project), truth)
    task = retrain(project, TINY_NETWORK, TINY_TRAINING)
    next(task)
    task.close()
    assert project.weights.latest_round is None


def test_a_training_that_fails_leaves_the_good_weights(project, truth, monkeypatch):
    answer(project, ask(project), truth)
    learn(project)
    before, _ = project.weights.read()

    def diverge(run, *_, **__):
        run.curve.append(CurvePoint(5, 1, float("nan"), None))
        yield Progress(5, 9, "learning")
        raise BadValue("the loss became nan")

    monkeypatch.setattr(single_stage.TrainingRun, "learn", diverge)
    with pytest.raises(BadValue, match="nan"):
        learn(project)
    after, _ = project.weights.read()
    assert all((after[name] == before[name]).all() for name in before)


def test_a_training_stopped_early_does_not_replace_a_better_one(project, truth):
    answer(project, ask(project), truth)
    learn(project)
    project.rounds.record(1, miou=0.99)
    before, _ = project.weights.read()
    task = retrain(project, TINY_NETWORK, TINY_TRAINING)
    while next(task).done < 1:
        pass
    task.close()
    after, _ = project.weights.read()
    assert all((after[name] == before[name]).all() for name in before)


def test_a_training_stopped_after_a_moment_replaces_no_earlier_network(
    project, truth, monkeypatch
):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)
    answer(project, ask(project), truth)
    learn(project)
    answer(project, ask(project), truth)
    slow = replace(TINY_TRAINING, epochs=50, batch_size=2)
    task = retrain(project, TINY_NETWORK, slow)
    while next(task).done < 1:
        pass
    task.close()
    assert project.weights.latest_round == 1
    # It can be gone on with.
    assert project.weights.checkpoint_metadata("training") is not None


def test_validation_without_any_truth_gives_no_score(project, truth, drawn):
    blank = np.zeros_like(drawn[0].labels)
    with Project.create(project.path.parent / "b.alseg", project.classes) as other:
        other.images.add("a", drawn[0].image, labels=drawn[0].labels)
        other.images.add("v", drawn[1].image, split="validation", labels=blank)
        assert learn(other).scores is None


def test_a_system_of_deal_learns_where_the_network_errs(project, truth):
    answer(project, ask(project, "2 images", "deal-ds", region_size=None), truth)
    learn(project)
    assert project.weights.read()[1]["difficulty"]
    again = ask(project, "1 images", "deal-ds", region_size=None)
    assert len(again.regions) == 1
    assert 0 < again.regions[0].score < 1
    score = project.outputs.read_map(again.images[0], "difficulty")
    assert again.regions[0].score == pytest.approx(score.mean(), abs=1e-3)
