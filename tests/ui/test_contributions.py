import json

import numpy as np
import pytest
from npe2 import PluginManifest
from PIL import Image as Picture

from napari_alseg.errors import BadValue, CannotWrite
from napari_alseg.ui import commands
from napari_alseg.ui.canvas import layers
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
    assert get_reader(str(project_path / "ledger.sqlite")) is not None
    (project_path / "zarr.json").write_text('{"attributes": {"format": "other"}}')
    assert get_reader(str(project_path)) is None


@pytest.mark.parametrize(
    ("highest", "dtype", "mode"),
    [
        (1, bool, "L"),
        (5, np.int32, "L"),
        (256, np.int64, "I;16"),
        (65_535, "u4", "I;16"),
    ],
)
def test_labels_are_written_as_they_are(tmp_path, highest, dtype, mode):
    labels = np.array([[0, 1, highest], [highest, 1, 0]], dtype)
    path = str(tmp_path / "mask.png")
    assert write_mask(path, labels, {"name": "x"}) == [path]
    with Picture.open(path) as picture:
        assert picture.mode == mode
        assert picture.text == {"napari-alseg": "labels"}
        assert (np.asarray(picture) == labels).all()
    assert [each.name for each in tmp_path.iterdir()] == ["mask.png"]


def test_labels_of_a_project_are_written_as_its_values(tmp_path):
    values = {0: 255, 1: 7, 2: 300}
    metadata = {"napari_alseg": {"values": values, "classes": ["sky", "car"]}}
    path = str(tmp_path / "mask.png")
    write_mask(path, np.array([[0, 1, 2]], np.uint8), {"metadata": metadata})
    with Picture.open(path) as picture:
        meaning = json.loads(picture.text["napari-alseg"])
        assert meaning == {"255": "", "7": "sky", "300": "car"}
        assert np.asarray(picture).tolist() == [[255, 7, 300]]
    with pytest.raises(BadValue, match=r"labels \[3\] have no value"):
        write_mask(path, np.array([[0, 3]], np.uint8), {"metadata": metadata})


@pytest.mark.parametrize(
    "labels", [np.full((2, 2), 65_536), np.full((2, 2), -1), np.zeros((2, 2, 2), int)]
)
def test_what_no_png_holds_is_refused_and_leaves_no_file(tmp_path, labels):
    with pytest.raises(BadValue, match="one plane of values 0 to 65535"):
        write_mask(str(tmp_path / "m.png"), labels, {"name": "x"})
    assert list(tmp_path.iterdir()) == []


def test_a_mask_that_cannot_be_written_leaves_the_old_one(tmp_path):
    with pytest.raises(CannotWrite, match="cannot be written"):
        write_mask(str(tmp_path / "no" / "m.png"), np.zeros((2, 2), int), {})


@pytest.mark.parametrize("role", ["annotation", "regions"])
def test_selected_labels_are_saved_by_napari_s_own_menu(annotator, tmp_path, role):
    layer = layers.find(annotator.view.viewer, role)
    layer.data[0, 0] = 700 if role == "regions" else 3
    annotator.view.viewer.layers.selection = {layer}
    written = annotator.view.viewer.layers.save(str(tmp_path / "x.png"), selected=True)
    assert written == [str(tmp_path / "x.png")]
    with Picture.open(written[0]) as picture:
        assert (np.asarray(picture) == layer.data).all()


def test_commands_find_the_open_dock(dock, annotator):
    viewer = dock.viewer
    assert commands.open_dock(viewer) is dock
    commands.skip_region(viewer)
    assert annotator.source.states(annotator.screen)[0] == "skipped"
    commands.undo(viewer)
    assert annotator.source.states(annotator.screen)[0] == "open"
    commands.next_region(viewer)
    assert annotator.screen.position == 1
    commands.previous_region(viewer)
    assert annotator.screen.position == 0


def test_live_and_similar_regions_are_commands(dock, annotator):
    commands.toggle_live(dock.viewer)
    assert dock.live.on
    commands.toggle_similar(dock.viewer)
    assert dock.live_panel.texts()[2].startswith("Similar: looking")
    commands.toggle_live(dock.viewer)
    assert not dock.live.on
