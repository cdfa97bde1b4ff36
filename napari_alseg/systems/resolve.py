"""From a name, and what was changed of it, to a whole query."""

from collections.abc import Collection
from dataclasses import fields, replace

from napari_alseg.budget import Budget
from napari_alseg.errors import BadValue
from napari_alseg.settings import QuerySettings, check, default

from .parts import (
    ACQUISITIONS,
    CHOICES,
    PARTITIONS,
    Acquisition,
    Choice,
    Partition,
    look_up,
    maps,
)
from .query import Query
from .table import system

PARAMETERS = tuple(
    entry.name for entry in fields(QuerySettings) if "default" in entry.metadata
)
"""Parameters that a system fills."""


def resolve(settings: QuerySettings) -> Query:
    """Return the whole query of some settings; the system fills what they leave open.

    Raises
    ------
    UnknownName
        If the system or a part is in no table.
    BadValue
        If the parts or the budget do not go together, a parameter is out of its
        limits, or one is given that this query does not take.

    Examples
    --------
    >>> query = resolve(QuerySettings("ripu-pa", radius=16, seed=7))
    >>> query.partition.name, query.seed, query.values["radius"]
    ('pixels', 7, 16)
    >>> query.values["exclusion"], "region_size" in query.values
    (32, False)
    """
    row = system(settings.system)
    where = look_up("partition", settings.partition or row.partition, PARTITIONS)
    what = look_up("acquisition", settings.acquisition or row.acquisition, ACQUISITIONS)
    which = look_up("choice", settings.choice or row.choice, CHOICES)
    taken = parameters(where, what, which)
    _refuse_unused_parameters(settings, taken, (where.name, what.name, which.name))
    special = {**what.defaults, **row.defaults}
    given = {name: getattr(settings, name) for name in taken}
    values = {
        name: special.get(name, default(name)) if value is None else value
        for name, value in given.items()
    }
    check(replace(settings, **values))
    budget = Budget.parse(settings.budget)
    _refuse_unfit_budget(where, budget)
    return Query(row, where, what, which, values, budget, settings.seed)


def parameters(
    partition: Partition, acquisition: Acquisition, choice: Choice
) -> tuple[str, ...]:
    """Fields of `QuerySettings` that a combination of parts takes, in their order.

    Raises
    ------
    BadValue
        If the parts do not go together.

    Examples
    --------
    >>> parameters(
    ...     PARTITIONS["grid"], ACQUISITIONS["self-consistency"], CHOICES["top"]
    ... )
    ('pool_share', 'rows', 'columns', 'pooling')
    """
    _refuse_incompatible_parts(partition, acquisition, choice)
    taken = {*partition.settings, *acquisition.settings, *choice.settings}
    if not choice.takes_all:
        taken.add("pool_share")
    if acquisition.of == "pixels" and not partition.found_by_scores:
        taken.add("pooling")
    return tuple(name for name in PARAMETERS if name in taken)


def _refuse_incompatible_parts(
    where: Partition, what: Acquisition, which: Choice
) -> None:
    if what.of == "images" and not where.whole_images:
        raise BadValue(
            f"{what.name} gives a number to whole images, not to {where.name}: take "
            "the partition 'image'"
        )
    # Chance gives no map that could be shown, but finds windows as well as regions.
    if where.found_by_scores and what.of != "pixels" and not what.by_chance:
        raise BadValue(
            f"{where.name} are found where single pixels score high, and {what.name} "
            "does not score pixels: take another partition, or one of the "
            f"acquisitions {', '.join(maps())}"
        )
    if where.found_by_scores and not which.for_windows:
        raise BadValue(
            f"{where.name} cannot be chosen by {which.name!r}: take the choice "
            "'per-image' or 'top'"
        )
    if what.compares and not (which.compares or which.takes_all):
        raise BadValue(
            f"{what.name} compares regions with one another and has no score to "
            f"choose {which.name!r} by: take the choice 'diverse'"
        )


def _refuse_unfit_budget(partition: Partition, budget: Budget) -> None:
    """Refuse a budget in images where regions are not there before they are scored."""
    if partition.found_by_scores and budget.unit == "images":
        raise BadValue(
            f"{partition.name} are asked by regions or pixels, not by images: write "
            f"'40 regions', '1%' or '100 px/image' instead of '{budget}'"
        )


def _refuse_unused_parameters(
    settings: QuerySettings, taken: Collection[str], parts: Collection[str]
) -> None:
    """Refuse a parameter that would have no effect."""
    for name in PARAMETERS:
        if name not in taken and name in settings.parameters():
            raise BadValue(
                f"{name} means nothing to {settings.system} "
                f"({', '.join(parts)}); it takes {', '.join(taken)}"
            )
