import threading
from functools import partial

import numpy as np
import pytest
from shapes import refused

from napari_alseg.errors import BadValue
from napari_alseg.regions import (
    bounds,
    count_pixels,
    dense,
    describe,
    felzenszwalb,
    grid,
    of_many,
    superpixels,
)

small_superpixels = partial(superpixels, size=50)


def scene(height=60, width=80, channels=3, seed=0):
    """Two noisy halves with a bright disc across them."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, channels), 60.0)
    image[:, width // 2 :] = 120
    row, column = np.indices((height, width))
    image[np.hypot(row - height / 2, column - width / 2) < height / 4] = 220
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


PARTITIONS = {
    "superpixels": lambda image: superpixels(image, size=100),
    "few superpixels": lambda image: superpixels(image, size=2000),
    "felzenszwalb": lambda image: felzenszwalb(image, size=20),
    "grid": lambda image: grid(image.shape[:2], *(min(n, 3) for n in image.shape[:2])),
    "image": lambda image: grid(image.shape[:2], 1, 1),
    "pixels": lambda image: grid(image.shape[:2], *image.shape[:2]),
}


@pytest.mark.parametrize("name", PARTITIONS)
@pytest.mark.parametrize(
    "shape",
    [
        (60, 80, 3),
        (60, 80, 1),
        (31, 17, 2),
        (20, 20, 5),
        (1, 1, 3),
        (1, 9, 1),
        (3, 2, 3),
    ],
)
def test_contract_of_partitions(name, shape):
    image = scene(*shape)
    region_map = PARTITIONS[name](image)
    assert region_map.dtype == np.int32
    assert region_map.shape == image.shape[:2]
    assert region_map.min() == 1
    assert count_pixels(region_map).min() >= 1
    assert np.array_equal(region_map, PARTITIONS[name](image))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_superpixels_follow_edges_and_size(channels):
    image = scene(channels=channels)
    region_map = superpixels(image, size=100)
    assert 36 <= region_map.max() <= 60
    disc = image[..., 0] > 170
    inside = np.bincount(region_map[disc], minlength=region_map.max() + 1)[1:]
    share = inside / count_pixels(region_map)
    assert np.minimum(share, 1 - share).mean() < 0.03


def test_superpixels_keep_their_size_in_noise():
    rng = np.random.default_rng(0)
    noisy = rng.normal(128, 25, (96, 96, 1)).clip(0, 255).astype(np.uint8)
    assert superpixels(noisy, size=100).max() > 46


def test_superpixels_have_a_default_size():
    assert 6 <= superpixels(scene()).max() <= 12


def test_more_compact_is_squarer():
    def spread(compactness):
        boxes = bounds(superpixels(scene(), size=100, compactness=compactness))
        return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).mean()

    assert spread(100.0) < spread(1.0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 0},
        {"size": -5},
        {"size": 9, "compactness": 0.0},
        {"size": 9, "compactness": float("nan")},
    ],
)
def test_bad_superpixel_settings_are_refused(arguments):
    with pytest.raises(BadValue, match="size"):
        superpixels(scene(), **arguments)


def test_an_image_without_pixels_is_refused():
    empty = np.zeros((0, 4, 3), np.uint8)
    for partition in (superpixels, felzenszwalb):
        with pytest.raises(BadValue, match="pixels"):
            partition(empty)


def test_many_come_in_order_however_many_work():
    images = [scene(20 + 7 * index, 30) for index in range(7)]
    wanted = [superpixels(image, size=50) for image in images]
    for workers in (1, 3):
        many = list(of_many(small_superpixels, iter(images), workers=workers))
        assert all(map(np.array_equal, many, wanted))
        assert len(many) == 7


def test_many_hold_few_images_at_a_time():
    taken = []

    def images():
        for index in range(20):
            taken.append(index)
            yield scene(12, 12)

    maps = of_many(small_superpixels, images(), workers=2)
    next(maps)
    assert len(taken) <= 4
    maps.close()
    assert len(taken) <= 4
    assert threading.active_count() < 20


def test_many_of_none_is_none():
    assert list(of_many(small_superpixels, [])) == []


@pytest.mark.parametrize("bad", [{"scale": 0}, {"sigma": -1}, {"size": 0}])
def test_bad_segment_settings_are_refused(bad):
    with pytest.raises(BadValue, match="segments"):
        felzenszwalb(scene(), **bad)


def test_equal_grid_of_camvid():
    boxes = bounds(grid((360, 480), 5, 5))
    assert boxes[:, 0].tolist() == np.repeat([0, 72, 144, 216, 288], 5).tolist()
    assert boxes[:, 1].tolist() == np.tile([0, 96, 192, 288, 384], 5).tolist()
    assert np.all(boxes[:, 2:] - boxes[:, :2] == (72, 96))


def test_the_last_cells_take_the_remainder():
    assert count_pixels(grid((7, 11), 2, 3)).tolist() == [9, 9, 15, 12, 12, 20]


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (1, 0), (5, 1), (1, 7), (-1, 2)])
def test_a_grid_that_does_not_fit_is_refused(rows, columns):
    with pytest.raises(BadValue, match="4 x 6 pixels"):
        grid((4, 6), rows, columns)


def test_dense_keeps_the_order_of_values():
    assert dense(np.array([[5, 0], [9, 5]])).tolist() == [[2, 1], [3, 2]]


def test_bounds_enclose_each_region():
    region_map = np.array([[0, 1, 1], [4, 4, 1]], np.int32)
    wanted = [[0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 2, 2]]
    assert bounds(region_map).tolist() == wanted


def test_bounds_of_no_region_are_refused():
    with pytest.raises(BadValue, match="no region"):
        bounds(np.zeros((2, 2), np.int32))


def test_descriptors_tell_colour_spread_and_place():
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 4:] = 255
    image[0, 4:] = 0
    region_map = grid((4, 8), 1, 2)
    black, white = describe(image, region_map)
    np.testing.assert_allclose(black, [0, 0, 0, 0, 0, 0, 0.5, 0.25], atol=1e-4)
    np.testing.assert_allclose(white[[0, 6, 7]], [1.5, 0.5, 0.75], atol=1e-3)
    assert white[3] == pytest.approx(2 * np.sqrt(0.75 * 0.25), abs=1e-3)


@pytest.mark.parametrize(("channels", "columns"), [(1, 4), (2, 6), (3, 8), (5, 12)])
def test_descriptors_equal_a_loop(channels, columns):
    image = scene(20, 30, channels)
    region_map = grid((20, 30), 2, 3)
    region_map[region_map == 4] = 0
    descriptors = describe(image, region_map)
    assert descriptors.shape == (6, columns)
    assert descriptors.dtype == np.float32
    assert np.isfinite(descriptors).all()
    assert not descriptors[3].any()
    if channels in (2, 5):
        part = image[region_map == 6] * (2 / 255)
        np.testing.assert_allclose(descriptors[5, :channels], part.mean(0), rtol=1e-4)
        np.testing.assert_allclose(
            descriptors[5, channels : 2 * channels], part.std(0), rtol=1e-3
        )


def test_grey_counts_as_much_as_the_same_grey_in_colour():
    grey = scene(20, 30, 1)
    region_map = grid((20, 30), 2, 3)
    in_colour = describe(np.repeat(grey, 3, axis=2), region_map)
    np.testing.assert_allclose(
        describe(grey, region_map)[:, 0], in_colour[:, 0], atol=1e-5
    )


def test_an_image_of_another_shape_is_refused():
    with refused("does not fit"):
        describe(scene(), grid((4, 4), 2, 2))
