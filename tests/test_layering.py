"""Who may import whom: rooms, hall, doors (docs/ARCHITECTURE.md)."""

import ast
from pathlib import Path

import napari_alseg

PACKAGE = Path(napari_alseg.__file__).parent
GROUND = {"__init__", "arrays", "errors", "settings", "metrics", "sample_data"}
ROOMS = {"segmentation", "acquisition", "regions", "store"}
HALL = {
    "systems",
    "survey",
    "choosing",
    "live",
    "ranking",
    "following",
    "requests",
    "session",
    "learning",
    "rectifying",
    "oracle",
    "worker",
    "dataset",
    "stages",
    "simulate",
    "runs",
    "compare",
    "figure",
    "page",
    "published",
}
DOORS = {"cli", "ui"}

TORCH_ROOMS = {"segmentation", "acquisition"}
ONLY_IN = {
    "torch": {*TORCH_ROOMS, "survey", "live", "worker"},
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


def place_of(path: Path) -> str:
    """The room, or the file of the hall or the ground floor."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


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
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


def allowed(place: str) -> set[str]:
    if place in GROUND:
        return GROUND
    if place in ROOMS:
        return GROUND | {place}
    if place in HALL:
        return GROUND | ROOMS | HALL
    return GROUND | ROOMS | HALL | {place}


def test_every_file_has_a_place():
    places = {place_of(path) for path in FILES}
    assert places <= GROUND | ROOMS | HALL | DOORS


def test_imports_go_one_way():
    broken = []
    for path in FILES:
        place = place_of(path)
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "napari_alseg" or len(parts) == 1:
                continue
            known = GROUND | ROOMS | HALL | DOORS
            if parts[1] in known and parts[1] not in allowed(place):
                broken.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert broken == []


def test_libraries_stay_in_their_rooms():
    broken = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in FILES
        for name in imports(path)
        if name.split(".")[0] in ONLY_IN
        and place_of(path) not in ONLY_IN[name.split(".")[0]]
        and not name.startswith("torch.Tensor")
        and place_of(path) != "arrays"
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
