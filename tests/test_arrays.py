import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_alseg.arrays import (
    IGNORE,
    Bounds,
    Progress,
    Region,
    Selection,
    finish,
    to_labels,
    to_targets,
)


@given(st.lists(st.integers(0, 254), min_size=1))
def test_labels_and_targets_are_two_ways_to_say_the_same(values):
    labels = np.array(values, np.uint8)
    targets = to_targets(labels)
    assert targets.dtype == np.uint8
    assert ((targets == IGNORE) == (labels == 0)).all()
    assert (to_labels(targets) == labels).all()
    assert (to_targets(torch.tensor(labels)).numpy() == targets).all()


def test_bounds_index_an_array():
    array = np.arange(12).reshape(3, 4)
    bounds = Bounds(1, 2, 3, 4)
    assert array[bounds.slices].tolist() == [[6, 7], [10, 11]]
    assert bounds.shape == (2, 2)


def test_a_selection_knows_its_images_in_order_and_its_pixels():
    def region(image, pixels):
        return Region(image, 1, 1, 0.5, pixels, Bounds(0, 0, 1, 1))

    asked = Selection(
        1, "entropy", "5%", (region("b", 3), region("a", 4), region("b", 5))
    )
    assert asked.images == ("b", "a")
    assert asked.pixels == 12


def test_finish_returns_the_result_and_passes_errors_on():
    def task():
        yield Progress(1, 2, "half")
        return 7

    def broken():
        yield Progress(1, 2, "half")
        raise ValueError("no")

    assert finish(task()) == 7
    with pytest.raises(ValueError, match="no"):
        finish(broken())
