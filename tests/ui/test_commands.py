"""One table of commands: manifest, keys, tooltips and README agree with it."""

import re
from collections import Counter
from pathlib import Path

import pytest
from npe2 import PluginManifest
from qtpy.QtWidgets import QWidget

from napari_alseg.store.classes import RESERVED_KEYS
from napari_alseg.ui import commands
from napari_alseg.ui.keys import COMMANDS, shown_key

PREFIX = "napari-alseg."
README = Path(__file__).parents[2] / "README.md"
WITH_KEYS = [each for each in COMMANDS if each.key]
by_id = pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.id)


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(Path(commands.__file__).parents[1] / "napari.yaml")


@by_id
def test_the_manifest_has_the_command_under_its_title(manifest, command):
    (found,) = (
        each
        for each in manifest.contributions.commands
        if each.id == PREFIX + command.id
    )
    assert found.title == f"Active learning: {command.title}"
    assert found.python_name == f"napari_alseg.ui.commands:{command.id}"
    assert callable(getattr(commands, command.id))


def test_the_menus_of_the_manifest_are_those_of_the_table(manifest):
    menus = {
        (menu, entry.command)
        for menu, entries in manifest.contributions.menus.items()
        for entry in entries
    }
    assert menus == {(each.menu, PREFIX + each.id) for each in COMMANDS}


def test_no_two_commands_share_a_key():
    keys = Counter(each.key for each in WITH_KEYS)
    assert max(keys.values()) == 1


def test_letters_of_commands_are_those_no_class_may_have():
    assert {each.key for each in WITH_KEYS if len(each.key) == 1} == set(RESERVED_KEYS)


@pytest.mark.parametrize("command", WITH_KEYS, ids=lambda each: each.id)
def test_the_readme_tells_the_key(command):
    rows = [line for line in README.read_text().splitlines() if line.startswith("| `")]
    keys = {key for row in rows for key in re.findall("`(.+?)`", row.split("|")[1])}
    assert shown_key(command.key) in keys


def test_keys_in_the_dock_are_those_of_commands(dock):
    texts = [each.toolTip() for each in dock.findChildren(QWidget)]
    texts += [
        each.text() for each in dock.findChildren(QWidget) if hasattr(each, "text")
    ]
    named = {key for text in texts for key in re.findall(r"\(([^()]+)\)$", str(text))}
    known = {shown_key(each.key) for each in WITH_KEYS}
    keys = {
        key for key in named if re.fullmatch(r"(Shift|Ctrl)\+.+|[A-Z]|Page .+", key)
    }
    assert keys <= known
    assert {"A", "D", "S", "W", "H", "Shift+P", "Ctrl+Z", "Page Up"} <= keys


def test_shortcuts_bind_each_key_and_each_class(dock, annotator):
    classes = {each.key for each in annotator.project.classes}
    bound = set(dock.shortcuts.actions())
    assert bound == {each.key for each in WITH_KEYS} | classes
