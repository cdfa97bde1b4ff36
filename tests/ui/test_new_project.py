import pytest

from napari_alseg.errors import BadClasses, BadValue
from napari_alseg.ui.new_project import LAYERS, ClassEditor, NewProjectDialog

TABLE = "value,name,red,green,blue\n10,a,1,1,1\n20,b,2,2,2\n30,c,3,3,3\n"


@pytest.fixture
def editor(qtbot, tmp_path):
    editor = ClassEditor()
    qtbot.addWidget(editor)
    path = tmp_path / "classes.csv"
    path.write_text(TABLE)
    editor.read(path)
    return editor


def test_classes_of_a_file_keep_their_mask_values(editor):
    assert editor.value().values == (10, 20, 30)
    editor._table.setCurrentCell(0, 0)
    editor._remove()
    table = editor.value()
    assert table.values == (20, 30)
    assert [entry.name for entry in table.classes] == ["b", "c"]


def test_a_class_that_the_file_does_not_know_is_refused(editor):
    editor._add()
    with pytest.raises(BadClasses, match=r"no value in the classes\.csv"):
        editor.value()


def test_a_bad_file_is_told_in_the_dialog(qtbot, tmp_path):
    dialog = NewProjectDialog()
    qtbot.addWidget(dialog)
    path = tmp_path / "classes.csv"
    path.write_text(TABLE + "10,again,1,2,3\n")
    dialog.classes.read(path)
    assert "same value 10" in dialog._problem.text()
    assert len(dialog.classes.value().classes) == 2


def test_the_dialog_says_what_is_missing(qtbot, tmp_path):
    dialog = NewProjectDialog(["photo"])
    qtbot.addWidget(dialog)
    dialog.accept()
    assert "name a new folder" in dialog._problem.text()
    dialog.path.line_edit.value = str(tmp_path / "x")
    with pytest.raises(BadValue, match="folder that holds the images"):
        dialog.value()
    dialog.images_from.setCurrentText(LAYERS)
    wanted = dialog.value()
    assert wanted.path == tmp_path / "x.alseg"
    assert wanted.images is None
    assert wanted.source is None
    dialog.source.line_edit.value = str(tmp_path / "drawn")
    assert dialog.value().source == tmp_path / "drawn"
