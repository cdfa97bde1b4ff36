"""A labelling project: made, opened, closed and verified; and what is in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import zarr

from napari_alseg.arrays import LabelClass
from napari_alseg.errors import BadValue

from . import ome_zarr
from .classes import check_classes
from .handle import Handle
from .images import Images
from .labels import Labels
from .ledger import Ledger, Mode
from .lock import Lock
from .masks import MaskRule
from .opening import FORMAT, VERSION, attributes_of, open_ledger, writing_ledger
from .outputs import Outputs
from .rounds import Rounds
from .upgrading import upgrade
from .weights import Weights


class Project:
    """Images, labels of people and outputs of networks.

    Everything is on the disk when a method returns.

    Attributes
    ----------
    path
        The folder of the project.
    classes
        Label 1 is the first class.
    read_only
        Whether it was opened for reading only.
    mask_rule
        What the values of masks mean that came in; None if none did.
    network_channels
        Channels that networks see, if they were chosen.
    images, labels, rounds, outputs, weights
        What is in it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_alseg.arrays import Bounds
    >>> folder = TemporaryDirectory()
    >>> path = Path(folder.name) / "cells.alseg"
    >>> cell = LabelClass("cell", (230, 159, 0), "1")
    >>> ground = LabelClass("background", (86, 180, 233), "2")
    >>> with Project.create(path, [cell, ground]) as project:
    ...     name = project.images.add("first.png", np.zeros((4, 6, 3), np.uint8))
    ...     patch = np.array([[1, 0]], np.uint8)
    ...     project.labels.stroke(name, Bounds(0, 0, 1, 2), patch)
    ...     project.labels.pixels()
    {'first': 1}
    >>> folder.cleanup()
    """

    def __init__(
        self, path: Path, ledger: Ledger, mode: Mode, attributes: dict[str, Any]
    ) -> None:
        self._handle = handle = Handle(path, ledger, mode, attributes)
        self.path = path
        self.read_only = handle.read_only
        self.classes = handle.classes
        self.network_channels = handle.network_channels
        rule = attributes.get("mask_rule")
        self.mask_rule = MaskRule.from_json(rule) if rule else None
        self._settings = attributes["settings"]
        self._version = attributes["version"]
        self.images = Images(handle)
        self.labels = Labels(handle)
        self.rounds = Rounds(handle)
        self.outputs = Outputs(handle)
        self.weights = Weights(handle)
        self._lock = Lock(path)

    @classmethod
    def create(
        cls,
        path: str | Path,
        classes: tuple[LabelClass, ...] | list[LabelClass],
        settings: Mapping[str, Any] | None = None,
        mask_rule: MaskRule | None = None,
        network_channels: Sequence[int] = (),
    ) -> "Project":
        """Make a project in an empty or new folder.

        Parameters
        ----------
        path, classes, settings
        mask_rule
            What masks that came in mean; labels go out by it.
        network_channels
            Channels, from 0, that networks see as red, green and blue; see
            `Images.read`.

        Raises
        ------
        BadClasses
            If two classes share a name or key, or there is none.
        BadValue
            If something is in the way.
        CannotWrite
            If the folder cannot be written to.
        """
        path = Path(path)
        check_classes(classes, "the list of classes")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BadValue(
                f"{path} is not empty; choose a new name, or open it as a project"
            )
        attributes = {
            "format": FORMAT,
            "version": VERSION,
            "classes": [_described(entry) for entry in classes],
            "settings": dict(settings or {}),
            "mask_rule": mask_rule.to_json() if mask_rule else None,
            "network_channels": list(network_channels),
        }
        with writing_ledger(path):
            (path / "weights").mkdir(parents=True)
            zarr.create_group(path / "images")
            Ledger.create(path / "ledger.sqlite").close()
            # Only this last file makes the folder a project.
            zarr.create_group(path, attributes=attributes)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path, mode: Mode = "write") -> "Project":
        """Open a project.

        Parameters
        ----------
        path
            Folder of the project.
        mode
            ``"write"`` takes the lock and finishes or sweeps what was half-written;
            ``"read"`` changes nothing; ``"borrow"`` writes under the lock of the
            process that started this one. Only one of the two should change labels.

        Raises
        ------
        NotAProject, NewerFormat
            If the folder holds none, or one that only a newer version can read.
        Busy
            If somebody else holds the lock.
        CannotWrite
            If it is opened for writing in a folder that cannot be written to.
        """
        path = Path(path)
        attributes = attributes_of(path)
        with writing_ledger(path):
            project = cls(path, open_ledger(path, mode), mode, attributes)
            if mode == "write":
                try:
                    project._take_over()
                except BaseException:
                    project.close()
                    raise
        return project

    def _take_over(self) -> None:
        """Take the lock, sweep, draw what is missing."""
        self._lock.take()
        if self._version < VERSION:
            upgrade(self.path, self._handle.ledger)
            zarr.open_group(self.path, mode="r+").attrs["version"] = VERSION
            self._version = VERSION
        self.images.sweep()
        self.weights.sweep()
        self.labels.draw_missing()

    def close(self) -> None:
        """Give back the lock.

        The project is not used afterwards.
        """
        self._handle.ledger.close()
        self._lock.release()

    def __enter__(self) -> "Project":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def settings(self) -> dict[str, Any]:
        """What the project remembers, as JSON values."""
        return dict(self._settings)

    def save_settings(self, settings: Mapping[str, Any]) -> None:
        """Replace the settings."""
        with self._handle.writing():
            zarr.open_group(self.path, mode="r+").attrs["settings"] = dict(settings)
        self._settings = dict(settings)

    def verify(self, repair: bool = False) -> list[str]:
        """Return what is wrong, one sentence each.

        Compares the labels of each image with a replay of the ledger, and looks for
        missing images, region maps and weights. With `repair` the labels are drawn
        anew from the ledger, which is the truth about what people did.
        """
        problems = [
            f"{name}: {problem}"
            for name in self.images.names(None)
            for problem in self._image_problems(name, repair)
        ]
        return problems + self.outputs.problems() + self.weights.problems()

    def _image_problems(self, name: str, repair: bool) -> list[str]:
        labels, broken = self.labels.replay(name)
        folder = self._handle.folder(name)
        broken += ome_zarr.image_problems(folder, self.images.info(name).shape)
        drawn = ome_zarr.annotation_problems(folder, labels)
        if drawn and repair:
            with self._handle.writing():
                ome_zarr.replace_labels(folder, "annotation", labels, self.classes)
        return broken + drawn


def _described(entry: LabelClass) -> dict[str, Any]:
    return {"name": entry.name, "colour": list(entry.colour), "key": entry.key}
