"""Which classes there are: their names, colours and keys."""

import colorsys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from napari_alseg.arrays import MAXIMUM_CLASSES, LabelClass
from napari_alseg.errors import BadClasses

RESERVED_KEYS = "adswch"
"""Keys of the window that no class can have."""

KEYS = "1234567890qrtyuigjkon"
"""Default keys of the classes: digits, then letters that are free: napari takes
E P F L Z M X B and V, moving between regions takes A D S W C H."""

OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Colours that people with any colour vision tell apart (Okabe and Ito, 2008), without
the black, which would be lost on a dark image."""

Colour = tuple[int, int, int]
Item = TypeVar("Item", bound=int | str)


def colours(count: int) -> tuple[Colour, ...]:
    """Return so many different colours: Okabe and Ito's seven, then hues far apart.

    Examples
    --------
    >>> colours(2)
    ((230, 159, 0), (86, 180, 233))
    """
    found = dict.fromkeys(OKABE_ITO)
    step = 0
    while len(found) < count:
        hue = step * 0.618034 % 1.0  # the golden ratio never comes back to a hue
        value, saturation = (1.0, 0.75, 0.55)[step % 3], (0.55, 0.85)[step % 2]
        red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
        found[round(red * 255), round(green * 255), round(blue * 255)] = None
        step += 1
    return tuple(found)[:count]


def default_classes(names: Iterable[str]) -> tuple[LabelClass, ...]:
    """Classes of these names with colours and keys given to them.

    Raises
    ------
    BadClasses
        If a name comes twice or is empty, or there are fewer than two.

    Examples
    --------
    >>> default_classes(["cell", "background"])[0]
    LabelClass(name='cell', colour=(230, 159, 0), key='1')
    """
    names = list(names)
    keys = default_keys(len(names))
    classes = tuple(map(LabelClass, names, colours(len(names)), keys))
    check_classes(classes, "the list of classes")
    return classes


def default_keys(count: int) -> tuple[str, ...]:
    """Return keys for so many classes.

    Those beyond the keys there are get none.
    """
    return tuple(KEYS[:count]) + ("",) * (count - len(KEYS))


def check_classes(classes: Sequence[LabelClass], where: str) -> None:
    """See that classes can be told apart by name and by key.

    Raises
    ------
    BadClasses
        Saying in which table, and what is wrong.
    """
    if not 2 <= len(classes) <= MAXIMUM_CLASSES:
        given = f"{len(classes)} class{'' if len(classes) == 1 else 'es'}"
        raise BadClasses(
            f"{where} has {given}; give 2 to {MAXIMUM_CLASSES} (what is "
            "none of the things you look for is a class, too: 'background')"
        )
    if not all(entry.name.strip() for entry in classes):
        raise BadClasses(f"{where} has a class without a name; name each class")
    for name in duplicates([entry.name for entry in classes]):
        raise BadClasses(f"{where} has the class {name!r} twice; rename one")
    for key in duplicates([entry.key.casefold() for entry in classes if entry.key]):
        raise BadClasses(f"{where} gives the key {key!r} twice; change one")
    for entry in classes:
        if entry.key and not _is_free(entry.key):
            raise BadClasses(
                f"{where} gives {entry.name!r} the key {entry.key!r}; a key is one "
                f"character, and {' '.join(RESERVED_KEYS.upper())} move between regions"
            )
    for entry in classes:
        if len(entry.colour) != 3 or not all(0 <= part <= 255 for part in entry.colour):
            raise BadClasses(
                f"{where} gives {entry.name!r} the colour {entry.colour}; "
                "red, green and blue are 0 to 255"
            )


def _is_free(key: str) -> bool:
    one = len(key) == 1 and key.isprintable() and not key.isspace()
    return one and key.casefold() not in RESERVED_KEYS


def duplicates(items: Iterable[Item]) -> Iterator[Item]:
    """Items that were there before."""
    seen: set[Item] = set()
    for item in items:
        if item in seen:
            yield item
        seen.add(item)
