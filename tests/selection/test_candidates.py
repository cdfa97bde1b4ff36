"""Every system asks in a real project: within its budget, twice alike, unseen truth."""

import numpy as np
import pytest
from conftest import TINY_PREDICTION
from pointwise import BUDGETS, NAMES, ask, network_of

from napari_alseg import segmentation, systems
from napari_alseg.errors import NothingToAsk
from napari_alseg.selection.candidates import KNOWN_SHARE
from napari_alseg.settings import QuerySettings
from napari_alseg.simulation.oracle import Oracle

"""Parameters for images of 48 x 64 pixels."""


def no_peeking(_):
    raise AssertionError("selection looked at the truth")


@pytest.mark.parametrize("system", NAMES)
def test_a_system_asks_what_its_budget_allows_and_sees_no_truth(learnt, system):
    oracle = Oracle(no_peeking)
    asked = ask(learnt, system)
    if system in BUDGETS:
        assert len(asked.images) == 2
    else:
        assert len(asked.regions) == 8
    assert asked.round == 2
    with pytest.raises(AssertionError, match="truth"):
        oracle.answers(learnt, asked)


@pytest.mark.parametrize("system", NAMES)
def test_what_was_answered_is_not_asked_again(learnt, truth, system):
    seen = learnt.rounds.selection(1)
    taken = {name: learnt.labels.read(name) > 0 for name in learnt.images.names()}
    for number in (2, 3):
        try:
            asked = ask(learnt, system)
        except NothingToAsk:
            break
        for region in asked.regions:
            chosen = learnt.outputs.read_regions(region.image, region.partition)
            inside = chosen == region.region
            known = taken[region.image][inside].mean()
            assert known < KNOWN_SHARE
            assert region.pixels == (~taken[region.image][inside]).sum()
        learnt.labels.answer_all(
            number, Oracle(truth.__getitem__).answers(learnt, asked).patches
        )
        taken = {name: learnt.labels.read(name) > 0 for name in learnt.images.names()}
    assert seen == learnt.rounds.selection(1)


@pytest.mark.parametrize("system", NAMES)
def test_before_any_network_every_system_has_a_first_round(project, system):
    asked = ask(project, system)
    assert asked.round == 1 and len(asked.regions) >= 2
    assert len(asked.images) >= 2


# --- windows --------------------------------------------------------------------------


# --- mixing and ranking ---------------------------------------------------------------


def test_the_ranking_holds_score_terms_and_classes_of_each_region(learnt):
    asked = ask(learnt, "entropy-edge")
    ranking = learnt.rounds.read_ranking(2)
    region = max(asked.regions, key=lambda region: region.score)
    row = ranking.row(region.image, region.region)
    inside = (
        learnt.outputs.read_regions(region.image, region.partition) == region.region
    )
    seen = segmentation.predict(
        network_of(learnt, TINY_PREDICTION),
        learnt.images.read(region.image),
        TINY_PREDICTION,
    ).probability.numpy()
    np.testing.assert_allclose(
        ranking.probability[row], seen[:, inside].mean(1), atol=1e-3
    )
    assert ranking.score[row] == pytest.approx(region.score, rel=1e-5)
    assert list(ranking.terms) == ["entropy"]
    assert ranking.terms["entropy"][row] <= ranking.score[row] + 1e-6
    total = sum(
        learnt.outputs.read_regions(name, region.partition).max()
        for name in learnt.images.names()
    )
    assert len(ranking.score) == total
    assert not ranking.open.all()  # six are answered


def test_no_ranking_without_scores(learnt):
    for number, system in enumerate(("random", "coreset"), 2):
        ask(learnt, system)
        assert learnt.rounds.read_ranking(number) is None


def test_a_round_remembers_how_it_was_asked(learnt):
    ask(learnt, "ripu-ra", radius=4)
    asked = learnt.rounds.metrics(2).query
    assert asked["radius"] == 4 and asked["partition"] == "windows"
    assert systems.resolve(QuerySettings(**asked)).record() == asked


# --- looking --------------------------------------------------------------------------


@pytest.mark.parametrize("partition", ["superpixels", "grid", "windows"])
def test_an_image_that_is_done_is_not_asked_again_in_parts(learnt, partition):
    """What it has no label for was looked at, and is void."""
    done = ask(learnt, "random", "3 images", partition="image", region_size=None)
    first, second, skipped = done.images
    for position in (0, 1):
        half = np.zeros((48, 64), np.uint8)
        half[:, :32] = 1
        learnt.labels.answer_all(done.round, {position: half})
    learnt.labels.skip(done.round, 2)
    again = ask(learnt, "entropy", "400 regions", partition=partition)
    assert set(again.images) == set(learnt.images.names()) - {first, second, skipped}
