"""Maps, what lies under the mouse, scores of the pool, and why a region is asked."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hands import button
from panel_hands import named
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox
from working import leave_weights, wait_idle

from napari_alseg.arrays import Ranking
from napari_alseg.errors import BadValue
from napari_alseg.settings import QuerySettings
from napari_alseg.store import Project
from napari_alseg.systems import resolve
from napari_alseg.tasks.requests import LookRequest
from napari_alseg.ui.canvas import layers
from napari_alseg.ui.canvas.map_layers import Shown


@pytest.fixture
def ranked_path(asked_path):
    """A project whose round has a ranking: the score of a region is its id / 100."""
    with Project.open(asked_path) as project:
        version = project.rounds.selection().regions[0].partition
        names = project.images.names()
        ids = [
            np.arange(1, project.outputs.read_regions(name, version).max() + 1)
            for name in names
        ]
        region = np.concatenate(ids).astype(np.int32)
        probability = np.tile(
            np.array([0.5, 0.3, 0.1, 0.1, 0, 0], np.float32), (len(region), 1)
        )
        score = (region / 100).astype(np.float32)
        project.rounds.write_ranking(
            1,
            Ranking(
                names,
                np.repeat(np.arange(len(names)), [len(i) for i in ids]).astype(
                    np.int32
                ),
                region,
                score,
                np.ones(len(region), bool),
                probability,
                {"impurity": score / 2},
            ),
        )
        asked = enumerate(project.rounds.selection().regions)
        scored = {at: replace(each, score=each.region / 100) for at, each in asked}
        project.rounds.reask(1, scored)
    return asked_path


@pytest.fixture
def ranked(dock, ranked_path):
    dock.open_project(ranked_path)
    return dock.annotator


def under_mouse(dock):
    """What the table of values says, by name."""
    table = named(dock, "Values under the mouse")
    rows = range(table.rowCount())
    return {table.item(r, 0).text(): table.item(r, 1).text() for r in rows}


def list_of_maps(dock):
    return named(dock.maps_panel, "Maps")


def maps_on_screen(dock):
    return {layers.key(layer)[1] for layer in layers.of_role(dock.viewer, "map")}


# --- maps -----------------------------------------------------------------------------


def test_several_maps_are_layers_of_their_own_from_one_look(
    hands, dock, worker, annotator, qtbot
):
    def look(request, path):
        with Project.open(path, "borrow") as child:
            for name in request.maps:
                score = np.full((48, 64), 0.5, np.float32)
                values = {"radius": 1} if name == "ripu" else {}
                child.outputs.write_map(request.image, name, score, 1, values)
        return request.image

    worker.action = look
    for name in ("margin", "ripu"):
        hands.tick(list_of_maps(dock), name)
    leave_weights(dock, {"a": np.zeros(1)})
    hands.key("PgDown")
    wait_idle(qtbot, dock)
    qtbot.waitUntil(lambda: len(maps_on_screen(dock)) == 3)
    looks = [
        request.maps for request in worker.asked if isinstance(request, LookRequest)
    ]
    assert len(looks) == 1 and set(looks[0]) == {"entropy", "margin", "ripu"}
    renamed = layers.find(dock.viewer, "map", "margin")
    renamed.name = "mine"
    for name in ("entropy", "ripu"):
        hands.tick(list_of_maps(dock), name)
    assert maps_on_screen(dock) == {"margin"}
    assert layers.find(dock.viewer, "map", "margin").name == "mine"


def test_a_map_that_cannot_be_made_is_given_up_and_said_once(
    hands, dock, worker, annotator, qtbot, monkeypatch
):
    said = []
    monkeypatch.setattr("napari_alseg.ui.dock.show_error", said.append)
    leave_weights(dock, {"a": np.zeros(1)})

    def look(request, path):
        if "difficulty" in request.maps:
            raise BadValue("this network has no difficulty; learn anew")
        with Project.open(path, "borrow") as child:
            for name in request.maps:
                score = np.zeros((48, 64), np.float32)
                child.outputs.write_map(request.image, name, score, 1)
        return request.image

    worker.action = look
    hands.tick(list_of_maps(dock), "difficulty")
    qtbot.waitUntil(lambda: dock.maps_panel.value().names == ("entropy",))
    wait_idle(qtbot, dock)
    assert len(said) == 1 and "learn anew" in said[0]
    assert maps_on_screen(dock) == {"entropy"}


def test_side_by_side_and_back(hands, dock, annotator):
    dock.show_image(dock.project.images.names()[0])
    before = [layer.name for layer in dock.viewer.layers]
    hands.key("H", "Shift+H")
    assert dock.viewer.canvas.grid.enabled
    hands.toggle(button(dock.maps_panel, "side by side"))
    assert not dock.viewer.canvas.grid.enabled
    assert set(before) <= {layer.name for layer in dock.viewer.layers}
    assert len(layers.of_role(dock.viewer, "image")) == 1
    hands.key("Shift+H")
    assert dock.viewer.canvas.grid.enabled
    dock.close_project()
    assert not dock.viewer.canvas.grid.enabled


# --- the mouse ------------------------------------------------------------------------


def test_the_values_under_the_mouse_are_those_on_screen(hands, dock, ranked):
    dock.show_image(dock.project.images.names()[0])
    hands.key("H")
    hands.move_to(20, 30)
    shown = under_mouse(dock)
    score = layers.find(dock.viewer, "map", "entropy").data[20, 30]
    region = ranked.source.region_map(ranked.screen)[20, 30]
    assert shown["row, column"] == "20, 30"
    assert shown["entropy"] == f"{score:.3f}"
    assert shown["region score"] == f"{region / 100:.3f}"
    assert shown["label"] == "-"
    hands.move_to(20, -1)
    assert under_mouse(dock)["entropy"] == "-"


def test_closing_leaves_no_callback_behind(dock, ranked):
    assert len(dock.viewer.mouse_move_callbacks) >= 1
    before = len(dock.viewer.mouse_move_callbacks)
    dock.close_project()
    assert len(dock.viewer.mouse_move_callbacks) == before - 1


# --- pseudo labels --------------------------------------------------------------------


@pytest.fixture
def taught(dock, annotator):
    """The open project, with pseudo labels of its first image."""
    image = dock.project.images.names()[0]
    labels = np.full((48, 64), 2, np.uint8)
    dock.project.outputs.write_pseudo_labels(image, labels, 1)
    weight = np.full((48, 64), 0.25, np.float32)
    dock.project.outputs.write_map(image, "pseudo-weight", weight, 1)
    dock.show_image(image)
    return image


def test_pseudo_labels_are_shown_when_asked_for_and_cannot_be_painted(
    hands, dock, taught
):
    layer = layers.find(dock.viewer, "pseudo")
    assert (layer.name, layer.visible, layer.editable) == (
        *("pseudo labels", False, False),
    )
    assert layers.find(dock.viewer, "annotation").editable
    hands.key("Shift+L")
    assert layer.visible and dock.maps_panel.value().pseudo
    hands.eye(layer)
    assert not layer.visible
    assert not dock.maps_panel.value().pseudo
    colour = layer.colormap.map(np.array([2]))[0, :3]
    wanted = np.array(dock.project.classes[1].colour) / 255
    np.testing.assert_allclose(colour, wanted, atol=1e-6)
    before = dock.project.labels.read(taught).copy()
    dock.project.outputs.write_pseudo_labels(taught, np.full((48, 64), 3, np.uint8), 1)
    dock.show_image(taught)
    assert layer.data.max() == 3 and not layer.editable
    np.testing.assert_array_equal(dock.project.labels.read(taught), before)


def test_pseudo_labels_come_and_go_with_the_image(hands, dock, worker, taught):
    leave_weights(dock, {"a": np.zeros(1)})
    box = next(
        each
        for each in dock.maps_panel.findChildren(QCheckBox)
        if each.text().startswith("pseudo labels")
    )
    weight = list_of_maps(dock).items()[-1]
    assert not weight.isHidden() and box.isVisible()
    for name in ("entropy", "pseudo-weight"):
        hands.tick(list_of_maps(dock), name)
    hands.toggle(box)
    layer = layers.find(dock.viewer, "map", "pseudo-weight")
    assert layer.colormap.name == "viridis"
    assert tuple(layer.contrast_limits) == (0, 1)
    hands.move_to(20, 30)
    assert under_mouse(dock) == {
        "row, column": "20, 30",
        "pseudo-weight": "0.250",
        "pseudo label": dock.project.classes[1].name,
        "label": "-",
    }
    hands.key("PgDown")
    assert layers.find(dock.viewer, "pseudo") is None
    assert maps_on_screen(dock) == set()
    assert weight.isHidden() and box.isHidden()
    hands.key("PgUp")
    assert layers.find(dock.viewer, "pseudo").visible
    assert maps_on_screen(dock) == {"pseudo-weight"}
    dock.project.outputs.clear_pseudo_labels()
    dock.show_image(taught)
    assert layers.find(dock.viewer, "pseudo") is None
    assert worker.asked == []  # no look could make them


def test_pseudo_labels_have_a_cell_side_by_side(hands, dock, taught):
    hands.tick(list_of_maps(dock), "entropy")
    hands.key("Shift+L", "Shift+H")
    images = {layers.key(layer)[1] for layer in layers.of_role(dock.viewer, "image")}
    assert images == {"", "pseudo"}


def test_after_learning_from_unlabelled_images_their_labels_are_shown(
    hands, dock, worker, annotator, qtbot
):
    image = annotator.screen.image

    def learn(request, path):
        with Project.open(path, "borrow") as child:
            child.outputs.write_pseudo_labels(image, np.full((48, 64), 4, np.uint8), 1)
        return "done"

    worker.action = learn
    hands.toggle(button(dock.round_panel, "Use unlabelled images"))
    for _ in range(2):
        hands.press_button(dock.round_panel, "Learn")
        wait_idle(qtbot, dock)
        assert layers.find(dock.viewer, "pseudo").visible
    worker.action = lambda *_: dock.project.outputs.clear_pseudo_labels()
    hands.press_button(dock.round_panel, "Learn")
    wait_idle(qtbot, dock)
    assert layers.find(dock.viewer, "pseudo") is None


# --- scores ---------------------------------------------------------------------------


def limit(dock, which):
    """The field with the lowest or highest score that is lit up."""
    name = f"{which} score that is lit up"
    return next(
        each
        for each in dock.scores_panel.findChildren(QDoubleSpinBox)
        if each.accessibleName() == name
    )


def test_a_typed_range_lights_exactly_its_regions(hands, dock, ranked):
    dock.show_image(dock.project.images.names()[0])
    hands.key("Shift+R")
    hands.enter(limit(dock, "Lowest"), "0.03")
    hands.enter(limit(dock, "Highest"), "0.06")
    assert dock.scores_panel.value() == pytest.approx((0.03, 0.06))
    lit = layers.find(dock.viewer, "lit").data
    ids = ranked.source.region_map(ranked.screen)
    np.testing.assert_array_equal(lit > 0, (ids >= 3) & (ids <= 6))
    assert ranked.source.lit_ids(ranked.screen).tolist() == [3, 4, 5, 6]
    hands.key("Shift+R")
    assert layers.find(dock.viewer, "lit") is None


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scores_that_are_all_but_level_have_a_histogram(dock, ranked, kind):
    ranking = dock.project.rounds.read_ranking(1)
    scores = np.full(len(ranking.score), 0.3, kind)
    scores[::2] = np.nextafter(kind(0.3), kind(1))
    dock.scores_panel.set_ranking(replace(ranking, score=scores))
    heights = dock.scores_panel._bars.opts["height"]
    assert heights.sum() == len(scores)


def test_without_a_ranking_the_panel_says_why(hands, dock, annotator):
    plot = named(dock.scores_panel, "Histogram of the regions' scores")
    assert plot.isHidden()
    assert "no network yet" in dock.scores_panel._why.text()
    hands.key("Shift+R")
    assert dock.scores_panel.value() is None


# --- why ------------------------------------------------------------------------------


def test_why_gives_score_rank_terms_and_classes(hands, dock, ranked):
    why, region = dock.why_panel.value(), ranked.region
    ranking = dock.project.rounds.read_ranking(1)
    row = ranking.row(region.image, region.region)
    assert why.score == pytest.approx(region.region / 100)
    assert (why.rank, why.among) == ranking.rank(row)
    assert dict(why.terms) == {"impurity": pytest.approx(region.region / 200)}
    best = [(entry.name, p) for entry, p in why.classes]
    assert [name for name, _ in best] == [c.name for c in dock.project.classes[:3]]
    assert [p for _, p in best] == pytest.approx([0.5, 0.3, 0.1], abs=1e-3)
    hands.key("D")
    assert dock.why_panel.value().score == pytest.approx(ranked.region.region / 100)


def test_why_without_scores_is_a_sentence(dock, annotator):
    why = dock.why_panel.value()
    assert why.score is None and "no network yet" in why.text


# --- windows and what goes wrong ------------------------------------------------------


def test_an_image_without_windows_can_be_shown(dock, project_path):
    from steps import ask

    with Project.open(project_path) as project:
        asked = ask(project, "1 regions", "ripu-ra", region_size=None)
        other = next(i for i in project.images.names() if i not in asked.images)
        project.outputs.write_map(other, "ripu", np.eye(48, 64, dtype=np.float32), 0)
    dock.open_project(project_path)
    dock.show_image(other)
    dock.maps_panel.set_value(Shown(("ripu",), maps=True, by_region=True))
    assert dock.annotator.source.region_map(dock.annotator.screen) is None
    shown = layers.find(dock.viewer, "map", "ripu").data
    np.testing.assert_allclose(shown, np.eye(48, 64), atol=1e-3)


def test_the_settings_of_the_round_are_shown_again(dock, project_path):
    from steps import ask

    with Project.open(project_path) as project:
        ask(project, "3 regions", "ripu-ra", region_size=None, radius=4)
    dock.open_project(project_path)
    wanted = resolve(QuerySettings("ripu-ra", "3 regions", radius=4)).settings
    assert dock.round_panel.value() == wanted


def test_a_newer_project_is_refused_and_the_dock_goes_on(
    hands, dock, project_path, monkeypatch
):
    said = []
    monkeypatch.setattr("napari_alseg.ui.dock.show_error", said.append)
    attributes = project_path / "zarr.json"
    content = json.loads(attributes.read_text())
    content["attributes"]["version"] = 99
    attributes.write_text(json.dumps(content))
    hands.drop(dock, project_path)
    hands.qtbot.waitUntil(lambda: bool(said))
    assert len(said) == 1 and "99" in said[0]
    assert dock.project is None
    assert dock.next_step.text() == "Make a new project, or open one."
