import numpy as np
import pytest

from napari_alseg.errors import BadValue
from napari_alseg.regions.scores import checked


def test_numbers_and_never_pass():
    scores = np.array([0.5, -np.inf, -3.0])
    assert checked(scores) is scores
    assert checked(np.empty(0)).size == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(bad):
    with pytest.raises(BadValue, match="diverged"):
        checked(np.array([[0.5, bad], [1.0, -np.inf]]))
