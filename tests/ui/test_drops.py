"""Folders that are dropped into a painted window."""

import numpy as np
import pytest
from PIL import Image as Picture
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_alseg.ui.panels.new_project import NewProjectDialog


@pytest.fixture
def pictures(tmp_path):
    """A folder of three images that is no project."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for value in range(3):
        Picture.fromarray(np.full((8, 9), value, np.uint8)).save(
            folder / f"{value}.png"
        )
    return folder


def test_a_folder_of_images_on_the_canvas_is_a_stack(hands, pictures):
    hands.answer_dialog("napari builtins", "OK")  # asks if others read folders, too
    hands.drop(hands.canvas, pictures)
    assert [layer.data.shape for layer in hands.viewer.layers] == [(3, 8, 9)]


def test_napari_asks_us_for_no_folder(pictures, project_path):
    from npe2 import PluginManager

    manager = PluginManager.instance()
    for folder in (pictures, project_path):
        readers = manager.iter_compatible_readers(str(folder))
        assert "napari-alseg" not in {reader.plugin_name for reader in readers}


@pytest.mark.parametrize("onto", ["canvas", "dock"])
def test_a_project_is_opened_wherever_it_is_dropped(hands, dock, project_path, onto):
    hands.drop(hands.canvas if onto == "canvas" else dock, project_path)
    hands.qtbot.waitUntil(lambda: dock.project is not None)
    assert dock.project.path == project_path


def test_a_folder_of_images_on_the_dock_is_offered_as_a_project(hands, dock, pictures):
    seen = []

    def look():
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, NewProjectDialog)
        seen.append(dialog.images.value)
        dialog.reject()

    QTimer.singleShot(500, look)
    hands.drop(dock, pictures)
    hands.qtbot.waitUntil(lambda: bool(seen))
    assert seen == [pictures]
    assert dock.project is None
