import numpy as np
import pytest
from conftest import TINY_LIVE, TINY_PREDICTION, TINY_REGIONS

from napari_alseg.arrays import Bounds, finish
from napari_alseg.live.model import Live
from napari_alseg.live.ranking import SIMILAR, SPARE, PoolRanking
from napari_alseg.settings import LiveSettings, QuerySettings
from napari_alseg.tasks.query import query

QUERY = QuerySettings("entropy", "12 regions", **TINY_REGIONS)


@pytest.fixture
def live(answered):
    """A head that has learnt the first six of the regions."""
    given = LiveSettings(first_steps=20, steps=5, batch_size=64)
    found = finish(Live.start(answered, TINY_LIVE, given, TINY_PREDICTION))
    finish(found.read_labels())
    finish(found.learn())
    return found


@pytest.fixture
def pool(asked):
    ranking = PoolRanking(asked, TINY_PREDICTION)
    assert ranking.begin(QUERY)
    return ranking


def score_all(pool, live, *first):
    for image in pool.waiting(first, live):
        pool.score(image, live)


def describe_all(pool, live):
    for image in pool.not_described():
        pool.describe(image, live)


def keys(regions):
    return {(region.image, region.region) for region in regions}


# --- what can be ranked ---------------------------------------------------------------


def test_before_the_first_round_there_is_nothing_to_rank(project):
    assert not PoolRanking(project, TINY_PREDICTION).begin(QUERY)


@pytest.mark.parametrize("name", ["ripu-ra", "ripu-pa"])
def test_windows_and_pixels_have_no_ranks(asked, name):
    assert not PoolRanking(asked, TINY_PREDICTION).begin(QuerySettings(name))


def test_a_round_of_windows_has_no_ranks_whatever_is_wished_for(project):
    windows = QuerySettings("ripu-ra", "9 regions")
    finish(query(project, windows, TINY_PREDICTION))
    assert not PoolRanking(project, TINY_PREDICTION).begin(windows)
    assert not PoolRanking(project, TINY_PREDICTION).begin(QUERY)


def test_regions_of_another_partition_are_not_ranked(asked):
    whole = QuerySettings("entropy", partition="image")
    assert not PoolRanking(asked, TINY_PREDICTION).begin(whole)


def test_a_round_of_whole_images_is_not_scattered(project):
    images = QuerySettings("entropy", "1 images", **TINY_REGIONS)
    finish(query(project, images, TINY_PREDICTION))
    assert not PoolRanking(project, TINY_PREDICTION).begin(images)


def test_after_undos_there_are_enough_for_the_whole_queue(answered, live):
    for _ in range(4):
        answered.labels.undo()
    assert live.ready
    ranking = PoolRanking(answered, TINY_PREDICTION)
    assert ranking.begin(QUERY)
    score_all(ranking, live)
    best = keys(ranking.best())
    states = answered.rounds.states(1)
    undone = {
        (each.image, each.region)
        for at, each in enumerate(answered.rounds.selection(1).regions)
        if states[at] == "open" and at not in answered.rounds.replaceable(1)
    }
    assert len(undone) == 4
    assert len(best - undone) >= len(answered.rounds.replaceable(1))


# --- in which order -------------------------------------------------------------------


def test_the_images_of_the_queue_come_first_then_those_seen_longest_ago(pool, live):
    a, b, c, d = pool.waiting((), live)
    assert pool.waiting((c, b, c), live) == [c, b, a, d]
    pool.score(a, live)
    pool.score(b, live)
    assert pool.waiting((), live) == [c, d]
    finish(live.learn())
    assert pool.waiting((), live) == [c, d, a, b]
    pool.score(c, live)
    pool.score(a, live)
    finish(live.learn())
    assert pool.waiting((b,), live) == [b, d, a, c]


def test_fresh_is_the_share_that_the_newest_head_has_seen(pool, live):
    assert pool.fresh(live) == 0
    pool.score(pool.waiting((), live)[0], live)
    assert pool.fresh(live) == 0.25
    score_all(pool, live)
    assert pool.fresh(live) == 1
    finish(live.learn())
    assert pool.fresh(live) == 0


def test_other_parameters_need_other_scores_and_the_same_do_not(pool, live):
    score_all(pool, live)
    describe_all(pool, live)
    assert pool.begin(QUERY)
    assert pool.fresh(live) == 1
    assert pool.begin(QuerySettings("margin", "12 regions", **TINY_REGIONS))
    assert pool.fresh(live) == 0
    assert pool.not_described() == []  # what regions look like is the same


def test_an_image_without_regions_of_this_kind_is_not_waited_for(
    pool, live, asked, drawn
):
    score_all(pool, live)
    asked.images.add("late", drawn[0].image)
    assert pool.begin(QUERY)
    assert pool.waiting((), live) == []
    assert pool.fresh(live) == 1


# --- the best -------------------------------------------------------------------------


