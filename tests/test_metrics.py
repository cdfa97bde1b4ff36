import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_alseg.arrays import IGNORE
from napari_alseg.metrics import area_under_curve, clicks, confusion_matrix, scores

CORNERS = np.array([[1, 2, 2], [1, 1, 0], [2, 0, 1], [0, 0, 1]], np.uint8)


def test_pixels_of_unknown_truth_are_dropped_and_nothing_else():
    truth = np.array([[0, 1], [IGNORE, IGNORE]], np.uint8)
    prediction = np.array([[0, 0], [0, 1]], np.uint8)
    assert confusion_matrix(truth, prediction, 2).tolist() == [[1, 0], [1, 0]]


def test_absent_classes_are_left_out_of_the_mean():
    found = scores(np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]))
    assert found.iou[2] is None
    assert found.mean == pytest.approx((8 / 11 + 9 / 12) / 2)


def test_a_class_only_predicted_counts_as_zero():
    assert scores(np.array([[5, 5], [0, 0]])).iou == (0.5, 0.0)


def test_nothing_known_has_no_mean():
    assert np.isnan(scores(np.zeros((2, 2), int)).mean)


def test_the_area_of_hand_worked_curves():
    # From 1 % to 10 % the middle of the straight line is half-way up.
    assert area_under_curve([0.01, 0.1], [0.4, 0.6], 0.01, 0.1) == pytest.approx(0.5)
    # A decade at 0.5 on average, a decade at 0.65 on average.
    shares, values = [0.01, 0.1, 1.0], [0.4, 0.6, 0.7]
    assert area_under_curve(shares, values, 0.01, 1.0) == pytest.approx(0.575)
    # The second half of the first decade: from 0.5 to 0.6.
    half = 10**-1.5
    assert area_under_curve(shares, values, half, 0.1) == pytest.approx(0.55)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=6),
    st.floats(0.05, 0.45),
    st.floats(0.55, 0.95),
)
def test_an_area_lies_between_the_lowest_and_the_highest_value(values, first, last):
    shares = np.geomspace(0.001, 1, len(values))
    area = area_under_curve(shares, values, 0.001**last, 0.001**first)
    assert min(values) - 1e-9 <= area <= max(values) + 1e-9


def test_a_click_for_each_connected_piece_of_one_class():
    # Class 1 holds together at a corner, class 2 lies in two places.
    assert clicks(CORNERS) == 3
    assert clicks(np.zeros((2, 2), np.uint8)) == 1
    assert clicks(np.eye(5, dtype=np.uint8)) == 1
    apart = np.zeros((1, 5), np.uint8)
    apart[0, [0, 2, 4]] = 7
    assert clicks(apart) == 3
