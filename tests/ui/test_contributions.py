import imageio.v3 as imageio
import numpy as np
import pytest
from npe2 import PluginManifest

from napari_alseg.errors import BadValue
from napari_alseg.ui import commands
from napari_alseg.ui.contributions import get_reader, sample_scenes, write_mask


def manifest():
    return PluginManifest.from_distribution("napari-alseg")


def test_every_command_can_be_imported():
    for command in manifest().contributions.commands:
        assert callable(command.python_name and _import(command.python_name))


def _import(name):
    from importlib import import_module

    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def test_sample_data_are_scenes_with_truth(make_napari_viewer):
    viewer = make_napari_viewer()
    for layer in sample_scenes():
        viewer._add_layer_from_data(*layer)
    assert viewer.layers["truth"].data.shape == (6, 192, 256)


def test_the_reader_takes_projects_only(project_path, tmp_path):
    assert get_reader(str(project_path)) is not None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([str(project_path)]) is None


def test_a_mask_is_written_as_it_is(tmp_path, rng):
    labels = rng.integers(0, 6, (5, 7)).astype(np.int32)
    path = str(tmp_path / "mask.png")
    assert write_mask(path, labels, {"name": "x"}) == [path]
    assert (imageio.imread(path) == labels).all()


def test_a_mask_that_no_png_holds_is_refused(tmp_path):
    with pytest.raises(BadValue, match="values up to 256"):
        write_mask(str(tmp_path / "m.png"), np.full((2, 2), 256), {"name": "x"})


def test_commands_find_the_open_dock(dock, labelling):
    viewer = dock.viewer
    assert commands.open_dock(viewer) is dock
    commands.skip_region(viewer)
    assert labelling.states()[0] == "skipped"
    commands.undo(viewer)
    assert labelling.states()[0] == "open"
    commands.next_region(viewer)
    assert labelling.position == 1
    commands.previous_region(viewer)
    assert labelling.position == 0


def test_live_and_similar_regions_are_commands(dock, labelling):
    commands.toggle_live(dock.viewer)
    assert dock.living.on
    commands.toggle_similar(dock.viewer)
    assert dock.live_panel.texts()[2].startswith("Similar: looking")
    commands.toggle_live(dock.viewer)
    assert not dock.living.on
