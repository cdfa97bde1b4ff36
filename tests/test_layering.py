"""Imports run one way, from the top of this list to its bottom.

`docs/ARCHITECTURE.md` draws the same picture.
"""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import napari_alseg

PACKAGE = Path(napari_alseg.__file__).parent

LAYERS = (
    ("cli", "ui"),
    ("report",),
    ("simulation", "worker"),
    ("tasks",),
    ("training",),
    ("live",),
    ("selection",),
    ("systems",),
    ("regions", "segmentation", "store"),
    ("acquisition",),
    ("sample_data", "metrics", "settings", "files"),
    ("arrays", "budget", "byte_cache", "prefetch"),
    ("errors",),
)
"""Packages and modules, a layer each; those of one layer do not know each other."""

HEIGHT = {name: -level for level, names in enumerate(LAYERS) for name in names}

ONLY_IN = {
    "torch": {"acquisition", "segmentation", "selection", "live", "training", "arrays"},
    "torchvision": {"segmentation"},
    "segmentation_models_pytorch": {"segmentation"},
    "zarr": {"store"},
    "sqlite3": {"store"},
    "napari": {"ui"},
    "qtpy": {"ui"},
    "magicgui": {"ui"},
    "superqt": {"ui"},
    "pyqtgraph": {"ui"},
    "tyro": {"cli"},
    "rich": {"cli"},
}
"""Libraries, and who may import them."""


def place_of(path: Path) -> str:
    """The package, or the module at the top level, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every absolute module name imported anywhere in a file."""
    package = ["napari_alseg", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_of(path): path for path in FILES}


def modules_imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, whether a name of them or whole."""
    for name in imports(path):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name:
            yield name


def test_every_file_has_a_place():
    places = {place_of(path) for path in FILES} - {"__init__"}
    assert places <= HEIGHT.keys()


def test_the_page_draws_the_same_picture():
    page = (PACKAGE.parent / "docs" / "ARCHITECTURE.md").read_text()
    drawn = page.split("## Packages and layers", 1)[1].split("```")[1].splitlines()
    lines = [line for line in drawn if line.strip()]
    assert len(lines) == len(LAYERS)
    for line, names in zip(lines, LAYERS, strict=True):
        assert set(names) <= set(line.split()), line


def test_every_place_has_files():
    assert HEIGHT.keys() <= {place_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_run_downwards(path):
    here = place_of(path)
    if here == "__init__":
        return
    upwards = [
        name
        for name in modules_imported(path)
        if "." in name
        and (there := name.split(".")[1]) != here
        and HEIGHT[there] >= HEIGHT[here]
    ]
    assert upwards == []


def test_no_modules_import_each_other():
    graph = {
        name: [each for each in modules_imported(path) if each != name]
        for name, path in MODULES.items()
        if not path.name.startswith("__init__")
    }
    leaves = {name: [n for n in graph[name] if n in graph] for name in graph}
    TopologicalSorter(leaves).prepare()  # names the circle if there is one


def test_libraries_stay_where_they_belong():
    broken = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in FILES
        for name in imports(path)
        if name.split(".")[0] in ONLY_IN
        and place_of(path) not in ONLY_IN[name.split(".")[0]]
    ]
    assert broken == []


def test_no_binding_is_imported():
    bindings = {"PyQt5", "PyQt6", "PySide2", "PySide6"}
    broken = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in FILES
        for name in imports(path)
        if name.split(".")[0] in bindings
    ]
    assert broken == []
