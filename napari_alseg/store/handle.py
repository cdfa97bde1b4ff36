"""What the parts of an open project share: where it is, and who may write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_alseg.arrays import LabelClass, LabelMap
from napari_alseg.errors import BadValue, CannotWrite

from .ledger import Ledger, Mode
from .ledger_events import LedgerEvents
from .ledger_rounds import LedgerRounds
from .opening import writing_ledger


class Handle:
    """An open project, as its parts see it.

    Parameters
    ----------
    path : Path
    ledger : Ledger
    mode : {"write", "read", "borrow"}
    attributes : dict
        What the folder says of itself (`opening.attributes_of`).
    """

    def __init__(
        self, path: Path, ledger: Ledger, mode: Mode, attributes: dict[str, Any]
    ) -> None:
        self.path = path
        self.read_only = mode == "read"
        self.classes = tuple(
            LabelClass(entry["name"], tuple(entry["colour"]), entry["key"])
            for entry in attributes["classes"]
        )
        self.network_channels = tuple(attributes.get("network_channels", ()))
        self.ledger = ledger
        self.events = LedgerEvents(ledger)
        self.rounds = LedgerRounds(ledger)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Context of everything that writes.

        It raises if that must not be.

        Raises
        ------
        CannotWrite
            If the project is open for reading only, or the disk is full or closed.
        """
        if self.read_only:
            raise CannotWrite(
                f"{self.path} was opened for reading only; close it where it is open "
                "for writing and open it again"
            )
        with writing_ledger(self.path):
            yield

    def folder(self, image: str) -> Path:
        """Folder of an image, whether it exists or not."""
        return self.path / "images" / image

    def known(self, image: str) -> Path:
        """Folder of an image that exists.

        Raises
        ------
        UnknownName
            If no image has that id.
        """
        return self.folder(self.ledger.info(image).id)

    def check_labels(self, labels: LabelMap) -> None:
        """See that an array holds labels of the classes.

        Raises
        ------
        BadValue
        """
        if labels.dtype != np.uint8:
            raise BadValue(f"labels are uint8, got {labels.dtype}")
        if labels.max(initial=0) > len(self.classes):
            raise BadValue(
                f"labels run from 0 to {len(self.classes)} "
                f"({', '.join(entry.name for entry in self.classes)}), "
                f"got {labels.max()}"
            )

    def check_size(self, image: str, array: np.ndarray) -> None:
        """See that an array has an image's size.

        Raises
        ------
        BadValue
        """
        shape = self.ledger.info(image).shape
        if array.shape != shape:
            raise BadValue(
                f"{image} has {shape} rows and columns, the array {array.shape}"
            )
