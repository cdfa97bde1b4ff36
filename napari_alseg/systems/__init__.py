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
    WINDOWS,
    Acquisition,
    Choice,
    Partition,
    acquisition,
    live_maps,
    maps,
)
from .resolve import (
    PARAMETERS,
    completed,
    for_lightweight_head,
    needs,
    parameters,
    refuse_unfit_budget,
)
from .table import SYSTEMS, System, recipe_after, system

__all__ = [
    "ACQUISITIONS",
    "CHOICES",
    "OF_NEED",
    "PARAMETERS",
    "PARTITIONS",
    "SYSTEMS",
    "WINDOWS",
    "Acquisition",
    "Choice",
    "Partition",
    "System",
    "acquisition",
    "completed",
    "described",
    "for_lightweight_head",
    "live_maps",
    "maps",
    "needs",
    "parameters",
    "recipe_after",
    "refuse_unfit_budget",
    "scoring_cost",
    "system",
]
