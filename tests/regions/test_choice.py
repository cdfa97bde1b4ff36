import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.errors import BadValue
from napari_alseg.regions import (
    choose_class_quota,
    choose_diverse,
    choose_few_per_image,
    choose_per_image,
    choose_spread,
    choose_stratified,
    choose_top,
    choose_typical,
    choose_windows,
    pool,
)
from napari_alseg.regions.choice import SEGMENT

NEVER = -np.inf


def rng():
    return np.random.default_rng(0)


def pool_of(seed, regions=40, classes=4):
    """Random scores with ties and some never, costs and classes."""
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 12, regions) / 12
    scores[generator.random(regions) < 0.1] = NEVER
    costs = generator.integers(1, 6, regions)
    return scores, costs, generator.integers(0, classes, regions)


# --- top ------------------------------------------------------------------------------


def test_the_right_column_first_and_alone():
    columns = np.array([[1, 2], [1, 2]], np.int32)
    scores = pool(np.array([[0.1, 0.2], [0.3, 0.4]]), columns)
    assert choose_top(scores, np.array([2, 2]), budget=2).tolist() == [1]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["mean", "max", "sum", "top"]))
@settings(max_examples=30)
def test_other_ids_for_the_regions_choose_the_same_pixels(seed, how):
    generator = np.random.default_rng(seed)
    ids = generator.integers(1, 9, (6, 8))
    renamed = np.concatenate([[0], generator.permutation(8) + 1])[ids]
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


# --- what every choice refuses --------------------------------------------------------

BY_SCORE = {
    "top": choose_top,
    "few per image": lambda s, c, b: choose_few_per_image(
        s, c, np.zeros(len(s), int), b, 3
    ),
    "class quota": lambda s, c, b: choose_class_quota(s, c, np.zeros(len(s), int), b),
    "stratified": lambda s, c, b: choose_stratified(
        s, c, np.zeros(len(s), int), b, rng()
    ),
}
BY_FEATURES = {
    "spread": lambda f, c, b: choose_spread(f, c, b, rng()),
    "typical": lambda f, c, b: choose_typical(f, c, b, rng()),
    "diverse": choose_diverse,
}


def features_of(scores):
    return np.stack([scores, scores**2], axis=1).astype(np.float32)


CHOICES = {
    **BY_SCORE,
    **{
        name: lambda s, c, b, choose=choose: choose(features_of(s), c, b)
        for name, choose in BY_FEATURES.items()
    },
}


@pytest.fixture(params=CHOICES)
def choose(request):
    return CHOICES[request.param]


@pytest.mark.parametrize("budget", [-1, float("nan"), float("inf")])
def test_a_budget_without_meaning_is_refused(choose, budget):
    with pytest.raises(BadValue, match="budget"):
        choose(np.array([0.1, 0.2]), np.ones(2), budget)


@pytest.mark.parametrize("cost", [-1, float("nan"), float("inf")])
def test_a_cost_without_meaning_is_refused(choose, cost):
    with pytest.raises(BadValue, match="cost"):
        choose(np.array([0.1, 0.2]), np.array([1, cost]), 1)


def test_costs_of_another_length_are_refused(choose):
    with pytest.raises(BadValue, match="as many costs"):
        choose(np.array([0.1, 0.2]), np.ones(3), 1)


def test_nan_is_refused(choose):
    with pytest.raises(BadValue, match="diverged"):
        choose(np.array([0.1, np.nan]), np.ones(2), 1)


def test_the_budget_is_kept_nothing_twice_and_the_inputs_left_alone(choose):
    scores, costs, _ = pool_of(3)
    scores = np.abs(np.where(np.isfinite(scores), scores, 0))
    before = scores.copy(), costs.copy()
    for budget in (0, 0.5, 1, 17, 60, 10_000):
        picked = choose(scores, costs, budget)
        assert picked.dtype == np.int64
        assert costs[picked].sum() <= budget
        assert len(set(picked.tolist())) == len(picked)
    assert len(picked) == len(scores)
    assert np.array_equal(before, (scores, costs))


