"""The labelling project on disk: images, labels, the ledger, weights, importing."""

from .building import built_beside, refuse_taken
from .classes import check_classes, default_classes
from .creating import (
    add_entry,
    class_table,
    create,
    create_from_arrays,
    create_from_folder,
    domain,
    labels_of,
    paired,
    read_entry,
    read_mask,
    try_entries,
)
from .images import Split
from .importing import (
    ImportPlan,
    ImportReport,
    OpenImage,
    image_files,
    pair,
    plan_folders,
    plan_layers,
    plan_split_folders,
    plural,
)
from .ledger import ImageInfo
from .ledger_events import Event
from .ledger_rounds import Cost
from .mask_readings import find_rule
from .mask_rules import Reading
from .masks import MARK, MARKED_LABELS, MaskRule, apply_rule, facts_of
from .naming import stem
from .outputs import PSEUDO_WEIGHT
from .project import Project
from .reading import Picture, inspect, read_image, read_plane
from .rounds import RoundRecord
from .summary import Summary, summarise
from .tables import ClassTable, Row, read_classes

__all__ = [
    "MARK",
    "MARKED_LABELS",
    "PSEUDO_WEIGHT",
    "ClassTable",
    "Cost",
    "Event",
    "ImageInfo",
    "ImportPlan",
    "ImportReport",
    "MaskRule",
    "OpenImage",
    "Picture",
    "Project",
    "Reading",
    "RoundRecord",
    "Row",
    "Split",
    "Summary",
    "add_entry",
    "apply_rule",
    "built_beside",
    "check_classes",
    "class_table",
    "create",
    "create_from_arrays",
    "create_from_folder",
    "default_classes",
    "domain",
    "facts_of",
    "find_rule",
    "image_files",
    "inspect",
    "labels_of",
    "pair",
    "paired",
    "plan_folders",
    "plan_layers",
    "plan_split_folders",
    "plural",
    "read_classes",
    "read_entry",
    "read_image",
    "read_mask",
    "read_plane",
    "refuse_taken",
    "stem",
    "summarise",
    "try_entries",
]
