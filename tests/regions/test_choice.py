import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regions_by_hand import NEVER, pool_of, rng
from shapes import refused

from napari_alseg.errors import BadValue
from napari_alseg.regions import (
    choose_class_quota,
    choose_few_per_image,
    choose_per_image,
    choose_stratified,
    choose_top,
    pool,
)

# --- top ------------------------------------------------------------------------------


def test_the_right_column_first_and_alone():
    columns = np.array([[1, 2], [1, 2]], np.int32)
    scores = pool(np.array([[0.1, 0.2], [0.3, 0.4]]), columns)
    assert choose_top(scores, np.array([2, 2]), budget=2).tolist() == [1]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["mean", "max", "sum", "top"]))
@settings(max_examples=30)
def test_other_ids_for_the_regions_choose_the_same_pixels(seed, how):
    generator = np.random.default_rng(seed)
    ids = generator.integers(1, 9, (6, 8), dtype=np.int32)
    renamed = np.r_[0, generator.permutation(8) + 1].astype(np.int32)[ids]
    score = generator.random((6, 8))  # no two regions are level

    def chosen(region_map):
        areas = np.bincount(region_map.ravel(), minlength=9)[1:]
        scores = pool(score, region_map, how)
        asked = choose_top(scores, areas[: len(scores)], budget=20)
        return np.isin(region_map, asked + 1).tolist()

    assert chosen(ids) == chosen(renamed)


def test_stops_at_the_first_that_does_not_fit():
    scores, costs = np.array([0.9, 0.8, 0.7]), np.array([2, 5, 1])
    assert choose_top(scores, costs, 3).tolist() == [0]
    assert choose_top(scores, costs, 7).tolist() == [0, 1]
    assert choose_top(scores, costs, 1).tolist() == []


def test_twelve_per_cent_of_the_rectangles_of_camvid_are_1101():
    """EquAL: 367 images of 360 x 480 in 5 x 5; a last round may ask fewer."""
    cells, cell, pixels = 367 * 25, 72 * 96, 367 * 360 * 480
    scores = rng().random(cells)
    at_once = choose_top(scores, np.full(cells, cell), 12 / 100 * pixels)
    assert len(at_once) == 1101
    asked = []
    while len(asked) < 1101:
        left = scores.copy()
        left[asked] = NEVER
        budget = min(100, 1101 - len(asked))
        asked += choose_top(left, np.ones(cells), budget).tolist()
    assert len(asked) == len(set(asked)) == 1101
    assert sorted(asked) == sorted(at_once)


def test_ties_keep_their_order():
    scores = np.array([0.5, 0.7, 0.5, 0.7, 0.5], np.float32)
    assert choose_top(scores, np.ones(5), 9).tolist() == [1, 3, 0, 2, 4]
    many = rng().integers(0, 3, 3000).astype(np.float32)
    wanted = sorted(range(3000), key=lambda index: -many[index])
    assert choose_top(many, np.ones(3000), 3000).tolist() == wanted


def test_never_is_never_chosen():
    scores = np.array([NEVER, 0.0, NEVER, -1.0])
    assert choose_top(scores, np.ones(4), 100).tolist() == [1, 3]


def test_no_regions_no_budget_no_choice():
    assert choose_top(np.empty(0), np.empty(0), 5).tolist() == []
    assert choose_top(np.ones(3), np.ones(3), 0).tolist() == []


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(0, 130))
def test_a_larger_budget_asks_the_same_and_more(seed, budget):
    scores, costs, _ = pool_of(seed)
    fewer, more = (choose_top(scores, costs, b) for b in (budget, budget + 7))
    assert costs[fewer].sum() <= budget
    assert more[: len(fewer)].tolist() == fewer.tolist()
    assert np.all(np.diff(scores[more]) <= 0)


# --- shared among classes -------------------------------------------------------------


def test_each_class_gets_its_quota_and_the_rest_is_spent():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1])
    classes = np.array([0, 0, 0, 0, 1, 2])
    picked = choose_class_quota(scores, np.ones(6), classes, 3, np.ones(3))
    assert picked.tolist() == [0, 4, 5]
    picked = choose_class_quota(scores, np.ones(6), classes, 5, np.ones(3))
    assert picked.tolist() == [0, 1, 2, 4, 5]


