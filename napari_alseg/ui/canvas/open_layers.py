"""The open image layers as images of a project; nothing is computed before its turn."""

import re
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer

from napari_alseg.store import OpenImage

from . import layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

NUMBERED = re.compile(r"(.+) \[\d+\]")
"""Names that napari gives the second and later channels of one picture."""


def open_images(viewer: "Viewer") -> dict[str, OpenImage]:
    """Open image layers that are not ours, by name.

    A colour layer is a colour picture; any other layer is grey. Axes before the last
    two are taken apart: each plane is an image. Layers that napari made of the
    channels of one picture are one image again.
    """
    images = [
        layer
        for layer in viewer.layers
        if isinstance(layer, ImageLayer) and layers.KEY not in layer.metadata
    ]
    return {group[0].name: _opened(group) for group in _grouped(images)}


def _grouped(images: list[ImageLayer]) -> Iterator[list[ImageLayer]]:
    """Yield layers, those of one picture together."""
    groups: dict[str, list[ImageLayer]] = {}
    for layer in images:
        found = NUMBERED.fullmatch(layer.name)
        first = groups.get(found[1]) if found else None
        if first is not None and _are_channels(first[0], layer):
            first.append(layer)
        else:
            groups[layer.name] = [layer]
    yield from groups.values()


def _are_channels(first: ImageLayer, other: ImageLayer) -> bool:
    """Whether two layers are channels: alike, and laid over one another by adding."""
    same = _array(first).shape == _array(other).shape and first.dtype == other.dtype
    return bool(same and not first.rgb and other.blending == "additive")


def _array(layer: ImageLayer) -> Any:
    """Array of a layer's largest level, not computed."""
    return layer.data[0] if layer.multiscale else layer.data


def _opened(group: list[ImageLayer]) -> OpenImage:
    arrays, rgb = [_array(layer) for layer in group], bool(group[0].rgb)
    shape = arrays[0].shape[:-1] if rgb else arrays[0].shape
    places = list(product(*(range(size) for size in shape[:-2])))
    names = _channel_names(group, rgb)

    def read(plane: int) -> np.ndarray:
        if rgb:
            return np.asarray(arrays[0][places[plane]])[..., :3]
        return np.dstack([np.asarray(array[places[plane]]) for array in arrays])

    return OpenImage(
        _labels(places),
        (int(shape[-2]), int(shape[-1])),
        names,
        rgb,
        np.dtype(arrays[0].dtype).name,
        read,
        _notes(group, len(places)),
    )


def _channel_names(group: list[ImageLayer], rgb: bool) -> tuple[str, ...]:
    if rgb:
        return ("red", "green", "blue")
    return tuple(layer.name for layer in group) if len(group) > 1 else ("grey",)


def _labels(places: list[tuple[int, ...]]) -> tuple[str, ...]:
    """Label of each plane: its place, counted from 1; none where it is the only one."""
    if len(places) == 1:
        return ("",)
    return tuple("-".join(str(at + 1) for at in place) for place in places)


def _notes(group: list[ImageLayer], planes: int) -> tuple[str, ...]:
    notes = []
    if len(group) > 1:
        notes.append(f"{len(group)} layers are the channels of one image")
    if planes > 1:
        notes.append(f"{planes} planes are images of their own")
    return tuple(notes)
