"""Projects that are made, and what is left beside them."""

import tifffile
from PIL import Image

from napari_alseg.store import (
    ClassTable,
    default_classes,
)

TABLE = ClassTable.of(default_classes(["sky", "road"]))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


def left_behind(path):
    """What an import left in the folder of a project."""
    return [p.name for p in path.parent.iterdir() if p.name.endswith((".alseg", "al"))]
