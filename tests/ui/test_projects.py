"""Projects that are opened, made or refused."""

import imageio.v3 as imageio
import numpy as np
from working import held, wait_idle

from napari_alseg.sample_data import CLASSES
from napari_alseg.store import ClassTable, read_classes
from napari_alseg.ui.panels.new_project import NewProject


def test_a_folder_that_is_no_project_is_an_error(dock, tmp_path, shown_errors):
    dock.attempt(dock.open_project, tmp_path)
    assert "is no labelling project" in shown_errors[0]
    assert dock.project is None


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
    assert len(dock.project.images.names()) == 4


def test_a_new_project_from_the_open_layers(dock, tmp_path, qtbot):
    dock.viewer.add_image(np.zeros((20, 30), np.uint16), name="grey")
    dock.viewer.add_image(np.zeros((40, 30, 3), np.uint8), name="colour", rgb=True)
    wanted = NewProject(
        tmp_path / "new.alseg", ClassTable.of(CLASSES), None, None, None
    )
    dock.projects.make(wanted)
    wait_idle(qtbot, dock)
    assert sorted(dock.project.images.names()) == ["colour", "grey"]
    assert dock.project.images.info("grey").shape == (20, 30)
    assert "within its window" in dock.project_panel._text.text()


def test_a_folder_that_cannot_be_opened_leaves_the_open_project_alone(
    hands, dock, annotator, tmp_path, shown_errors
):
    dock.attempt(dock.open_project, tmp_path)
    dock.attempt(dock.open_project, tmp_path / "nowhere")
    assert len(shown_errors) == 2
    hands.key("2")
    assert annotator.source.states(annotator.screen)[0] == "answered"


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
    assert len(dock.project.images.names("source")) == 2
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
