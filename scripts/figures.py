#!/usr/bin/env python3
"""Print the figures of the code, and exit with 1 where a limit is broken.

usage: scripts/figures.py [FOLDER], by default napari_alseg
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

MOST_EXCEPTIONS = 5
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Counted:
    """A number of something, and where that stands."""

    number: int
    where: str


def main(folder: Path) -> int:
    """Print all figures; return how many limits are broken."""
    trees = {path: ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}
    broken = [
        *report("lines of a file", [lines(path) for path in trees], (None, 400, 600)),
        *report("lines of a function", list(functions(trees)), (6, 18, 45)),
        *report("methods of a class", list(classes(trees)), (None, None, 25)),
        *report("words of a first line", list(first_lines(trees)), (9, None, None)),
    ]
    broad = list(broad_excepts(trees))
    print(f"{'except Exception':<24}{len(broad)} (at most {MOST_EXCEPTIONS})")
    if len(broad) > MOST_EXCEPTIONS:
        broken += [f"except Exception at {each.where}" for each in broad]
    for each in broken:
        print(f"over the limit: {each}", file=sys.stderr)
    return len(broken)


def report(
    what: str,
    counted: list[Counted],
    limits: tuple[int | None, int | None, int | None],
) -> list[str]:
    """Print median, 90 % and maximum; return what is over the limits."""
    numbers = [each.number for each in counted]
    ninth = quantiles(numbers, n=10, method="inclusive")[-1] if numbers[1:] else 0
    found = median(numbers), ninth, max(numbers)
    names = "median", "90 %", "at most"
    cells = [
        f"{name} {value:g}" + ("" if limit is None else f" ({limit})")
        for name, value, limit in zip(names, found, limits, strict=True)
    ]
    print(f"{what:<24}{', '.join(cells)}")
    broken = [
        f"{what}: {name} {value:g}, not {limit}"
        for name, value, limit in zip(names, found, limits, strict=True)
        if limit is not None and value > limit
    ]
    most = limits[-1]
    if most is not None:
        over = [each for each in counted if each.number > most]
        broken += [f"{what}: {each.number} at {each.where}" for each in over]
    return broken


def lines(path: Path) -> Counted:
    """Count the lines of a file."""
    return Counted(len(path.read_text().splitlines()), str(path))


def functions(trees: dict[Path, ast.Module]) -> Iterator[Counted]:
    """Count the code lines of each function, without its docstring and signature."""
    for path, tree in trees.items():
        source = path.read_text().splitlines()
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield Counted(code_lines(node, source), f"{path}:{node.lineno}")


def code_lines(node: Function, source: list[str]) -> int:
    """Count the lines of a body that are neither empty nor a comment."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return 0
    last = node.end_lineno or body[-1].lineno
    inside = (line.strip() for line in source[body[0].lineno - 1 : last])
    return sum(bool(line) and not line.startswith("#") for line in inside)


def classes(trees: dict[Path, ast.Module]) -> Iterator[Counted]:
    """Count the methods of each class, properties included."""
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                methods = [each for each in node.body if isinstance(each, Function)]
                yield Counted(len(methods), f"{path}:{node.lineno} {node.name}")


def first_lines(trees: dict[Path, ast.Module]) -> Iterator[Counted]:
    """Count the words of the first line of each docstring."""
    documented = (ast.Module, ast.ClassDef, *Function.__args__)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, documented) and (text := ast.get_docstring(node)):
                where = f"{path}:{getattr(node, 'lineno', 1)}"
                yield Counted(len(text.splitlines()[0].split()), where)


def broad_excepts(trees: dict[Path, ast.Module]) -> Iterator[Counted]:
    """Find what catches any exception and keeps it from rising further."""
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or raises_again(node):
                continue
            name = getattr(node.type, "id", None)
            if node.type is None or name in ("Exception", "BaseException"):
                yield Counted(1, f"{path}:{node.lineno}")


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether a handler only cleans up: it ends by raising what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


if __name__ == "__main__":
    given = sys.argv[1] if sys.argv[1:] else "napari_alseg"
    sys.exit(bool(main(Path(given))))
