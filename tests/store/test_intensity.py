import numpy as np

from napari_alseg.store.intensity import intensity_window, windowed


def grey(*values, dtype=np.uint8):
    return np.array(values, dtype)[None, :, None]


def test_the_window_of_odd_images():
    assert intensity_window(grey(5, 5, 5, dtype=np.float32)) == (5, 10)
    rare = grey(*[0] * 5000, 9, dtype=np.uint16)
    assert intensity_window(rare) == (0, 9)
    gaps = grey(np.nan, 1, np.inf, 3, dtype=np.float32)
    low, high = intensity_window(gaps)
    assert 1 <= low < high <= 3
    assert windowed(gaps, (1, 3)).ravel().tolist() == [0, 0, 255, 255]
    assert windowed(grey(7, 7, dtype=np.int16), (7, 14)).max() == 0
