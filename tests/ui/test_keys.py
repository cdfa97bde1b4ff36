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

from napari_alseg.ui import layers


def annotation(labelling):
    return layers.find(labelling.viewer, "annotation")


def answered(labelling):
    return labelling.states().count("answered")


def test_a_class_key_answers_the_region_and_goes_on(hands, labelling):
    region = labelling.region
    hands.key("3")
    assert labelling.states()[0] == "answered"
    assert labelling.position == 1
    labels = labelling.project.labels.read(region.image)
    assert (labels == 3).sum() == region.pixels


def test_keys_work_whichever_layer_of_ours_is_active(hands, labelling):
    for layer in layers.ours(labelling.viewer):
        labelling.viewer.layers.selection.active = layer
        before = answered(labelling)
        hands.key("1")
        assert answered(labelling) == before + 1


def test_keys_of_napari_itself_still_work(hands, labelling):
    layer = annotation(labelling)
    hands.key("M")
    assert layer.selected_label == layer.data.max() + 1
    hands.key("Ctrl+G")
    assert labelling.viewer.canvas.grid.enabled
    hands.key("Ctrl+G")
    assert not labelling.viewer.canvas.grid.enabled


# --- a key counts only for what has been on screen ------------------------------------


def test_keys_typed_while_the_window_is_frozen_answer_one_region(hands, labelling):
    hands.wait_painted()
    hands.freeze("1", "2", "3")
    assert labelling.states()[:3] == ("answered", "open", "open")
    assert "does not count" in labelling.viewer.status
    hands.key("2")
    assert labelling.states()[:3] == ("answered", "answered", "open")


def test_a_key_older_than_the_frame_does_not_count(hands, labelling):
    hands.type_late("C", seconds=0)
    hands.key("D")
    hands.wait_painted()
    hands.type_late("1", seconds=5)
    assert answered(labelling) == 0
    hands.type_late("1", seconds=0)
    assert answered(labelling) == 1


def test_skip_and_done_wait_for_a_frame_as_well(hands, labelling):
    hands.wait_painted()
    hands.freeze("S", "S", "W", "W")
    assert labelling.states().count("open") == 5


def test_seconds_run_from_the_frame_to_the_key(hands, labelling):
    hands.key("D")
    hands.wait_painted()
    hands.qtbot.wait(300)
    hands.freeze("1")
    seconds = labelling.project.rounds.cost().seconds
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
def spin_box(hands, dock, labelling):
    """The pixels in a region, once the parameters are unfolded."""
    asking = dock.round_panel.asking
    hands.click(button_named(asking, "Parameters"))
    boxes = asking.findChildren(QAbstractSpinBox)
    box = next(each for each in boxes if each.text() == "64")
    hands.qtbot.waitUntil(lambda: box.parentWidget().height() >= box.height())
    return box


@pytest.mark.parametrize(
    ("panel", "kind"),
    [
        ("round_panel", QComboBox),
        ("label_panel", QPushButton),
        ("maps_panel", QCheckBox),
        ("maps_panel", QListWidget),
    ],
)
def test_class_keys_reach_the_labels_whatever_has_the_focus(
    hands, dock, labelling, panel, kind
):
    control = visible(hands, getattr(dock, panel), kind)
    before = value(control)
    control.setFocus()
    hands.key("2", "D", "1")
    assert answered(labelling) == 2
    assert value(control) == before
    assert control.hasFocus()


def value(control):
    for name in ("text", "currentText", "currentRow"):
        if hasattr(control, name):
            return getattr(control, name)()
    return None


def test_class_keys_change_no_spin_box(hands, labelling, spin_box):
    spin_box.setFocus()
    hands.key("2")
    assert (spin_box.text(), answered(labelling)) == ("64", 1)


