"""A reading of masks as a person chooses it: one word, or the rule written out."""

import re

from napari_alseg.errors import BadValue

from .masks import Key, MaskRule
from .tables import IGNORED, ClassTable

WORDS = ("values", "colours", "from-0", "from-1", "two-values", "one-hot", "objects")
"""Readings by name; `read_choice` reads rules that are written out."""
LARGEST_SPAN = 2**16


def read_choice(text: str, table: ClassTable) -> MaskRule:
    """Read a rule that is written out: ``0=sky, 1..9=car, other=ignore``.

    Left of each sign stands a value, a span of values, a colour ``#rrggbb`` or
    ``other``; right of it the name of a class, or ``ignore``.

    Raises
    ------
    BadValue
        If it names no class, or mixes values and colours.
    """
    labels: dict[Key, int] = {}
    other: int | None = None
    for part in filter(None, map(str.strip, text.split(","))):
        key, sign, name = (piece.strip() for piece in part.rpartition("="))
        label = _label_of_name(name, table)
        if not sign or label is None:
            raise BadValue(
                f"cannot read {part!r} of {text!r}: give one of {', '.join(WORDS)}, or "
                "VALUE=NAME with the names of your classes or 'ignore', for example "
                f"'0={table.names[0]},1={table.names[-1]},255=ignore'"
            )
        if key == "other":
            other = label
        else:
            labels.update(dict.fromkeys(_parsed(key, text), label))
    if not labels and other is None:
        raise BadValue(f"{text!r} names no class; give one of {', '.join(WORDS)}")
    kinds = {type(key) for key in labels}
    if len(kinds) > 1:
        raise BadValue(f"{text!r} mixes values and colours; give one kind")
    return MaskRule("colour" if kinds == {tuple} else "value", labels, other)


def _label_of_name(name: str, table: ClassTable) -> int | None:
    names = [each.casefold() for each in table.names]
    if name.casefold() in names:  # a class may be called 'void'
        return names.index(name.casefold()) + 1
    return 0 if name.casefold() in IGNORED else None


def _parsed(key: str, text: str) -> list[Key]:
    if found := re.fullmatch(r"#([0-9a-fA-F]{6})", key):
        code = int(found[1], 16)
        return [(code >> 16, code >> 8 & 255, code & 255)]
    if found := re.fullmatch(r"(-?\d{1,6})(?:\.\.(-?\d{1,6}))?", key):
        first, last = int(found[1]), int(found[2] or found[1])
        if first <= last <= first + LARGEST_SPAN:
            return list(range(first, last + 1))
    raise BadValue(
        f"cannot read {key!r} of {text!r}: write a value (0), a span (1..9), a colour "
        "(#ff0000) or 'other'"
    )
