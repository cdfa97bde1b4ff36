"""Maps of scores of one image: float16 arrays beside its labels.

::

    images/<id>/maps/<name>     attributes: round, weights, parameters

``weights`` is the number of the weights that a map was made with; maps of formats 1
and 2 carry none. Every function takes the folder of an image.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_alseg.arrays import ScoreMap

from .ome_zarr import LABEL_AXES, new_array, remove_node


def write_map(
    image_folder: Path,
    name: str,
    scores: ScoreMap,
    round: int,
    weights: int | None,
    parameters: Mapping[str, Any],
) -> None:
    """Write a map of scores as float16.

    What it was made with is written last.
    """
    folder = image_folder / "maps" / name
    try:
        array = zarr.open_array(folder, mode="r+")
    except FileNotFoundError:
        array = new_array(folder, scores.shape, np.dtype(np.float16), LABEL_AXES)
    array[...] = scores.astype(np.float16)
    array.attrs.update(
        {"parameters": dict(parameters), "round": round, "weights": weights}
    )


def remove_map(image_folder: Path, name: str) -> None:
    """Remove a map of scores, if there is one."""
    remove_node(image_folder / "maps" / name)


def map_round(image_folder: Path, name: str) -> int | None:
    """Round of a map, None without a whole one."""
    number: int | None = map_attributes(image_folder, name).get("round")
    return number


def map_attributes(image_folder: Path, name: str) -> dict[str, Any]:
    """Return what a map was made with.

    Nothing if there is none.
    """
    try:
        array = zarr.open_array(image_folder / "maps" / name, mode="r")
    except FileNotFoundError:
        return {}
    return dict(array.attrs)


def read_map(image_folder: Path, name: str) -> ScoreMap | None:
    """Map of scores as float32, None without it."""
    try:
        array = zarr.open_array(image_folder / "maps" / name, mode="r")
    except FileNotFoundError:
        return None
    if "round" not in array.attrs:
        return None
    return np.asarray(array[...]).astype(np.float32)


def map_names(image_folder: Path) -> tuple[str, ...]:
    """Names of the whole maps of an image, sorted."""
    names = sorted(path.parent.name for path in image_folder.glob("maps/*/zarr.json"))
    return tuple(name for name in names if map_round(image_folder, name) is not None)
