"""What menus and the command palette call; each finds or opens the dock first."""

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from .dock import ActiveLearningDock
from .keys import LIVE, MAPS, PREDICTION, PSEUDO, RANGE, SIDE_BY_SIDE, SIMILAR, WHY

if TYPE_CHECKING:
    from napari.viewer import Viewer

PLUGIN, WIDGET = "napari-alseg", "Active learning"


def open_dock(viewer: "Viewer") -> ActiveLearningDock:
    """Return the dock of a viewer, opened if it was not."""
    for widget in viewer.window.dock_widgets.values():
        dock = _inside(widget)
        if dock is not None:
            return dock
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    assert isinstance(dock, ActiveLearningDock)
    return dock


def _inside(widget: QWidget) -> ActiveLearningDock | None:
    if isinstance(widget, ActiveLearningDock):
        return widget
    return widget.findChild(ActiveLearningDock)


def new_project(viewer: "Viewer") -> None:
    """Make a project."""
    open_dock(viewer).project_panel.new_requested.emit()


def open_project(viewer: "Viewer") -> None:
    """Open a project."""
    open_dock(viewer).project_panel.open_requested.emit()


def ask(viewer: "Viewer") -> None:
    """Ask the next regions."""
    open_dock(viewer).ask()


def learn(viewer: "Viewer") -> None:
    """Train the network on all labels."""
    open_dock(viewer).learn()


def resume(viewer: "Viewer") -> None:
    """Go on with the training that was stopped."""
    open_dock(viewer).resume()


def stop(viewer: "Viewer") -> None:
    """Stop the running task."""
    open_dock(viewer).stop()


def next_region(viewer: "Viewer") -> None:
    """Go to the next open region."""
    open_dock(viewer).step(1)


def previous_region(viewer: "Viewer") -> None:
    """Go to the previous open region."""
    open_dock(viewer).step(-1)


def skip_region(viewer: "Viewer") -> None:
    """Leave the current region unlabelled."""
    open_dock(viewer).skip()


def accept_region(viewer: "Viewer") -> None:
    """Take the current region as it is painted."""
    open_dock(viewer).accept()


def centre_region(viewer: "Viewer") -> None:
    """Bring the current region to the middle."""
    open_dock(viewer).centre()


def next_image(viewer: "Viewer") -> None:
    """Show the next image."""
    open_dock(viewer).project_panel.step(1)


def previous_image(viewer: "Viewer") -> None:
    """Show the previous image."""
    open_dock(viewer).project_panel.step(-1)


def redo(viewer: "Viewer") -> None:
    """Do again what was taken back last."""
    open_dock(viewer).redo()


def undo(viewer: "Viewer") -> None:
    """Take back the latest change."""
    open_dock(viewer).undo()


def toggle_map(viewer: "Viewer") -> None:
    """Show the ticked maps, or hide them."""
    open_dock(viewer).inspector.press(MAPS)


def toggle_prediction(viewer: "Viewer") -> None:
    """Show what the network predicts, or hide it."""
    open_dock(viewer).inspector.press(PREDICTION)


def toggle_pseudo_labels(viewer: "Viewer") -> None:
    """Show the pseudo labels, or hide them."""
    open_dock(viewer).inspector.press(PSEUDO)


def toggle_side_by_side(viewer: "Viewer") -> None:
    """Show image and maps next to one another, or over one another."""
    open_dock(viewer).inspector.press(SIDE_BY_SIDE)


def toggle_range(viewer: "Viewer") -> None:
    """Light up the regions in a range of scores, or no longer."""
    open_dock(viewer).inspector.press(RANGE)


def why(viewer: "Viewer") -> None:
    """Say why the current region is asked, or no longer."""
    open_dock(viewer).inspector.press(WHY)


def toggle_live(viewer: "Viewer") -> None:
    """Let maps and queue follow each answer, or no longer."""
    open_dock(viewer).live.press(LIVE)


def toggle_similar(viewer: "Viewer") -> None:
    """Light up the regions that look like the current one, or no longer."""
    open_dock(viewer).live.press(SIMILAR)
