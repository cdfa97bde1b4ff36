import shutil
from itertools import pairwise

import numpy as np
import pytest
from conftest import TINY_PREDICTION, TINY_REGIONS
from steps import answer, ask, learn

from napari_alseg.arrays import Bounds
from napari_alseg.errors import (
    BadValue,
    NothingToAsk,
    UnknownName,
)
from napari_alseg.settings import QuerySettings, TrainingSettings
from napari_alseg.store import Project, default_classes
from napari_alseg.tasks.query import query


def test_a_round_is_asked_answered_learnt_and_asked_again(project, truth):
    first = ask(project)
    answer(project, first, truth)
    report = learn(project)
    second = ask(project)
    seen = {(r.image, r.region) for r in first.regions}
    assert len(first.regions) == len(second.regions) == 6
    assert seen.isdisjoint((r.image, r.region) for r in second.regions)
    assert [second.round, project.weights.latest_round] == [2, 1]
    assert report.scores is not None
    assert project.rounds.metrics(1).miou == report.scores.mean


def test_the_first_round_spreads_over_images_and_looks_at_no_label(project, truth):
    asked = ask(project, "12 regions")
    assert len(asked.images) >= 3
    assert project.labels.labelled() == ()


def test_scored_regions_come_in_falling_score_within_an_image(project, truth):
    answer(project, ask(project), truth)
    learn(project)
    asked = ask(project, "20 regions")
    for before, after in pairwise(asked.regions):
        assert before.image != after.image or before.score >= after.score
    best = max(asked.regions, key=lambda region: region.score)
    assert asked.regions[0] == best


def test_a_region_s_score_is_the_mean_of_its_map(project, truth):
    answer(project, ask(project), truth)
    learn(project)
    region = ask(project).regions[0]
    inside = (
        project.outputs.read_regions(region.image, region.partition) == region.region
    )
    score = project.outputs.read_map(region.image, "entropy")
    assert region.score == pytest.approx(score[inside].mean(), abs=1e-3)
    assert region.pixels == inside.sum()
    rows, columns = np.nonzero(inside)
    assert region.bounds == (
        rows.min(),
        columns.min(),
        rows.max() + 1,
        columns.max() + 1,
    )


@pytest.mark.parametrize("system", ["random", "entropy"])
def test_the_same_seed_asks_the_same(tmp_path, project_path, system):
    asked = []
    for number, seed in enumerate((0, 0, 1)):
        copy = shutil.copytree(project_path, tmp_path / f"copy-{number}.alseg")
        with Project.open(copy) as project:
            asked.append(ask(project, system=system, seed=seed).regions)
    assert asked[0] == asked[1] != asked[2]


@pytest.mark.parametrize(
    ("budget", "count"), [("5 regions", 5), ("2 images", None), ("10%", None)]
)
def test_budgets_are_kept(project, budget, count):
    asked = ask(project, budget)
    pool = sum(
        np.prod(project.images.info(image).shape) for image in project.images.names()
    )
    if budget == "2 images":
        assert len(asked.images) == 2
        assert asked.pixels == pool / 2
    elif budget == "10%":
        assert 0.05 * pool < asked.pixels <= 0.1 * pool
    else:
        assert len(asked.regions) == count


def test_full_asks_everything(project):
    pool = sum(
        np.prod(project.images.info(image).shape) for image in project.images.names()
    )
    assert ask(project, system="full").pixels == pool


def test_what_is_skipped_or_labelled_is_not_asked_again(project, truth):
    asked = ask(project, system="full")
    project.labels.skip(1, 0)
    for position in range(1, len(asked.regions)):
        project.labels.answer(1, position, 1)
    with pytest.raises(NothingToAsk, match="every region"):
        ask(project)


def test_images_that_are_done_as_a_whole_are_named_so(project, truth):
    """No smaller region of them is ever asked."""
    count = f"{len(project.images.names())} images"
    images = {"partition": "image", "region_size": None}
    answer(project, ask(project, count, "random", **images), truth)
    with pytest.raises(NothingToAsk, match="as a whole: undo a skipped one"):
        ask(project)


def test_open_regions_return_to_the_pool(project):
    ask(project, system="full")
    assert len(ask(project, system="full").regions) > 0


def test_a_budget_below_one_region_is_refused(project):
    with pytest.raises(NothingToAsk, match="less than the region"):
        ask(project, "0.001%")


def test_an_empty_pool_is_refused(tmp_path):
    with Project.create(tmp_path / "x.alseg", default_classes(["a", "b"])) as empty:
        with pytest.raises(NothingToAsk, match="holds no images"):
            ask(empty)


def test_unknown_names_and_bad_values_are_refused(project):
    with pytest.raises(UnknownName):
        ask(project, system="nonsense")
    with pytest.raises(BadValue):
        ask(project, "many")
    with pytest.raises(BadValue):
        learn(project, TrainingSettings(epochs=0))


def test_a_share_of_the_pool_that_is_all_done_is_no_end(project, truth):
    """Chance draws half of the images; with one left it finds it all the same."""
    *done, left = project.images.names()
    for image in done:
        project.labels.stroke(image, Bounds(0, 0, 48, 64), truth[image])
    for seed in range(4):
        asked = ask(project, "1 regions", seed=seed, pool_share=0.25)
        assert [region.image for region in asked.regions] == [left]


def test_what_is_answered_while_the_pool_is_scored_is_not_asked_again(project):
    first = ask(project, system="full")
    task = query(project, QuerySettings("full", "5%", **TINY_REGIONS), TINY_PREDICTION)
    with pytest.raises(StopIteration) as end:
        while True:
            if next(task).message == "scoring the pool":
                project.labels.answer(1, 0, 2)
    region = first.regions[0]
    asked = {(r.image, r.region) for r in end.value.value.regions}
    assert (region.image, region.region) not in asked
