"""Weights on disk: safetensors with their card, never a pickle."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_alseg.errors import WeightsMismatch


def write_weights(
    file: Path, arrays: Mapping[str, np.ndarray], card: Mapping[str, Any]
) -> None:
    """Write arrays and card so that the file is there wholly or not at all.

    The card travels inside the file; a copy for people lies beside it as JSON.
    """
    text = json.dumps(card, indent=2, sort_keys=True)
    # safetensors writes the buffer as it lies, so a transposed view would be garbled.
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    _write_durably(file, save(whole, metadata={"card": text}))
    _write_durably(file.with_suffix(".json"), text.encode())


def _write_durably(file: Path, content: bytes) -> None:
    partial = file.with_name(file.name + ".tmp")
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def read_weights(file: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and the card that says what they belong to.

    Raises
    ------
    WeightsMismatch
        If the file is missing or damaged.
    """
    with _opened(file) as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}, _card(stored)


def read_card(file: Path) -> dict[str, Any]:
    """Return the card alone, which takes no time however large the arrays are.

    Raises
    ------
    WeightsMismatch
        If the file is missing or damaged.
    """
    with _opened(file) as stored:
        return _card(stored)


def _card(stored: Any) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((stored.metadata() or {})["card"])
    return card


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, framework="numpy") as stored:
            yield stored
    except (FileNotFoundError, SafetensorError, KeyError, ValueError) as error:
        raise WeightsMismatch(
            f"the weights in {file} cannot be read ({error}); learn again"
        ) from error


def remove_weights(file: Path) -> None:
    """Remove a file of weights, if it is there, and its copy of the card."""
    file.unlink(missing_ok=True)
    file.with_suffix(".json").unlink(missing_ok=True)


def sweep_weights(folder: Path, counting: set[str]) -> None:
    """Remove the files of a folder of weights that do not count."""
    kept = counting | {Path(name).with_suffix(".json").name for name in counting}
    for file in folder.iterdir():
        if file.name not in kept:
            file.unlink()