def test_rare_classes_weigh_more_by_default():
    scores = np.linspace(1, 0.1, 10)
    classes = np.array([0] * 8 + [1] * 2)
    picked = choose_class_quota(scores, np.ones(10), classes, 3)
    assert classes[picked].tolist() == [0, 1, 1]  # 1/8 : 1/2 leaves the third to all


def test_a_class_never_predicted_and_one_never_asked_take_no_share():
    scores = np.array([0.9, 0.8, 0.7, NEVER])
    classes = np.array([0, 0, 4, 2])
    picked = choose_class_quota(scores, np.ones(4), classes, 2, np.ones(9))
    assert picked.tolist() == [0, 2]


def test_weights_that_are_all_zero_leave_the_score_alone():
    scores, classes = np.array([0.9, 0.8, 0.7]), np.array([0, 0, 1])
    picked = choose_class_quota(scores, np.ones(3), classes, 2, np.zeros(2))
    assert picked.tolist() == [0, 1]


def test_quotas_that_do_not_add_up_in_binary_are_whole():
    classes = np.arange(49)
    picked = choose_class_quota(
        np.concatenate([np.linspace(2, 1, 49), np.full(49, 5.0)]),
        np.ones(98),
        np.concatenate([classes, np.zeros(49, int)]),
        49,
        np.ones(49),
    )
    assert len({*np.concatenate([classes, np.zeros(49, int)])[picked].tolist()}) == 49


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(0, 40))
def test_quotas_spend_the_whole_budget(seed, budget):
    scores, _, classes = pool_of(seed)
    for picked in (
        choose_class_quota(scores, np.ones(40), classes, budget),
        choose_stratified(scores, np.ones(40), classes, budget, rng()),
    ):
        assert len(picked) == min(budget, np.isfinite(scores).sum())
        assert np.isfinite(scores[picked]).all()


@pytest.mark.parametrize(
    ("classes", "weights", "text"),
    [
        ([0, 1], None, "as many classes"),
        ([0, -1, 0], None, "the lowest -1"),
        ([0, 1, 2], [1, 1], "as many weights"),
        ([0, 1, 1], [1, -1], "zero or more"),
        ([0, 1, 1], [1, np.nan], "zero or more"),
    ],
)
def test_classes_and_weights_that_do_not_fit_are_refused(classes, weights, text):
    weights = None if weights is None else np.array(weights)
    with refused(text):
        choose_class_quota(np.ones(3), np.ones(3), np.array(classes), 1, weights)


# --- drawn by score -------------------------------------------------------------------


def test_draws_follow_the_power_of_the_score():
    scores, classes = np.array([0.8, 0.2]), np.zeros(2, int)
    generator = rng()

    def share_of_first(power):
        first = [
            choose_stratified(scores, np.ones(2), classes, 1, generator, power=power)[0]
            for _ in range(1500)
        ]
        return first.count(0) / 1500

    assert share_of_first(1.0) == pytest.approx(0.8, abs=0.04)
    assert share_of_first(2.0) == pytest.approx(16 / 17, abs=0.03)


def test_classes_share_the_stratified_part():
    scores = np.r_[np.full(90, 0.9), np.full(10, 0.01)]
    classes = np.r_[np.zeros(90, int), np.ones(10, int)]
    all_, none = (
        choose_stratified(scores, np.ones(100), classes, 20, rng(), stratified=part)
        for part in (1, 0)
    )
    assert classes[all_].sum() == 10
    assert classes[none].sum() <= 3


def test_zero_comes_after_all_others_but_comes():
    scores = np.array([0.0, 0.5, 0.1, NEVER])
    picked = choose_stratified(scores, np.ones(4), np.zeros(4, int), 9, rng())
    assert picked[-1] == 0
    assert sorted(picked) == [0, 1, 2]


