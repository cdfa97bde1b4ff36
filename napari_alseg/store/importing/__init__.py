"""From files that people have to a plan of what comes into a project.

`plan_folders` lists folders, pairs images with masks, looks at every file and finds
the one rule of the masks; nothing is written. `creating` carries the plan out.
"""

from .folders import Listing, image_files, list_folder
from .looking import Entry, OpenImage, refuse_any
from .pairing import Pairs, pair
from .planning import ImportPlan, plan_folders, plan_layers, plan_split_folders
from .report import ImportReport, plural

__all__ = [
    "Entry",
    "ImportPlan",
    "ImportReport",
    "Listing",
    "OpenImage",
    "Pairs",
    "image_files",
    "list_folder",
    "pair",
    "plan_folders",
    "plan_layers",
    "plan_split_folders",
    "plural",
    "refuse_any",
]
