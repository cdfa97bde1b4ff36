import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regions_by_hand import NEVER, rng
from shapes import refused

from napari_alseg.errors import BadValue
from napari_alseg.regions import bounds, choose_windows, windows
from napari_alseg.regions._kernels import SEGMENT

# --- the map of windows ---------------------------------------------------------------


def test_windows_are_squares_cut_off_at_the_border():
    region_map = windows((5, 7), np.array([[2, 5], [0, 0]]), radius=1)
    assert bounds(region_map).tolist() == [[1, 4, 4, 7], [0, 0, 2, 2]]
    assert np.bincount(region_map.ravel()).tolist() == [35 - 9 - 4, 9, 4]
    assert region_map.dtype == np.int32


def test_single_pixels_and_none_are_windows_too():
    assert windows((2, 2), np.array([[1, 0]]), radius=0).tolist() == [[0, 0], [1, 0]]
    assert windows((2, 2), np.empty((0, 2), int), radius=3).tolist() == [[0, 0]] * 2


# --- which windows --------------------------------------------------------------------


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
    with refused("does not fit"):
        choose_windows(np.ones((3, 3)), 1, 1, np.zeros((2, 3), bool))


def test_nan_in_a_map_is_refused():
    score = np.ones((3, 200))
    score[2, 130] = np.nan
    with pytest.raises(BadValue, match="nan"):
        choose_windows(score, 1, 1)
