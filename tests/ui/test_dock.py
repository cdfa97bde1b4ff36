import os

import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_REGIONS, TINY_TRAINING
from hands import Hands, button
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractButton, QPushButton
from working import click, wait_idle

from napari_alseg.sample_data import CLASSES
from napari_alseg.settings import (
    QuerySettings,
)
from napari_alseg.store import Project
from napari_alseg.systems import resolve
from napari_alseg.ui.canvas import layers
from napari_alseg.ui.dock import ActiveLearningDock


def test_without_a_project_only_new_and_open_can_be_pressed(hands, dock, worker):
    assert dock.next_step.text() == "Make a new project, or open one."
    enabled = {
        each.text().replace("&", "")
        for each in dock.findChildren(QPushButton)
        if each.isVisible() and each.isEnabled() and "&" in each.text()
    }
    assert enabled == {"New…", "Open…"}
    hands.key("Alt+A", "1", "S", "Ctrl+Z", "H", "Shift+W")
    assert worker.asked == []


def test_no_two_things_of_the_window_have_the_same_letter(dock):
    """Qt presses neither of two that have; napari's menus have theirs, too."""
    window = dock.viewer.window._qt_window
    texts = [action.text() for action in window.menuBar().actions()]
    texts += [each.text() for each in dock.findChildren(QAbstractButton)]
    keys = [QKeySequence.mnemonic(text).toString() for text in texts]
    letters = [key for key in keys if key]
    assert {"Alt+A", "Alt+E", "Alt+T", "Alt+R", "Alt+L"} <= set(letters)
    assert len(set(letters)) == len(letters)


def test_opening_a_project_shows_its_facts_and_the_next_step(dock, project_path):
    dock.open_project(project_path)
    assert "4 images, 6 classes, 2 for validation" in dock.project_panel._text.text()
    assert "8 bits as they are" in dock.project_panel._text.text()
    assert dock.next_step.text().startswith("Press Ask")
    assert layers.find(dock.viewer, "image") is not None


def test_a_project_remembers_how_it_was_asked(dock, annotator):
    asked = resolve(QuerySettings("entropy", "6 regions", **TINY_REGIONS)).settings
    assert dock.round_panel.value() == asked


def test_a_project_that_is_written_elsewhere_is_opened_for_looking(
    hands, dock, project_path, worker, shown_errors
):
    with Project.open(project_path):
        dock.open_project(project_path)
        assert dock.project.read_only
        assert "looking only" in shown_errors[0]
        assert "look, but do not touch" in dock.next_step.text()
        assert not button(dock.round_panel, "Ask").isEnabled()
        hands.key("Alt+A")
        assert worker.asked == []


def test_moving_between_grey_and_colour_images_keeps_one_layer_a_role(
    dock, tmp_path, rng
):
    path = tmp_path / "mixed.alseg"
    with Project.create(path, CLASSES) as project:
        project.images.add("grey", rng.integers(0, 5000, (20, 30, 1)).astype(np.uint16))
        project.images.add("colour", rng.integers(0, 255, (40, 30, 3)).astype(np.uint8))
    dock.open_project(path)
    for image in ("colour", "grey", "colour"):
        dock.show_image(image)
        layer = layers.find(dock.viewer, "image")
        assert layer.rgb == (image == "colour")
        assert len(layers.ours(dock.viewer)) == 2
        assert dock.project_panel.value() == image


def test_the_user_s_own_layers_and_styles_are_left_alone(dock, annotator):
    own = dock.viewer.add_image(np.zeros((5, 5)), name="mine")
    annotation = layers.find(dock.viewer, "annotation")
    annotation.opacity = 0.2
    dock.show_image(dock.project.images.names()[1])
    assert own in dock.viewer.layers
    assert layers.find(dock.viewer, "annotation").opacity == 0.2
    dock.close_project()
    assert own in dock.viewer.layers


def test_the_eye_of_a_layer_and_the_box_of_the_panel_agree(hands, dock, annotator):
    dock.show_image(dock.project.images.names()[0])
    hands.toggle(button(dock.maps_panel, "maps"))
    layer = layers.find(dock.viewer, "map", "entropy")
    assert layer.visible
    hands.eye(layer)
    assert not layer.visible
    assert not dock.maps_panel.value().maps
    hands.key("H")
    assert layer.visible


def test_closing_ends_worker_and_lock(dock, worker, annotator, asked_path):
    dock.shut_down()
    assert worker.closed
    with Project.open(asked_path):
        pass


