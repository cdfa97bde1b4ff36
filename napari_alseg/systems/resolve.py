"""From a name and what was changed of it to a whole query."""

from collections.abc import Iterable
from dataclasses import fields, replace

from napari_alseg.arrays import PredictionField
from napari_alseg.budget import Budget
from napari_alseg.errors import BadValue
from napari_alseg.settings import QuerySettings, check, default

from .parts import (
    ACQUISITIONS,
    CHOICES,
    PARTITIONS,
    WINDOWS,
    Acquisition,
    Choice,
    Partition,
    acquisition,
    look_up,
    maps,
)
from .table import system


def parameters(partition: str, acquisition: str, choice: str) -> tuple[str, ...]:
    """Fields of `QuerySettings` that a combination of parts takes, in their order.

    Raises
    ------
    UnknownName
        If a part is in no table.
    BadValue
        If the parts do not go together.

    Examples
    --------
    >>> parameters("grid", "self-consistency", "top")
    ('pool_share', 'rows', 'columns', 'pooling')
    """
    where = look_up("partition", partition, PARTITIONS)
    what = look_up("acquisition", acquisition, ACQUISITIONS)
    which = look_up("choice", choice, CHOICES)
    _refuse_incompatible_parts(where, what, which)
    taken = {*where.parameters, *what.settings, *which.parameters}
    if choice != "everything":
        taken.add("pool_share")
    if what.of == "pixels" and partition not in WINDOWS:
        taken.add("pooling")
    return tuple(name for name in PARAMETERS if name in taken)


def _refuse_incompatible_parts(
    where: Partition, what: Acquisition, which: Choice
) -> None:
    if what.of == "images" and where.name != "image":
        raise BadValue(
            f"{what.name} gives a number to whole images, not to {where.name}: take "
            "the partition 'image'"
        )
    # Chance gives no map that could be shown, but finds windows as well as regions.
    if where.name in WINDOWS and what.of != "pixels" and what.name != "random":
        raise BadValue(
            f"{where.name} are found where single pixels score high, and {what.name} "
            "does not score pixels: take another partition, or one of the "
            f"acquisitions {', '.join(maps())}"
        )
    if where.name in WINDOWS and which.name in ("diverse", "everything"):
        raise BadValue(
            f"{where.name} cannot be chosen by {which.name!r}: take the choice "
            "'per-image' or 'top'"
        )
    if what.name == "core-set" and which.name not in ("diverse", "everything"):
        raise BadValue(
            "core-set compares regions with one another and has no score to choose "
            f"{which.name!r} by: take the choice 'diverse'"
        )


def refuse_unfit_budget(partition: str, budget: Budget) -> None:
    """Refuse a budget in images where regions are not there before they are scored.

    Raises
    ------
    BadValue
        Naming the units that there are.
    """
    if partition in WINDOWS and budget.unit == "images":
        raise BadValue(
            f"{partition} are asked by regions or pixels, not by images: write "
            f"'40 regions', '1%' or '100 px/image' instead of '{budget}'"
        )


PARAMETERS = tuple(
    entry.name for entry in fields(QuerySettings) if "default" in entry.metadata
)
"""Parameters that a system fills."""


def completed(settings: QuerySettings) -> QuerySettings:
    """Fill in what a query leaves to its system; what does not apply stays None.

    Raises
    ------
    UnknownName
        If the system or a part is in no table.
    BadValue
        If the parts do not go together, a parameter is out of its limits, or one is
        given that this query does not take.

    Examples
    --------
    >>> query = completed(QuerySettings("ripu-pa", radius=16))
    >>> query.partition, query.radius, query.exclusion, query.region_size
    ('pixels', 16, 32, None)
    """
    row = system(settings.system)
    parts = {
        part: getattr(settings, part) or getattr(row, part)
        for part in ("partition", "acquisition", "choice")
    }
    taken = parameters(**parts)
    _refuse_unused_parameters(settings, taken, parts.values())
    special = {**acquisition(parts["acquisition"]).defaults, **row.defaults}
    values = {
        name: special.get(name, default(name))
        for name in taken
        if getattr(settings, name) is None
    }
    return check(replace(settings, **parts, **values))


def needs(query: QuerySettings) -> tuple[PredictionField, ...]:
    """Fields of a `Prediction` that a completed query needs; none without a network.

    Examples
    --------
    >>> needs(completed(QuerySettings("equal")))
    ('probability', 'mirrored')
    >>> needs(completed(QuerySettings("random")))
    ()
    """
    assert query.acquisition is not None
    needed = acquisition(query.acquisition).needs
    if query.choice in ("class-quota", "class-stratified", "foreground"):
        needed += ("probability",)
    if query.choice == "diverse":
        needed += ("features",)
    return tuple(dict.fromkeys(needed))


def for_lightweight_head(query: QuerySettings) -> bool:
    """Whether a lightweight head can give all that a completed query needs.

    Examples
    --------
    >>> for_lightweight_head(completed(QuerySettings("equal")))
    True
    >>> for_lightweight_head(completed(QuerySettings("deal-ds")))
    False
    """
    return "difficulty" not in needs(query)


def _refuse_unused_parameters(
    settings: QuerySettings, taken: Iterable[str], parts: Iterable[str]
) -> None:
    """Refuse a parameter that would have no effect."""
    for name in PARAMETERS:
        if name not in taken and name in settings.parameters():
            raise BadValue(
                f"{name} means nothing to {settings.system} "
                f"({', '.join(parts)}); it takes {', '.join(taken)}"
            )
