import numpy as np
import pytest
import torch

from napari_alseg.segmentation import (
    Network,
    build,
    describe_pixels,
    frozen_features,
    predict,
    to_tensor,
)
from napari_alseg.segmentation.head.frozen import pixel_features
from napari_alseg.segmentation.prediction.tiles import tiles
from napari_alseg.settings import NetworkSettings, PredictionSettings

WHOLE = PredictionSettings(tile=512)
TILED = PredictionSettings(tile=64, overlap=16, batch_size=3)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)


@pytest.fixture
def frozen() -> Network:
    return build(NetworkSettings("live/unet", weights="random"), 3).eval()


@pytest.fixture
def scattered() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of pixels all over the image, its corners among them."""
    rows, columns = np.random.default_rng(1).integers(0, (100, 150), (60, 2)).T
    return np.append(rows, [0, 0, 99, 99]), np.append(columns, [0, 149, 0, 149])


def features_of_tile(network, image, tile, rows, columns):
    """Features of pixels within one tile, seen by itself."""
    given = network.prepared(to_tensor(image[tile.slices], network.device))
    return pixel_features(
        network.body.features(given),
        torch.from_numpy(rows - tile.row_start),
        torch.from_numpy(columns - tile.column_start),
        given.shape[-2:],
    )


def test_pixels_of_an_image_of_one_tile_are_described_as_the_whole(
    frozen, image, scattered
):
    found = describe_pixels(frozen, image, *scattered, WHOLE)
    (tile,) = tiles(image.shape[:2], WHOLE.tile, WHOLE.overlap)
    wanted = features_of_tile(frozen, image, tile, *scattered)
    assert found.shape == (64, sum(frozen.body.features.channels))
    assert found.dtype == torch.float16
    assert torch.equal(found, wanted)


def test_with_tiles_a_pixel_is_described_by_one_that_holds_it(frozen, image, scattered):
    rows, columns = scattered
    found = describe_pixels(frozen, image, rows, columns, TILED)
    bounds = tiles(image.shape[:2], TILED.tile, TILED.overlap)
    assert len(bounds) > 4
    for index, (row, column) in enumerate(zip(rows, columns, strict=True)):
        one = np.array([row]), np.array([column])
        seen = [
            features_of_tile(frozen, image, tile, *one)[0]
            for tile in bounds
            if tile.row_start <= row < tile.row_stop
            and tile.column_start <= column < tile.column_stop
        ]
        assert any(torch.equal(found[index], each) for each in seen)


def test_a_shared_pixel_is_seen_where_more_of_the_image_is_around_it(frozen, image):
    bounds = tiles(image.shape[:2], TILED.tile, TILED.overlap)
    left, right = bounds[0], bounds[1]
    assert right.column_start < left.column_stop - 4
    near_left = np.array([10]), np.array([right.column_start + 1])
    near_right = np.array([10]), np.array([left.column_stop - 2])
    for pixel, tile in ((near_left, left), (near_right, right)):
        found = describe_pixels(frozen, image, *pixel, TILED)
        assert torch.equal(found, features_of_tile(frozen, image, tile, *pixel))


def test_no_pixels_are_described_by_nothing(frozen, image):
    nothing = np.empty(0, np.int64)
    found = describe_pixels(frozen, image, nothing, nothing, TILED)
    assert found.shape == (0, sum(frozen.body.features.channels))


def test_the_head_says_of_described_pixels_what_it_says_of_the_image(frozen, image):
    rows, columns = (each.ravel() for each in np.mgrid[2:100:4, 2:148:4])
    smooth = np.repeat(np.linspace(0, 255, 150)[None, :, None], 100, 0).repeat(3, 2)
    pixels = smooth.astype(np.uint8)
    features = describe_pixels(frozen, pixels, rows, columns, WHOLE)
    with torch.no_grad():
        said = frozen.body.head.of_pixels(features.float()).softmax(1)
    drawn = predict(frozen, pixels, WHOLE).probability[:, rows, columns].T
    # Logits are enlarged after the hidden layer, features before it.
    torch.testing.assert_close(said, drawn, atol=0.03, rtol=0)


def test_frozen_features_span_the_image_a_stage_each(frozen, image):
    for settings in (WHOLE, TILED):
        found = frozen_features(frozen, image, settings)
        assert [len(each) for each in found] == list(frozen.body.features.channels)
        assert found[0].shape[1:] == (25, 38)
        assert all(np.isfinite(each).all() for each in found)
        for each in found:
            assert each.dtype == np.float32


def test_frozen_features_of_one_tile_are_those_of_the_encoder(frozen):
    image = np.random.default_rng(3).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    given = frozen.prepared(to_tensor(image, frozen.device))
    found = frozen_features(frozen, image, WHOLE)
    for one, other in zip(found, frozen.body.features(given), strict=True):
        np.testing.assert_allclose(one, other[0].numpy(), atol=1e-5)
