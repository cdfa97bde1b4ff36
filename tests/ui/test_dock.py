import os
from queue import SimpleQueue
from threading import Event

import imageio.v3 as imageio
import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_REGIONS, TINY_TRAINING
from hands import Hands, button
from panel_hands import settle
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAbstractButton, QPushButton

from napari_alseg.sample_data import CLASSES
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    RecipeSettings,
    TrainingSettings,
)
from napari_alseg.store import ClassTable, Project, read_classes
from napari_alseg.systems import resolve
from napari_alseg.tasks.requests import LookRequest, QueryRequest, RetrainRequest
from napari_alseg.tasks.table import begin
from napari_alseg.ui.canvas import layers
from napari_alseg.ui.dock import ActiveLearningDock
from napari_alseg.ui.panels.new_project import NewProject

PATIENCE = 30
"""Seconds after which a task that a test holds up goes on by itself."""


def wait_idle(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.background.busy)


def requests_of(worker, kind):
    return [request for request in worker.asked if isinstance(request, kind)]


def held(worker):
    """Hold up the worker's tasks until the event that this returns is set."""
    ended = Event()
    worker.action = lambda *_: ended.wait(PATIENCE)
    return ended


@pytest.fixture
def ask(hands, dock, qtbot):
    """Click on Ask and wait until it is done."""
    return lambda: click(hands, dock, qtbot, "Ask")


@pytest.fixture
def learn(hands, dock, qtbot):
    """Click on Learn and wait until it is done."""
    return lambda: click(hands, dock, qtbot, "Learn")


def click(hands, dock, qtbot, text):
    hands.press_button(dock.round_panel, text)
    wait_idle(qtbot, dock)


@pytest.fixture
def shown_errors(monkeypatch):
    """Messages the user was shown."""
    messages = []
    monkeypatch.setattr("napari_alseg.ui.dock.show_error", messages.append)
    monkeypatch.setattr("napari_alseg.ui.dock.show_info", messages.append)
    return messages


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
    asked = resolve(QuerySettings("entropy", "6 regions", **TINY_REGIONS))
    assert dock.round_panel.value() == asked


def test_ask_and_learn_hand_the_settings_to_the_worker(
    dock, worker, annotator, ask, learn
):
    wanted = resolve(QuerySettings("ripu-ra", "7 regions", radius=3))
    dock.round_panel.set_value(wanted)
    ask()
    request = worker.asked[-1]
    assert isinstance(request, QueryRequest)
    assert request.settings == wanted
    learn()
    (_,) = requests_of(worker, RetrainRequest)


def test_learning_draws_a_curve_and_the_lightweight_head_of_ask_has_no_part_in_it(
    dock, annotator, ask, learn
):
    learn()
    curve = dock.round_panel.curve
    losses = list(curve.losses)
    assert [step for step, _ in losses] == [1, 2, 3]
    assert [miou for _, miou in curve.mious] == [10, 20, 30]
    ask()
    assert curve.losses == losses


def test_labelling_goes_on_while_a_task_runs(hands, dock, worker, annotator, qtbot):
    ended = held(worker)
    hands.press_button(dock.round_panel, "Learn")
    assert dock.background.busy
    assert "Go on labelling" in dock.next_step.text()
    hands.key("2")
    assert annotator.source.states(annotator.screen)[0] == "answered"
    assert dock.background.busy
    ended.set()
    wait_idle(qtbot, dock)


def test_an_error_is_one_notification_and_the_window_lives(
    dock, worker, annotator, learn, shown_errors
):
    worker.action = worker.fail
    learn()
    assert shown_errors == ["Learn: no label yet; answer a region"]
    assert button(dock.round_panel, "Learn").isEnabled()


def test_a_stopped_look_is_not_started_again(hands, dock, worker, annotator, qtbot):
    dock.project.weights.commit(1, {"a": np.zeros(1)}, {})
    worker.action = lambda request, project: None  # as when stopped
    hands.key("PgDown")
    wait_idle(qtbot, dock)
    settle(qtbot, dock)
    wait_idle(qtbot, dock)
    assert [type(request) for request in worker.asked] == [LookRequest]


