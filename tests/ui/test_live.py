"""Live: what the child is told, and what its update do to the window."""

from threading import Event

import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_REGIONS
from hands import Hands
from panel_hands import named, settle
from steps import ask
from windowless import ids, others
from working import PATIENCE, leave_weights

from napari_alseg.arrays import Progress
from napari_alseg.errors import BadValue
from napari_alseg.live.messages import LiveUpdate
from napari_alseg.settings import PredictionSettings, QuerySettings
from napari_alseg.store import Project
from napari_alseg.tasks.requests import FollowRequest, LookRequest, QueryRequest
from napari_alseg.ui.canvas import layers
from napari_alseg.ui.canvas.map_layers import Shown
from napari_alseg.ui.dock import ActiveLearningDock


@pytest.fixture
def live(dock, asked_path, qtbot):
    """Live of the open project; its first request is told and forgotten."""
    dock.live_panel.set_on(True)
    dock.open_project(asked_path)
    told = dock.live.background.worker.told
    qtbot.waitUntil(lambda: len(told) == 1)
    settle(qtbot, dock.live)
    told.clear()
    return dock.live


@pytest.fixture
def told(live):
    return live.background.worker.told


@pytest.fixture
def say(live, dock, qtbot):
    """Let the child say something about the newest request, and wait for its effect."""

    def say(kind, **about):
        number = about.pop("number", live._number)
        heard = []
        live.background.progressed.connect(heard.append)
        sequence = about.pop("sequence", dock.annotator.project.labels.sequence)
        live.background.worker.update.put(LiveUpdate(kind, number, sequence, **about))
        qtbot.waitUntil(lambda: bool(heard))
        live.background.progressed.disconnect(heard.append)

    return say


def write_live_maps(project, image):
    project.outputs.write_map(image, "entropy", np.eye(48, 64, dtype=np.float32), 0)
    project.outputs.write_prediction(image, np.full((48, 64), 2, np.uint8), 0)


# --- what is told ---------------------------------------------------------------------


def test_the_first_request_starts_the_child_with_the_settings_of_the_window(
    dock, asked_path, qtbot
):
    dock.round_panel.network.set_value(TINY_NETWORK)
    dock.live_panel.set_on(True)
    dock.open_project(asked_path)
    worker = dock.live.background.worker
    qtbot.waitUntil(lambda: len(worker.told) == 1)
    (asked,) = worker.asked
    assert asked == FollowRequest(TINY_NETWORK, prediction=PredictionSettings())
    annotator, request = dock.annotator, worker.told[0]
    assert request.image == annotator.screen.image
    assert request.coming == tuple(
        each.image for each in annotator.queue.selection.regions[1:]
    )
    assert request.maps == ("entropy",)
    assert request.query == dock.round_panel.value()
    assert (request.similar_to, request.rank) == (None, True)


def test_each_change_is_told_once(hands, dock, told, qtbot):
    annotator, maps = dock.annotator, named(dock.maps_panel, "Maps")
    bounds = annotator.region.bounds
    hands.tool("paint")
    for change in (
        lambda: hands.click_pixel(bounds.row_start, bounds.column_start),
        lambda: hands.key("Ctrl+Z"),
        lambda: hands.key("W"),
        lambda: hands.key("S"),
        lambda: hands.key("D"),
        lambda: hands.key("PgDown"),
        lambda: hands.tick(maps, "margin"),
        lambda: hands.tick(maps, "difficulty"),
    ):
        settle(qtbot, dock.live)
        told.clear()
        change()
        qtbot.waitUntil(lambda: bool(told))
        settle(qtbot, dock.live)
        (request,) = told
        assert request.image == annotator.screen.image
    assert request.maps == ("entropy", "margin")  # a lightweight head makes no other


def test_several_changes_in_a_moment_are_one_request(hands, dock, told, qtbot):
    asked = dock.annotator.queue.selection.regions
    hands.freeze("D", "D", "D")
    settle(qtbot, dock.live)
    (request,) = told
    assert request.image == asked[3].image
    assert request.coming == tuple(asked[at].image for at in (4, 5, 0, 1, 2))