def test_digits_are_typed_where_a_text_cursor_is(hands, labelling, spin_box):
    hands.click(spin_box.findChild(QLineEdit))
    hands.key("Ctrl+A", "5", "6")
    assert (spin_box.text(), answered(labelling)) == ("56", 0)
    hands.key("Return")
    assert hands.canvas.hasFocus()
    assert spin_box.text() == "56"
    hands.key("2")
    assert (spin_box.text(), answered(labelling)) == ("56", 1)


def test_who_comes_by_tab_types_and_escape_goes_back(hands, labelling, spin_box):
    spin_box.setFocus()
    hands.key("Shift+Tab")
    assert not spin_box.hasFocus()
    hands.key("Tab")
    assert spin_box.hasFocus()
    hands.key("5")
    assert (spin_box.text(), answered(labelling)) == ("5", 0)
    hands.key("Escape")
    assert hands.canvas.hasFocus()


def test_the_arrows_of_a_spin_box_do_not_take_the_class_keys(
    hands, labelling, spin_box
):
    hands.click(spin_box, spin_box.rect().topRight() + QPoint(-8, 5))
    assert spin_box.text() == "65"
    hands.key("2")
    assert (spin_box.text(), answered(labelling)) == ("65", 1)


@pytest.mark.parametrize("key", ["Space", "Return"])
def test_a_key_presses_the_button_that_has_the_focus(hands, dock, labelling, key):
    button_named(dock, "D next").setFocus()
    hands.key(key)
    assert labelling.position == 1


@pytest.mark.parametrize("name", ["layer list", "layer controls"])
def test_keys_of_napari_s_own_docks_reach_the_labels(hands, labelling, name):
    dock = hands.window.findChild(QDockWidget, name)
    hands.click(
        visible(hands, dock, QSlider if name == "layer controls" else QListView)
    )
    assert dock.isAncestorOf(QApplication.focusWidget())
    hands.key("2")
    assert answered(labelling) == 1


def test_undo_works_from_a_spin_box(hands, labelling, spin_box):
    hands.key("2")
    spin_box.setFocus()
    hands.key("Ctrl+Z")
    assert answered(labelling) == 0


@pytest.mark.parametrize("kind", [QAbstractSpinBox, QComboBox])
def test_the_wheel_changes_no_control_without_the_focus(hands, dock, labelling, kind):
    control = visible(hands, dock.round_panel, kind)
    bar = visible(hands, dock, QScrollArea).verticalScrollBar()
    before, scrolled = value(control), bar.value()
    hands.wheel(control, -1)
    assert value(control) == before
    assert not control.hasFocus()
    assert bar.value() > scrolled


# --- the brush, and what the bold line says -------------------------------------------


@pytest.mark.parametrize("tool", ["paint", "fill", "erase", "polygon"])
def test_with_a_tool_in_hand_a_class_key_picks_its_class(hands, dock, labelling, tool):
    annotation(labelling).mode = tool
    assert "Press W" in dock.next_step.text()
    hands.key("4")
    assert annotation(labelling).selected_label == 4
    assert answered(labelling) == 0
    hands.key("W")
    assert answered(labelling) == 1
    annotation(labelling).mode = "pan_zoom"
    assert dock.next_step.text().startswith("Press a class key")
    hands.key("4")
    assert answered(labelling) == 2


def test_on_an_answered_region_the_bold_line_names_a_key_that_works(
    hands, dock, labelling
):
    hands.key("1", "Ctrl+Z", "Ctrl+Shift+Z")
    assert labelling.marked == "answered"
    assert "press D" in dock.next_step.text()
    hands.key("2")
    assert answered(labelling) == 1
    hands.key("D")
    assert labelling.marked == "open"


def test_on_an_image_without_open_regions_it_says_where_they_are(
    hands, dock, labelling
):
    here = {region.image for region in labelling.selection.regions}
    for _ in dock.project.images.names():
        hands.key("PgDown")
        if labelling.image != labelling.region.image:
            break
    assert here
    assert f"in {labelling.next_image}" in dock.next_step.text()
    there = labelling.next_image
    hands.key("D")
    assert labelling.image == there
