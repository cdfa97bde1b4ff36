import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regions_by_hand import rng

from napari_alseg.errors import BadValue
from napari_alseg.regions import choose_diverse, choose_spread, choose_typical

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
    monkeypatch.setattr("napari_alseg.regions.diverse.MOST_KINDS", 2)
    descriptors, heap = kinds([30, 20, 10])
    chosen = choose_typical(descriptors, np.ones(60), 9, rng())
    assert len(set(chosen.tolist())) == 9
    assert set(heap[chosen]) == {0, 1, 2}