@pytest.mark.parametrize("failing", [False, True])
def test_live_rests_while_ask_runs_and_one_request_after_it(
    hands, dock, worker, told, qtbot, monkeypatch, failing
):
    monkeypatch.setattr("napari_alseg.ui.dock.show_error", lambda _: None)
    ended = Event()

    def ask(*arguments):
        ended.wait(PATIENCE)
        if failing:
            worker.fail()

    worker.action = ask
    hands.press_button(dock.round_panel, "Ask")
    hands.key("1")
    settle(qtbot, dock.live)
    assert told
    assert dock.background.busy and all(request.rest for request in told)
    told.clear()
    ended.set()
    qtbot.waitUntil(lambda: not dock.background.busy)
    settle(qtbot, dock.live)
    (after,) = told
    assert not after.rest
    assert after.others > 0  # its maps may have been written over


def test_the_pool_is_not_ranked_while_learn_runs(hands, dock, worker, told, qtbot):
    ended = Event()
    worker.action = lambda *_: ended.wait(PATIENCE)
    hands.press_button(dock.round_panel, "Learn")
    settle(qtbot, dock.live)
    assert dock.background.busy
    assert [request.rank for request in told] == [False]
    ended.set()
    qtbot.waitUntil(lambda: not dock.background.busy)
    settle(qtbot, dock.live)
    assert [request.rank for request in told] == [False, True]


def test_a_project_to_look_at_only_is_not_followed(dock, asked_path, qtbot):
    with Project.open(asked_path):
        dock.live_panel.set_on(True)
        dock.open_project(asked_path)
        settle(qtbot, dock.live)
        worker = dock.live.background.worker
        assert (worker.asked, worker.told) == ([], [])
        assert not dock.live.on


def test_without_question_and_label_there_is_nothing_to_follow(
    dock, project_path, qtbot
):
    dock.live_panel.set_on(True)
    dock.open_project(project_path)
    settle(qtbot, dock.live)
    assert dock.live.background.worker.asked == []
    assert dock.live_panel.texts()[0] == "Map: comes with the first labels."


def test_ask_takes_the_live_network_only_if_live_is_on(
    hands, dock, worker, live, qtbot
):
    dock.round_panel.network.set_value(TINY_NETWORK)
    for _ in range(2):
        hands.press_button(dock.round_panel, "Ask")
        qtbot.waitUntil(lambda: not dock.background.busy)
        hands.key("Shift+V")
    given = [
        request.live for request in worker.asked if isinstance(request, QueryRequest)
    ]
    assert given == [TINY_NETWORK, None]


# --- updates --------------------------------------------------------------------------


def test_the_missing_class_is_named(dock, live, say):
    assert "second class" in dock.next_step.text()
    say("waiting", classes=(1,))
    known = dock.project.classes[1].name
    text = f"Map: needs a second class beside {known}."
    assert dock.live_panel.texts()[0] == text
    say("waiting")
    assert dock.live_panel.texts()[0] == "Map: comes with labels of two classes."
    say("looked", image=dock.annotator.screen.image)
    assert "second class" not in dock.next_step.text()


def test_what_was_drawn_of_the_shown_image_is_shown_and_said(dock, live, say):
    image = dock.project.images.names()[-1]
    dock.show_image(image)
    assert "two classes" in dock.maps_panel._note.text()
    write_live_maps(dock.project, image)
    say("looked", image=image, seconds={"learn": 0.3, "look": 0.1})
    np.testing.assert_array_equal(layers.find(dock.viewer, "prediction").data, 2)
    drawn = layers.find(dock.viewer, "map", "entropy").data
    np.testing.assert_allclose(drawn, np.eye(48, 64), atol=1e-3)
    text = "Map: knows all answers (0.4 s). H shows it."
    assert dock.live_panel.texts()[0] == text
    assert dock.maps_panel._note.text() == ""


def test_news_of_another_image_draw_nothing(dock, live, say):
    before = dock.live_panel.texts()
    other = next(
        i for i in dock.project.images.names() if i != dock.annotator.screen.image
    )
    write_live_maps(dock.project, dock.annotator.screen.image)
    say("looked", image=other)
    assert layers.find(dock.viewer, "prediction") is None
    assert dock.live_panel.texts() == before


