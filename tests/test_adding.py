"""Follows the pages docs/adding-*.md to the letter, in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {
    "adding-an-acquisition.md",
    "adding-a-partition.md",
    "adding-a-choice.md",
    "adding-a-recipe.md",
    "adding-a-panel.md",
    "adding-an-export-format.md",
}


@pytest.fixture
def copy(tmp_path):
    """The package and its tests, to be changed."""
    rubbish = shutil.ignore_patterns("__pycache__")
    for name in ("napari_alseg", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=rubbish)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def blocks(page):
    """The pieces of code on a page, in their order; parts of lines are text."""
    return re.findall(
        r"```(?:python|text)\n(.*?)```", (DOCS / page).read_text(), re.DOTALL
    )


def edit(path, after, text):
    """Insert a text after the first place of another."""
    before, found, rest = path.read_text().partition(after)
    assert found, f"{path.name} has no {after!r} any more: the page is out of date"
    path.write_text(before + found + text + rest)


def append(path, text):
    with path.open("a") as file:
        file.write("\n\n" + text)


def add_row(copy, file, table, row):
    start = f"{table} = {{\n    row.name: row\n    for row in (\n"
    edit(copy / "napari_alseg" / "systems" / file, start, row.rstrip() + ",\n")


def run(copy, *arguments):
    ended = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def run_tests(page, copy):
    """Run the tests that a page names; the number that passed."""
    (wanted,) = re.findall(
        r'^PYTEST="(.*)" make test$', (DOCS / page).read_text(), re.M
    )
    tests = run(copy, "pytest", *wanted.split(), "-q", "-p", "no:cacheprovider")
    return int(re.search(r"(\d+) passed", tests)[1])


def query(copy, project_path, *flags):
    return run(
        copy, "napari_alseg.cli", "query", project_path, "--budget", "3 regions", *flags
    )


def test_every_page_is_followed():
    assert {path.name for path in DOCS.glob("adding-*.md")} == PAGES


def test_adding_an_acquisition(copy, project_path):
    function, row = blocks("adding-an-acquisition.md")
    package = copy / "napari_alseg" / "acquisition"
    append(package / "uncertainty.py", function)
    edit(package / "__init__.py", "from .uncertainty import (\n", "    gini,\n")
    edit(package / "__init__.py", "__all__ = [\n", '    "gini",\n')
    add_row(copy, "parts.py", "ACQUISITIONS", row)
    assert run_tests("adding-an-acquisition.md", copy) >= 8
    assert "3 regions" in query(copy, project_path, "--acquisition", "gini")


def test_adding_a_partition(copy, project_path):
    function, row = blocks("adding-a-partition.md")
    append(copy / "napari_alseg" / "regions" / "tables.py", function)
    add_row(copy, "parts.py", "PARTITIONS", row)
    assert run_tests("adding-a-partition.md", copy) >= 2
    asked = query(copy, project_path, "--partition", "bands", "--rows", "8")
    assert "3 regions" in asked


def test_adding_a_choice(copy, project_path):
    function, row = blocks("adding-a-choice.md")
    append(copy / "napari_alseg" / "regions" / "tables.py", function)
    add_row(copy, "parts.py", "CHOICES", row)
    assert run_tests("adding-a-choice.md", copy) >= 1
    assert "3 regions" in query(copy, project_path, "--choice", "largest")


def test_adding_a_recipe(copy):
    objective, row = blocks("adding-a-recipe.md")
    package = copy / "napari_alseg" / "segmentation"
    (package / "fitting" / "minimum_entropy.py").write_text(objective)
    imported = "from .fitting.minimum_entropy import MinimumEntropy\n"
    edit(package / "__init__.py", '"""\n\n', imported)
    edit(package / "__init__.py", "__all__ = [\n", '    "MinimumEntropy",\n')
    add_row(copy, "recipes.py", "RECIPES", row)
    assert run_tests("adding-a-recipe.md", copy) >= 2


@pytest.mark.skipif(
    not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
    reason="needs a display",
)
def test_adding_a_panel(copy):
    panel, imported, made, listed, told, test = blocks("adding-a-panel.md")
    window = copy / "napari_alseg" / "ui"
    (window / "panels" / "tally.py").write_text(panel)
    dock = window / "dock.py"
    edit(dock, "from .panels.scores import ScoresPanel\n", imported)
    edit(dock, "        self.scores_panel = ScoresPanel()\n", made)
    edit(dock, "        panels = (\n", listed)
    known = "        recipe = recipe_after(source.selection(screen.round))\n"
    edit(dock, known, told)
    (copy / "tests" / "ui" / "panels" / "test_tally.py").write_text(test)
    assert run_tests("adding-a-panel.md", copy) == 1


def test_adding_an_export_format():
    assert blocks("adding-an-export-format.md") == []
