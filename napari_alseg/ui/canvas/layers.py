"""What napari shows of one image: computed from the project, then applied.

Functions named ``..._layer`` only compute; `apply` and `draw` change what differs.
Layers are found by the key in their metadata - a role, and the name of a map or of a
cell - never by their own name: users may rename, reorder and restyle them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap

from napari_alseg.arrays import LabelClass, RegionMap
from napari_alseg.store import PSEUDO_WEIGHT

from . import frames

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
        """Return the same layer for another cell, side by side."""
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
    """Return napari's colours of label values 0..C; 0 is transparent."""
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    for value, entry in enumerate(classes, 1):
        colours[value] = (*(channel / 255 for channel in entry.colour), 1.0)
    return DirectLabelColormap(color_dict=colours)


def annotation_layer(project: "Project", image: str) -> LayerData:
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
    return LayerData(project.read_labels(image), attributes, "labels")


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


READ_ONLY = ("pseudo",)
"""Roles of labels that are only looked at."""
KEPT_BY_USER = ("opacity", "visible", "blending", "rgb")
"""Attributes set when a layer is made and then left to the user."""
FOLLOWED = ("name", "contrast_limits")
"""Attributes that change with the image, unless the user has changed them."""
LINKED = {
    "map": ("opacity",),
    "image": ("colormap", "contrast_limits", "gamma", "opacity"),
    "lit": ("opacity",),
    "regions": ("opacity", "visible"),
}
"""What layers of one role have in common, whichever of them the user changes."""


@contextmanager
def at_once(viewer: "Viewer", wanted: list[LayerData]) -> Iterator[None]:
    """Let the canvas follow only at the end, if layers come, go or change places.

    Each change costs it tenths of a second, and so does this, but once.
    """
    there = {key(layer): layer for layer in ours(viewer)}
    if {*there} == {entry.key for entry in wanted} and all(
        _fits(there[entry.key], entry) for entry in wanted
    ):
        yield
        return
    with batch(viewer):
        yield


@contextmanager
def batch(viewer: "Viewer") -> Iterator[None]:
    """Let the canvas follow only at the end, and have OpenGL ready for it then.

    New layers may be added in a batch; layers that stay are changed after it, since
    what is on its way to the graphics card must not meet the deletion of others.
    """
    with viewer.layers.batched_update():
        try:
            yield
        finally:
            frames.make_current(viewer)


def apply(viewer: "Viewer", wanted: list[LayerData]) -> None:
    """Make the viewer show exactly these layers of ours, changing only what differs."""
    with at_once(viewer, wanted):
        arrange(viewer, wanted)
    update(viewer, wanted)


def arrange(viewer: "Viewer", wanted: list[LayerData]) -> None:
    """Add and remove layers of ours until those wanted are there, and no others."""
    fitting = {entry.key: entry for entry in wanted}
    for layer in ours(viewer):
        entry = fitting.get(key(layer))  # type: ignore[arg-type]
        if entry is None or not _fits(layer, entry):
            remove(viewer, layer)
    for entry in wanted:
        if find(viewer, *entry.key) is None:
            _add(viewer, entry)


def update(viewer: "Viewer", wanted: list[LayerData]) -> None:
    """Show what is wanted in layers that are there; no layer comes or goes."""
    for entry in wanted:
        layer = find(viewer, *entry.key)
        if layer is not None:
            _update(layer, entry)
    for role, attributes in LINKED.items():
        together = of_role(viewer, role)  # type: ignore[arg-type]
        if len(together) > 1:
            viewer.layers.link_layers(together, attributes)


def remove(viewer: "Viewer", layer: Layer) -> None:
    """Take a layer away, and its links, which would keep it alive."""
    viewer.layers.unlink_layers([layer])
    viewer.layers.remove(layer)


def draw(viewer: "Viewer", wanted: LayerData) -> Layer:
    """Show one layer, in the layer that has its key or in a new one."""
    layer = find(viewer, *wanted.key)
    if layer is not None and _fits(layer, wanted):
        _update(layer, wanted)
        return layer
    if layer is not None:
        remove(viewer, layer)
    return _add(viewer, wanted)


def _add(viewer: "Viewer", wanted: LayerData) -> Layer:
    kind = ImageLayer if wanted.kind == "image" else LabelsLayer
    made = kind(wanted.data, **wanted.attributes)
    role = wanted.key[0]  # what follows are no arguments in napari 0.9
    if role == "regions":
        made.contour = contour(wanted.data.shape)
    made.editable = role not in READ_ONLY
    viewer.layers.insert(place(viewer.layers, wanted.key[0]), made)
    _note_given(made)
    return made


