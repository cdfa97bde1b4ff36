import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_alseg.errors import BadValue
from napari_alseg.store.intensity import (
    Intensities,
    intensity_windows,
    three_channels,
    windowed,
)


def grey(*values, dtype=np.uint8):
    return np.array(values, dtype)[None, :, None]


def test_the_window_of_odd_images():
    assert intensity_windows(grey(5, 5, 5, dtype=np.float32)) == ((5, 10),)
    rare = grey(*[0] * 5000, 9, dtype=np.uint16)
    assert intensity_windows(rare) == ((0, 9),)
    gaps = grey(np.nan, 1, np.inf, 3, dtype=np.float32)
    ((low, high),) = intensity_windows(gaps)
    assert 1 <= low < high <= 3
    assert windowed(gaps, [(1, 3)]).ravel().tolist() == [0, 0, 255, 255]
    assert windowed(grey(7, 7, dtype=np.int16), [(7, 14)]).max() == 0


def test_hot_pixels_do_not_take_the_window(rng):
    image = rng.normal(100, 3, (60, 80))
    image[20:40, 30:50] += 60
    cold = intensity_windows(image.astype(np.uint16)[..., None])
    image.ravel()[rng.choice(image.size, 15, replace=False)] = 4095
    assert intensity_windows(image.astype(np.uint16)[..., None])[0][1] < 200
    assert intensity_windows(image.astype(np.uint16)[..., None])[0] == pytest.approx(
        cold[0], abs=5
    )


def test_nodata_is_neither_black_nor_white_point():
    image = np.linspace(10, 20, 2400, dtype=np.float32).reshape(40, 60, 1)
    image[:, :12] = -9999
    ((low, high),) = intensity_windows(image, nodata=-9999)
    assert 9 < low < high <= 20
    image[:, :12] = 9999
    assert intensity_windows(image, nodata=9999)[0][1] <= 20
    assert windowed(image, [(low, high)], nodata=9999)[:, :12].max() == 0


def test_channels_of_unequal_range_have_windows_of_their_own(rng):
    image = np.dstack(
        [rng.integers(0, 60000, (40, 60)), rng.integers(100, 400, (40, 60))]
    ).astype(np.uint16)
    strong, weak = intensity_windows(image)
    assert strong[1] > 50_000
    assert weak[1] <= 400
    assert windowed(image, [strong, weak])[..., 1].max() == 255


def test_a_colour_picture_keeps_its_hues():
    ramp = np.linspace(0, 4000, 400, dtype=np.uint16).reshape(20, 20)
    image = np.dstack([ramp, ramp // 2, ramp // 4])
    together = intensity_windows(image, colour=True)
    assert len(set(together)) == 1
    assert len(set(intensity_windows(image, colour=False))) == 3


def test_a_large_image_is_looked_at_in_patches(rng):
    image = rng.integers(0, 1000, (2200, 2100, 1), np.uint16)
    ((low, high),) = intensity_windows(image)
    assert 0 <= low < 200
    assert 800 < high <= 1000


def test_given_windows():
    assert Intensities.parse("0..100").given(3) == ((0, 100),) * 3
    assert Intensities.parse("0..100, -5..1e3").given(2) == ((0, 100), (-5, 1000))
    assert Intensities.parse("shared").shared
    assert Intensities.parse("each").given(3) is None
    for text in ("all", "5..5", "9..1", "1-2", ""):
        if text:
            with pytest.raises(BadValue, match=r"LOW\.\.HIGH"):
                Intensities.parse(text)
    with pytest.raises(BadValue, match="2 windows, an image has 3 channels"):
        Intensities.parse("0..1,0..2").given(3)


@given(
    arrays(
        np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
    )
)
def test_windows_are_wide_and_pictures_have_eight_bits(image):
    windows = intensity_windows(image)
    assert len(windows) == image.shape[2]
    assert all(low < high for low, high in windows)
    shown = windowed(image, windows)
    assert shown.shape == image.shape
    assert shown.dtype == np.uint8


@pytest.mark.parametrize(
    ("count", "chosen", "seen"),
    [
        (1, (), [0, 0, 0]),
        (2, (), [0, 1, None]),
        (3, (), [0, 1, 2]),
        (5, (), [0, 1, 2]),
        (5, (4, 0, 2), [4, 0, 2]),
        (4, (3,), [3, 3, 3]),
        (2, (3, 1), [None, 1, None]),
        (1, (3, 1), [0, 0, 0]),
    ],
)
def test_the_three_channels_of_a_network(count, chosen, seen):
    shown = np.arange(1, count + 1, dtype=np.uint8)[None, None]
    expected = [0 if at is None else at + 1 for at in seen]
    assert three_channels(shown, chosen).ravel().tolist() == expected
