"""Which classes there are, and how masks name them: classes.csv and default colours."""

import colorsys
import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from napari_alseg.arrays import MAXIMUM_CLASSES, LabelClass
from napari_alseg.errors import BadClasses

COLUMNS = ("value", "name", "red", "green", "blue")
IGNORED = "ignore"
"""Name of the row of classes.csv that is no class: its pixels have no truth."""

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


@dataclass(frozen=True)
class ClassTable:
    """The classes and the values and colours by which masks name them.

    Label i + 1 is ``classes[i]``, whose pixels have ``values[i]`` or the class's
    colour in a mask. Pixels with ``ignore`` or ``ignore_colour`` stay unlabelled.
    """

    classes: tuple[LabelClass, ...]
    values: tuple[int, ...]
    ignore: int | None = None
    ignore_colour: Colour | None = None

    @classmethod
    def of(cls, classes: Sequence[LabelClass]) -> "ClassTable":
        """Table for classes without a classes.csv.

        A mask then holds labels as this project does: 0 is unlabelled, value v is
        class v.

        Raises
        ------
        BadClasses
            If the classes contradict one another.

        Examples
        --------
        >>> ClassTable.of(default_classes(["cell", "wall"])).values
        (1, 2)
        """
        check_classes(classes, "the list of classes")
        return cls(tuple(classes), tuple(range(1, len(classes) + 1)), ignore=0)

    @property
    def labels_of_values(self) -> dict[int, int]:
        """Label of each value that a mask may hold."""
        labels = {value: label for label, value in enumerate(self.values, start=1)}
        return labels if self.ignore is None else {**labels, self.ignore: 0}

    @property
    def labels_of_colours(self) -> dict[Colour, int]:
        """Label of each colour that a mask may hold."""
        labels = {
            entry.colour: label for label, entry in enumerate(self.classes, start=1)
        }
        return {self.ignore_colour: 0, **labels} if self.ignore_colour else labels


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
    """Return keys for so many classes; those beyond the keys there are get none."""
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


def read_classes(path: str | Path) -> ClassTable:
    """Classes of a classes.csv: columns value, name, red, green, blue, and maybe key.

    The row named 'ignore' is no class: its pixels stay unlabelled.

    Raises
    ------
    BadClasses
        Naming the file and the line: a column is missing, a value is no whole number
        0..65535, a colour is not 0..255, a value, name or key comes twice, or no
        class is left.
    """
    path = Path(path)
    rows = _rows(path)
    values = [_number(path, line, row, "value", 65535) for line, row in rows]
    colours_read = [
        tuple(_number(path, line, row, part, 255) for part in COLUMNS[2:])
        for line, row in rows
    ]
    names = [row["name"].strip() for _, row in rows]
    _refuse_duplicates(path, rows, "value", values)
    _refuse_duplicates(path, rows, "name", names)
    kept = [at for at, name in enumerate(names) if name.lower() != IGNORED]
    given = [(rows[at][1].get("key") or "").strip() for at in kept]
    keys = given if any(given) else default_keys(len(kept))
    classes = [
        LabelClass(names[at], colours_read[at], key)  # type: ignore[arg-type]
        for at, key in zip(kept, keys, strict=True)
    ]
    check_classes(classes, str(path))
    ignored = next((at for at in range(len(rows)) if at not in kept), None)
    return ClassTable(
        tuple(classes),
        tuple(values[at] for at in kept),
        None if ignored is None else values[ignored],
        None if ignored is None else colours_read[ignored],  # type: ignore[arg-type]
    )


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of each row that is not empty."""
    if not path.parent.is_dir():
        raise BadClasses(f"{path.parent} is no folder, so it holds no {path.name}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadClasses(f"{path} cannot be read as a table: {error}") from error
    reader = csv.DictReader(text.splitlines(), restval="")
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise BadClasses(
            f"{path} line 1 lacks {', '.join(missing)}; write "
            f"{','.join(COLUMNS)} as its first line"
        )
    return [(reader.line_num, row) for row in reader]


def _number(path: Path, line: int, row: dict[str, str], column: str, top: int) -> int:
    text = row[column].strip()
    if not text.isdecimal() or int(text) > top:
        raise BadClasses(
            f"{path} line {line}: {column} must be a whole number from 0 to {top}, "
            f"got {text!r}"
        )
    return int(text)


def _refuse_duplicates(
    path: Path,
    rows: list[tuple[int, dict[str, str]]],
    column: str,
    found: Sequence[int | str],
) -> None:
    for item in duplicates(found):
        lines = [
            line for (line, _), other in zip(rows, found, strict=True) if other == item
        ]
        raise BadClasses(
            f"{path} lines {lines[0]} and {lines[1]} have the same {column} {item!r}; "
            "change one"
        )


def write_classes(path: str | Path, table: ClassTable) -> None:
    """Write a table that `read_classes` reads back."""
    rows = [
        (value, entry.name, *entry.colour, entry.key)
        for value, entry in zip(table.values, table.classes, strict=True)
    ]
    if table.ignore is not None:
        rows.append((table.ignore, IGNORED, *(table.ignore_colour or (0, 0, 0)), ""))
    with Path(path).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*COLUMNS, "key"])
        writer.writerows(rows)
