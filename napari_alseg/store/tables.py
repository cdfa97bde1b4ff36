"""A table of classes, as people write it: `classes.csv`, and how masks name them."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from napari_alseg.arrays import LabelClass
from napari_alseg.errors import BadClasses

from .classes import Colour, check_classes, colours, default_keys

COLOURS = ("red", "green", "blue")
NEEDED = ("value", "name")
ALIASES = {"r": "red", "g": "green", "b": "blue", "id": "value"}
"""Other names of columns that people use."""
IGNORED = ("ignore", "ignored", "unlabelled", "unlabeled", "void")
"""Names of rows that are no class: their pixels have no truth."""
DELIMITERS = ",;\t|"
SEPARATOR_LINE = re.compile(rf'"?sep=[{DELIMITERS}]?"?', re.IGNORECASE)
"""A first line by which Excel is told what divides columns."""
LOWEST, HIGHEST = -(2**15), 2**16 - 1
"""Values that a mask may hold: those of 16 bits, with a sign or without."""


class Row(NamedTuple):
    """What a value of a mask means: a label, 0 for none, and perhaps a colour."""

    value: int
    label: int
    colour: Colour | None = None


@dataclass(frozen=True)
class ClassTable:
    """The classes, and the values and colours by which a table says masks name them.

    Label i + 1 is ``classes[i]``. Several rows may name one class, and several none.
    A table without rows names the classes alone: what the values of masks mean has
    to be found out (`masks`).
    """

    classes: tuple[LabelClass, ...]
    rows: tuple[Row, ...] = ()

    @classmethod
    def of(cls, classes: Sequence[LabelClass]) -> "ClassTable":
        """Table of classes alone.

        Raises
        ------
        BadClasses
            If the classes contradict one another.
        """
        check_classes(classes, "the list of classes")
        return cls(tuple(classes))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes in order."""
        return tuple(entry.name for entry in self.classes)

    @property
    def labels_of_values(self) -> dict[int, int]:
        """Label of each value that the table names."""
        return {row.value: row.label for row in self.rows}

    @property
    def labels_of_colours(self) -> dict[Colour, frozenset[int]]:
        """Labels of each colour that the table names.

        More than one is a mistake.
        """
        found: dict[Colour, set[int]] = defaultdict(set)
        for row in self.rows:
            if row.colour is not None:
                found[row.colour].add(row.label)
        return {colour: frozenset(labels) for colour, labels in found.items()}


def read_classes(path: str | Path) -> ClassTable:
    """Classes of a classes.csv: columns value and name.

    Maybe red, green, blue, key.

    Commas, semicolons, tabs or bars divide the columns; their case and the spaces
    around them do not matter; empty rows and columns are passed over. The text is
    UTF-8, UTF-16 with its mark, or else Windows-1252. Rows of one name are one class.
    Rows named 'ignore' or 'unlabelled' are no class: their pixels stay unlabelled.

    Raises
    ------
    BadClasses
        Naming the file and the line: a column is missing, a value is no whole number
        of 16 bits, a colour is not 0..255, a value or key comes twice, or fewer than
        two classes are left.
    """
    path = Path(path)
    cells = list(_rows(path))
    _refuse_missing_columns(path, cells)
    entries = [_entry(path, line, row) for line, row in cells[1:]]
    _refuse_duplicates(path, entries)
    first: dict[str, _Entry] = {}
    for entry in entries:
        if entry.name.casefold() not in IGNORED:
            first.setdefault(entry.name, entry)
    label_of = {name: label for label, name in enumerate(first, start=1)}
    classes = _classes(list(first.values()))
    check_classes(classes, str(path))
    rows = (Row(e.value, label_of.get(e.name, 0), e.colour) for e in entries)
    return ClassTable(classes, tuple(rows))


class _Entry(NamedTuple):
    """One line of a table, understood."""

    line: int
    value: int
    name: str
    colour: Colour | None
    key: str


def _classes(entries: list[_Entry]) -> tuple[LabelClass, ...]:
    """Classes of the first line of each name, with what the table leaves out."""
    keys = [entry.key for entry in entries]
    if not any(keys):
        keys = list(default_keys(len(entries)))
    given = colours(len(entries))
    return tuple(
        LabelClass(entry.name, entry.colour or colour, key)
        for entry, colour, key in zip(entries, given, keys, strict=True)
    )


def _text(path: Path) -> str:
    """Text of a table in any encoding of spreadsheets."""
    if not path.parent.is_dir():
        raise BadClasses(f"{path.parent} is no folder, so it holds no {path.name}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadClasses(f"{path} cannot be read as a table: {error}") from error
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise BadClasses(
        f"{path} cannot be read as a table: its encoding is unknown; save it as UTF-8"
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row that is not empty, the head first."""
    lines = _text(path).splitlines()
    if lines and SEPARATOR_LINE.fullmatch(lines[0].strip()):
        lines[0] = ""
    filled = [line for line in lines if line.strip(f" {DELIMITERS}\"'")]
    head = filled[0] if filled else ""
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    columns: list[str] = []
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if not columns:
            columns = [ALIASES.get(cell.casefold(), cell.casefold()) for cell in cells]
            yield reader.line_num, dict.fromkeys(filter(None, columns), "")
        else:
            named = dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))
            yield reader.line_num, named


def _refuse_missing_columns(
    path: Path, cells: list[tuple[int, dict[str, str]]]
) -> None:
    line, head = cells[0] if cells else (1, {})
    missing = [name for name in NEEDED if name not in head]
    some = [name for name in COLOURS if name in head]
    missing += [name for name in COLOURS if some and name not in head]
    if missing:
        raise BadClasses(
            f"{path} line {line} lacks {', '.join(missing)}; write "
            f"{','.join((*NEEDED, *COLOURS))} as its first line (the colours may be "
            "left out)"
        )


def _entry(path: Path, line: int, row: dict[str, str]) -> _Entry:
    if not row["name"]:
        raise BadClasses(f"{path} line {line} has no name; name each class")
    value = _number(path, line, row, "value", LOWEST, HIGHEST)
    colour: Colour | None = None
    if any(row.get(part) for part in COLOURS):
        red, green, blue = (_number(path, line, row, c, 0, 255) for c in COLOURS)
        colour = (red, green, blue)
    return _Entry(line, value, row["name"], colour, row.get("key", ""))


def _number(
    path: Path, line: int, row: dict[str, str], column: str, low: int, high: int
) -> int:
    text = row[column]
    digits = text.removeprefix("-")
    if not digits.isdecimal() or len(digits) > 5 or not low <= int(text) <= high:
        raise BadClasses(
            f"{path} line {line}: {column} must be a whole number from {low} to "
            f"{high}, got {text!r}"
        )
    return int(text)


def _refuse_duplicates(path: Path, entries: list[_Entry]) -> None:
    seen: dict[int, int] = {}
    for entry in entries:
        if entry.value in seen:
            raise BadClasses(
                f"{path} lines {seen[entry.value]} and {entry.line} have the same "
                f"value {entry.value}; change one"
            )
        seen[entry.value] = entry.line
