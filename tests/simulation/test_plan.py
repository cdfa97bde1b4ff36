"""What comes after what."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_TRAINING
from simulated import Killed, begin, results, simulated

from napari_alseg.arrays import finish
from napari_alseg.errors import BadValue
from napari_alseg.settings import SimulationSettings
from napari_alseg.simulation.simulate import simulate
from napari_alseg.store import Project


def test_a_plan_that_cannot_be_leaves_nothing(dataset, tmp_path):
    with pytest.raises(BadValue, match="give at least one round"):
        simulated(dataset, tmp_path / "run", rounds=0)
    assert simulated(dataset, tmp_path / "run", rounds=1).finished


def test_what_leaves_its_source_learns_it_alone_first(dataset, source, tmp_path):
    free = replace(TINY_TRAINING, recipe="adaptation", source_free=True)
    settings = {"initial_images": 1, "rounds": 1, "training": free, "source": source}
    run = simulated(dataset, tmp_path / "run", **settings)
    assert [row.stage for row in run.rounds] == ["source", "initial", "asked"]
    with pytest.raises(BadValue, match="leaves its source only once"):
        simulated(dataset, tmp_path / "one", schedule="one-run", **settings)


def test_images_are_labelled_in_full_before_the_first_round(dataset, tmp_path):
    settings = {"initial_images": 2, "rounds": 1, "budget": "1 image"}
    deal = {"system": "deal-ds", "region_size": None}
    run = simulated(dataset, tmp_path / "run", **settings, **deal)
    assert [row.stage for row in run.rounds] == ["initial", "asked"]
    assert [row.fraction for row in run.rounds] == [0.5, 0.75]
    assert [row.images for row in run.rounds] == [2, 3]
    other = simulated(dataset, tmp_path / "other", seed=1, **settings, **deal)
    assert other.rounds[0].fraction == 0.5
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert len(project.labels.labelled()) == 3


def test_images_join_round_by_round(dataset, tmp_path):
    run = simulated(
        dataset,
        tmp_path / "run",
        system="sp",
        protocol="added-images",
        initial_images=1,
        added_images=1,
        budget="50%",
    )
    assert [row.images for row in run.rounds] == [1, 2, 3]
    fractions = np.diff([0, *(row.fraction for row in run.rounds)])
    assert fractions[0] == 0.25
    assert all(0.08 < fraction <= 0.125 for fraction in fractions[1:])
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        joined = [project.rounds.selection(number).images for number in (1, 2, 3)]
    assert len({image for (image,) in joined}) == 3


def test_full_labels_all_of_the_images_that_join(dataset, tmp_path):
    run = simulated(
        dataset,
        tmp_path / "run",
        system="full",
        protocol="added-images",
        added_images=2,
    )
    assert [row.fraction for row in run.rounds] == [0.5, 1.0]


def test_rounds_lie_within_one_training(dataset, tmp_path):
    settings = {
        "schedule": "one-run",
        "initial_images": 2,
        "rounds": 2,
        "training": replace(TINY_TRAINING, epochs=9),
    }
    run = simulated(dataset, tmp_path / "run", **settings)
    parts = [row.part for row in run.rounds]
    assert parts == [(0.0, 0.25), (0.25, 0.45), (0.45, 1.0)]
    out = tmp_path / "cut"
    for number, end in [(1, Killed), (2, GeneratorExit), (3, Killed)]:
        task = begin(dataset, out, resume=True, **settings)
        with pytest.raises(end):
            to_training(task, out, number)
            task.throw(end)
    assert results(simulated(dataset, out, resume=True, **settings)) == results(run)


def to_training(task, out, number):
    """Drive a task into the training of a round."""
    for progress in task:
        if progress.message == "learning":
            with Project.open(out / "project.alseg", "read") as project:
                if project.rounds.numbers[-1] == number:
                    return


def test_without_rounds_the_source_alone_is_learnt(tmp_path, dataset):
    """What other runs begin after."""
    out = tmp_path / "source only"
    nothing = SimulationSettings("random", "1%", rounds=0)
    with pytest.raises(BadValue, match="learns nothing"):
        finish(simulate(dataset, tmp_path / "none", nothing, training=TINY_TRAINING))
    given = {"network": TINY_NETWORK, "training": TINY_TRAINING, "source": dataset}
    run = finish(simulate(dataset, out, nothing, **given))
    assert [row.stage for row in run.rounds] == ["source"]
    assert run.finished
    later = SimulationSettings("ripu-ra", "1%", rounds=1)
    run = finish(simulate(dataset, tmp_path / "later", later, after=out, **given))
    assert [row.stage for row in run.rounds] == ["source", "asked"]
