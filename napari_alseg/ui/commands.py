"""What menus and the command palette call; each finds or opens the dock first."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from .dock import ActiveLearningDock
from .keys import command

if TYPE_CHECKING:
    from napari.viewer import Viewer

PLUGIN, WIDGET = "napari-alseg", "Active learning"


def open_dock(viewer: "Viewer") -> ActiveLearningDock:
    """Dock of a viewer, opened if it was not."""
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


def _of(id: str) -> "Callable[[Viewer], None]":
    """Return what runs a command of the table in the dock of a viewer."""
    found = command(id)

    def run(viewer: "Viewer") -> None:
        found.action(open_dock(viewer).targets)

    run.__doc__ = f"{found.title.capitalize()}."
    return run


new_project = _of("new_project")
open_project = _of("open_project")
ask = _of("ask")
learn = _of("learn")
resume = _of("resume")
stop = _of("stop")
next_region = _of("next_region")
previous_region = _of("previous_region")
skip_region = _of("skip_region")
accept_region = _of("accept_region")
undo = _of("undo")
redo = _of("redo")
centre_region = _of("centre_region")
next_image = _of("next_image")
previous_image = _of("previous_image")
toggle_map = _of("toggle_map")
toggle_prediction = _of("toggle_prediction")
toggle_pseudo_labels = _of("toggle_pseudo_labels")
toggle_side_by_side = _of("toggle_side_by_side")
toggle_range = _of("toggle_range")
why = _of("why")
toggle_live = _of("toggle_live")
toggle_similar = _of("toggle_similar")