def test_a_new_ranking_changes_the_open_regions_and_says_how_new_it_is(dock, live, say):
    annotator = dock.annotator
    new = others(annotator, 9)
    say("ranked", regions=tuple(new), fresh=0.5)
    assert ids(annotator)[1:] == [(each.image, each.region) for each in new[:5]]
    assert dock.live_panel.texts()[1] == "Queue: in order, 50% of the images seen."
    say("ranked", regions=tuple(new), fresh=1.0)
    assert "all of the images" in dock.live_panel.texts()[1]


def test_news_from_before_the_round_change_no_queue(dock, live, say):
    number = live._number
    ask(dock.project)
    dock.annotator.show_round()
    before = ids(dock.annotator)
    say("ranked", regions=tuple(others(dock.annotator, 9)), number=number)
    assert ids(dock.annotator) == before


def test_a_long_start_is_said(dock, live, qtbot):
    update = live.background.worker.update
    update.put(Progress(0, 1, "loading the network"))
    qtbot.waitUntil(lambda: "loading the network" in dock.live_panel.texts()[0])
    update.put(Progress(3, 20, "looking at the pool"))
    qtbot.waitUntil(lambda: "pool 3 of 20" in dock.live_panel.texts()[0])
    update.put(Progress(40, 367, "reading the labels"))
    qtbot.waitUntil(lambda: "labels 40 of 367" in dock.live_panel.texts()[0])


def test_a_map_that_misses_labels_is_not_said_to_know_all(dock, say):
    before = dock.live_panel.texts()[0]
    say("looked", image=dock.annotator.screen.image, left=3)
    assert dock.live_panel.texts()[0] == before
    say("looked", image=dock.annotator.screen.image)
    assert "knows all answers" in dock.live_panel.texts()[0]


def test_a_map_without_the_latest_label_is_not_said_to_know_all(
    hands, dock, live, told, say, qtbot
):
    hands.key("1")
    settle(qtbot, live)
    assert told
    before = dock.live_panel.texts()[0]
    sequence = dock.annotator.project.labels.sequence
    say("looked", image=dock.annotator.screen.image, sequence=sequence - 1)
    assert dock.live_panel.texts()[0] == before
    say("looked", image=dock.annotator.screen.image, sequence=sequence)
    assert "knows all answers" in dock.live_panel.texts()[0]


def test_a_form_that_does_not_go_together_keeps_live_on(hands, dock, live, told, qtbot):
    panel = dock.round_panel
    good = panel.value()
    hands.unfold(panel, "Parameters")
    hands.choose(named(panel, "acquisition"), "core-set")
    assert panel.value().acquisition == "core-set"
    hands.key("1")
    settle(qtbot, live)
    assert told[-1].query == good
    assert dock.live_panel.on


def test_a_long_search_is_said(hands, dock, live, qtbot):
    hands.key("Shift+S")
    live.background.worker.update.put(Progress(3, 20, "looking through the pool"))
    qtbot.waitUntil(lambda: "pool 3 of 20" in dock.live_panel.texts()[2])


# --- similar regions ------------------------------------------------------------------


def test_similar_regions_are_lit_until_the_key_is_pressed_again(
    hands, dock, live, told, say, qtbot
):
    annotator = dock.annotator
    hands.key("Shift+S")
    qtbot.waitUntil(lambda: bool(told))
    assert told[-1].similar_to == annotator.region.region
    alike = others(annotator, 3, annotator.screen.image)
    say("similar", regions=tuple(alike))
    lit = layers.find(dock.viewer, "lit").data > 0
    wanted = np.isin(
        annotator.source.region_map(annotator.screen), [each.region for each in alike]
    )
    np.testing.assert_array_equal(lit, wanted)
    assert dock.live_panel.texts()[2] == "Similar: 3 regions lit, in 1 images."
    hands.key("Shift+S")
    assert layers.find(dock.viewer, "lit") is None
    assert dock.live_panel.texts()[2] == ""
    hands.key("1")
    qtbot.waitUntil(lambda: told[-1].similar_to is None)


def test_on_another_image_no_region_is_taken_for_one_of_the_same_number(
    hands, dock, live, told, qtbot
):
    hands.key("Shift+S")
    qtbot.waitUntil(lambda: bool(told))
    image = dock.annotator.screen.image
    hands.key("PgDown")
    qtbot.waitUntil(lambda: told[-1].image != image)
    assert told[-1].similar_to is None


