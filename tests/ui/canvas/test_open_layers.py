"""Open layers as images: planes, channels and colours, nothing computed too early."""

import dask.array as da
import numpy as np
import pytest

from napari_alseg.ui.canvas.open_layers import open_images


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


@pytest.mark.parametrize(
    ("shape", "more", "planes", "channels"),
    [
        ((4, 5), {}, ("",), 1),
        ((4, 5, 3), {"rgb": True}, ("",), 3),
        ((4, 5, 4), {"rgb": True}, ("",), 3),
        ((4, 5, 4), {"rgb": False}, ("1", "2", "3", "4"), 1),
        ((1, 4, 5), {}, ("",), 1),
        ((3, 4, 5), {}, ("1", "2", "3"), 1),
        ((2, 2, 4, 5), {}, ("1-1", "1-2", "2-1", "2-2"), 1),
        ((2, 4, 5, 3), {"rgb": True}, ("1", "2"), 3),
    ],
)
def test_planes_and_channels(viewer, shape, more, planes, channels):
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    if more.get("rgb"):
        array = array.astype(np.uint8)
    viewer.add_image(array, name="x", **more)
    image = open_images(viewer)["x"]
    assert image.planes == planes
    assert image.colour == bool(more.get("rgb"))
    assert len(image.channels) == channels
    last = image.read(len(planes) - 1)
    assert last.shape == (*image.shape, channels)
    whole = array if more.get("rgb") else array[..., None]
    expected = whole.reshape(-1, *image.shape, whole.shape[-1])[-1][..., :channels]
    np.testing.assert_array_equal(last, expected)


def test_channels_of_one_picture_are_one_image(viewer, rng):
    stack = rng.integers(0, 255, (3, 4, 5), np.uint8)
    viewer.add_image(stack, channel_axis=0, name="cells")
    viewer.add_image(stack[0], name="other")
    viewer.add_image(stack[0], name="other")  # napari calls it "other [1]"
    found = open_images(viewer)
    assert list(found) == ["cells", "other", "other [1]"]
    np.testing.assert_array_equal(found["cells"].read(0), np.moveaxis(stack, 0, -1))


def test_names_of_lazy_layers_cost_nothing(viewer):
    computed = []

    def block(piece):
        computed.append(1)
        return piece

    lazy = da.zeros((40, 40), chunks=(10, 10), dtype=np.uint8)
    lazy = lazy.map_blocks(block, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    viewer.add_image(lazy, contrast_limits=(0, 255), name="lazy")
    computed.clear()
    found = open_images(viewer)
    assert computed == []
    found["lazy"].read(0)
    assert len(computed) == 16


def test_a_pyramid_gives_its_largest_level(viewer):
    viewer.add_image([np.ones((8, 6)), np.ones((4, 3))], multiscale=True, name="x")
    assert open_images(viewer)["x"].shape == (8, 6)
