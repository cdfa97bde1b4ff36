"""What napari shows of one image: computed from the project, then applied.

Functions named ``..._layer`` only compute; `apply` and `draw` change what differs.
Layers are found by the key in their metadata - a role, and the name of a map or of a
cell - never by their own name: users may rename, reorder and restyle them.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_alseg.arrays import LabelClass, LabelMap, RegionMap
from napari_alseg.store import PSEUDO_WEIGHT

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_alseg.store import Project

Role = Literal[
    "image", "channel", "map", "prediction", "pseudo", "annotation", "lit", "regions"
]
ROLES: tuple[Role, ...] = get_args(Role)
"""From bottom to top."""
OVER: tuple[Role, ...] = ("map", "prediction", "pseudo")
"""What is laid over the image at will, and has a cell of its own side by side."""
KEY = "napari_alseg"
Key: TypeAlias = tuple[Role, str]
"""A role, and the name of a map or, for a copy side by side, of its cell; else ""."""

CURRENT = (1.0, 1.0, 1.0, 1.0)
WAITING = (0.94, 0.89, 0.26, 1.0)
DONE = (0.35, 0.35, 0.35, 1.0)
"""White is asked now, yellow waits, grey is done: also for colour-blind eyes."""
LIT = (0.0, 0.6, 1.0, 1.0)
"""A blue that stands out from the warm colours of the maps for all eyes."""
LIT_EDGE = (0.0, 0.25, 0.6, 1.0)
SMALL_IMAGE = 300
"""Up to this size, an outline of two pixels would hide a small region."""


class LayerData(NamedTuple):
    """A layer as napari takes it: array, attributes, kind."""

    data: np.ndarray
    attributes: dict[str, Any]
    kind: Literal["image", "labels"]

    @property
    def key(self) -> Key:
        """What the layer is for."""
        entry = self.attributes["metadata"][KEY]
        return entry["role"], entry["name"]

    def copy_for(self, cell: str) -> "LayerData":
        """Return the layer for another cell."""
        role, _ = self.key
        image = self.attributes["metadata"][KEY]["image"]
        changed = {
            "name": f"{self.attributes['name']} ({cell})",
            "metadata": metadata(role, image, cell),
        }
        return self._replace(attributes=self.attributes | changed)


class Outlines(NamedTuple):
    """Asked regions of the shown image, by id in their region map."""

    region_map: RegionMap
    waiting: frozenset[int]
    done: frozenset[int]
    current: int | None


def metadata(role: Role, image: str, name: str = "") -> dict[str, Any]:
    """Return what tells our layers from others, and from one another."""
    return {KEY: {"role": role, "image": image, "name": name}}


def written(project: "Project", entry: dict[str, Any]) -> dict[str, Any]:
    """Return metadata that also say which value stands for which label in files."""
    rule = project.mask_rule
    if rule is None:
        return entry
    names = [each.name for each in project.classes]
    values = rule.values_of_labels(len(names))
    if values:
        entry[KEY] |= {"values": values, "classes": names}
    return entry


def class_colours(classes: Iterable[LabelClass]) -> DirectLabelColormap:
    """Napari's colours of label values 0..C; 0 is transparent."""
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    for value, entry in enumerate(classes, 1):
        colours[value] = (*(channel / 255 for channel in entry.colour), 1.0)
    return DirectLabelColormap(color_dict=colours)


def annotation_layer(project: "Project", image: str, labels: LabelMap) -> LayerData:
    """Return the labels of the image, for the brush."""
    attributes = {
        "name": "annotation",
        "metadata": written(project, metadata("annotation", image)),
        "colormap": class_colours(project.classes),
        "opacity": 0.55,
        "features": {
            "index": range(len(project.classes) + 1),
            "class": ["unlabelled", *(entry.name for entry in project.classes)],
        },
    }
    return LayerData(labels, attributes, "labels")


def map_layer(
    image: str, name: str, score: np.ndarray, visible: bool = False
) -> LayerData:
    """Return a score map; napari's own controls change its colours and contrast."""
    attributes = {
        "name": f"{name} map",
        "metadata": metadata("map", image, name),
        "colormap": "viridis" if name == PSEUDO_WEIGHT else "inferno",
        "blending": "translucent_no_depth",
        "opacity": 0.7,
        "visible": visible,
        "contrast_limits": _limits(score),
    }
    return LayerData(score, attributes, "image")


