"""One stage: its answers, its training and its numbers."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY_TRAINING
from PIL import Image
from simulated import simulated, weights

from napari_alseg.metrics import clicks
from napari_alseg.simulation import stage
from napari_alseg.store import Project


def test_one_class_a_region_is_one_click_a_region(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run", rounds=1, answers="dominant")
    (row,) = run.rounds
    assert row.clicks == row.regions > 0
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        for region in project.rounds.selection(1).regions:
            regions = project.outputs.read_regions(region.image, region.partition)
            labels = project.labels.read(region.image)[regions == region.region]
            assert len(set(labels.tolist())) == 1


def test_exact_pixels_cost_a_click_a_piece(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run")
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        spent = 0
        for row in run.rounds:
            for region in project.rounds.selection(row.round).regions:
                own = project.outputs.read_regions(region.image, region.partition)
                labels = project.labels.read(region.image)
                labels[own != region.region] = 0
                spent += clicks(labels[region.bounds.slices])
            assert row.clicks == spent


def test_a_region_without_truth_is_skipped_and_costs_all_the_same(dataset, tmp_path):
    for mask in (dataset / "train" / "masks").iterdir():
        labels = np.array(Image.open(mask))
        labels[:24] = 255
        Image.fromarray(labels).save(mask)
    run = simulated(
        dataset, tmp_path / "run", rounds=1, answers="dominant", budget="40%"
    )
    (row,) = run.rounds
    assert row.clicks == row.regions
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        states = project.rounds.states(1)
        assert {"answered", "skipped"} == set(states)
        assert project.rounds.cost().regions == states.count("answered") < row.regions


def test_initial_images_are_labelled_exactly_whatever_the_answers(dataset, tmp_path):
    run = simulated(
        dataset, tmp_path / "run", answers="dominant", initial_images=2, rounds=1
    )
    initial, asked = run.rounds
    assert initial.clicks > 2
    assert asked.clicks - initial.clicks == asked.regions - 2
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        for image in project.rounds.selection(1).images:
            labels = project.labels.read(image)
            assert labels.all()
            assert len(np.unique(labels)) > 1
        assert set(project.rounds.selection(2).images).isdisjoint(
            project.rounds.selection(1).images
        )


def test_a_source_is_learnt_first_and_never_asked(dataset, source, tmp_path):
    run = simulated(
        dataset,
        tmp_path / "run",
        system="ripu-ra",
        region_size=None,
        budget="20 regions",
        source=source,
        rounds=1,
    )
    assert run.settings.source == "other-domain"
    first, asked = run.rounds
    assert (first.round, first.stage) == (0, "source")
    assert first.pixels == first.clicks == first.images == 0
    assert asked.pixels > 0
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert len(project.images.names("source")) == 4
        assert set(project.rounds.selection(1).images) <= set(project.images.names())
    assert set(weights(tmp_path / "run")) == {0, 1}


@pytest.fixture
def recipes(monkeypatch):
    """The recipes that the stages of a run learnt by, in their order."""
    learnt = []

    def noted(project, network, training, *given, **more):
        learnt.append(training.recipe)
        return retrain(project, network, training, *given, **more)

    retrain = stage.retrain
    monkeypatch.setattr(stage, "retrain", noted)
    return learnt


@pytest.mark.parametrize("schedule", ["rounds", "one-run"])
@pytest.mark.parametrize(
    ("system", "recipe", "budget"),
    [("ripu-ra", "adaptation", "20 regions"), ("deal-ds", "difficulty", "2 images")],
)
def test_a_source_is_learnt_by_the_recipe_of_the_run(
    dataset, source, tmp_path, recipes, system, recipe, budget, schedule
):
    """So RIPU's training is one, and DEAL's first network knows where it errs."""
    run = simulated(
        dataset,
        tmp_path / "run",
        system=system,
        schedule=schedule,
        region_size=None,
        budget=budget,
        source=source,
        training=replace(TINY_TRAINING, epochs=5),
    )
    assert [row.stage for row in run.rounds] == ["source", "asked", "asked"]
    assert recipes == [recipe] * 3
    first = weights(tmp_path / "run")[0]
    assert ("difficulty.gamma" in first) == (recipe == "difficulty")


def test_what_begins_with_answers_learns_a_source_by_its_labels(
    dataset, source, tmp_path, recipes
):
    run = simulated(
        dataset,
        tmp_path / "run",
        system="cisc-r",
        region_size=None,
        budget="2 images",
        rounds=1,
        source=source,
        training=replace(TINY_TRAINING, recipe="rectified"),
    )
    assert [row.stage for row in run.rounds] == ["source", "asked"]
    assert recipes == ["partial", "rectified"]
