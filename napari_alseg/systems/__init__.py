"""The tables of ways to ask: systems, and the parts they are made of.

A system is four independent choices: a partition (what a region is), an acquisition
(how much it is worth asking), a choice (which regions, within the budget) and a recipe
(how the network learns). A row only names a good combination; `resolve` lets any part
or parameter differ from it. The same names serve the menu, the command line and the
API. Reading these tables loads no torch: the functions behind a name are looked up
when they are used.
"""

from .describe import described, scoring_cost
from .parts import (
    ACQUISITIONS,
    CHOICES,
    OF_NEED,
    PARTITIONS,
    Acquisition,
    Choice,
    Partition,
    acquisition,
    live_maps,
    look_up,
    maps,
)
from .query import Query
from .recipes import RECIPES, Recipe, recipe
from .resolve import PARAMETERS, parameters, resolve
from .table import SYSTEMS, System, recipe_after, system

__all__ = [
    "ACQUISITIONS",
    "CHOICES",
    "OF_NEED",
    "PARAMETERS",
    "PARTITIONS",
    "RECIPES",
    "SYSTEMS",
    "Acquisition",
    "Choice",
    "Partition",
    "Query",
    "Recipe",
    "System",
    "acquisition",
    "described",
    "live_maps",
    "look_up",
    "maps",
    "parameters",
    "recipe",
    "recipe_after",
    "resolve",
    "scoring_cost",
    "system",
]
