"""The ways through the code that docs/the-three-ways.md lists are there."""

import ast
import re
from pathlib import Path

import pytest
from test_layering import HEIGHT, PACKAGE

PAGE = Path(__file__).parents[1] / "docs" / "the-three-ways.md"
STEP = re.compile(r"^( *)(?:\d+\.|-) `([\w/]+\.py): ([\w.]+)`", re.M)


def ways():
    """Heading and steps of each way: indent, file, name."""
    for part in PAGE.read_text().split("\n## ")[1:]:
        yield part.splitlines()[0], STEP.findall(part)


WAYS = dict(ways())


def names_in(path):
    """Functions and classes of a file, methods and attributes as Class.name."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                targets = getattr(each, "targets", [])
                for name in [getattr(each, "name", ""), *(t.id for t in targets)]:
                    yield f"{node.name}.{name}"


def height(file):
    return HEIGHT[file.split("/")[0].removesuffix(".py")]


def test_there_are_three_ways():
    assert len(WAYS) == 3
    assert all(len(steps) >= 8 for steps in WAYS.values())


@pytest.mark.parametrize("way", WAYS)
def test_every_step_is_a_name_of_its_file(way):
    for _, file, name in WAYS[way]:
        assert name in set(names_in(PACKAGE / file)), f"{file} has no {name}"


@pytest.mark.parametrize("way", WAYS)
def test_no_step_goes_back_up(way):
    before = parent = 1
    for indent, file, name in WAYS[way]:
        here = height(file)
        if indent:
            assert here <= parent, f"{file}: {name} stands above its caller"
        else:
            assert here <= before, f"{file}: {name} goes back up"
            before = parent = here