@pytest.mark.parametrize(
    "change", [{"stratified": 1.1}, {"power": 0}, {"power": np.inf}]
)
def test_bad_parameters_of_the_draw_are_refused(change):
    with pytest.raises(BadValue, match="power"):
        choose_stratified(np.ones(2), np.ones(2), np.zeros(2, int), 1, rng(), **change)


def test_negative_scores_cannot_be_drawn():
    with pytest.raises(BadValue, match=r"-0\.5"):
        choose_stratified(np.array([0.1, -0.5]), np.ones(2), np.zeros(2, int), 1, rng())


# --- per image ------------------------------------------------------------------------


def naive_per_image(scores, costs, images, budget):
    """Shares first, then turn by turn the next best of each image."""
    possible = [i for i in np.argsort(-scores, kind="stable") if scores[i] > NEVER]
    queues = {g: [i for i in possible if images[i] == g] for g in set(images[possible])}
    picked, left = [], budget
    for queue in queues.values():
        share = budget / len(queues) * (1 + 1e-12)
        while queue and costs[queue[0]] <= share:
            share -= costs[queue[0]]
            left -= costs[queue[0]]
            picked.append(queue.pop(0))
    while any(queues.values()):
        fronts = [queue.pop(0) for queue in queues.values() if queue]
        for i in sorted(fronts, key=lambda i: (-scores[i], i)):
            if costs[i] > left:
                return sorted(picked, key=lambda i: (-scores[i], i))
            left -= costs[i]
            picked.append(i)
    return sorted(picked, key=lambda i: (-scores[i], i))


@given(st.integers(0, 10_000), st.integers(0, 160))
@settings(max_examples=60)
def test_per_image_equals_its_naive_form(seed, budget):
    scores, costs, images = pool_of(seed)
    chosen = choose_per_image(scores, costs, images, budget)
    assert chosen.tolist() == naive_per_image(scores, costs, images, budget)
    assert costs[chosen].sum() <= budget


def test_a_budget_below_one_region_an_image_goes_to_the_best_images():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.1])
    images = np.array([0, 0, 1, 2, 3])
    assert choose_per_image(scores, np.ones(5), images, 3).tolist() == [0, 2, 3]


def test_per_image_of_nothing_is_nothing():
    none = np.empty(0)
    assert choose_per_image(none, none, np.empty(0, int), 5).tolist() == []


# --- a few of each image --------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(0, 160), st.integers(1, 5))
@settings(max_examples=60)
def test_images_take_turns_of_a_few_regions(seed, budget, limit):
    scores, costs, images = pool_of(seed)
    chosen = choose_few_per_image(scores, costs, images, budget, limit)
    assert costs[chosen].sum() <= budget
    assert (scores[chosen] > NEVER).all()
    before = {image: list(scores[images == image]) for image in range(4)}
    given = dict.fromkeys(range(4), 0)
    turns = []
    for index in chosen:
        image = images[index]
        turns.append(given[image] // limit)
        given[image] += 1
        best = max(before[image])
        assert scores[index] == best  # the next best of its image
        before[image].remove(best)
    assert turns == sorted(turns)
    for turn in set(turns):
        of_turn = scores[chosen][np.array(turns) == turn]
        assert (np.diff(of_turn) <= 0).all()


@given(st.integers(0, 10_000), st.integers(0, 160))
@settings(max_examples=30)
def test_with_a_huge_limit_the_best_of_the_pool_are_chosen(seed, budget):
    scores, costs, images = pool_of(seed)
    chosen = choose_few_per_image(scores, costs, images, budget, 10_000)
    assert chosen.tolist() == choose_top(scores, costs, budget).tolist()


def test_an_image_gives_more_once_all_have_given_their_few():
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1])
    images = np.array([5, 5, 5, 5, 2, 2])
    chosen = choose_few_per_image(scores, np.ones(6), images, 5, 2)
    assert chosen.tolist() == [0, 1, 4, 5, 2]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit):
    with pytest.raises(BadValue, match="one region at a time or more"):
        choose_few_per_image(np.ones(2), np.ones(2), np.zeros(2, int), 1, limit)
