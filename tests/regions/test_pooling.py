import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import refused

from napari_alseg.errors import BadValue, UnknownName
from napari_alseg.regions import (
    count_pixels,
    pool,
    pool_classes,
    pool_features,
)

SCORE = np.array([[0.1, 0.2], [0.3, 0.4]])
COLUMNS = np.array([[1, 2], [1, 2]], np.int32)


def top(values):
    count = -(-values.size // 10)
    return np.sort(values)[-count:].mean()


BY_LOOP = {"mean": np.mean, "sum": np.sum, "max": np.max, "top": top}


@pytest.mark.parametrize(
    ("how", "wanted"),
    [("mean", [0.2, 0.3]), ("sum", [0.4, 0.6]), ("max", [0.3, 0.4])],
)
def test_hand_worked_columns(how, wanted):
    np.testing.assert_allclose(pool(SCORE, COLUMNS, how), wanted)


def test_top_is_the_highest_tenth_rounded_up():
    score = np.arange(21.0)[None]
    assert pool(score, np.ones((1, 21), np.int32), "top") == [19]  # of 18, 19, 20
    assert pool(score[:, :10], np.ones((1, 10), np.int32), "top") == [9]
    assert pool(score[:, :9], np.ones((1, 9), np.int32), "top") == [8]


@settings(max_examples=30)
@given(
    st.integers(0, 2**31),
    st.sampled_from(sorted(BY_LOOP)),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_equals_a_loop_over_masks(seed, how, dtype, shape):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=shape).astype(dtype)
    region_map = rng.integers(0, 7, shape).astype(np.int32)
    region_map[0, 0] = 3
    wanted = [
        BY_LOOP[how](score[region_map == region].astype(float))
        if (region_map == region).any()
        else -np.inf
        for region in range(1, region_map.max() + 1)
    ]
    np.testing.assert_allclose(
        pool(score, region_map, how), wanted, rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("how", sorted(BY_LOOP))
def test_pixels_of_no_region_and_missing_ids(how):
    region_map = np.array([[0, 3], [0, 3]], np.int32)
    pooled = pool(np.array([[9.0, 1.0], [9.0, 1.0]]), region_map, how)
    assert pooled.tolist() == [-np.inf, -np.inf, 2.0 if how == "sum" else 1.0]


@pytest.mark.parametrize("how", sorted(BY_LOOP))
def test_never_stays_never_and_views_work(how):
    score = np.array([[-np.inf, 1.0], [-np.inf, 1.0]]).T
    assert pool(score, COLUMNS.T, how)[0] == -np.inf


def test_names_of_regions_do_not_matter():
    renamed = np.array([0, 2, 1], np.int32)[COLUMNS]
    assert pool(SCORE, renamed).tolist() == pool(SCORE, COLUMNS)[::-1].tolist()


@pytest.mark.parametrize(
    ("score", "region_map", "text"),
    [
        (SCORE, np.zeros((2, 2), np.int32), "no region"),
        (SCORE, -COLUMNS, "no region"),
        (SCORE, COLUMNS - 2, "negative id"),
        (np.empty((0, 2)), np.empty((0, 2), np.int32), "no region"),
        (SCORE[:1], COLUMNS, "does not fit"),
        (SCORE * np.nan, COLUMNS, "nan"),
    ],
)
def test_bad_maps_are_refused(score, region_map, text):
    with refused(text):
        pool(score, region_map)


def test_unknown_pooling_lists_the_known():
    with refused("max, mean, sum, top", UnknownName):
        pool(SCORE, COLUMNS, "median")


def test_pixels_are_counted():
    assert count_pixels(np.array([[0, 1, 3, 3]], np.int32)).tolist() == [1, 0, 2]


def test_features_are_averaged_at_their_own_resolution():
    features = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    region_map = np.ones((4, 4), np.int32)
    region_map[:, 2:] = 2
    region_map[0, 0] = 4
    pooled = pool_features(features, region_map)
    # the left half without one pixel of cell 0: 3 pixels of 0 and 4 of 2
    np.testing.assert_allclose(
        pooled, [[8 / 7, 4 + 8 / 7], [2, 6], [0, 0], [0, 4]], rtol=1e-6
    )
    assert pooled.dtype == np.float32


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_features_at_full_resolution_equal_pooling(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(3, 6, 5)).astype(np.float32)
    region_map = rng.integers(1, 5, (6, 5)).astype(np.int32)
    present = count_pixels(region_map) > 0
    wanted = np.stack([pool(plane, region_map) for plane in features], axis=1)
    np.testing.assert_allclose(
        pool_features(features, region_map)[present], wanted[present], atol=1e-5
    )


def test_pooled_classes_equal_a_loop_over_masks_and_stay_a_distribution():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(4), (9, 12)).transpose(2, 0, 1)
    probability = np.ascontiguousarray(probability, np.float32)
    region_map = rng.integers(0, 6, (9, 12)).astype(np.int32)
    means = pool_classes(probability, region_map)
    for region in range(1, 6):
        expected = probability[:, region_map == region].mean(1)
        np.testing.assert_allclose(means[region - 1], expected, rtol=1e-5)
    np.testing.assert_allclose(means.sum(1), 1, rtol=1e-5)


def test_classes_of_an_id_without_pixels_are_zeros():
    means = pool_classes(
        np.full((2, 1, 2), 0.5, np.float32), np.array([[1, 3]], np.int32)
    )
    assert means.tolist() == [[0.5, 0.5], [0, 0], [0.5, 0.5]]


def test_a_probability_of_another_size_is_refused():
    with pytest.raises(BadValue, match="does not fit"):
        pool_classes(np.ones((2, 3, 3), np.float32), np.ones((3, 4), np.int32))
