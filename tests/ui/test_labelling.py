import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_alseg.store import Project
from napari_alseg.ui import layers
from napari_alseg.ui.maps import Shown


def paint(labelling, rows, columns, label):
    layer = layers.find(labelling.viewer, "annotation")
    layer.data_setitem((np.array(rows), np.array(columns)), label)
    QApplication.processEvents()


def on_disk(labelling):
    """The labels another process would read."""
    with Project.open(labelling.project.path, "read") as project:
        return project.read_labels(labelling.image)


def inside(labelling, region):
    return labelling.project.read_regions(region.image, region.partition) == (
        region.region
    )


def test_the_first_open_region_is_current_shown_and_centred(labelling):
    region = labelling.region
    assert labelling.position == 0
    assert labelling.image == region.image
    row, column = labelling.viewer.scene.camera.center[-2:]
    assert region.bounds.row_start <= row <= region.bounds.row_stop
    assert region.bounds.column_start <= column <= region.bounds.column_stop


def test_a_region_that_is_not_on_screen_is_not_answered(hands, labelling):
    image = labelling.image
    other = next(each for each in labelling.project.images() if each != image)
    labelling.show(other)
    hands.key("3", "W", "S")
    assert (
        layers.find(labelling.viewer, "annotation").selected_label == 3
    )  # the brush's
    assert labelling.states()[0] == "open"
    assert (labelling.position, labelling.image) == (0, other)
    labelling.show(image)
    hands.key("3")
    assert labelling.states()[0] == "answered"


def test_a_stroke_is_on_disk_at_once(labelling):
    paint(labelling, [0, 0, 5], [0, 1, 9], 4)
    labels = on_disk(labelling)
    assert labels[0, 0] == labels[0, 1] == labels[5, 9] == 4
    assert (labels != 0).sum() == 3


def test_a_change_that_no_event_tells_of_is_saved_before_moving_on(labelling):
    image = labelling.image
    layers.find(labelling.viewer, "annotation").data[7, 7] = 2
    labelling.show(labelling.project.images()[-1])
    assert labelling.project.read_labels(image)[7, 7] == 2


def test_undo_takes_back_and_redo_brings_back(labelling):
    region, image = labelling.region, labelling.image
    labelling.answer(2)
    labelling.undo()
    assert labelling.states()[0] == "open"
    assert labelling.position == 0
    assert labelling.image == image
    assert not on_disk(labelling).any()
    labelling.redo()
    assert (on_disk(labelling)[inside(labelling, region)] == 2).all()


def test_undo_reaches_back_beyond_a_restart(dock, labelling):
    labelling.answer(2)
    dock.open_project(labelling.project.path)
    dock.undo()
    assert dock.labelling.states()[0] == "open"


def test_a_skipped_region_stays_blank_and_is_left(labelling):
    labelling.skip()
    assert labelling.states()[0] == "skipped"
    assert labelling.position == 1
    assert labelling.project.labelled() == ()


def test_done_as_painted_keeps_the_painted_labels(labelling):
    rows, columns = np.nonzero(inside(labelling, labelling.region))
    image = labelling.image
    paint(labelling, rows[:3], columns[:3], 5)
    labelling.accept()
    assert labelling.states()[0] == "answered"
    assert (labelling.project.read_labels(image) == 5).sum() == 3


def test_moving_goes_round_the_open_regions_only(labelling):
    labelling.answer(1)
    labelling.step(-1)
    assert labelling.position == 5
    labelling.step(1)
    assert labelling.position == 1


def test_answered_regions_are_outlined_otherwise_than_open_ones(labelling):
    labelling.answer(1)
    labelling.show(labelling.selection.regions[0].image)
    outline = layers.find(labelling.viewer, "regions")
    done = labelling.selection.regions[0].region
    colour = outline.colormap.color_dict[done]
    assert tuple(np.round(colour, 2)) == layers.DONE
    assert outline.contour == 1


def test_without_an_open_region_a_class_key_picks_the_brush(hands, labelling):
    for _ in range(6):
        labelling.answer(1)
    before = on_disk(labelling)
    hands.key("4")
    assert layers.find(labelling.viewer, "annotation").selected_label == 4
    assert (on_disk(labelling) == before).all()


def test_closing_gives_the_keys_back(labelling):
    from napari.utils.key_bindings import coerce_keybinding

    layer = layers.find(labelling.viewer, "annotation")
    key = coerce_keybinding("1")
    assert key in layer.keymap
    labelling.close()
    assert key not in layer.keymap
    assert key not in labelling.viewer.keymap


@pytest.mark.parametrize("by_region", [False, True])
def test_the_map_of_the_image_is_a_layer(labelling, by_region):
    labelling.set_shown(Shown(("entropy",), maps=True, by_region=by_region))
    labelling.show(labelling.project.images()[0])
    layer = layers.find(labelling.viewer, "map", "entropy")
    assert layer.data.shape == (48, 64)
    assert (len(np.unique(layer.data)) < 100) == by_region
    labelling.show(labelling.project.images()[1])
    assert layers.of_role(labelling.viewer, "map") == []


def test_a_read_only_project_can_be_looked_at(dock, labelling):
    path = labelling.project.path
    reader = Project.open(path, "read")
    from napari_alseg.ui.labelling import Labelling

    looking = Labelling(dock.viewer, reader)
    labelling.close()
    looking.show(reader.images()[0])
    assert not layers.find(dock.viewer, "annotation").editable
    assert "1" not in dock.viewer.keymap
    looking.close()
    reader.close()


def test_a_key_never_answers_a_round_that_is_not_on_screen(labelling):
    from test_session import ask

    with Project.open(labelling.project.path, "borrow") as child:
        ask(child)  # as the child process does while a person is labelling
    labelling.answer(3)
    assert labelling.project.states(2).count("answered") == 0
    assert labelling.project.states(1)[0] == "answered"
    labelling.show_round()
    assert labelling.round == 2


def test_a_label_that_is_no_class_is_put_back(labelling, quiet):
    refused = []
    labelling.failed.connect(refused.append)
    paint(labelling, [3, 4], [3, 4], 9)
    paint(labelling, [5], [5], 2)
    labels = on_disk(labelling)
    assert labels[3, 3] == 0
    assert labels[5, 5] == 2
    assert "is no class" in refused[0]
    assert "is no class" in quiet.pop()


def test_a_removed_annotation_layer_comes_back(labelling):
    labelling.viewer.layers.remove(layers.find(labelling.viewer, "annotation"))
    labelling.answer(1)
    labelling.answer(1)
    assert layers.find(labelling.viewer, "annotation") is not None
    assert labelling.states().count("answered") == 2


def test_the_keys_of_the_window_are_those_no_class_may_have(labelling):
    from napari_alseg.store.classes import RESERVED_KEYS

    letters = {key for key in labelling._deeds() if len(key) == 1 and key.isalpha()}
    assert letters == set(RESERVED_KEYS)