def test_same_seed_same_choice(choose):
    scores, costs, _ = pool_of(4)
    scores = np.abs(np.where(np.isfinite(scores), scores, 0))
    first, second = (choose(scores, costs, 40) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_no_region_no_choice(choose):
    assert choose(np.empty(0), np.empty(0), 5).tolist() == []


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
    with pytest.raises(BadValue, match=text):
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


# --- spread and core-set --------------------------------------------------------------


def test_spread_visits_every_kind_before_one_twice():
    kinds = np.repeat(np.eye(5, dtype=np.float32), 20, axis=0)
    picked = choose_spread(kinds, np.ones(100), 5, rng())
    assert sorted(picked // 20) == [0, 1, 2, 3, 4]


def test_spread_draws_by_squared_distance():
    line = np.array([[0], [1], [3]], np.float32)
    generator = rng()
    pairs = [choose_spread(line, np.ones(3), 2, generator) for _ in range(3000)]
    second = [b for a, b in pairs if a == 0]
    assert len(second) == pytest.approx(1000, abs=120)
    assert second.count(2) / len(second) == pytest.approx(0.9, abs=0.04)


def test_spread_over_equal_regions_takes_each_once():
    same = np.full((6, 3), 0.3, np.float32)
    assert sorted(choose_spread(same, np.ones(6), 6, rng())) == list(range(6))


def brute_core_set(features, count, known=None):
    chosen = []
    centres = [] if known is None else list(known)
    if not centres:
        chosen = [int(((features - features.mean(0)) ** 2).sum(1).argmin())]
    while len(chosen) < count:
        seen = np.stack([*centres, *features[chosen]])
        distance = ((features[:, None] - seen) ** 2).sum(2).min(1)
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
    return chosen


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.booleans())
def test_core_set_equals_brute_force(seed, has_known):
    generator = np.random.default_rng(seed)
    features = generator.integers(-40, 40, (20, 3)).astype(np.float32)
    features -= features.mean(0).round()
    known = features[:2] + 1 if has_known else None
    picked = choose_diverse(features, np.ones(20), 6, known=known).tolist()
    wanted = brute_core_set(features, 6, known)

    def radii(chosen):
        """Distance at which each was picked; ties may be picked in any order."""
        start = [] if known is None else list(known)
        return [
            min(
                (
                    ((features[c] - s) ** 2).sum()
                    for s in [*start, *features[chosen[:i]]]
                ),
                default=0,
            )
            for i, c in enumerate(chosen)
        ]

    np.testing.assert_allclose(radii(picked), radii(wanted), rtol=1e-4)


def test_core_set_keeps_its_distance_in_one_image_only():
    features = np.array([[0], [10], [-9], [8]], np.float32)
    places = np.array([[0, 5, 5], [0, 5, 8], [0, 40, 40], [1, 5, 8]])
    picked = choose_diverse(features, np.ones(4), 4, places=places, exclusion=4)
    assert picked.tolist() == [0, 2, 3]
    near = choose_diverse(features, np.ones(4), 4, places=places, exclusion=3)
    assert sorted(near) == [0, 1, 2, 3]


@pytest.mark.parametrize("exclusion", [-1, 5, float("nan")])
def test_an_exclusion_needs_places(exclusion):
    with pytest.raises(BadValue, match="exclusion"):
        choose_diverse(np.ones((2, 1), np.float32), np.ones(2), 1, exclusion=exclusion)


# --- windows --------------------------------------------------------------------------


def naive_windows(score, count, block_radius, blocked):
    score, blocked, centres = score.astype(float), blocked.copy(), []
    while len(centres) < count:
        open_score = np.where(blocked, NEVER, score)
        row, column = np.unravel_index(open_score.argmax(), score.shape)
        if open_score[row, column] == NEVER:
            break
        centres.append([row, column])
        top, left = max(row - block_radius, 0), max(column - block_radius, 0)
        blocked[top : row + block_radius + 1, left : column + block_radius + 1] = True
    return centres, blocked


def test_hand_worked_windows():
    centres, blocked = choose_windows(np.arange(25.0).reshape(5, 5), 1, 9)
    assert centres.tolist() == [[4, 4], [4, 1], [1, 4], [1, 1]]
    assert blocked.all()


def test_equal_scores_go_in_row_major_order():
    centres, _ = choose_windows(np.ones((5, 7)), 1, 9)
    assert centres.tolist() == [[0, 0], [0, 3], [0, 6], [3, 0], [3, 3], [3, 6]]


@settings(max_examples=40)
@given(
    st.integers(0, 2**31),
    st.tuples(st.integers(1, 12), st.integers(1, 2 * SEGMENT + 9)),
    st.integers(0, 3),
    st.sampled_from([None, 0, 1, 5]),
    st.integers(0, 30),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_equals_the_naive_greedy(seed, shape, radius, block_radius, count, dtype):
    generator = np.random.default_rng(seed)
    score = (generator.integers(0, 9, shape) / 8).astype(dtype)
    score[generator.random(shape) < 0.1] = NEVER
    earlier = generator.random(shape) < 0.2
    before = earlier.copy()
    centres, blocked = choose_windows(score, radius, count, earlier, block_radius)
    reach = 2 * radius if block_radius is None else block_radius
    wanted, wanted_blocked = naive_windows(score, count, reach, earlier)
    assert centres.tolist() == wanted
    assert np.array_equal(blocked, wanted_blocked)
    assert np.array_equal(earlier, before)


@settings(max_examples=10)
@given(st.integers(0, 2**31), st.integers(0, 3))
def test_windows_never_overlap_across_rounds(seed, radius):
    generator = np.random.default_rng(seed)
    blocked, rounds = None, []
    for _ in range(3):
        score = generator.random((20, 30))
        centres, blocked = choose_windows(score, radius, 5, blocked)
        rounds.append(centres)
    centres = np.concatenate(rounds)
    apart = np.abs(centres[:, None] - centres).max(2)
    assert apart[~np.eye(len(centres), dtype=bool)].min(initial=99) >= 2 * radius + 1


def test_pixels_with_an_exclusion_keep_their_distance():
    score = rng().random((60, 60))
    centres, _ = choose_windows(score, 0, 9, block_radius=8)
    apart = np.abs(centres[:, None] - centres).max(2)
    assert apart[~np.eye(len(centres), dtype=bool)].min() >= 9


def test_nothing_left_gives_nothing():
    score = np.ones((4, 4))
    for blocked, count in ((np.ones((4, 4), bool), 3), (None, 0)):
        centres, after = choose_windows(score, 1, count, blocked)
        assert centres.shape == (0, 2)
        assert after.all() == (blocked is not None)
    assert choose_windows(np.empty((0, 5)), 1, 3)[0].shape == (0, 2)
    assert choose_windows(np.full((2, 2), NEVER), 1, 3)[0].shape == (0, 2)


@pytest.mark.parametrize(
    "arguments", [(-1, 1, None, None), (1, -1, None, None), (1, 1, None, -2)]
)
def test_negative_radius_or_count_is_refused(arguments):
    with pytest.raises(BadValue, match="zero or more"):
        choose_windows(np.ones((3, 3)), *arguments)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(BadValue, match="does not fit"):
        choose_windows(np.ones((3, 3)), 1, 1, np.zeros((2, 3), bool))


def test_nan_in_a_map_is_refused():
    score = np.ones((3, 200))
    score[2, 130] = np.nan
    with pytest.raises(BadValue, match="nan"):
        choose_windows(score, 1, 1)


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


# --- typical of a kind ----------------------------------------------------------------


def kinds(sizes, apart=100.0):
    """Descriptors in well separated heaps of these sizes, and the heap of each."""
    heap = np.repeat(np.arange(len(sizes)), sizes)
    around = np.random.default_rng(5).standard_normal((len(heap), 3))
    return (apart * np.eye(len(sizes), 3)[heap] + around).astype(np.float32), heap


def test_one_of_each_kind_is_asked_the_most_frequent_first():
    descriptors, heap = kinds([10, 40, 20])
    chosen = choose_typical(descriptors, np.ones(70), 3, rng())
    assert heap[chosen].tolist() == [1, 2, 0]


def test_it_is_the_nearest_to_the_middle_of_its_kind():
    descriptors, heap = kinds([30, 30])
    for index in choose_typical(descriptors, np.ones(60), 2, rng()):
        own = descriptors[heap == heap[index]]
        distance = ((own - own.mean(0)) ** 2).sum(1)
        wanted = own[distance.argmin()]
        assert np.array_equal(descriptors[index], wanted)


@given(st.integers(0, 10_000), st.integers(0, 200))
@settings(max_examples=30)
def test_typical_regions_keep_the_budget_and_never_come_twice(seed, budget):
    generator = np.random.default_rng(seed)
    descriptors = generator.integers(0, 3, (50, 2)).astype(np.float32)
    costs = generator.integers(1, 6, 50)
    chosen = choose_typical(descriptors, costs, budget, rng())
    assert costs[chosen].sum() <= budget
    assert len(set(chosen.tolist())) == len(chosen)
    left = budget - costs[chosen].sum()
    assert len(chosen) == 50 or left < costs.max()


def test_the_rest_of_a_large_budget_is_a_spread(monkeypatch):
    monkeypatch.setattr("napari_alseg.regions.choice.MOST_KINDS", 2)
    descriptors, heap = kinds([30, 20, 10])
    chosen = choose_typical(descriptors, np.ones(60), 9, rng())
    assert len(set(chosen.tolist())) == 9
    assert set(heap[chosen]) == {0, 1, 2}