def _limits(score: np.ndarray) -> tuple[float, float]:
    """Return 0 to 1 where the scores lie in it, else their own range."""
    low, high = float(score.min(initial=0.0)), float(score.max(initial=0.0))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-6))


def prediction_layer(
    project: "Project", image: str, labels: np.ndarray, visible: bool = False
) -> LayerData:
    """Return what the network sees, in the colours of the classes."""
    attributes = {
        "name": "prediction",
        "metadata": written(project, metadata("prediction", image)),
        "colormap": class_colours(project.classes),
        "opacity": 0.5,
        "visible": visible,
    }
    return LayerData(labels, attributes, "labels")


def blank_layer(layer: Layer, image: str, shape: tuple[int, int]) -> LayerData:
    """Return a layer that is there without anything in it, for another image."""
    role, name = key(layer)  # type: ignore[misc]
    attributes = {"name": layer.name, "metadata": metadata(role, image, name)}
    kind: Literal["image", "labels"] = (
        "labels" if isinstance(layer, LabelsLayer) else "image"
    )
    return LayerData(np.zeros(shape, layer.data.dtype), attributes, kind)


def pseudo_layer(
    project: "Project", image: str, labels: np.ndarray, visible: bool = False
) -> LayerData:
    """Return what the network gave itself to learn from; nobody can paint in it."""
    attributes = {
        "name": "pseudo labels",
        "metadata": written(project, metadata("pseudo", image)),
        "colormap": class_colours(project.classes),
        "opacity": 0.45,
        "visible": visible,
    }
    return LayerData(labels, attributes, "labels")


def lit_layer(image: str, region_map: RegionMap, lit: Iterable[int]) -> LayerData:
    """Return some regions of the image, by id: 1 inside, 2 where another one begins."""
    table = np.zeros(int(region_map.max()) + 1, np.uint8)
    table[list(lit)] = 1
    shown = table[region_map]
    shown[1:] += shown[1:] & (region_map[1:] != region_map[:-1])
    beside = region_map[:, 1:] != region_map[:, :-1]
    shown[:, 1:] = np.where(beside & (shown[:, 1:] > 0), 2, shown[:, 1:])
    clear = (0, 0, 0, 0)
    attributes = {
        "name": "lit regions",
        "metadata": metadata("lit", image),
        "colormap": DirectLabelColormap(
            color_dict={None: clear, 0: clear, 1: LIT, 2: LIT_EDGE}
        ),
        "opacity": 0.6,
    }
    return LayerData(shown, attributes, "labels")


def outline_layer(image: str, outlines: Outlines) -> LayerData:
    """Return the asked regions as outlines: white now, yellow waiting, grey done."""
    asked = outlines.waiting | outlines.done
    largest = int(outlines.region_map.max())
    kept = np.zeros(largest + 1, np.int32)
    kept[list(asked)] = list(asked)
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    colours |= dict.fromkeys(outlines.done, DONE)
    colours |= dict.fromkeys(outlines.waiting, WAITING)
    if outlines.current is not None:
        colours[outlines.current] = CURRENT
    attributes = {
        "name": "asked regions",
        "metadata": metadata("regions", image),
        "colormap": DirectLabelColormap(color_dict=colours),
        "opacity": 1.0,
    }
    return LayerData(kept[outlines.region_map], attributes, "labels")


def key(layer: Layer) -> Key | None:
    """Return what a layer of ours is for; None for any other layer."""
    entry = layer.metadata.get(KEY)
    return (entry["role"], entry["name"]) if entry else None


def find(viewer: "Viewer", role: Role, name: str = "") -> Layer | None:
    """Return the layer that plays a role, or None."""
    for layer in viewer.layers:
        if key(layer) == (role, name):
            return layer
    return None


def of_role(viewer: "Viewer", role: Role) -> list[Layer]:
    """Return all layers that play a role: all maps, or a layer and its copies."""
    return [layer for layer in ours(viewer) if key(layer)[0] == role]  # type: ignore[index]


def ours(viewer: "Viewer") -> list[Layer]:
    """Return all layers that this plugin made."""
    return [layer for layer in viewer.layers if KEY in layer.metadata]