def redraw(viewer: "Viewer", wanted: LayerData) -> None:
    """Give a layer that is there, and its copies, new data."""
    for layer in of_role(viewer, wanted.key[0]):
        name = layer.metadata[KEY]["name"]
        _update(layer, wanted.copy_for(name) if name else wanted)


def contour(shape: tuple[int, ...]) -> int:
    """Return the width of outlines, in pixels of the image.

    Examples
    --------
    >>> contour((144, 192)), contour((360, 480))
    (1, 2)
    """
    return 1 if max(shape) <= SMALL_IMAGE else 2


def place(order: Sequence[Layer], role: Role) -> int:
    """Return where a new layer goes: above the roles drawn before its own, and it."""
    below = ROLES[: ROLES.index(role) + 1]
    indices = [
        index
        for index, layer in enumerate(order)
        if layer.metadata.get(KEY, {}).get("role") in below
    ]
    return max(indices, default=-1) + 1


def reorder(viewer: "Viewer", wanted: list[Layer]) -> None:
    """Put layers at the bottom of the list, in this order; others stay above them."""
    there = [layer for layer in wanted if layer in viewer.layers]
    for index, layer in enumerate(there):  # napari's move_multiple misplaces some
        viewer.layers.move(viewer.layers.index(layer), index)


def _fits(layer: Layer, wanted: LayerData) -> bool:
    """Whether the layer can show the wanted data; colour images differ from grey."""
    same_rgb = getattr(layer, "rgb", False) == wanted.attributes.get("rgb", False)
    return same_rgb and layer.data.dtype == wanted.data.dtype


def _update(layer: Layer, wanted: LayerData) -> None:
    """Give a layer new data, name and colours; what the user chose stays."""
    entry = layer.metadata[KEY]
    chosen = {
        name for name in FOLLOWED if _value(layer, name) != entry["given"].get(name)
    }
    if (
        wanted.key[0] in ("image", "channel")
        and entry["image"] != (wanted.attributes["metadata"][KEY]["image"])
    ):
        chosen.discard("contrast_limits")  # another image, another range of values
    _set_data(layer, wanted.data)
    for name, value in wanted.attributes.items():
        if name in KEPT_BY_USER or name in chosen:
            continue
        if name == "colormap" and (
            wanted.kind == "image" or same_colours(layer.colormap, value)
        ):
            continue
        setattr(layer, name, value)
    if wanted.key[0] in READ_ONLY:
        layer.editable = False  # new data make it editable again
    _note_given(layer, entry["given"], chosen)


def _set_data(layer: Layer, data: np.ndarray) -> None:
    """Give a layer new data; labels of the same shape in place.

    With a new array, napari sends the colours of labels to the graphics card anew.
    """
    if layer.data is data:
        return
    if isinstance(layer, LabelsLayer) and layer.data.shape == data.shape:
        layer.data[...] = data
        layer.refresh(extent=False)
    else:
        layer.data = data


def same_colours(one: Any, other: Any) -> bool:
    """Whether two direct colour maps of labels are the same.

    Examples
    --------
    >>> red, blue = ({None: "black", 1: colour} for colour in ("red", "blue"))
    >>> red, blue = (DirectLabelColormap(color_dict=each) for each in (red, blue))
    >>> same_colours(red, red), same_colours(red, blue)
    (True, False)
    """
    if not all(isinstance(each, DirectLabelColormap) for each in (one, other)):
        return False
    ours, theirs = one.color_dict, other.color_dict
    return ours.keys() == theirs.keys() and all(
        np.array_equal(colour, theirs[label]) for label, colour in ours.items()
    )


def _note_given(
    layer: Layer, before: dict[str, Any] | None = None, chosen: Iterable[str] = ()
) -> None:
    """Remember what we gave a layer, to tell what the user changes later."""
    given = {name: _value(layer, name) for name in FOLLOWED}
    kept = {name: (before or {}).get(name) for name in chosen}
    entry = layer.metadata[KEY] | {"given": given | kept}
    layer.metadata = layer.metadata | {KEY: entry}


def _value(layer: Layer, name: str) -> Any:
    value = getattr(layer, name, None)
    return tuple(map(float, value)) if isinstance(value, list | tuple) else value
