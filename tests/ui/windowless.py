"""A viewer without a window, and regions that a round does not ask."""

from functools import cached_property
from types import SimpleNamespace

from napari.components import ViewerModel
from psygnal import SignalInstance
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_alseg import regions
from napari_alseg.arrays import Bounds, Region


class Sheet(QWidget):
    """A canvas that is never painted."""

    frameSwapped = Signal()


class Windowless(ViewerModel):
    """A viewer that has layers and no window, which costs a second."""

    @cached_property
    def window(self):
        draw = SimpleNamespace(draw=SignalInstance((object,)))
        scene = SimpleNamespace(events=draw, set_current=lambda: None)
        canvas = SimpleNamespace(native=Sheet(), _scene_canvas=scene)
        return SimpleNamespace(_qt_viewer=SimpleNamespace(canvas=canvas))


def others(annotator, count, image=None):
    """Regions of the round's kind that it does not ask, the best first."""
    selection, project = annotator.queue.selection, annotator.project
    asked = {(each.image, each.region) for each in selection.regions}
    found = []
    for name in project.images.names() if image is None else (image,):
        region_map = project.outputs.read_regions(name, selection.regions[0].partition)
        boxes = regions.bounds(region_map)
        for index, box in enumerate(boxes):
            if (name, index + 1) not in asked:
                bounds = Bounds(*(int(edge) for edge in box))
                version = selection.regions[0].partition
                found.append(
                    Region(name, version, index + 1, 0.9 - index / 99, 64, bounds)
                )
    return found[:count]


def ids(annotator):
    return [(each.image, each.region) for each in annotator.queue.selection.regions]
