import numpy as np
import pytest

from napari_alseg.store import Project, default_classes
from napari_alseg.ui.canvas.pictures import image_layers


@pytest.fixture
def show(tmp_path, rng):
    """Put an image of so many channels into a project; return its layers."""

    def layers(count, composite=False, dtype=np.uint16, **more):
        image = rng.integers(0, 200, (6, 7, count)).astype(dtype)
        with Project.create(tmp_path / "x.alseg", default_classes("ab")) as project:
            project.images.add("i", image, **more)
            return image, image_layers(project, "i", composite)

    return layers


def test_grey_is_one_layer_in_its_window(show):
    image, (layer,) = show(1)
    assert layer.key == ("image", "")
    np.testing.assert_array_equal(layer.data, image[..., 0])
    assert "colormap" not in layer.attributes


def test_colour_is_one_layer_of_eight_bits(show):
    _, (layer,) = show(3)
    assert layer.attributes["rgb"]
    assert layer.data.shape == (6, 7, 3)
    assert layer.data.dtype == np.uint8


def test_channels_are_layers_laid_over_one_another(show):
    image, shown = show(3, colour=False, channels=("DAPI", "GFP", "RFP"))
    assert [layer.key for layer in shown] == [
        ("image", ""),
        ("channel", "GFP"),
        ("channel", "RFP"),
    ]
    for at, layer in enumerate(shown):
        np.testing.assert_array_equal(layer.data, image[..., at])
    assert [layer.attributes["blending"] for layer in shown[1:]] == ["additive"] * 2
    assert len({layer.attributes["colormap"] for layer in shown}) == 3


def test_a_fourth_channel_lies_beside_the_colours(show):
    _, shown = show(4, colour=True)
    assert [layer.attributes["rgb"] for layer in shown] == [True, False]
    assert shown[1].attributes["visible"] is False


def test_a_cell_has_room_for_one_picture(show):
    _, (layer,) = show(5, composite=True, colour=False)
    assert layer.attributes["rgb"]