def test_stop_reaches_the_worker(hands, dock, worker, annotator, qtbot):
    ended = held(worker)
    hands.press_button(dock.round_panel, "Learn")
    hands.press_button(dock.round_panel, "Stop")
    assert worker.stopped
    ended.set()
    wait_idle(qtbot, dock)


def test_a_folder_that_is_no_project_is_an_error(dock, tmp_path, shown_errors):
    dock.attempt(dock.open_project, tmp_path)
    assert "is no labelling project" in shown_errors[0]
    assert dock.project is None


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


def test_a_new_project_from_a_folder_is_made_and_opened(dock, dataset, tmp_path, qtbot):
    wanted = NewProject(
        tmp_path / "new.alseg",
        ClassTable.of(CLASSES),
        dataset / "train" / "images",
        None,
        None,
    )
    dock.projects.make(wanted)
    wait_idle(qtbot, dock)
    assert dock.project.path == wanted.path
    assert len(dock.project.images()) == 4


def test_a_new_project_from_the_open_layers(dock, tmp_path, qtbot):
    dock.viewer.add_image(np.zeros((20, 30), np.uint16), name="grey")
    dock.viewer.add_image(np.zeros((40, 30, 3), np.uint8), name="colour", rgb=True)
    wanted = NewProject(
        tmp_path / "new.alseg", ClassTable.of(CLASSES), None, None, None
    )
    dock.projects.make(wanted)
    wait_idle(qtbot, dock)
    assert sorted(dock.project.images()) == ["colour", "grey"]
    assert dock.project.info("grey").shape == (20, 30)
    assert "within its window" in dock.project_panel._text.text()


def test_moving_between_grey_and_colour_images_keeps_one_layer_a_role(
    dock, tmp_path, rng
):
    path = tmp_path / "mixed.alseg"
    with Project.create(path, CLASSES) as project:
        project.add_image("grey", rng.integers(0, 5000, (20, 30, 1)).astype(np.uint16))
        project.add_image("colour", rng.integers(0, 255, (40, 30, 3)).astype(np.uint8))
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
    dock.show_image(dock.project.images()[1])
    assert own in dock.viewer.layers
    assert layers.find(dock.viewer, "annotation").opacity == 0.2
    dock.close_project()
    assert own in dock.viewer.layers


def test_the_eye_of_a_layer_and_the_box_of_the_panel_agree(hands, dock, annotator):
    dock.show_image(dock.project.images()[0])
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


def test_a_folder_that_cannot_be_opened_leaves_the_open_project_alone(
    hands, dock, annotator, tmp_path, shown_errors
):
    dock.attempt(dock.open_project, tmp_path)
    dock.attempt(dock.open_project, tmp_path / "nowhere")
    assert len(shown_errors) == 2
    hands.key("2")
    assert annotator.source.states(annotator.screen)[0] == "answered"


def test_a_round_that_was_asked_though_stopped_is_shown(dock, worker, annotator, ask):
    from steps import ask as really_ask

    def stopped_too_late(request, path):
        with Project.open(path, "borrow") as child:
            really_ask(child)

    worker.action = stopped_too_late
    ask()
    assert annotator.screen.round == 2


def test_projects_are_not_changed_under_a_running_task(
    hands, dock, worker, annotator, project_path, qtbot, shown_errors
):
    ended = held(worker)
    hands.press_button(dock.round_panel, "Learn")
    hands.drop(dock, project_path)
    qtbot.waitUntil(lambda: bool(shown_errors))
    assert shown_errors == ["Learn is running; press Stop first"]
    assert dock.project is annotator.project
    ended.set()
    wait_idle(qtbot, dock)


def test_after_learning_twice_in_a_round_the_map_is_drawn_again(
    hands, dock, worker, annotator, qtbot
):
    names = dock.project.images()
    image = names[(names.index(annotator.screen.image) + 1) % len(names)]
    dock.project.weights.commit(1, {"a": np.zeros(1)}, {})
    dock.project.write_map(image, "entropy", np.zeros((48, 64), np.float32), 1)
    assert dock.project.has_fresh_map(image, "entropy")
    dock.project.weights.commit(1, {"a": np.ones(1)}, {})
    assert not dock.project.has_fresh_map(image, "entropy")
    hands.key("PgDown")
    assert annotator.screen.image == image
    wait_idle(qtbot, dock)
    assert [type(request) for request in worker.asked] == [LookRequest]


