import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractSpinBox, QDockWidget

from napari_alseg.store import Project
from napari_alseg.ui import layers
from napari_alseg.ui.maps import Shown


def annotation(labelling):
    return layers.find(labelling.viewer, "annotation")


def inner_pixel(labelling, region):
    """A pixel of a region of the shown image."""
    rows, columns = np.nonzero(inside(labelling, region))
    return int(rows[len(rows) // 2]), int(columns[len(rows) // 2])


def on_disk(labelling):
    """The labels another process would read."""
    with Project.open(labelling.project.path, "read") as project:
        return project.labels.read(labelling.image)


def inside(labelling, region):
    return labelling.project.outputs.read_regions(region.image, region.partition) == (
        region.region
    )


def test_the_first_open_region_is_current_shown_and_centred(labelling):
    region = labelling.region
    assert labelling.position == 0
    assert labelling.image == region.image
    row, column = labelling.viewer.scene.camera.center[-2:]
    assert region.bounds.row_start <= row <= region.bounds.row_stop
    assert region.bounds.column_start <= column <= region.bounds.column_stop


def test_a_class_key_fills_the_region_on_disk_and_goes_on(hands, labelling):
    region, image = labelling.region, labelling.image
    hands.key("3")
    with Project.open(labelling.project.path, "read") as project:
        labels = project.labels.read(image)
    assert (labels[inside(labelling, region)] == 3).all()
    assert (labels != 0).sum() == region.pixels
    assert labelling.states()[0] == "answered"
    assert labelling.position == 1


def test_a_region_that_is_not_on_screen_is_not_answered(hands, labelling):
    image = labelling.image
    hands.key("PgDown")
    other = labelling.image
    assert other != image
    hands.key("3", "W", "S")
    assert annotation(labelling).selected_label == 3  # for the brush
    assert labelling.states()[0] == "open"
    assert (labelling.position, labelling.image) == (0, other)
    hands.key("PgUp", "3")
    assert labelling.states()[0] == "answered"


def test_a_stroke_is_on_disk_at_once(hands, labelling):
    hands.tool("paint")
    hands.key("4")
    hands.stroke((20, 10), (20, 30), (25, 40))
    labels = on_disk(labelling)
    assert labels[20, 10] == labels[20, 20] == labels[25, 40] == 4
    assert 0 < (labels == 4).sum() == (labels != 0).sum() < labels.size
    assert labelling.states().count("open") == 6


def test_a_change_that_no_event_tells_of_is_saved_before_moving_on(labelling):
    image = labelling.image
    layers.find(labelling.viewer, "annotation").data[7, 7] = 2
    labelling.show(labelling.project.images.names()[-1])
    assert labelling.project.labels.read(image)[7, 7] == 2


def test_undo_takes_back_and_redo_brings_back(hands, labelling):
    region, image = labelling.region, labelling.image
    hands.key("2", "Ctrl+Z")
    assert labelling.states()[0] == "open"
    assert labelling.position == 0
    assert labelling.image == image
    assert not on_disk(labelling).any()
    hands.key("Ctrl+Shift+Z")
    assert (on_disk(labelling)[inside(labelling, region)] == 2).all()


def test_undo_reaches_back_beyond_a_restart(hands, dock, labelling):
    hands.key("2")
    assert labelling.states()[0] == "answered"
    dock.open_project(labelling.project.path)
    hands.key("Ctrl+Z")
    assert dock.labelling.states()[0] == "open"


def test_a_skipped_region_stays_blank_and_is_left(hands, labelling):
    hands.key("S")
    assert labelling.states()[0] == "skipped"
    assert labelling.position == 1
    assert labelling.project.labels.labelled() == ()


def test_done_as_painted_keeps_the_painted_labels(hands, labelling):
    image, pixel = labelling.image, inner_pixel(labelling, labelling.region)
    annotation(labelling).brush_size = 1
    hands.tool("paint")
    hands.key("5")
    hands.click_pixel(*pixel)
    hands.key("W")
    assert labelling.states()[0] == "answered"
    labels = labelling.project.labels.read(image)
    assert labels[pixel] == 5
    assert (labels != 0).sum() == 1


def test_moving_goes_round_the_open_regions_only(hands, labelling):
    hands.key("1", "A")
    assert labelling.position == 5
    hands.key("D")
    assert labelling.position == 1


def test_answered_regions_are_outlined_otherwise_than_open_ones(hands, labelling):
    hands.key("1")
    labelling.show(labelling.selection.regions[0].image)
    outline = layers.find(labelling.viewer, "regions")
    done = labelling.selection.regions[0].region
    colour = outline.colormap.color_dict[done]
    assert tuple(np.round(colour, 2)) == layers.DONE
    assert outline.contour == 1


def test_without_an_open_region_a_class_key_picks_the_brush(hands, labelling):
    hands.key(*"111111")
    assert "open" not in labelling.states()
    before = on_disk(labelling)
    hands.key("4")
    assert annotation(labelling).selected_label == 4
    assert (on_disk(labelling) == before).all()


def test_closing_gives_the_keys_back(hands, dock, labelling, asked_path):
    layer, before = annotation(labelling), labelling.project.labels.sequence
    dock.close_project()
    hands.key("1", "S", "Ctrl+Z", "H")
    with Project.open(asked_path, "read") as project:
        assert set(project.rounds.states(1)) == {"open"}
        assert project.labels.sequence == before
    hands.key("Ctrl+G")  # napari's own
    assert dock.viewer.canvas.grid.enabled
    assert not layer.editable


@pytest.mark.parametrize("by_region", [False, True])
def test_the_map_of_the_image_is_a_layer(labelling, by_region):
    labelling.set_shown(Shown(("entropy",), maps=True, by_region=by_region))
    labelling.show(labelling.project.images.names()[0])
    layer = layers.find(labelling.viewer, "map", "entropy")
    assert layer.data.shape == (48, 64)
    assert (len(np.unique(layer.data)) < 100) == by_region
    labelling.show(labelling.project.images.names()[1])
    assert layers.of_role(labelling.viewer, "map") == []


def test_a_read_only_project_can_be_looked_at(hands, dock, asked_path, monkeypatch):
    monkeypatch.setattr("napari_alseg.ui.dock.show_info", lambda _: None)
    with Project.open(asked_path) as writer:
        dock.open_project(asked_path)
        looking = dock.labelling
        assert not annotation(looking).editable
        before = writer.labels.sequence
        hands.key("1", "W", "S", "Ctrl+Z")
        assert writer.labels.sequence == before
        assert set(looking.states()) == {"open"}
        hands.key("D")
        assert looking.position == 1
        dock.close_project()


def test_a_key_never_answers_a_round_that_is_not_on_screen(hands, labelling):
    from steps import ask

    with Project.open(labelling.project.path, "borrow") as child:
        ask(child)  # as the child process does while a person is labelling
    hands.key("3")
    assert labelling.project.rounds.states(2).count("answered") == 0
    assert labelling.project.rounds.states(1)[0] == "answered"
    labelling.show_round()
    assert labelling.round == 2


def test_a_label_that_is_no_class_is_put_back(hands, labelling, quiet):
    refused = []
    labelling.failed.connect(refused.append)
    controls = hands.window.findChild(QDockWidget, "layer controls")
    hands.tool("paint")
    boxes = controls.findChildren(QAbstractSpinBox)
    label = str(annotation(labelling).selected_label)
    (box,) = (each for each in boxes if each.isVisible() and each.text() == label)
    hands.enter(box, "9")
    assert annotation(labelling).selected_label == 9
    hands.click_pixel(10, 10)
    assert not on_disk(labelling).any()
    hands.qtbot.waitUntil(lambda: bool(refused))
    assert "is no class" in refused[0]
    hands.canvas.setFocus()
    hands.key("2")
    hands.click_pixel(30, 40)
    labels = on_disk(labelling)
    assert (labels[10, 10], labels[30, 40]) == (0, 2)
    assert "is no class" in quiet.pop()


def test_a_removed_annotation_layer_comes_back(hands, labelling):
    labelling.viewer.layers.remove(annotation(labelling))
    hands.key("1", "1")
    assert layers.find(labelling.viewer, "annotation") is not None
    assert labelling.states().count("answered") == 2


def test_the_keys_of_the_window_are_those_no_class_may_have(labelling):
    from napari_alseg.store.classes import RESERVED_KEYS

    letters = {key for key in labelling._actions() if len(key) == 1 and key.isalpha()}
    assert letters == set(RESERVED_KEYS)
