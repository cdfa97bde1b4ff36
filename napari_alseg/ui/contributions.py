"""Sample data, reader and writer for napari's own menus."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from napari.types import LayerDataTuple

from napari_alseg.errors import BadValue
from napari_alseg.sample_data import CLASSES, scenes

from .layers import class_colours


def sample_scenes() -> list[LayerDataTuple]:
    """Return six drawn scenes with the truth of every pixel, as two layers."""
    drawn = list(scenes(6))
    images = np.stack([scene.image for scene in drawn])
    labels = np.stack([scene.labels for scene in drawn])
    return [
        (images, {"name": "drawn scenes", "rgb": True}, "image"),
        (
            labels,
            {"name": "truth", "colormap": class_colours(CLASSES), "opacity": 0.5},
            "labels",
        ),
    ]


def get_reader(path: str | list[str]) -> Callable[[Any], list[LayerDataTuple]] | None:
    """Return a reader for a project folder, None for anything else."""
    if isinstance(path, list) or not (Path(path) / "ledger.sqlite").is_file():
        return None
    return _read_project


def _read_project(path: str) -> list[LayerDataTuple]:
    """Open the dock on a project; the dock makes the layers."""
    import napari

    from .commands import open_dock

    viewer = napari.current_viewer()
    if viewer is not None:
        dock = open_dock(viewer)
        dock.attempt(dock.open_project, Path(path))
    return [(None,)]  # napari's way to say: read, but nothing to add


def write_mask(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer as an 8-bit index PNG."""
    labels = np.asarray(data)
    if labels.ndim != 2 or labels.max(initial=0) > 255:
        raise BadValue(
            f"an index PNG holds one plane of values 0..255; {attributes['name']} has "
            f"shape {labels.shape} and values up to {labels.max(initial=0)}"
        )
    imageio.imwrite(path, labels.astype(np.uint8), extension=".png")
    return [path]
