"""How an image is shown: a colour picture as one layer, other channels as one each."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .layers import LayerData, Role, metadata

if TYPE_CHECKING:
    from napari_alseg.store import ImageInfo, Project

TWO = ("magenta", "green")
MORE = ("cyan", "yellow", "magenta", "red", "green", "blue")
"""Colours that napari gives two channels, and more."""


def image_layers(
    project: "Project", image: str, composite: bool = False
) -> list[LayerData]:
    """Return the layers of an image, the lowest first.

    Parameters
    ----------
    project : Project
    image : str
    composite : bool
        One layer whatever the channels: as networks see them.
    """
    info = project.images.info(image)
    if composite and len(info.channels) > 1:
        return [_layer(info, 0, project.images.read(image), rgb=True)]
    if info.colour:
        shown = project.images.read_shown(image)
        first = _layer(info, 0, np.ascontiguousarray(shown[..., :3]), rgb=True)
        return [first, *_channels(project, info, start=3)]
    return _channels(project, info, start=0)


def _channels(project: "Project", info: "ImageInfo", start: int) -> list[LayerData]:
    """Return one layer a channel, each in its own numbers and window."""
    if start >= len(info.channels):
        return []
    pixels = project.images.read_original(info.id)
    return [
        _layer(info, at, np.ascontiguousarray(pixels[..., at]))
        for at in range(start, len(info.channels))
    ]


def _layer(
    info: "ImageInfo", at: int, pixels: np.ndarray, rgb: bool = False
) -> LayerData:
    """Return the layer of a channel; the first one is the image to all else."""
    several = len(info.channels) > 1 and not rgb
    name = f"{info.id} {info.channels[at]}" if several else info.id
    role: Role = "channel" if at else "image"
    attributes: dict[str, Any] = {
        "name": name,
        "metadata": metadata(role, info.id, info.channels[at] if at else ""),
        "rgb": rgb,
    }
    if not rgb:
        attributes["contrast_limits"] = info.windows[at]
    if several:
        attributes["colormap"] = _colour(at, len(info.channels))
        attributes["blending"] = "additive" if at else "translucent_no_depth"
        attributes["visible"] = not (at and info.colour)
    return LayerData(pixels, attributes, "image")


def _colour(at: int, count: int) -> str:
    colours = TWO if count == 2 else MORE
    return colours[at % len(colours)]
