"""The rules that a table of classes, or the names of classes alone, suggest."""

from typing import NamedTuple

from .masks import MaskRule
from .tables import ClassTable


class Reading(NamedTuple):
    """A rule that fits, and its word."""

    word: str
    rule: MaskRule


def value_rule(table: ClassTable) -> MaskRule:
    """Rule by the values of a table, and by nothing else."""
    return MaskRule("value", dict(table.labels_of_values))  # type: ignore[arg-type]


def colour_rule(table: ClassTable) -> MaskRule | None:
    """Rule by the colours of a table.

    None if it has none.

    A colour of two classes tells nothing and is left out.
    """
    told = {
        colour: min(labels)
        for colour, labels in table.labels_of_colours.items()
        if len(labels) == 1
    }
    return MaskRule("colour", told) if told else None  # type: ignore[arg-type]


def from_0(table: ClassTable) -> MaskRule:
    """Rule by which 0 is the first class."""
    return MaskRule("value", {at: at + 1 for at in range(len(table.classes))})


def from_1(table: ClassTable) -> MaskRule:
    """Rule by which 1 is the first class, and 0 none."""
    return MaskRule("value", {at: at for at in range(len(table.classes) + 1)})


def object_rule() -> MaskRule:
    """Rule by which each value above 0 is an object of the second class."""
    return MaskRule("value", {0: 1}, other=2)