def stopped(dock, round):
    """Leave what a stopped training leaves."""
    dock.project.weights.write_aside(
        "unfinished", {"w": np.zeros(2)}, {"plan": {"round": round}}
    )


def goes_on(dock):
    """Whether the window offers to resume learning."""
    buttons = dock.round_panel.findChildren(QPushButton)
    return any("Resume" in e.text().replace("&", "") and e.isVisible() for e in buttons)


def test_a_stopped_training_can_go_on(hands, dock, worker, annotator, learn, qtbot):
    ended = Event()

    def learning(*_):
        ended.wait(PATIENCE)
        stopped(dock, 1)

    worker.action = learning
    assert not goes_on(dock)
    hands.press_button(dock.round_panel, "Learn")
    assert not goes_on(dock)
    ended.set()
    wait_idle(qtbot, dock)
    assert goes_on(dock)
    assert "Learning was stopped" in dock.next_step.text()
    before = len(dock.round_panel.curve.losses)
    ended = held(worker)
    hands.press_button(dock.round_panel, "Resume learning")
    assert "Go on labelling" in dock.next_step.text()
    dock.project.weights.clear_aside("unfinished")
    ended.set()
    wait_idle(qtbot, dock)
    request = worker.asked[-1]
    assert request == RetrainRequest(resume=True, prediction=PredictionSettings())
    assert not goes_on(dock)
    assert len(dock.round_panel.curve.losses) > before


def test_a_training_of_another_round_or_a_damaged_one_does_not_go_on(
    dock, annotator, ask
):
    stopped(dock, 0)
    ask()
    assert not goes_on(dock)
    (dock.project.path / "weights" / "unfinished.safetensors").write_bytes(b"x")
    ask()
    assert not goes_on(dock)


def test_notes_of_a_task_stay_readable_until_the_next(dock, worker, annotator, learn):
    note = "note: graphics memory is full: 2 crops at a time now"
    worker.messages = [note, note, "note: now on the CPU"]
    learn()
    text = "Graphics memory is full: 2 crops at a time now\nNow on the CPU"
    assert dock.notes.text() == text
    assert not dock.notes.isHidden()
    worker.messages = []
    learn()
    assert dock.notes.isHidden()


def test_a_recipe_and_its_terms_reach_the_worker(dock, worker, annotator, learn):
    wanted = TrainingSettings("rectified", minutes=2.0)
    dock.round_panel.training.set_value(wanted)
    learn()
    (request,) = requests_of(worker, RetrainRequest)
    assert request.training == wanted
    assert request.recipe == RecipeSettings()


def test_a_project_remembers_how_it_learnt(dock, asked_path, learn):
    dock.open_project(asked_path)
    panel = dock.round_panel
    panel.network.set_value(TINY_NETWORK)
    learnt = TrainingSettings("consistency", epochs=7, device="cpu")
    panel.training.set_value(learnt)
    panel.training.set_terms(RecipeSettings(consistency=2.0))
    wanted = panel.learning()
    learn()
    assert "device" not in dock.project.settings["learning"]["training"]
    panel.training.set_value(TrainingSettings(device="cpu"))
    panel.training.set_terms(RecipeSettings())
    panel.network.set_value(NetworkSettings())
    dock.open_project(asked_path)
    assert panel.learning() == wanted


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"depth": 9}},
        {"network": {"network": "unet"}, "training": {"epochs": 0}},
        {"network": {"network": "unet"}, "training": {"recipe": "alchemy"}},
        {"network": {"network": "unet"}, "recipe": {"depth": 9}},
    ],
)
def test_settings_of_another_version_do_not_keep_a_project_shut(
    dock, asked_path, changes
):
    usual = dock.round_panel.learning()
    with Project.open(asked_path) as project:
        learning = {"network": {}, "training": {}, "recipe": {}} | changes
        project.save_settings({"learning": learning})
    dock.open_project(asked_path)
    assert dock.annotator is not None
    assert dock.round_panel.learning() == usual


