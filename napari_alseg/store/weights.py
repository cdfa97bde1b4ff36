"""Weights on disk: safetensors with their metadata, never a pickle."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_alseg.errors import WeightsMismatch

from .ledger import Ledger

Aside = Literal["unfinished", "live"]
"""Weights that are kept beside those of the rounds."""
Stored = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Arrays by name, and the metadata that says what they belong to."""


class Weights:
    """Networks that have learnt from a project: one a round, and some of no round.

    ::

        weights/round-003.safetensors     counts once the ledger names it
        weights/unfinished.safetensors    a training that can be gone on with
        weights/live.safetensors          the live network as it is now
        weights/*.json                    the metadata of each, for people

    Parameters
    ----------
    folder : Path
    ledger : Ledger
    writing : callable
        Context in which the project is written to; it raises if it must not be.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        writing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._writing = writing

    def commit(
        self, round: int, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        """Keep the weights of a round, with the metadata that says what they belong to.

        They count once the ledger says so, after the file is on the disk.
        """
        file = _of_round(round)
        with self._writing():
            write_weights(self._folder / file, arrays, metadata)
            self._ledger.commit_weights(round, file)

    @property
    def rounds(self) -> tuple[int, ...]:
        """Rounds that have weights, in order."""
        return tuple(sorted(self._ledger.weights()))

    @property
    def latest_round(self) -> int | None:
        """Latest round that has weights, None if none has."""
        return max(self._ledger.weights(), default=None)

    def metadata(self, round: int) -> dict[str, Any]:
        """Metadata of the weights of a round, read without the arrays.

        Raises
        ------
        WeightsMismatch
            If there are none, or the file is damaged.
        """
        return read_metadata(self._file(round))

    def time(self, round: int) -> int:
        """Nanosecond at which the weights of a round were written last.

        0 if somebody has deleted them; `problems` says so.
        """
        file = self._file(round)
        return file.stat().st_mtime_ns if file.exists() else 0

    def read(self, round: int | None = None) -> Stored | None:
        """Weights and metadata of a round, or of the latest; None without any.

        Raises
        ------
        WeightsMismatch
            If the file is damaged.
        """
        wanted = self.latest_round if round is None else round
        return read_weights(self._file(wanted)) if wanted in self.rounds else None

    def write_aside(
        self, name: Aside, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        """Keep weights that are of no round, in place of older ones of this name.

        Parameters
        ----------
        name : {"unfinished", "live"}
            All that a stopped training needs to go on exactly where it was; or the
            live network as it is now. Whatever is committed, they stay until
            `clear_aside`.
        arrays, metadata : mapping
        """
        with self._writing():
            write_weights(self._aside(name), arrays, metadata)

    def aside_metadata(self, name: Aside) -> dict[str, Any] | None:
        """Metadata of weights of no round, read without the arrays; None if not kept.

        Raises
        ------
        WeightsMismatch
            If the file is damaged.
        """
        file = self._aside(name)
        return read_metadata(file) if file.exists() else None

    def read_aside(self, name: Aside) -> Stored | None:
        """Arrays and metadata of weights of no round, None if they are not kept.

        Raises
        ------
        WeightsMismatch
            If the file is damaged.
        """
        file = self._aside(name)
        return read_weights(file) if file.exists() else None

    def clear_aside(self, name: Aside) -> None:
        """Forget weights of no round, if they are kept."""
        with self._writing():
            remove_weights(self._aside(name))

    def sweep(self) -> None:
        """Remove files that never came to count."""
        asides = {self._aside(name).name for name in get_args(Aside)}
        sweep_weights(self._folder, asides | {*self._ledger.weights().values()})

    def problems(self) -> list[str]:
        """Return which weights that count are missing, one sentence each."""
        return [
            f"the weights {file} of round {number} are missing"
            for number, file in self._ledger.weights().items()
            if not (self._folder / file).exists()
        ]

    def _file(self, round: int) -> Path:
        return self._folder / self._ledger.weights().get(round, _of_round(round))

    def _aside(self, name: Aside) -> Path:
        return self._folder / f"{name}.safetensors"


def _of_round(round: int) -> str:
    return f"round-{round:03d}.safetensors"


def write_weights(
    file: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> None:
    """Write arrays and metadata so that the file is there wholly or not at all.

    The metadata travels inside the file; a copy for people lies beside it as JSON.
    """
    text = json.dumps(metadata, indent=2, sort_keys=True)
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


def read_weights(file: Path) -> Stored:
    """Arrays by name, and the metadata that says what they belong to.

    Raises
    ------
    WeightsMismatch
        If the file is missing or damaged.
    """
    with _opened(file) as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}, _metadata(
            stored
        )


def read_metadata(file: Path) -> dict[str, Any]:
    """Return the metadata alone, which takes no time however large the arrays are.

    Raises
    ------
    WeightsMismatch
        If the file is missing or damaged.
    """
    with _opened(file) as stored:
        return _metadata(stored)


def _metadata(stored: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = json.loads((stored.metadata() or {})["card"])
    return metadata


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
    """Remove a file of weights, if it is there, and its copy of the metadata."""
    file.unlink(missing_ok=True)
    file.with_suffix(".json").unlink(missing_ok=True)


def sweep_weights(folder: Path, counting: set[str]) -> None:
    """Remove the files of a folder of weights that do not count."""
    kept = counting | {Path(name).with_suffix(".json").name for name in counting}
    for file in folder.iterdir():
        if file.name not in kept:
            file.unlink()
