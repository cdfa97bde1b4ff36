"""The labelling project on disk: images, labels, the ledger, weights, importing."""

from .classes import (
    ClassTable,
    check_classes,
    default_classes,
    read_classes,
    write_classes,
)
from .creating import (
    class_table,
    create_from_arrays,
    create_from_folder,
    domain,
    paired,
    swept_on_failure,
)
from .importing import image_files, pair_masks, read_image, read_mask
from .ledger import Cost, Event, ImageInfo
from .naming import stem
from .opening import writing
from .project import PSEUDO_WEIGHT, Project, Split

__all__ = [
    "PSEUDO_WEIGHT",
    "ClassTable",
    "Cost",
    "Event",
    "ImageInfo",
    "Project",
    "Split",
    "check_classes",
    "class_table",
    "create_from_arrays",
    "create_from_folder",
    "default_classes",
    "domain",
    "image_files",
    "pair_masks",
    "paired",
    "read_classes",
    "read_image",
    "read_mask",
    "stem",
    "swept_on_failure",
    "write_classes",
    "writing",
]
