"""A whole round by events alone, with the real child process behind the window."""

from contextlib import suppress
from dataclasses import asdict

import pytest
from conftest import TINY_NETWORK, TINY_TRAINING
from napari import Viewer
from qtpy.QtWidgets import QAbstractSpinBox, QLineEdit

from napari_alseg.settings import OF_COMPUTER, RecipeSettings
from napari_alseg.store import Project
from napari_alseg.ui.canvas import layers
from napari_alseg.ui.dock import ActiveLearningDock


@pytest.fixture
def dock(make_napari_viewer, qtbot, project_path):
    """The dock with its real child processes, and no project yet."""
    training = asdict(TINY_TRAINING)
    for name in OF_COMPUTER:
        del training[name]
    learning = {
        "network": asdict(TINY_NETWORK),
        "training": training,
        "recipe": asdict(RecipeSettings()),
    }
    with Project.open(project_path) as project:
        project.save_settings({"learning": learning})
    viewer = Viewer(show_welcome_screen=False)  # the fixture would close it again
    dock = ActiveLearningDock(viewer)
    dock.live_panel.set_on(False)
    viewer.window.add_dock_widget(dock, name="Active learning")
    yield dock
    with suppress(RuntimeError):  # deleted with its window, as it should be
        dock.shut_down()
        viewer.close()
    vars(viewer.window).clear()  # its widgets are gone; let go of what wrapped them
    vars(dock).clear()


def spin_box(panel, tip):
    boxes = panel.findChildren(QAbstractSpinBox)
    return next(box for box in boxes if box.toolTip().startswith(tip))


def start(hands, dock, key):
    """Press the letter of a button; Qt lets it be seen pressed before it acts."""
    hands.key(key)
    hands.qtbot.waitUntil(lambda: dock.background.busy)


def wait_idle(hands, dock):
    hands.qtbot.waitUntil(lambda: not dock.background.busy)
    hands.wait_painted()


def answered(dock):
    return dock.annotator.source.states(dock.annotator.screen).count("answered")


def open_and_ask(hands, dock, project_path):
    hands.drop(dock, project_path)
    hands.qtbot.waitUntil(lambda: dock.annotator is not None)
    hands.wait_painted()
    assert dock.next_step.text().startswith("Press Ask")
    asking = dock.round_panel.asking
    fields = asking.findChildren(QLineEdit)
    budget = next(each for each in fields if each.toolTip().startswith("1%"))
    hands.enter(budget, "26 regions")
    hands.press_button(asking, "Parameters")
    hands.enter(spin_box(asking, "Mean pixels"), "64")
    start(hands, dock, "Alt+A")
    wait_idle(hands, dock)
    assert len(dock.annotator.source.states(dock.annotator.screen)) == 26


def answer_by_key(hands, dock):
    for count in range(1, 21):
        hands.key(str(1 + count % 6))
        assert answered(dock) == count


def answer_by_brush(hands, dock):
    annotator = dock.annotator
    region, before = annotator.region, answered(dock)
    hands.tool("paint")
    assert dock.next_step.text().startswith("Paint")
    hands.key("5")
    assert answered(dock) == before
    assert layers.find(dock.viewer, "annotation").selected_label == 5
    row = (region.bounds.row_start + region.bounds.row_stop) // 2
    column = region.bounds.column_start + 1
    hands.stroke((row, column), (row, column + 4))
    labels = annotator.project.labels.read(region.image)
    assert (labels[row, column : column + 5] == 5).all()
    hands.key("W")
    assert answered(dock) == before + 1
    hands.tool("pan_zoom")
    assert dock.next_step.text().startswith("Press a class key")


def skip_undo_redo(hands, dock):
    for key, skipped in (("S", 1), ("Ctrl+Z", 0), ("Ctrl+Shift+Z", 1)):
        hands.key(key)
        assert (
            dock.annotator.source.states(dock.annotator.screen).count("skipped")
            == skipped
        )
    hands.key("D")


def look_at_the_next_image(hands, dock):
    before = dock.annotator.screen.image
    hands.key("PgDown")
    assert dock.annotator.screen.image != before
    if dock.annotator.source.marked(dock.annotator.screen) == "elsewhere":
        assert "press D" in dock.next_step.text()
        hands.key("1")
    hands.key("D")
    assert dock.annotator.source.marked(dock.annotator.screen) == "open"


def learn_and_look(hands, dock):
    start(hands, dock, "Alt+E")
    hands.key("3")
    wait_idle(hands, dock)
    assert dock.project.weights.latest_round == 1
    hands.key("H")
    wait_idle(hands, dock)
    hands.qtbot.waitUntil(lambda: bool(layers.of_role(dock.viewer, "map")))
    wait_idle(hands, dock)
    hands.key("H")


def ask_again_and_stop(hands, dock):
    hands.press_button(dock.round_panel, "Ask")
    wait_idle(hands, dock)
    assert dock.annotator.screen.round == 2
    hands.key("2")
    hands.press_button(dock.round_panel, "Network and training")
    hands.enter(spin_box(dock.round_panel, "Passes over"), "900")
    start(hands, dock, "Alt+E")
    hands.qtbot.waitUntil(lambda: len(dock.round_panel.curve.losses) > 1)
    hands.press_button(dock.round_panel, "Stop")
    wait_idle(hands, dock)
    assert "Learning was stopped" in dock.next_step.text()


def test_a_whole_round_by_events_alone(hands, dock, project_path):
    open_and_ask(hands, dock, project_path)
    answer_by_key(hands, dock)
    answer_by_brush(hands, dock)
    skip_undo_redo(hands, dock)
    look_at_the_next_image(hands, dock)
    learn_and_look(hands, dock)
    ask_again_and_stop(hands, dock)
    hands.close()
    with Project.open(project_path) as project:
        assert project.rounds.states(1).count("answered") >= 22
        assert project.rounds.states(2).count("answered") == 1
