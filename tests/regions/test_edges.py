import numpy as np
import pytest

from napari_alseg.regions import edges


@pytest.mark.parametrize("contrast", [200, 1])
def test_edges_lie_on_the_outline_and_nowhere_else(contrast):
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = (contrast, contrast // 2, contrast // 4)
    found = edges(image)
    assert found.dtype == bool
    assert found[5:-5, 18:22].any(axis=1).mean() > 0.9
    assert not found[:, :17].any()
    assert not found[:, 23:].any()


def test_a_flat_image_has_none():
    assert not edges(np.full((12, 12, 1), 7, np.uint8)).any()


def test_one_pixel_works():
    assert edges(np.zeros((1, 1, 3), np.uint8)).tolist() == [[False]]
