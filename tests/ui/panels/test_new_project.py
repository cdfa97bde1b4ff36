"""The dialog of a new project, by keys and clicks."""

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_alseg.arrays import Progress
from napari_alseg.store import MaskRule
from napari_alseg.ui.panels.class_editor import ClassEditor
from napari_alseg.ui.panels.new_project import CREATE, LAYERS, LOOK, NewProjectDialog

TABLE = "value,name,red,green,blue\n10,a,1,1,1\n20,b,2,2,2\n30,c,3,3,3\n"


def press(qtbot, widget, text):
    """Click the button that has this text."""
    (button,) = (
        each
        for each in widget.findChildren(QPushButton)
        if each.text().replace("&", "").startswith(text)
    )
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def type_in(qtbot, line, text):
    """Click into a line, and type over what is there."""
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
    qtbot.keyClick(line, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(line, text)


def line_of(row):
    """Return the line of a row in which a path is typed."""
    return row.line_edit.native


@pytest.fixture
def editor(qtbot, tmp_path):
    editor = ClassEditor()
    qtbot.addWidget(editor)
    path = tmp_path / "classes.csv"
    path.write_text(TABLE)
    editor.read(path)
    return editor


def test_classes_of_a_file_keep_their_mask_values(qtbot, editor):
    assert editor.value().labels_of_values == {10: 1, 20: 2, 30: 3}
    editor._table.setCurrentCell(0, 0)
    press(qtbot, editor, "Remove")
    table = editor.value()
    assert table.labels_of_values == {20: 1, 30: 2}
    assert table.names == ("b", "c")


def test_display_colours_never_change_how_masks_are_read(editor):
    before = editor.value()
    first, second = (editor._table.item(row, 1) for row in (0, 1))
    colours = first.background(), second.background()
    first.setBackground(colours[1])
    second.setBackground(colours[0])
    after = editor.value()
    assert [entry.colour for entry in after.classes][:2] == [(2, 2, 2), (1, 1, 1)]
    assert after.labels_of_colours == before.labels_of_colours


def test_a_class_that_the_file_does_not_know_is_in_no_mask(qtbot, editor):
    press(qtbot, editor, "Add")
    table = editor.value()
    assert table.names == ("a", "b", "c", "class 4")
    assert set(table.labels_of_values.values()) == {1, 2, 3}


@pytest.fixture
def folders(tmp_path):
    """Two images, and masks of 0 and 1."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    mask = np.array([[0, 1]] * 3, np.uint8).repeat(2, 1)
    for name in "ab":
        picture = np.full((3, 4, 3), ord(name), np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


@pytest.fixture
def dialog(qtbot):
    dialog = NewProjectDialog()
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    yield dialog
    dialog.reject()


def look(qtbot, dialog):
    """Press the button that looks, and wait until that is done."""
    press(qtbot, dialog, "Look")
    qtbot.waitUntil(lambda: dialog.go.text() in (LOOK, CREATE))
    qtbot.waitUntil(lambda: bool(dialog.problem.text() or dialog.plan))


def test_what_was_found_is_shown_before_it_is_agreed_to(qtbot, dialog, folders):
    type_in(qtbot, line_of(dialog.images), str(folders / "images"))
    assert line_of(dialog.path).text().endswith(".alseg")
    look(qtbot, dialog)
    assert dialog.isVisible()
    assert "2 images" in dialog.report.toPlainText()
    assert not list(folders.glob("*alseg*"))
    press(qtbot, dialog, "Create")
    assert not dialog.isVisible()
    assert dialog.result()
    assert len(dialog.plan.entries) == 2


def test_masks_that_fit_twice_are_a_question(qtbot, dialog, folders):
    type_in(qtbot, line_of(dialog.images), str(folders / "images"))
    type_in(qtbot, line_of(dialog.labels), str(folders / "masks"))
    look(qtbot, dialog)
    assert dialog.plan is None
    assert dialog.mask_values.count() == 3
    dialog.mask_values.setFocus()
    qtbot.keyClick(dialog.mask_values, Qt.Key.Key_Down)
    look(qtbot, dialog)
    assert dialog.plan.rule == MaskRule("value", {0: 1, 1: 2})
    assert "0 = background, 1 = object" in dialog.report.toPlainText()


@pytest.mark.parametrize("wrong", ["", "nowhere"])
def test_what_is_wrong_is_told_and_nothing_typed_is_lost(qtbot, dialog, folders, wrong):
    type_in(qtbot, line_of(dialog.path), str(folders / "mine"))
    if wrong:
        type_in(qtbot, line_of(dialog.images), str(folders / wrong))
    look(qtbot, dialog)
    assert dialog.isVisible()
    assert "images" in dialog.problem.text() or wrong in dialog.problem.text()
    assert line_of(dialog.path).text() == str(folders / "mine")
    type_in(qtbot, line_of(dialog.images), str(folders / "images"))
    look(qtbot, dialog)
    assert dialog.plan is not None


def test_a_change_makes_what_was_found_void(qtbot, dialog, folders):
    type_in(qtbot, line_of(dialog.images), str(folders / "images"))
    look(qtbot, dialog)
    type_in(qtbot, line_of(dialog.labels), str(folders / "masks"))
    assert dialog.plan is None
    assert dialog.go.text() == LOOK
    assert dialog.report.toPlainText() == ""


def test_a_bad_table_is_told_in_the_dialog(dialog, tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text(TABLE + "10,again,1,2,3\n")
    dialog.classes.read(path)
    assert "same value 10" in dialog.problem.text()
    assert len(dialog.classes.value().classes) == 2


def test_open_layers_take_the_place_of_a_folder(qtbot, make_napari_viewer, tmp_path):
    from napari_alseg.ui.canvas.open_layers import open_images

    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((3, 4), np.uint8), name="photo")
    dialog = NewProjectDialog(open_images(viewer))
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.keyClick(dialog.images_from, Qt.Key.Key_Down)
    assert dialog.images_from.currentText() == LAYERS
    type_in(qtbot, line_of(dialog.path), str(tmp_path / "x"))
    look(qtbot, dialog)
    wanted = dialog.value()
    assert wanted.path == tmp_path / "x.alseg"
    assert wanted.images is None
    assert [entry.name for entry in dialog.plan.entries] == ["photo"]


# --- in the window --------------------------------------------------------------------


@pytest.fixture
def asked_for(hands, dock, qtbot, folders):
    """Dialog that a click on New… has opened, filled in and looked through."""
    hands.press_button(dock.project_panel, "New")
    (dialog,) = dock.findChildren(NewProjectDialog)
    qtbot.waitExposed(dialog)
    type_in(qtbot, line_of(dialog.images), str(folders / "images"))
    look(qtbot, dialog)
    return dialog


def test_a_project_is_made_by_the_dialog_and_opened(qtbot, dock, asked_for, folders):
    press(qtbot, asked_for, "Create")
    qtbot.waitUntil(lambda: dock.project is not None)
    assert dock.project.path == folders / "images.alseg"
    assert dock.project.images.names() == ("a", "b")


def test_what_breaks_while_it_is_made_comes_back_with_all_that_was_typed(
    qtbot, dock, asked_for, folders
):
    """The file is damaged after it was looked at."""
    (folders / "images" / "b.png").write_bytes(b"no picture")
    press(qtbot, asked_for, "Create")
    qtbot.waitUntil(lambda: "b.png" in asked_for.problem.text())
    assert asked_for.isVisible()
    assert line_of(asked_for.images).text() == str(folders / "images")
    assert dock.project is None
    assert not list(folders.glob("*alseg*"))
    press(qtbot, asked_for, "Cancel")
    qtbot.waitUntil(lambda: not dock.findChildren(NewProjectDialog))


def test_a_task_that_runs_is_told_in_the_dialog(qtbot, dock, asked_for, folders):
    ended = []

    def task():
        while not ended:
            yield Progress(0, 1, "waiting")

    dock.background.start("Look", task())
    press(qtbot, asked_for, "Create")
    assert "Look is running" in asked_for.problem.text()
    assert asked_for.isVisible()
    assert line_of(asked_for.images).text() == str(folders / "images")
    ended.append(True)
    qtbot.waitUntil(lambda: not dock.background.busy)
    press(qtbot, asked_for, "Cancel")
