"""The layers of napari follow what is wanted; only what differs is changed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap

from . import frames
from .layers import KEY, ROLES, SMALL_IMAGE, LayerData, Role, find, key, of_role, ours

if TYPE_CHECKING:
    from napari.viewer import Viewer

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


def visible(viewer: "Viewer", wanted: LayerData) -> bool:
    """Whether a wanted layer is to be seen, by its eye if it is there."""
    layer = find(viewer, *wanted.key)
    if layer is not None:
        return bool(layer.visible)
    return bool(wanted.attributes.get("visible", True))


def contour(shape: tuple[int, ...]) -> int:
    """Width of outlines, in pixels of the image.

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
    """Whether two colour maps of labels are equal.

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
