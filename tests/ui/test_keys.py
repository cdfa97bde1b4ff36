"""Keys as they are pressed: in a painted window, where the focus is."""

import pytest
from hands import button as button_named
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QListView,
    QListWidget,
    QPushButton,
    QScrollArea,
    QSlider,
)

from napari_alseg.ui.canvas import layers


def annotation(annotator):
    return layers.find(annotator.view.viewer, "annotation")


def answered(annotator):
    return annotator.source.states(annotator.screen).count("answered")


def test_a_class_key_answers_the_region_and_goes_on(hands, annotator):
    region = annotator.region
    hands.key("3")
    assert annotator.source.states(annotator.screen)[0] == "answered"
    assert annotator.screen.position == 1
    labels = annotator.project.labels.read(region.image)
    assert (labels == 3).sum() == region.pixels


def test_keys_work_whichever_layer_of_ours_is_active(hands, annotator):
    for layer in layers.ours(annotator.view.viewer):
        annotator.view.viewer.layers.selection.active = layer
        before = answered(annotator)
        hands.key("1")
        assert answered(annotator) == before + 1


def test_keys_of_napari_itself_still_work(hands, annotator):
    layer = annotation(annotator)
    hands.key("M")
    assert layer.selected_label == layer.data.max() + 1
    hands.key("Ctrl+G")
    assert annotator.view.viewer.canvas.grid.enabled
    hands.key("Ctrl+G")
    assert not annotator.view.viewer.canvas.grid.enabled


# --- a key counts only for what has been on screen ------------------------------------


def test_keys_typed_while_the_window_is_frozen_answer_one_region(hands, annotator):
    hands.wait_painted()
    hands.freeze("1", "2", "3")
    assert annotator.source.states(annotator.screen)[:3] == ("answered", "open", "open")
    assert "does not count" in annotator.view.viewer.status
    hands.key("2")
    assert annotator.source.states(annotator.screen)[:3] == (
        "answered",
        "answered",
        "open",
    )


def test_a_key_older_than_the_frame_does_not_count(hands, annotator):
    hands.type_late("C", seconds=0)
    hands.key("D")
    hands.wait_painted()
    hands.type_late("1", seconds=5)
    assert answered(annotator) == 0
    hands.type_late("1", seconds=0)
    assert answered(annotator) == 1


def test_skip_and_done_wait_for_a_frame_as_well(hands, annotator):
    hands.wait_painted()
    hands.freeze("S", "S", "W", "W")
    assert annotator.source.states(annotator.screen).count("open") == 5


def test_seconds_run_from_the_frame_to_the_key(hands, annotator):
    hands.key("D")
    hands.wait_painted()
    hands.qtbot.wait(300)
    hands.freeze("1")
    seconds = annotator.project.rounds.cost().seconds
    assert 0.2 < seconds < 5


# --- the focus ------------------------------------------------------------------------


def visible(hands, parent, kind):
    """The first widget of a kind that a person can see, or scroll to."""

    def seen():
        return [
            each
            for each in parent.findChildren(kind)
            if each.isVisible() and each.parentWidget().height() >= each.height() > 5
        ]

    hands.qtbot.waitUntil(lambda: bool(seen()))
    return seen()[0]


@pytest.fixture
def spin_box(hands, dock, annotator):
    """The pixels in a region, once the parameters are unfolded."""
    asking = dock.round_panel.asking
    hands.click(button_named(asking, "Parameters"))
    boxes = asking.findChildren(QAbstractSpinBox)
    box = next(each for each in boxes if each.text() == "64")
    hands.qtbot.waitUntil(lambda: box.parentWidget().height() >= box.height())
    return box


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("round_panel", QComboBox),
        ("label_panel", QPushButton),
        ("maps_panel", QCheckBox),
        ("maps_panel", QListWidget),
    ],
)
def test_class_keys_reach_the_labels_whatever_has_the_focus(
    hands, dock, annotator, place, kind
):
    control = visible(hands, getattr(dock, place), kind)
    before = value(control)
    control.setFocus()
    hands.key("2", "D", "1")
    assert answered(annotator) == 2
    assert value(control) == before
    assert control.hasFocus()


def value(control):
    for name in ("text", "currentText", "currentRow"):
        if hasattr(control, name):
            return getattr(control, name)()
    return None


