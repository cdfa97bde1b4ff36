"""Folders that are dragged into the window, and what each of them is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from qtpy.QtCore import QEvent, QMimeData, QObject
from qtpy.QtWidgets import QWidget

from napari_alseg.store.opening import FORMAT

Open: TypeAlias = Callable[[Path], None]
LEDGER = "ledger.sqlite"


def is_project(path: Path) -> bool:
    """Whether a folder is a labelling project, also of a newer version.

    Examples
    --------
    >>> is_project(Path("nowhere"))
    False
    """
    if not (path / LEDGER).is_file():
        return False
    try:
        found = json.loads((path / "zarr.json").read_text("utf-8"))
        return bool(found["attributes"]["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def folder_of(mime: QMimeData) -> Path | None:
    """Return the one folder of this computer that is dragged; None for all else."""
    urls = mime.urls()
    if len(urls) != 1 or not urls[0].isLocalFile():
        return None
    path = Path(urls[0].toLocalFile())
    return path if path.is_dir() else None


class ProjectDrops(QObject):
    """Opens a project that is dropped on the canvas; napari opens all else.

    napari asks plugins for readers of folders by no more than that they are folders, so
    a reader of ours would be asked for each folder of images, too.

    Parameters
    ----------
    canvas : QWidget
    open_project : callable
        Given the path.
    """

    def __init__(self, canvas: QWidget, open_project: Open, parent: QObject) -> None:
        super().__init__(parent)
        self._open = open_project
        self._taker: QWidget | None = canvas
        while self._taker is not None and not self._taker.acceptDrops():
            self._taker = self._taker.parentWidget()
        if self._taker is not None:
            self._taker.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Take the drop of a project."""
        if event.type() != QEvent.Type.Drop:
            return False
        folder = folder_of(event.mimeData())
        if folder is None or not is_project(folder):
            return False
        event.acceptProposedAction()
        self._open(folder)
        return True
