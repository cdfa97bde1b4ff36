"""What napari shows of one image: computed from the project, then applied.

Functions named ``..._layer`` only compute; `apply` and `draw` change what differs.
Layers are found by the role in their metadata, never by name: users may rename, reorder
and restyle them.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_alseg.arrays import LabelClass, RegionMap

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_alseg.store import Project

Role = Literal["image", "map", "prediction", "annotation", "regions"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From bottom to top."""
KEY = "napari_alseg"

CURRENT = (1.0, 1.0, 1.0, 1.0)
WAITING = (0.94, 0.89, 0.26, 1.0)
DONE = (0.35, 0.35, 0.35, 1.0)
SMALL_IMAGE = 300
"""Up to this size, an outline of two pixels would hide a small region."""
"""White is asked now, yellow waits, grey is done: also for colour-blind eyes."""


class LayerData(NamedTuple):
    """A layer as napari takes it: array, attributes, kind."""

    data: np.ndarray
    attributes: dict[str, Any]
    kind: Literal["image", "labels"]

    @property
    def role(self) -> Role:
        """What the layer is for."""
        role: Role = self.attributes["metadata"][KEY]["role"]
        return role


class Outlines(NamedTuple):
    """Asked regions of the shown image, by id in their region map."""

    region_map: RegionMap
    waiting: frozenset[int]
    done: frozenset[int]
    current: int | None


def _metadata(role: Role, image: str) -> dict[str, Any]:
    return {KEY: {"role": role, "image": image}}


def class_colours(classes: Iterable[LabelClass]) -> DirectLabelColormap:
    """Return napari's colours of label values 0..C; 0 is transparent."""
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    for value, entry in enumerate(classes, 1):
        colours[value] = (*(channel / 255 for channel in entry.colour), 1.0)
    return DirectLabelColormap(color_dict=colours)


def image_layer(project: "Project", image: str) -> LayerData:
    """Return the original pixels, shown within the stored intensity window."""
    pixels = project.read_original(image)
    attributes: dict[str, Any] = {
        "name": image,
        "metadata": _metadata("image", image),
        "rgb": pixels.shape[2] == 3,
    }
    if not attributes["rgb"]:
        pixels = pixels[..., 0]
        attributes["contrast_limits"] = project.info(image).window
    elif pixels.dtype != np.uint8:  # napari shows only 8-bit or 0..1 colours
        pixels = project.read_image(image)
    return LayerData(pixels, attributes, "image")


def annotation_layer(project: "Project", image: str) -> LayerData:
    """Return the labels of the image, for the brush."""
    attributes = {
        "name": "annotation",
        "metadata": _metadata("annotation", image),
        "colormap": class_colours(project.classes),
        "opacity": 0.55,
        "features": {
            "index": range(len(project.classes) + 1),
            "class": ["unlabelled", *(entry.name for entry in project.classes)],
        },
    }
    return LayerData(project.read_labels(image), attributes, "labels")


def map_layer(image: str, name: str, score: np.ndarray) -> LayerData:
    """Return a score map; napari's own controls change its colours and contrast."""
    attributes = {
        "name": f"{name} map",
        "metadata": _metadata("map", image) | {"map": name},
        "colormap": "inferno",
        "blending": "translucent_no_depth",
        "opacity": 0.7,
        "visible": False,
        "contrast_limits": _limits(score),
    }
    return LayerData(score, attributes, "image")


def _limits(score: np.ndarray) -> tuple[float, float]:
    """Return 0 to 1 where the scores lie in it, else their own range."""
    low, high = float(score.min(initial=0.0)), float(score.max(initial=0.0))
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-6))


def prediction_layer(project: "Project", image: str, labels: np.ndarray) -> LayerData:
    """Return what the network sees, in the colours of the classes."""
    attributes = {
        "name": "prediction",
        "metadata": _metadata("prediction", image),
        "colormap": class_colours(project.classes),
        "opacity": 0.5,
        "visible": False,
    }
    return LayerData(labels, attributes, "labels")


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
        "metadata": _metadata("regions", image),
        "colormap": DirectLabelColormap(color_dict=colours),
        "opacity": 1.0,
    }
    return LayerData(kept[outlines.region_map], attributes, "labels")


def find(viewer: "Viewer", role: Role) -> Layer | None:
    """Return the layer that plays a role, or None."""
    for layer in viewer.layers:
        if layer.metadata.get(KEY, {}).get("role") == role:
            return layer
    return None


def ours(viewer: "Viewer") -> list[Layer]:
    """Return all layers that this plugin made."""
    return [layer for layer in viewer.layers if KEY in layer.metadata]


KEPT_BY_USER = ("opacity", "visible", "blending")
"""Attributes set when a layer is made and then left to the user."""


def apply(viewer: "Viewer", wanted: list[LayerData]) -> None:
    """Make the viewer show exactly these layers of ours, changing only what differs."""
    roles = {layer_data.role for layer_data in wanted}
    for layer in ours(viewer):
        if layer.metadata[KEY]["role"] not in roles:
            viewer.layers.remove(layer)
    for layer_data in wanted:
        draw(viewer, layer_data)


def draw(viewer: "Viewer", wanted: LayerData) -> Layer:
    """Show one layer, in the layer that has its role or in a new one."""
    layer = find(viewer, wanted.role)
    if layer is not None and _fits(layer, wanted):
        _update(layer, wanted)
        return layer
    position = _position(viewer, wanted.role)
    if layer is not None:
        viewer.layers.remove(layer)
    kind = ImageLayer if wanted.kind == "image" else LabelsLayer
    made = kind(wanted.data, **wanted.attributes)
    if wanted.role == "regions":
        made.contour = contour(wanted.data.shape)  # no argument in napari 0.9
    viewer.layers.insert(position, made)
    return made


def contour(shape: tuple[int, ...]) -> int:
    """Return the width of outlines, in pixels of the image.

    Examples
    --------
    >>> contour((144, 192)), contour((360, 480))
    (1, 2)
    """
    return 1 if max(shape) <= SMALL_IMAGE else 2


def _position(viewer: "Viewer", role: Role) -> int:
    """Return where a new layer goes: above the roles drawn before its own."""
    below = ROLES[: ROLES.index(role)]
    indices = [
        index
        for index, layer in enumerate(viewer.layers)
        if layer.metadata.get(KEY, {}).get("role") in below
    ]
    return max(indices) + 1 if indices else 0


def _fits(layer: Layer, wanted: LayerData) -> bool:
    """Whether the layer can show the wanted data; colour images differ from grey."""
    same_rgb = getattr(layer, "rgb", False) == wanted.attributes.get("rgb", False)
    return same_rgb and layer.data.dtype == wanted.data.dtype


def _update(layer: Layer, wanted: LayerData) -> None:
    """Give a layer new data, name and colours; what the user chose stays."""
    moved = layer.metadata != wanted.attributes["metadata"]
    layer.data = wanted.data
    for name, value in wanted.attributes.items():
        if name in KEPT_BY_USER or name == "rgb":
            continue
        if name == "name" and not moved:
            continue  # the user may have renamed it
        if name == "colormap" and wanted.kind == "image":
            continue
        setattr(layer, name, value)
