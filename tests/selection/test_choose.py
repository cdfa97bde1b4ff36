import numpy as np
import pytest
from pointwise import BUDGETS, NAMES, ask

from napari_alseg import systems
from napari_alseg.errors import NothingToAsk
from napari_alseg.regions.tables import SHORTLIST
from napari_alseg.selection import choose
from napari_alseg.selection.candidates import Candidates
from napari_alseg.settings import QuerySettings
from napari_alseg.simulation.oracle import Oracle

SMALL = {"equal": {"rows": 9, "columns": 9}, "ripu-pa": {"exclusion": 0}}


@pytest.mark.parametrize("choice", ["per-image", "class-quota", "class-stratified"])
@pytest.mark.parametrize("partition", ["felzenszwalb", "grid", "windows", "pixels"])
def test_parts_mix(learnt, partition, choice):
    asked = ask(learnt, "bvsb", "6 regions", partition=partition, choice=choice)
    assert len(asked.regions) == 6


def test_a_score_and_diversity_together_stay_on_the_shortlist(learnt):
    asked = ask(learnt, "entropy", "4 regions", choice="diverse")
    ranking = learnt.rounds.read_ranking(2)
    for region in asked.regions:
        rank, _ = ranking.rank(ranking.row(region.image, region.region))
        assert rank <= 4 * SHORTLIST


def test_a_share_of_the_pool_is_drawn_anew_each_round(learnt):
    images = [
        ask(learnt, "entropy", "400 regions", pool_share=0.5).images for _ in range(6)
    ]
    assert all(len(each) <= 2 for each in images)
    assert len({frozenset(each) for each in images}) > 1


def test_a_share_of_the_pool_holds_as_many_images_as_are_asked(project, truth):
    """DEAL draws half of the pool; what is labelled already is no choice."""
    untouched = set(project.images.names())
    for number, images in enumerate((1, 3), 1):
        asked = ask(project, "random", f"{images} images", partition="image",
                    pool_share=0.25, region_size=None)  # fmt: skip
        assert len(asked.images) == images
        assert set(asked.images) <= untouched
        untouched -= set(asked.images)
        answers = Oracle(truth.__getitem__).answers(project, asked)
        project.labels.answer_all(number, answers.patches)
    assert not untouched


def test_a_core_set_of_images_compares_images():
    """Mean features 1, 5 and 9 beside a labelled 6: 1 is farthest, then 9."""
    features = np.array([[0], [2], [5], [5], [8], [10], [6]], np.float32)
    rows = len(features)
    candidates = Candidates(
        image=np.array([0, 0, 1, 1, 2, 2, 3], np.int32),
        region=np.arange(1, rows + 1, dtype=np.int32),
        pixels=np.ones(rows, int),
        bounds=np.zeros((rows, 4), int),
        centre=np.zeros((rows, 2), int),
        open=np.arange(rows) < 6,
        score=np.zeros(rows),
        probability=np.empty((rows, 0), np.float32),
        terms=np.empty((rows, 0), np.float32),
        features=features,
    )
    for count, images in ((1, {0}), (2, {0, 2})):
        query = systems.resolve(QuerySettings("coreset", f"{count} images"))
        asked = choose.Asking(1, tuple("abcd"), rows, query, np.random.default_rng(0))
        picked = choose._choose_images(
            asked, candidates.of(candidates.open), candidates.of(~candidates.open)
        )
        assert set(candidates.image[picked].tolist()) == images
        assert len(picked) == 2 * count


@pytest.mark.parametrize("system", NAMES)
@pytest.mark.parametrize("budget", ["3%", "60 px/image"])
def test_a_budget_in_pixels_is_never_exceeded_by_what_is_revealed(
    learnt, truth, system, budget
):
    if system in BUDGETS:
        with pytest.raises(NothingToAsk, match="less than the region"):
            ask(learnt, system, budget)
        return
    asked = ask(learnt, system, budget, **SMALL.get(system, {}))
    answers = Oracle(truth.__getitem__).answers(learnt, asked)
    learnt.labels.answer_all(2, answers.patches)
    allowed = 0.03 * 4 * 48 * 64 if budget == "3%" else 4 * 60
    assert 0.6 * allowed < answers.pixels <= allowed
    assert asked.pixels == answers.pixels
