import numpy as np
import pytest
from qtpy.QtWidgets import QAbstractSpinBox, QDockWidget

from napari_alseg.store import Project
from napari_alseg.ui.canvas import layers
from napari_alseg.ui.canvas.map_layers import Shown


def annotation(annotator):
    return layers.find(annotator.view.viewer, "annotation")


def inner_pixel(annotator, region):
    """A pixel of a region of the shown image."""
    rows, columns = np.nonzero(inside(annotator, region))
    return int(rows[len(rows) // 2]), int(columns[len(rows) // 2])


def on_disk(annotator):
    """The labels another process would read."""
    with Project.open(annotator.project.path, "read") as project:
        return project.labels.read(annotator.screen.image)


def inside(annotator, region):
    return annotator.project.outputs.read_regions(region.image, region.partition) == (
        region.region
    )


def test_the_first_open_region_is_current_shown_and_centred(annotator):
    region = annotator.region
    assert annotator.screen.position == 0
    assert annotator.screen.image == region.image
    row, column = annotator.view.viewer.scene.camera.center[-2:]
    assert region.bounds.row_start <= row <= region.bounds.row_stop
    assert region.bounds.column_start <= column <= region.bounds.column_stop


def test_a_class_key_fills_the_region_on_disk_and_goes_on(hands, annotator):
    region, image = annotator.region, annotator.screen.image
    hands.key("3")
    with Project.open(annotator.project.path, "read") as project:
        labels = project.labels.read(image)
    assert (labels[inside(annotator, region)] == 3).all()
    assert (labels != 0).sum() == region.pixels
    assert annotator.source.states(annotator.screen)[0] == "answered"
    assert annotator.screen.position == 1


def test_a_region_that_is_not_on_screen_is_not_answered(hands, annotator):
    image = annotator.screen.image
    hands.key("PgDown")
    other = annotator.screen.image
    assert other != image
    hands.key("3", "W", "S")
    assert annotation(annotator).selected_label == 3  # for the brush
    assert annotator.source.states(annotator.screen)[0] == "open"
    assert (annotator.screen.position, annotator.screen.image) == (0, other)
    hands.key("PgUp", "3")
    assert annotator.source.states(annotator.screen)[0] == "answered"


def test_a_stroke_is_on_disk_at_once(hands, annotator):
    hands.tool("paint")
    hands.key("4")
    hands.stroke((20, 10), (20, 30), (25, 40))
    labels = on_disk(annotator)
    assert labels[20, 10] == labels[20, 20] == labels[25, 40] == 4
    assert 0 < (labels == 4).sum() == (labels != 0).sum() < labels.size
    assert annotator.source.states(annotator.screen).count("open") == 6


def test_a_change_that_no_event_tells_of_is_saved_before_moving_on(annotator):
    image = annotator.screen.image
    layers.find(annotator.view.viewer, "annotation").data[7, 7] = 2
    annotator.show(annotator.project.images.names()[-1])
    assert annotator.project.labels.read(image)[7, 7] == 2


def test_undo_takes_back_and_redo_brings_back(hands, annotator):
    region, image = annotator.region, annotator.screen.image
    hands.key("2", "Ctrl+Z")
    assert annotator.source.states(annotator.screen)[0] == "open"
    assert annotator.screen.position == 0
    assert annotator.screen.image == image
    assert not on_disk(annotator).any()
    hands.key("Ctrl+Shift+Z")
    assert (on_disk(annotator)[inside(annotator, region)] == 2).all()


def test_undo_reaches_back_beyond_a_restart(hands, dock, annotator):
    hands.key("2")
    assert annotator.source.states(annotator.screen)[0] == "answered"
    dock.open_project(annotator.project.path)
    hands.key("Ctrl+Z")
    assert dock.annotator.source.states(dock.annotator.screen)[0] == "open"


def test_a_skipped_region_stays_blank_and_is_left(hands, annotator):
    hands.key("S")
    assert annotator.source.states(annotator.screen)[0] == "skipped"
    assert annotator.screen.position == 1
    assert annotator.project.labels.labelled() == ()


def test_done_as_painted_keeps_the_painted_labels(hands, annotator):
    image, pixel = annotator.screen.image, inner_pixel(annotator, annotator.region)
    annotation(annotator).brush_size = 1
    hands.tool("paint")
    hands.key("5")
    hands.click_pixel(*pixel)
    hands.key("W")
    assert annotator.source.states(annotator.screen)[0] == "answered"
    labels = annotator.project.labels.read(image)
    assert labels[pixel] == 5
    assert (labels != 0).sum() == 1


def test_moving_goes_round_the_open_regions_only(hands, annotator):
    hands.key("1", "A")
    assert annotator.screen.position == 5
    hands.key("D")
    assert annotator.screen.position == 1


def test_answered_regions_are_outlined_otherwise_than_open_ones(hands, annotator):
    hands.key("1")
    annotator.show(annotator.queue.selection.regions[0].image)
    outline = layers.find(annotator.view.viewer, "regions")
    done = annotator.queue.selection.regions[0].region
    colour = outline.colormap.color_dict[done]
    assert tuple(np.round(colour, 2)) == layers.DONE
    assert outline.contour == 1


def test_without_an_open_region_a_class_key_picks_the_brush(hands, annotator):
    hands.key(*"111111")
    assert "open" not in annotator.source.states(annotator.screen)
    before = on_disk(annotator)
    hands.key("4")
    assert annotation(annotator).selected_label == 4
    assert (on_disk(annotator) == before).all()


def test_closing_gives_the_keys_back(hands, dock, annotator, asked_path):
    layer, before = annotation(annotator), annotator.project.labels.sequence
    dock.close_project()
    hands.key("1", "S", "Ctrl+Z", "H")
    with Project.open(asked_path, "read") as project:
        assert set(project.rounds.states(1)) == {"open"}
        assert project.labels.sequence == before
    hands.key("Ctrl+G")  # napari's own
    assert dock.viewer.canvas.grid.enabled
    assert not layer.editable


@pytest.mark.parametrize("by_region", [False, True])
def test_the_map_of_the_image_is_a_layer(annotator, by_region):
    annotator.view.set(shown=Shown(("entropy",), maps=True, by_region=by_region))
    annotator.show(annotator.project.images.names()[0])
    layer = layers.find(annotator.view.viewer, "map", "entropy")
    assert layer.data.shape == (48, 64)
    assert (len(np.unique(layer.data)) < 100) == by_region
    annotator.show(annotator.project.images.names()[1])
    assert layers.of_role(annotator.view.viewer, "map") == []


def test_a_read_only_project_can_be_looked_at(hands, dock, asked_path, monkeypatch):
    monkeypatch.setattr("napari_alseg.ui.dock.show_info", lambda _: None)
    with Project.open(asked_path) as writer:
        dock.open_project(asked_path)
        annotator = dock.annotator
        assert not annotation(annotator).editable
        before = writer.labels.sequence
        hands.key("1", "W", "S", "Ctrl+Z")
        assert writer.labels.sequence == before
        assert set(annotator.source.states(annotator.screen)) == {"open"}
        hands.key("D")
        assert annotator.screen.position == 1
        dock.close_project()


def test_a_key_never_answers_a_round_that_is_not_on_screen(hands, annotator):
    from steps import ask

    with Project.open(annotator.project.path, "borrow") as child:
        ask(child)  # as the child process does while a person is labelling
    hands.key("3")
    assert annotator.project.rounds.states(2).count("answered") == 0
    assert annotator.project.rounds.states(1)[0] == "answered"
    annotator.show_round()
    assert annotator.screen.round == 2


def test_a_label_that_is_no_class_is_put_back(hands, annotator, quiet):
    refused = []
    annotator.failed.connect(refused.append)
    controls = hands.window.findChild(QDockWidget, "layer controls")
    hands.tool("paint")
    boxes = controls.findChildren(QAbstractSpinBox)
    label = str(annotation(annotator).selected_label)
    (box,) = (each for each in boxes if each.isVisible() and each.text() == label)
    hands.enter(box, "9")
    assert annotation(annotator).selected_label == 9
    hands.click_pixel(10, 10)
    assert not on_disk(annotator).any()
    hands.qtbot.waitUntil(lambda: bool(refused))
    assert "is no class" in refused[0]
    hands.canvas.setFocus()
    hands.key("2")
    hands.click_pixel(30, 40)
    labels = on_disk(annotator)
    assert (labels[10, 10], labels[30, 40]) == (0, 2)
    assert "is no class" in quiet.pop()


def test_a_removed_annotation_layer_comes_back(hands, annotator):
    annotator.view.viewer.layers.remove(annotation(annotator))
    hands.key("1", "1")
    assert layers.find(annotator.view.viewer, "annotation") is not None
    assert annotator.source.states(annotator.screen).count("answered") == 2


def test_the_keys_of_the_window_are_those_no_class_may_have(dock, annotator):
    from napari_alseg.store.classes import RESERVED_KEYS

    letters = {
        key for key in dock.shortcuts.actions() if len(key) == 1 and key.isalpha()
    }
    assert letters == set(RESERVED_KEYS)