def test_the_dock_knows_source_images_and_the_recipe_of_the_round(
    hands, dock, project_path, drawn
):
    from steps import ask

    with Project.open(project_path) as project:
        for scene in drawn[:2]:
            project.add_image("far", scene.image, split="source", labels=scene.labels)
        ask(project, "1 regions", "ripu-ra", region_size=None)
    dock.open_project(project_path)
    assert "for validation, 2 source images." in dock.project_panel._text.text()
    assert set(dock.project.images("source")).isdisjoint(
        dock.project_panel._images.itemText(i)
        for i in range(dock.project_panel._images.count())
    )
    assert dock.round_panel.training.recipe == "adaptation"
    assert "no source images" not in dock.round_panel.training._sentence.text()
    hands.key("S")
    assert dock.next_step.text() == "All regions are answered. Press Learn."


def test_a_new_project_with_source_images(dock, dataset, tmp_path, qtbot):
    wanted = NewProject(
        tmp_path / "new.alseg",
        read_classes(dataset / "classes.csv"),
        dataset / "train" / "images",
        None,
        None,
        dataset / "val",
    )
    dock.projects.make(wanted)
    wait_idle(qtbot, dock)
    assert len(dock.project.images("source")) == 2
    assert "2 source images" in dock.project_panel._text.text()
    assert dock.next_step.text().startswith("Press Learn to use the labels")


def test_a_mask_of_another_size_makes_no_project(
    dock, dataset, tmp_path, qtbot, shown_errors
):
    masks = dataset / "train" / "masks"
    name = sorted(masks.iterdir())[1].name
    imageio.imwrite(masks / name, np.zeros((5, 7), np.uint8))
    wanted = NewProject(
        tmp_path / "new.alseg",
        read_classes(dataset / "classes.csv"),
        dataset / "train" / "images",
        masks,
        None,
    )
    dock.projects.make(wanted)
    wait_idle(qtbot, dock)
    (said,) = shown_errors
    assert said.startswith("New project: ")
    assert "5 x 7 pixels" in said and "48 x 64" in said
    assert not wanted.path.exists()
    assert dock.project is None
    assert dock.next_step.text() == "Make a new project, or open one."


def test_weights_for_other_classes_are_told(
    hands, dock, worker, annotator, ask, qtbot, shown_errors
):
    from napari_alseg import segmentation

    net = segmentation.build(TINY_NETWORK, classes=2)
    dock.project.weights.commit(1, segmentation.state(net), segmentation.metadata(net))

    def really(request, path):
        with Project.open(path, "borrow") as child:
            task = begin(child, request, SimpleQueue())
            while True:
                try:
                    next(task)
                except StopIteration as end:
                    return end.value

    worker.action = really
    hands.key("PgDown")
    wait_idle(qtbot, dock)
    (said,) = shown_errors
    assert said.startswith("Look: ") and "classes" in said
    ask()
    assert len(shown_errors) == 2 and shown_errors[1].startswith("Ask: ")
    hands.key("PgUp", "1")
    assert annotator.source.states(annotator.screen)[0] == "answered"


def test_a_pool_without_anything_to_ask_is_a_state(
    hands, dock, worker, annotator, ask, learn, shown_errors
):
    hands.key(*"111111")
    dock.project.weights.commit(1, {"a": np.zeros(1)}, {})
    worker.action = worker.exhausted
    ask()
    assert shown_errors == ["Ask: every region of the pool is labelled"]
    assert dock.next_step.text().startswith("Nothing is left to ask")
    assert button(dock.round_panel, "Ask").isEnabled()
    worker.action = lambda *_: "done"
    learn()
    assert dock.next_step.text().startswith("Look at the heat map")


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
            annotator.project.read_regions(region.image, region.partition)
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
    pseudo = map(dock.project.read_pseudo_labels, dock.project.images())
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
