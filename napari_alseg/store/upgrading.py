"""What brings a project of an older format to this one; labels never change."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_alseg.errors import WeightsMismatch

from .ledger import Ledger
from .weights import (
    Checkpoint,
    checkpoint_name,
    read_weights,
    remove_weights,
    write_weights,
)

OLD_NAMES: Mapping[str, Checkpoint] = {"unfinished": "training", "live": "live"}
"""Files of checkpoints in formats 1 and 2."""
AT_ONCE = 10.0
"""Seconds within which the ledger of format 2 named a file that was just written."""
UNKNOWN = 0
"""Number of no weights: what a checkpoint is based on is not there any more."""


def upgrade(path: Path, ledger: Ledger) -> None:
    """Bring a project to this format.

    It can be done again if it was interrupted.

    Maps stay as they are. They do not say which weights they were made with, so none
    of them counts as fresh.
    """
    times = _times(ledger)
    for name, kind in OLD_NAMES.items():
        file = path / "weights" / f"{name}.safetensors"
        if file.exists():
            _bring(file, file.with_name(checkpoint_name(kind)), times)
    ledger.migrate()


def _times(ledger: Ledger) -> dict[int, float]:
    """When weights were committed, in formats 1 and 2."""
    try:
        return dict(ledger.rows("SELECT round, time FROM weights"))
    except sqlite3.OperationalError:  # the tables are new already
        return {}


def _bring(old: Path, new: Path, times: Mapping[int, float]) -> None:
    """Write a checkpoint under its new name.

    A damaged one stays damaged.
    """
    try:
        arrays, metadata = read_weights(old)
    except WeightsMismatch:
        old.replace(new)
    else:
        write_weights(new, arrays, _renamed(_numbered(metadata, times)))
    remove_weights(old)


def _renamed(metadata: dict[str, Any]) -> dict[str, Any]:
    """Name settings as they are named now."""
    recipe = metadata.get("plan", {}).get("recipe", {})
    if "void_is_right" in recipe:
        recipe["ignored_is_right"] = recipe.pop("void_is_right")
    return metadata


def _numbered(metadata: dict[str, Any], times: Mapping[int, float]) -> dict[str, Any]:
    """Say which weights a head builds on.

    Weights were committed within seconds of being written, so a head whose weights
    were committed much later is based on older ones.
    """
    if metadata.get("base"):
        number, nanoseconds = metadata["base"]
        waited = times.get(number, float("inf")) - nanoseconds / 1e9
        metadata["base"] = [number, number if 0 <= waited < AT_ONCE else UNKNOWN]
    return metadata
