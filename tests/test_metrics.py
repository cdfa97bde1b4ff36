import numpy as np
import pytest

from napari_alseg.arrays import IGNORE
from napari_alseg.metrics import confusion_matrix, scores


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
