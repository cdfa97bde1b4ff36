"""Long work: what the worker is asked for, and what the window does meanwhile."""

from queue import SimpleQueue
from threading import Event

import numpy as np
import pytest
from conftest import TINY_NETWORK
from hands import button
from panel_hands import settle
from qtpy.QtWidgets import QPushButton
from working import PATIENCE, held, leave_weights, requests_of, wait_idle

from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    RecipeSettings,
    TrainingSettings,
)
from napari_alseg.store import Project
from napari_alseg.systems import resolve
from napari_alseg.tasks.requests import LookRequest, QueryRequest, RetrainRequest
from napari_alseg.tasks.table import begin


def test_ask_and_learn_hand_the_settings_to_the_worker(
    dock, worker, annotator, ask, learn
):
    wanted = resolve(QuerySettings("ripu-ra", "7 regions", radius=3)).settings
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
    leave_weights(dock, {"a": np.zeros(1)})
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


def test_a_round_that_was_asked_though_stopped_is_shown(dock, worker, annotator, ask):
    from steps import ask as really_ask

    def stopped_too_late(request, path):
        with Project.open(path, "borrow") as child:
            really_ask(child)

    worker.action = stopped_too_late
    ask()
    assert annotator.screen.round == 2


def test_after_learning_twice_in_a_round_the_map_is_drawn_again(
    hands, dock, worker, annotator, qtbot
):
    names = dock.project.images.names()
    image = names[(names.index(annotator.screen.image) + 1) % len(names)]
    leave_weights(dock, {"a": np.zeros(1)})
    dock.project.outputs.write_map(image, "entropy", np.zeros((48, 64), np.float32), 1)
    assert dock.project.outputs.has_fresh_map(image, "entropy")
    leave_weights(dock, {"a": np.ones(1)})
    assert not dock.project.outputs.has_fresh_map(image, "entropy")
    hands.key("PgDown")
    assert annotator.screen.image == image
    wait_idle(qtbot, dock)
    assert [type(request) for request in worker.asked] == [LookRequest]


def stopped(dock, round):
    """Leave what a stopped training leaves."""
    dock.project.weights.write_checkpoint(
        "training", {"w": np.zeros(2)}, {"plan": {"round": round}}
    )
    dock.annotator.source.forget()


def offers_resume(dock):
    """Whether the window offers to resume learning."""
    buttons = dock.round_panel.findChildren(QPushButton)
    return any("Resume" in e.text().replace("&", "") and e.isVisible() for e in buttons)


def test_a_stopped_training_is_resumed(hands, dock, worker, annotator, learn, qtbot):
    ended = Event()

    def learning(*_):
        ended.wait(PATIENCE)
        stopped(dock, 1)

    worker.action = learning
    assert not offers_resume(dock)
    hands.press_button(dock.round_panel, "Learn")
    assert not offers_resume(dock)
    ended.set()
    wait_idle(qtbot, dock)
    assert offers_resume(dock)
    assert "Learning was stopped" in dock.next_step.text()
    before = len(dock.round_panel.curve.losses)
    ended = held(worker)
    hands.press_button(dock.round_panel, "Resume learning")
    assert "Go on labelling" in dock.next_step.text()
    dock.project.weights.clear_checkpoint("training")
    ended.set()
    wait_idle(qtbot, dock)
    request = worker.asked[-1]
    assert request == RetrainRequest(resume=True, prediction=PredictionSettings())
    assert not offers_resume(dock)
    assert len(dock.round_panel.curve.losses) > before


def test_a_training_of_another_round_or_a_damaged_one_is_not_resumed(
    dock, annotator, ask
):
    stopped(dock, 0)
    ask()
    assert not offers_resume(dock)
    (dock.project.path / "weights" / "checkpoint-training.safetensors").write_bytes(
        b"x"
    )
    ask()
    assert not offers_resume(dock)


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


def test_weights_for_other_classes_are_told(
    hands, dock, worker, annotator, ask, qtbot, shown_errors
):
    from napari_alseg import segmentation

    net = segmentation.build(TINY_NETWORK, classes=2)
    leave_weights(dock, segmentation.state(net), segmentation.metadata(net))

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
    leave_weights(dock, {"a": np.zeros(1)})
    worker.action = worker.exhausted
    ask()
    assert shown_errors == ["Ask: every region of the pool is labelled"]
    assert dock.next_step.text().startswith("Nothing is left to ask")
    assert button(dock.round_panel, "Ask").isEnabled()
    worker.action = lambda *_: "done"
    learn()
    assert dock.next_step.text().startswith("Look at the heat map")
