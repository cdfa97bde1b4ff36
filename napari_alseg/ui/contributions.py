"""Sample data, reader and writer for napari's own menus."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.types import LayerDataTuple
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from napari_alseg.errors import BadValue, CannotWrite
from napari_alseg.sample_data import CLASSES, scenes
from napari_alseg.store import MARK, MARKED_LABELS

from .canvas.layers import KEY, class_colours
from .drops import LEDGER, is_project

MOST = 65_535


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
    """Return a reader for a project, named by its folder or its ledger, else None."""
    if isinstance(path, list) or _project_at(path) is None:
        return None
    return _read_project


def _project_at(path: str) -> Path | None:
    named = Path(path)
    folder = named.parent if named.name == LEDGER else named
    return folder if is_project(folder) else None


def _read_project(path: str) -> list[LayerDataTuple]:
    """Open the dock on a project; the dock makes the layers."""
    import napari

    from .commands import open_dock

    viewer, project = napari.current_viewer(), _project_at(path)
    if viewer is not None and project is not None:
        dock = open_dock(viewer)
        dock.attempt(dock.open_project, project)
    return [(None,)]  # napari's way to say: read, but nothing to add


def write_mask(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer as a PNG of one value a pixel, of 8 or 16 bits.

    Layers of ours may say which value stands for which label; then these are written.
    What the values mean is noted in the file, so that it is read back rightly.

    Parameters
    ----------
    path : str
        Ends in ``.png``.
    data : array (row, column)
    attributes : dict
        Of the layer; ``metadata["napari_alseg"]`` may map labels to ``"values"`` and
        name the ``"classes"``.

    Raises
    ------
    BadValue
        If a PNG does not hold the shape or the values; then no file is written.
    """
    entry = attributes.get("metadata", {}).get(KEY, {})
    values = entry.get("values")
    written = np.asarray(data) if values is None else _mapped(np.asarray(data), values)
    note = PngInfo()
    note.add_text(MARK, _meaning(values, entry.get("classes", ())))
    picture = Picture.fromarray(_of_png(written, attributes.get("name", "the layer")))
    partial = Path(f"{path}.partial")
    try:
        picture.save(partial, "PNG", pnginfo=note)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CannotWrite(f"{path} cannot be written: {error}") from error
    return [path]


def _meaning(values: Mapping[int, int] | None, classes: Sequence[str]) -> str:
    """Return what our reader of masks needs to know of the values.

    Examples
    --------
    >>> _meaning({0: 255, 1: 0, 2: 1}, ["sky", "car"])
    '{"255": "", "0": "sky", "1": "car"}'
    """
    if values is None:
        return MARKED_LABELS
    names = ("", *classes)
    return json.dumps({str(value): names[label] for label, value in values.items()})


def _mapped(labels: np.ndarray, values: Mapping[int, int]) -> np.ndarray:
    """Return the value of each label; a label without one is an error."""
    there, places = np.unique(labels, return_inverse=True)
    missing = [int(label) for label in there if int(label) not in values]
    if missing:
        raise BadValue(
            f"labels {missing} have no value in this project; give them a class first"
        )
    found = np.array([values[int(label)] for label in there], np.int64)
    return found[places].reshape(labels.shape)


def _of_png(labels: np.ndarray, name: str) -> np.ndarray:
    """Labels in the smallest numbers that a PNG knows.

    Examples
    --------
    >>> [_of_png(np.array([[high]]), "mask").dtype.name for high in (255, 256)]
    ['uint8', 'uint16']
    """
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if labels.ndim != 2 or not labels.size or low < 0 or high > MOST:
        raise BadValue(
            f"{name} has shape {labels.shape} and values {low} to {high}; a PNG holds "
            f"one plane of values 0 to {MOST}. Save it as TIFF"
        )
    return labels.astype(np.uint8 if high <= 255 else np.uint16)
