"""Follows docs/adding-an-acquisition.md to the letter, in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "adding-an-acquisition.md"
PACKAGE = ROOT / "napari_alseg"


@pytest.fixture
def copy(tmp_path):
    """The package and its tests, to be changed."""
    rubbish = shutil.ignore_patterns("__pycache__")
    for name in ("napari_alseg", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=rubbish)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def edit(path, after, text):
    """Insert a text after the first place of another."""
    before, found, rest = path.read_text().partition(after)
    assert found, f"{path.name} has no {after!r} any more: the page is out of date"
    path.write_text(before + found + text + rest)


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


def test_the_three_steps_work(copy, project_path, tmp_path):
    function, row = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    room = copy / "napari_alseg" / "acquisition"

    with (room / "uncertainty.py").open("a") as file:
        file.write("\n\n" + function)
    edit(room / "__init__.py", "from .uncertainty import (\n", "    gini,\n")
    edit(room / "__init__.py", "__all__ = [\n", '    "gini",\n')
    table = "ACQUISITIONS = {\n    row.name: row\n    for row in (\n"
    edit(copy / "napari_alseg" / "systems" / "parts.py", table, row.rstrip() + ",\n")

    tests = run(
        copy, "pytest", "tests/acquisition", "tests/systems",
        "napari_alseg/acquisition", "-k", "gini", "-q", "-p", "no:cacheprovider",
    )  # fmt: skip
    passed = int(re.search(r"(\d+) passed", tests)[1])
    assert passed >= 8
    asked = run(
        copy, "napari_alseg.cli", "query", project_path, "--acquisition", "gini",
        "--budget", "3 regions",
    )  # fmt: skip
    assert "3 regions" in asked