def test_the_dock_knows_source_images_and_the_recipe_of_the_round(
    hands, dock, project_path, drawn
):
    from steps import ask

    with Project.open(project_path) as project:
        for scene in drawn[:2]:
            project.images.add("far", scene.image, split="source", labels=scene.labels)
        ask(project, "1 regions", "ripu-ra", region_size=None)
    dock.open_project(project_path)
    assert "for validation, 2 source images." in dock.project_panel._text.text()
    assert set(dock.project.images.names("source")).isdisjoint(
        dock.project_panel._images.itemText(i)
        for i in range(dock.project_panel._images.count())
    )
    assert dock.round_panel.training.recipe.name == "adaptation"
    assert "no source images" not in dock.round_panel.training._sentence.text()
    hands.key("S")
    assert dock.next_step.text() == "All regions are answered. Press Learn."


def test_the_project_is_closed_with_its_viewer(
    make_napari_viewer, worker, asked_path, qtbot
):
    viewer = make_napari_viewer(show=True)
    dock = ActiveLearningDock(viewer, worker)
    viewer.window.add_dock_widget(dock)
    dock.open_project(asked_path)
    qtbot.waitUntil(dock.isVisible)
    viewer.close()
    assert worker.closed
    with Project.open(asked_path):
        pass


@pytest.fixture
def working(make_napari_viewer, project_path):
    """A dock on screen with a real worker, a tiny network and an open project."""
    viewer = make_napari_viewer(show=True)
    dock = ActiveLearningDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.live_panel.set_on(False)
    dock.round_panel.network.set_value(TINY_NETWORK)
    dock.round_panel.training.set_value(TINY_TRAINING)
    dock.open_project(project_path)
    yield dock
    dock.shut_down()


@pytest.fixture
def at_work(working, qtbot):
    """Keyboard and mouse of that window."""
    hands = Hands(qtbot, working.viewer)
    hands.begin()
    yield hands
    hands.end()


def answer_all(hands, dock, truth):
    """Give each asked region the class that most of its pixels have, by key."""
    annotator = dock.annotator
    while (region := annotator.region) and "open" in annotator.source.states(
        annotator.screen
    ):
        inside = (
            annotator.project.outputs.read_regions(region.image, region.partition)
            == region.region
        )
        label = int(np.bincount(truth[region.image][inside]).argmax())
        hands.key(annotator.project.classes[label - 1].key)


@pytest.mark.parametrize(
    ("system", "budget", "asking", "shown"),
    [
        ("equal", "4 regions", {}, "self-consistency map"),
        ("class-sp-crf", "6 regions", TINY_REGIONS, "crf-entropy map"),
        ("deal-ds", "2 images", {}, "difficulty map"),
        ("ripu-ra", "6 regions", {}, "ripu map"),
        ("cisc-r", "1 image", {}, "entropy map"),
    ],
)
def test_a_published_system_goes_its_rounds_in_the_window(
    working, at_work, truth, qtbot, shown_errors, system, budget, asking, shown
):
    dock = working
    dock.round_panel.set_value(QuerySettings(system, budget, **asking))
    for _ in range(2):
        click(at_work, dock, qtbot, "Ask")
        answer_all(at_work, dock, truth)
        wait_idle(qtbot, dock)  # it looks at the shown image by itself
        click(at_work, dock, qtbot, "Learn")
    assert shown_errors == []
    assert dock.project.weights.rounds == (1, 2)
    assert shown in dock.viewer.layers
    pseudo = map(dock.project.outputs.read_pseudo_labels, dock.project.images.names())
    assert any(labels is not None for labels in pseudo) == (system == "cisc-r")


def test_a_whole_round_in_the_window_with_a_real_worker(working, at_work, truth, qtbot):
    dock, viewer = working, working.viewer
    dock.live_panel.set_on(True)  # as it is at first
    dock.round_panel.set_value(QuerySettings("entropy", "6 regions", **TINY_REGIONS))
    click(at_work, dock, qtbot, "Ask")
    annotator = dock.annotator
    answer_all(at_work, dock, truth)
    assert dock.next_step.text() == "All regions are answered. Press Learn."
    click(at_work, dock, qtbot, "Learn")
    qtbot.waitUntil(lambda: bool(layers.of_role(viewer, "map")))
    assert layers.find(viewer, "prediction") is not None
    assert len(dock.round_panel.curve.mious) >= 1
    assert dock.next_step.text().startswith("Look at the heat map")
    first = {(r.image, r.region) for r in annotator.queue.selection.regions}
    wait_idle(qtbot, dock)
    click(at_work, dock, qtbot, "Ask")
    assert annotator.queue.selection.round == 2
    assert first.isdisjoint(
        (r.image, r.region) for r in annotator.queue.selection.regions
    )
    pid = dock.background.worker.pid
    dock.shut_down()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_answer_leaves_the_progress_of_tasks_alone(
    hands, dock, annotator, learn, monkeypatch
):
    painted = []
    monkeypatch.setattr(dock.round_panel._bar, "reset", lambda: painted.append(1))
    hands.key("1")
    assert annotator.source.states(annotator.screen)[0] == "answered"
    assert painted == []
    learn()
    assert painted == [1]
