"""Weights on disk: safetensors with their metadata, never a pickle."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_alseg import files
from napari_alseg.errors import UnknownName, WeightsMismatch

from .handle import Handle

Checkpoint = Literal["training", "live"]
"""Weights of no round: of a training that can be resumed, of the live head."""
Stored = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Arrays by name, and their metadata."""


class Weights:
    """Weights of each round, and checkpoints.

    ::

        weights/round-003.safetensors             counts once the ledger names it
        weights/checkpoint-training.safetensors   a training that can be resumed
        weights/checkpoint-live.safetensors       the live head as it is now
        weights/*.json                            the metadata of each, for people
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._folder = handle.path / "weights"

    def commit(
        self, round: int, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        """Keep the weights of a round, with metadata.

        They count once the ledger numbers them, after the file is on the disk. A
        round that is trained again is numbered before, too: should the program end in
        between, nothing made with the older weights passes for fresh.
        """
        file = _of_round(round)
        with self._handle.writing():
            if round in self.rounds:
                self._handle.ledger.commit_weights(round, file)
            write_weights(self._folder / file, arrays, metadata)
            self._handle.ledger.commit_weights(round, file)

    @property
    def rounds(self) -> tuple[int, ...]:
        """Rounds that have weights, in order."""
        return tuple(sorted(self._handle.ledger.weights()))

    @property
    def latest_round(self) -> int | None:
        """Latest round that has weights, None if none has."""
        return max(self._handle.ledger.weights(), default=None)

    def metadata(self, round: int) -> dict[str, Any]:
        """Metadata of a round's weights, without the arrays.

        Raises
        ------
        WeightsMismatch
            If there are none, or the file is damaged.
        """
        return read_metadata(self._file(round))

    def number(self, round: int) -> int:
        """Return the number that a round's weights alone have.

        Raises
        ------
        UnknownName
            If there are none.
        """
        numbers = self._handle.ledger.weights_numbers()
        if round not in numbers:
            raise UnknownName("weights", f"of round {round}", map(str, numbers))
        return numbers[round]

    def read(self, round: int | None = None) -> Stored | None:
        """Weights and metadata of a round, or of the latest; None without any.

        Raises
        ------
        WeightsMismatch
            If the file is damaged.
        """
        wanted = self.latest_round if round is None else round
        return read_weights(self._file(wanted)) if wanted in self.rounds else None

    def write_checkpoint(
        self,
        kind: Checkpoint,
        arrays: Mapping[str, np.ndarray],
        metadata: Mapping[str, Any],
    ) -> None:
        """Keep a checkpoint in place of its older one.

        Parameters
        ----------
        kind : {"training", "live"}
            All that a stopped training needs to resume exactly where it was; or the
            live head as it is now. Whatever is committed, a checkpoint stays until
            `clear_checkpoint`.
        arrays, metadata : mapping
        """
        with self._handle.writing():
            write_weights(self._checkpoint(kind), arrays, metadata)

    def checkpoint_metadata(self, kind: Checkpoint) -> dict[str, Any] | None:
        """Metadata of a checkpoint, read without the arrays.

        None if not kept.

        Raises
        ------
        WeightsMismatch
            If the file is damaged.
        """
        file = self._checkpoint(kind)
        return read_metadata(file) if file.exists() else None

    def read_checkpoint(self, kind: Checkpoint) -> Stored | None:
        """Arrays and metadata of a checkpoint, None without it.

        Raises
        ------
        WeightsMismatch
            If the file is damaged.
        """
        file = self._checkpoint(kind)
        return read_weights(file) if file.exists() else None

    def clear_checkpoint(self, kind: Checkpoint) -> None:
        """Forget a checkpoint, if it is kept."""
        with self._handle.writing():
            remove_weights(self._checkpoint(kind))

    def sweep(self) -> None:
        """Remove files that never came to count."""
        kept = {checkpoint_name(kind) for kind in get_args(Checkpoint)}
        sweep_weights(self._folder, kept | {*self._handle.ledger.weights().values()})

    def problems(self) -> list[str]:
        """Return which weights are missing, one sentence each."""
        return [
            f"the weights {file} of round {number} are missing"
            for number, file in self._handle.ledger.weights().items()
            if not (self._folder / file).exists()
        ]

    def _file(self, round: int) -> Path:
        return self._folder / self._handle.ledger.weights().get(round, _of_round(round))

    def _checkpoint(self, kind: Checkpoint) -> Path:
        return self._folder / checkpoint_name(kind)


def checkpoint_name(kind: Checkpoint) -> str:
    """Name of the file of a checkpoint."""
    return f"checkpoint-{kind}.safetensors"


def _of_round(round: int) -> str:
    return f"round-{round:03d}.safetensors"


def write_weights(
    file: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> None:
    """Write arrays and metadata, wholly or not at all.

    The metadata travels inside the file; a copy for people lies beside it as JSON.
    """
    text = json.dumps(metadata, indent=2, sort_keys=True)
    # safetensors writes the buffer as it lies, so a transposed view would be garbled.
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    files.write_whole(file, save(whole, metadata={"metadata": text}))
    files.write_whole(file.with_suffix(".json"), text)


def read_weights(file: Path) -> Stored:
    """Read arrays by name, and their metadata.

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
    """Read the metadata alone, which is fast.

    Raises
    ------
    WeightsMismatch
        If the file is missing or damaged.
    """
    with _opened(file) as stored:
        return _metadata(stored)


def _metadata(stored: Any) -> dict[str, Any]:
    header = stored.metadata() or {}
    # Files of formats 1 and 2 call it a card.
    text = header["card"] if "card" in header else header["metadata"]
    metadata: dict[str, Any] = json.loads(text)
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
    """Remove weights and their copy of the metadata."""
    file.unlink(missing_ok=True)
    file.with_suffix(".json").unlink(missing_ok=True)


def sweep_weights(folder: Path, counting: set[str]) -> None:
    """Remove weights that do not count."""
    kept = counting | {Path(name).with_suffix(".json").name for name in counting}
    for file in folder.iterdir():
        if file.name not in kept:
            file.unlink()