def test_class_keys_change_no_spin_box(hands, annotator, spin_box):
    spin_box.setFocus()
    hands.key("2")
    assert (spin_box.text(), answered(annotator)) == ("64", 1)


def test_digits_are_typed_where_a_text_cursor_is(hands, annotator, spin_box):
    hands.click(spin_box.findChild(QLineEdit))
    hands.key("Ctrl+A", "5", "6")
    assert (spin_box.text(), answered(annotator)) == ("56", 0)
    hands.key("Return")
    assert hands.canvas.hasFocus()
    assert spin_box.text() == "56"
    hands.key("2")
    assert (spin_box.text(), answered(annotator)) == ("56", 1)


def test_who_comes_by_tab_types_and_escape_goes_back(hands, annotator, spin_box):
    spin_box.setFocus()
    hands.key("Shift+Tab")
    assert not spin_box.hasFocus()
    hands.key("Tab")
    assert spin_box.hasFocus()
    hands.key("5")
    assert (spin_box.text(), answered(annotator)) == ("5", 0)
    hands.key("Escape")
    assert hands.canvas.hasFocus()


def test_the_arrows_of_a_spin_box_do_not_take_the_class_keys(
    hands, annotator, spin_box
):
    hands.click(spin_box, spin_box.rect().topRight() + QPoint(-8, 5))
    assert spin_box.text() == "65"
    hands.key("2")
    assert (spin_box.text(), answered(annotator)) == ("65", 1)


@pytest.mark.parametrize("key", ["Space", "Return"])
def test_a_key_presses_the_button_that_has_the_focus(hands, dock, annotator, key):
    button_named(dock, "D next").setFocus()
    hands.key(key)
    assert annotator.screen.position == 1


@pytest.mark.parametrize("name", ["layer list", "layer controls"])
def test_keys_of_napari_s_own_docks_reach_the_labels(hands, annotator, name):
    dock = hands.window.findChild(QDockWidget, name)
    hands.click(
        visible(hands, dock, QSlider if name == "layer controls" else QListView)
    )
    assert dock.isAncestorOf(QApplication.focusWidget())
    hands.key("2")
    assert answered(annotator) == 1


def test_undo_works_from_a_spin_box(hands, annotator, spin_box):
    hands.key("2")
    spin_box.setFocus()
    hands.key("Ctrl+Z")
    assert answered(annotator) == 0


@pytest.mark.parametrize("kind", [QAbstractSpinBox, QComboBox])
def test_the_wheel_changes_no_control_without_the_focus(hands, dock, annotator, kind):
    control = visible(hands, dock.round_panel, kind)
    bar = visible(hands, dock, QScrollArea).verticalScrollBar()
    before, scrolled = value(control), bar.value()
    hands.wheel(control, -1)
    assert value(control) == before
    assert not control.hasFocus()
    assert bar.value() > scrolled


# --- the brush, and what the bold line says -------------------------------------------


@pytest.mark.parametrize("tool", ["paint", "fill", "erase", "polygon"])
def test_with_a_tool_in_hand_a_class_key_picks_its_class(hands, dock, annotator, tool):
    annotation(annotator).mode = tool
    assert "Press W" in dock.next_step.text()
    hands.key("4")
    assert annotation(annotator).selected_label == 4
    assert answered(annotator) == 0
    hands.key("W")
    assert answered(annotator) == 1
    annotation(annotator).mode = "pan_zoom"
    assert dock.next_step.text().startswith("Press a class key")
    hands.key("4")
    assert answered(annotator) == 2


def test_on_an_answered_region_the_bold_line_names_a_key_that_works(
    hands, dock, annotator
):
    hands.key("1", "Ctrl+Z", "Ctrl+Shift+Z")
    assert annotator.source.marked(annotator.screen) == "answered"
    assert "press D" in dock.next_step.text()
    hands.key("2")
    assert answered(annotator) == 1
    hands.key("D")
    assert annotator.source.marked(annotator.screen) == "open"


def test_on_an_image_without_open_regions_it_says_where_they_are(
    hands, dock, annotator
):
    here = {region.image for region in annotator.queue.selection.regions}
    for _ in dock.project.images.names():
        hands.key("PgDown")
        if annotator.screen.image != annotator.region.image:
            break
    assert here
    assert f"in {annotator.next_image}" in dock.next_step.text()
    there = annotator.next_image
    hands.key("D")
    assert annotator.screen.image == there