def test_where_nothing_can_be_compared_it_is_said(hands, dock, live, say):
    hands.key("Shift+S")
    say("similar")
    assert "no regions to compare" in dock.live_panel.texts()[2]
    assert dock.annotator.screen.similar == ()


# --- the end --------------------------------------------------------------------------


def test_switched_off_it_ends_the_child_and_the_network_looks_again(
    hands, dock, worker, live, told, say, qtbot
):
    leave_weights(dock, {"a": np.zeros(1)})
    hands.key("Shift+S")
    say("similar", regions=tuple(others(dock.annotator, 3)))
    assert worker.asked == []
    hands.key("Shift+V")
    assert live.background.worker.closed
    assert not live.background.busy
    assert dock.annotator.screen.similar == ()
    assert [type(request) for request in worker.asked] == [LookRequest]
    assert dock.live_panel.texts()[0].startswith("Off")
    qtbot.waitUntil(lambda: not dock.background.busy)
    told.clear()
    hands.key("1")
    settle(qtbot, live)
    assert told == []
    hands.key("Shift+V")
    qtbot.waitUntil(lambda: bool(told))
    assert live.background.busy


def test_a_failure_switches_it_off_and_is_told_once(
    hands, dock, live, told, qtbot, monkeypatch
):
    said = []
    monkeypatch.setattr("napari_alseg.ui.dock.show_error", said.append)
    live.background.worker.update.put(BadValue("no such encoder"))
    qtbot.waitUntil(lambda: not live.on)
    assert said == ["Live: no such encoder"]
    told.clear()
    hands.key("1")
    settle(qtbot, live)
    assert told == []
    assert dock.annotator.source.states(dock.annotator.screen)[0] == "answered"


def test_the_child_ends_with_the_project(dock, live):
    assert live.background.busy
    dock.close_project()
    assert live.background.worker.closed
    assert not live.background.busy
    assert dock.live_panel.texts()[0] == "Map: comes with the first labels."


# --- really ---------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_two_answers_and_a_real_child_draws_what_it_predicts(
    make_napari_viewer, asked_path, truth, qtbot
):
    viewer = make_napari_viewer(show=True)
    dock = ActiveLearningDock(viewer)
    viewer.window.add_dock_widget(dock)
    hands = Hands(qtbot, viewer)
    hands.begin()
    dock.round_panel.set_value(QuerySettings("entropy", "6 regions", **TINY_REGIONS))
    dock.round_panel.network.set_value(TINY_NETWORK)
    dock.open_project(asked_path)
    panel = dock.live_panel
    qtbot.waitUntil(lambda: "two classes" in panel.texts()[0])
    before = ids(dock.annotator)
    hands.key("1")
    qtbot.waitUntil(lambda: "second class" in panel.texts()[0])
    hands.key("2")
    qtbot.waitUntil(lambda: layers.find(viewer, "prediction") is not None)
    assert layers.find(viewer, "map", "entropy") is not None
    qtbot.waitUntil(lambda: ids(dock.annotator) != before)
    assert ids(dock.annotator)[:3] == before[:3]
    hands.end()
    dock.shut_down()
    with Project.open(asked_path) as project:
        assert project.weights.checkpoint_metadata("live") is not None


def test_a_map_that_is_expected_stays_as_an_empty_layer(dock, live, say):
    annotator = dock.annotator
    first, second = annotator.project.images.names()[:2]
    annotator.view.set(shown=Shown(names=("entropy",), maps=True))
    dock.show_image(first)
    say("looked", image=first)
    dock.show_image(second)
    layer = layers.find(dock.viewer, "map", "entropy")
    assert layer is not None
    assert layer.data.shape == annotator.project.images.info(second).shape
    assert not layer.data.any()
    dock.live_panel.set_on(False)
    dock.show_image(first)
    assert layers.find(dock.viewer, "map", "entropy").data.any()
    dock.show_image(second)
    assert layers.find(dock.viewer, "map", "entropy") is None


def test_what_is_missing_is_not_said_before_the_child_knows(
    hands, dock, project_path, qtbot
):
    dock.live_panel.set_on(True)
    dock.open_project(project_path)
    assert dock.live.waiting
    hands.tool("paint")
    hands.click_pixel(5, 5)
    qtbot.waitUntil(lambda: not dock.live.waiting)
    assert "second class" not in dock.next_step.text()