def test_the_best_are_the_highest_of_those_that_nobody_has_closed(pool, live, asked):
    score_all(pool, live)
    best = pool.best()
    regions = asked.rounds.selection(1).regions
    assert len(best) == 6 + SPARE
    assert keys(best).isdisjoint(keys(regions[:6]))
    request = QuerySettings("entropy", f"{len(best)} regions", **TINY_REGIONS)
    live.keep()
    wanted = finish(query(asked, request, TINY_PREDICTION, live=TINY_LIVE))
    assert len(keys(best) & keys(wanted.regions)) >= len(best) // 2


def test_what_is_answered_after_the_ranking_is_left_out(pool, live, asked):
    score_all(pool, live)
    best = pool.best()
    asked.rounds.reask(1, {6: best[0], 7: best[1]})
    assert keys(best[:2]) <= keys(pool.best())  # open ones may stay
    asked.labels.answer(1, 6, 1)
    asked.labels.skip(1, 7)
    assert keys(best[:2]).isdisjoint(keys(pool.best()))


def test_what_is_painted_by_more_than_half_is_left_out(pool, live, asked):
    image, version = (
        asked.images.names()[0],
        asked.rounds.selection(1).regions[0].partition,
    )
    shape = asked.images.info(image).shape
    asked.labels.stroke(image, Bounds(0, 0, *shape), np.ones(shape, np.uint8))
    score_all(pool, live)
    assert asked.outputs.has_regions(image, version)
    assert image not in {region.image for region in pool.best()}


def test_a_few_of_each_image_if_the_query_says_so(pool, live):
    few = QuerySettings("live", **TINY_REGIONS | {"image_limit": 1})
    assert pool.begin(few)
    score_all(pool, live)
    images = [region.image for region in pool.best()]
    counts = [images.count(image) for image in set(images)]
    assert len(counts) == 4
    assert max(counts) - min(counts) <= 1


def test_where_all_is_labelled_nothing_is_best(pool, live, asked):
    for image in asked.images.names():
        shape = asked.images.info(image).shape
        asked.labels.stroke(image, Bounds(0, 0, *shape), np.ones(shape, np.uint8))
    score_all(pool, live)
    assert pool.best() == ()


def test_a_region_says_where_it_is_and_what_it_would_cost(pool, live, asked):
    score_all(pool, live)
    for region in pool.best():
        own = (
            asked.outputs.read_regions(region.image, region.partition) == region.region
        )
        rows, columns = np.nonzero(own)
        assert region.pixels == own.sum()
        assert region.bounds.shape == (np.ptp(rows) + 1, np.ptp(columns) + 1)


# --- similar regions ------------------------------------------------------------------


def test_similar_regions_come_in_falling_similarity_without_the_region_itself(
    pool, live, asked
):
    describe_all(pool, live)
    assert pool.not_described() == []
    region = asked.rounds.selection(1).regions[8]
    found = pool.similar(region.image, region.region)
    assert len(found) == SIMILAR
    assert (region.image, region.region) not in keys(found)
    assert len(keys(found)) == len(found)
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert -1 <= scores[-1] < scores[0] <= 1 + 1e-3


def test_in_a_small_pool_all_but_the_region_itself_are_similar(
    pool, live, asked, monkeypatch
):
    monkeypatch.setattr("napari_alseg.live.ranking.SIMILAR", 10_000)
    describe_all(pool, live)
    region = asked.rounds.selection(1).regions[8]
    found = pool.similar(region.image, region.region)
    total = sum(
        asked.outputs.read_regions(image, region.partition).max()
        for image in asked.images.names()
    )
    assert len(found) == total - 1
    assert all(np.isfinite(each.score) for each in found)


def test_a_copy_of_an_image_is_the_most_similar(asked, live, drawn):
    twin = asked.images.add("twin", drawn[0].image)
    region = next(
        each
        for each in asked.rounds.selection(1).regions
        if each.image == drawn[0].name
    )
    region_map = asked.outputs.read_regions(region.image, region.partition)
    asked.outputs.write_regions(twin, region.partition, region_map)
    pool = PoolRanking(asked, TINY_PREDICTION)
    pool.begin(QUERY)
    describe_all(pool, live)
    first = pool.similar(region.image, region.region)[0]
    assert (first.image, first.region) == (twin, region.region)
    assert first.score == pytest.approx(1, abs=1e-3)
    assert (first.bounds, first.pixels) == (region.bounds, region.pixels)


def test_what_is_not_described_or_not_there_is_like_nothing(pool, live, asked):
    region = asked.rounds.selection(1).regions[8]
    assert set(pool.not_described()) == set(asked.images.names())
    assert pool.similar(region.image, region.region) == ()
    describe_all(pool, live)
    assert pool.similar(region.image, 9999) == ()


def test_regions_are_described_before_two_classes_are_known(asked, pool):
    live = finish(Live.start(asked, TINY_LIVE, LiveSettings(), TINY_PREDICTION))
    describe_all(pool, live)
    assert pool.not_described() == []
    assert pool.fresh(live) == 0
    pool.clear()
    assert set(pool.not_described()) == set(asked.images.names())
