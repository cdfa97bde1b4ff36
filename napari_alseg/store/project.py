"""A labelling project: the face of the store, and the only class others need."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import zarr

from napari_alseg.arrays import (
    Bounds,
    Image,
    LabelClass,
    LabelMap,
    Ranking,
    Region,
    RegionMap,
    ScoreMap,
    Selection,
)
from napari_alseg.errors import (
    BadValue,
    CannotWrite,
    MaskMismatch,
    UnknownName,
)
from napari_alseg.metrics import clicks

from . import layout, lock, rankings
from .classes import check_classes
from .intensity import Window, intensity_windows, three_channels, windowed
from .ledger import Change, Cost, Event, ImageInfo, Ledger, Mode, State
from .masks import MaskRule
from .naming import safe_name, unused
from .opening import FORMAT, VERSION, attributes_of, open_ledger, writing
from .reading import numbered
from .weights import Weights

SPLITS = ("pool", "source", "validation", "test")
PSEUDO = "pseudo"
PSEUDO_WEIGHT = "pseudo-weight"
"""Name of the map that says how far each pseudo label is trusted, 0..1."""
Split = Literal["pool", "source", "validation", "test"]
"""What an image is for: asked and learnt from, learnt from only (labelled images of
another domain), choosing weights, or measuring."""


class Project:
    """A pool of images, what people said of them, and what networks made of it.

    Everything is on the disk when a method returns. Labels change only through
    `answer`, `answer_all`, `stroke`, `undo` and `redo`: each writes the ledger first
    and then the picture of the labels, so whatever ends the program between the two
    is made good when the project is opened again.

    Attributes
    ----------
    path
        The folder of the project.
    classes
        Label 1 is the first class.
    read_only
        Whether it was opened for reading only.
    weights
        Networks that have learnt from its labels.
    mask_rule
        What the values of masks mean that came in; None if none did.
    network_channels
        Channels that networks see, if they were chosen.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> folder = TemporaryDirectory()
    >>> path = Path(folder.name) / "cells.alseg"
    >>> cell = LabelClass("cell", (230, 159, 0), "1")
    >>> ground = LabelClass("background", (86, 180, 233), "2")
    >>> with Project.create(path, [cell, ground]) as project:
    ...     name = project.add_image("first.png", np.zeros((4, 6, 3), np.uint8))
    ...     project.stroke(name, Bounds(0, 0, 1, 2), np.array([[1, 0]], np.uint8))
    ...     project.labelled_pixels()
    {'first': 1}
    >>> folder.cleanup()
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
        self._settings = attributes["settings"]
        self._version = attributes["version"]
        rule = attributes.get("mask_rule")
        self.mask_rule = MaskRule.from_json(rule) if rule else None
        self.network_channels = tuple(attributes.get("network_channels", ()))
        self._ledger = ledger
        self.weights = Weights(path / "weights", ledger, self._writing)
        self._lock: dict[str, Any] | None = None
        self._drawn: list[int] = []
        """Events whose picture is drawn, to be marked in the next transaction."""
        self._lagging: set[str] = set()
        """Images whose picture could not be drawn after the ledger was written."""

    @classmethod
    def create(
        cls,
        path: str | Path,
        classes: tuple[LabelClass, ...] | list[LabelClass],
        settings: Mapping[str, Any] | None = None,
        mask_rule: MaskRule | None = None,
        network_channels: Sequence[int] = (),
    ) -> "Project":
        """Make a new project in a folder that is empty or not there yet.

        Parameters
        ----------
        path, classes, settings
        mask_rule
            What masks that came in mean; labels go out by it.
        network_channels
            Channels, from 0, that networks see as red, green and blue; see
            `read_image`.

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
        with writing(path):
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
        with writing(path):
            project = cls(path, open_ledger(path, mode), mode, attributes)
            if mode == "write":
                try:
                    project._take_over()
                except BaseException:
                    project.close()
                    raise
        return project

    def _take_over(self) -> None:
        """Take the lock, sweep what never came to count, draw what is missing."""
        with self._ledger.transaction():  # one process at a time looks at the lock
            self._lock = lock.take(self.path / "lock.json")
        if self._version < VERSION:
            self._ledger.migrate()
            zarr.open_group(self.path, mode="r+").attrs["version"] = VERSION
            self._version = VERSION
        for folder in (self.path / "images").iterdir():
            if folder.is_dir() and folder.name not in self.images(None):
                shutil.rmtree(folder)
        self.weights.sweep()
        for name in self._ledger.images_not_drawn():
            self._redraw(name)

    def close(self) -> None:
        """Give back the lock; the project is not used afterwards."""
        self._ledger.close()
        if self._lock is not None:
            lock.release(self.path / "lock.json", self._lock)
            self._lock = None

    def __enter__(self) -> "Project":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self.read_only:
            raise CannotWrite(
                f"{self.path} was opened for reading only; close it where it is open "
                "for writing and open it again"
            )
        with writing(self.path):
            yield

    @property
    def settings(self) -> dict[str, Any]:
        """What the project remembers between sessions, as plain JSON values."""
        return dict(self._settings)

    def save_settings(self, settings: Mapping[str, Any]) -> None:
        """Replace the settings."""
        with self._writing():
            zarr.open_group(self.path, mode="r+").attrs["settings"] = dict(settings)
        self._settings = dict(settings)

    # Images

    def add_image(
        self,
        name: str,
        image: np.ndarray,
        *,
        split: str = "pool",
        labels: LabelMap | None = None,
        source: str = "",
        channels: Sequence[str] = (),
        colour: bool | None = None,
        nodata: float | None = None,
        windows: Sequence[Window] | None = None,
    ) -> str:
        """Copy an image into the project and return its id.

        Images are shown within windows of intensities that are stored with them, so
        that networks, partitions and every OME-Zarr reader see the same picture.

        Parameters
        ----------
        name
            File name or title; the id is made of it.
        image : array of shape (H, W, K)
            In its native dtype, as `read_plane` of `reading` gives it.
        split
            Regions are asked of the ``"pool"``; a ``"source"`` is another domain that
            the network may learn from and that is never asked; ``"validation"``
            measures while the network learns, ``"test"`` only at the end.
        labels
            Labels that are already there, of the image's size.
        source
            Where it came from, for people.
        channels
            Their names.
        colour
            Whether the first three channels are red, green and blue; three channels
            are unless this says otherwise.
        nodata
            Value of pixels that hold nothing.
        windows
            For each channel; without them `intensity_windows` measures them.

        Raises
        ------
        BadValue
            If the array is no image, or `split` no split.
        MaskMismatch
            If the labels have another size or name no class.
        """
        height, width, count = _checked_image(name, image)
        if split not in SPLITS:
            raise BadValue(f"a split is one of {', '.join(SPLITS)}, got {split!r}")
        if labels is None:
            labels = np.zeros((height, width), np.uint8)
        self._check_mask(name, labels, (height, width))
        name = unused(safe_name(name), self.images(None))
        colour = count == 3 if colour is None else colour
        info = ImageInfo(
            name,
            split,
            (height, width),
            tuple(channels) or numbered(count, colour),
            str(image.dtype),
            tuple(windows or intensity_windows(image, colour, nodata)),
            source,
            colour,
            nodata,
        )
        with self._writing():
            try:
                self._write_image(info, image, labels)
            except BaseException:
                shutil.rmtree(self._folder(name), ignore_errors=True)
                raise
        return name

    def _check_mask(self, name: str, labels: LabelMap, shape: tuple[int, int]) -> None:
        if labels.shape != shape:
            raise MaskMismatch(
                f"the mask of {name} has {labels.shape} rows and columns, the image "
                f"{shape}; give a mask of the image's size"
            )
        try:
            self._check_labels(labels)
        except BadValue as error:
            raise MaskMismatch(f"the mask of {name}: {error}") from error

    def _write_image(
        self, info: ImageInfo, image: np.ndarray, labels: LabelMap
    ) -> None:
        """Write the folder of an image, then the row that makes it count."""
        folder = self._folder(info.id)
        layout.create_image(folder, image, info.windows, info.channels, info.colour)
        layout.write_labels(folder, "annotation", labels, self.classes)
        with self._ledger.transaction():
            self._ledger.add_image(info)
            if labels.any():
                whole = Bounds(0, 0, *labels.shape)
                nothing = np.zeros_like(labels)
                imported = Change("import", info.id, whole, nothing, labels)
                self._ledger.append(imported, drawn=True)

    def images(self, split: str | None = "pool") -> tuple[str, ...]:
        """Ids in the order the images were added; of all of them for None."""
        return self._ledger.images(split)

    def info(self, name: str) -> ImageInfo:
        """Return what is known of an image without reading it.

        Raises
        ------
        UnknownName
            If no image has that id.
        """
        return self._ledger.info(name)

    def read_original(self, name: str) -> np.ndarray:
        """Image of shape ``(H, W, K)`` in its native dtype."""
        return layout.read_image(self._known(name))

    def read_shown(self, name: str) -> np.ndarray:
        """Image of shape ``(H, W, K)`` in 8 bits, each channel within its window."""
        info = self.info(name)
        return windowed(self.read_original(name), info.windows, info.nodata)

    def read_image(self, name: str) -> Image:
        """Image of shape ``(H, W, 3)`` in 8 bits, as networks and partitions see it.

        Grey is in all three channels. Of more than three channels the first three
        are taken, or the `network_channels` of the project; where there are fewer
        than three, what is missing is empty.
        """
        return three_channels(self.read_shown(name), self.network_channels)

    def _folder(self, name: str) -> Path:
        return self.path / "images" / name

    def _known(self, name: str) -> Path:
        """Folder of an image that exists."""
        return self._folder(self.info(name).id)

    # Labels

    def read_labels(self, name: str) -> LabelMap:
        """Labels of an image as they are now."""
        return self.labels_at(name, self.sequence)

    def labels_at(self, name: str, sequence: int) -> LabelMap:
        """Labels of an image as they were after an event.

        Exact also while another process writes: what came later is put back, newest
        first, from the patches in the ledger, and what the picture may not hold yet
        is drawn from them.
        """
        folder = self._known(name)
        earliest = self._ledger.not_drawn(name)
        base = min(sequence + 1, sequence + 1 if earliest is None else earliest)
        # The picture is read before the events are, so that it holds none but these.
        labels = layout.read_labels(folder, "annotation")
        patches = list(self._ledger.patches(name, after=base - 1))
        for patch in reversed(patches):
            labels[patch.bounds.slices] = patch.before
        for patch in patches:
            if patch.sequence <= sequence:
                labels[patch.bounds.slices] = patch.after
        return labels

    def labelled(self, sequence: int | None = None) -> tuple[str, ...]:
        """Images of the pool that have a labelled pixel, now or after an event."""
        return self._ledger.labelled(self.sequence if sequence is None else sequence)

    def labelled_pixels(self) -> dict[str, int]:
        """Labelled pixels of every image, counted by the ledger."""
        return self._ledger.labelled_pixels()

    def stroke(self, name: str, bounds: Bounds, after: LabelMap) -> None:
        """Write the labels of a rectangle as a person painted them.

        Parameters
        ----------
        name
            Id of the image.
        bounds
            The rectangle, inside the image.
        after : uint8 array of the rectangle's shape
            All its labels, also those that did not change.

        Raises
        ------
        BadValue
            If the rectangle leaves the image, or a label is no class.
        """
        bounds = Bounds(*bounds)
        self._check_bounds(name, bounds)
        self._check_patch(after, bounds)
        with self._writing():
            before = self._window(name, bounds)
            if not np.array_equal(before, after):
                change = Change("stroke", name, bounds, before, after)
                self._commit(name, [change], bounds, after)

    def _check_bounds(self, name: str, bounds: Bounds) -> None:
        height, width = self.info(name).shape
        rows = 0 <= bounds.row_start < bounds.row_stop <= height
        if not (rows and 0 <= bounds.column_start < bounds.column_stop <= width):
            raise BadValue(
                f"{bounds} is not inside {name}, which has {height} rows and "
                f"{width} columns"
            )

    def _check_patch(self, patch: LabelMap, bounds: Bounds) -> None:
        if patch.shape != bounds.shape:
            raise BadValue(
                f"the patch has the shape {patch.shape}, its bounds {bounds.shape}"
            )
        self._check_labels(patch)

    def _check_labels(self, labels: LabelMap) -> None:
        if labels.dtype != np.uint8:
            raise BadValue(f"labels are uint8, got {labels.dtype}")
        if labels.max(initial=0) > len(self.classes):
            raise BadValue(
                f"labels run from 0 to {len(self.classes)} "
                f"({', '.join(entry.name for entry in self.classes)}), "
                f"got {labels.max()}"
            )

    def _window(self, name: str, bounds: Bounds) -> LabelMap:
        """Labels of a rectangle, the picture being up to date."""
        if name in self._lagging:
            self._redraw(name)
        return layout.read_labels(self._known(name), "annotation", bounds)

    def _commit(
        self, name: str, changes: list[Change], bounds: Bounds, labels: LabelMap
    ) -> None:
        """Write changes of one image to the ledger, then the outcome to its picture.

        That the picture is drawn is noted in the next transaction, which costs
        nothing; until then the events are drawn again when the project is opened.
        """
        with self._ledger.transaction():
            self._ledger.mark_drawn(self._drawn)
            sequences = [self._ledger.append(change) for change in changes]
        self._drawn = []
        self._lagging.add(name)
        layout.write_window(self._folder(name), "annotation", bounds, labels)
        self._lagging.remove(name)
        self._drawn = sequences

    def _redraw(self, name: str) -> None:
        """Draw the events of an image that its picture may lack."""
        earliest = self._ledger.not_drawn(name)
        if earliest is None:
            return
        patches = list(self._ledger.patches(name, after=earliest - 1))
        bounds = _union([patch.bounds for patch in patches])
        labels = self.labels_at(name, patches[-1].sequence)
        layout.write_window(
            self._folder(name), "annotation", bounds, labels[bounds.slices]
        )
        with self._ledger.transaction():
            self._ledger.mark_drawn(patch.sequence for patch in patches)
        self._lagging.discard(name)

    # Partitions, predictions, maps

    def partition_version(self, settings: Mapping[str, Any]) -> int:
        """Version of the region maps made with these settings; new ones get a new one.

        Regions are asked by version and id, so an old answer keeps its meaning.
        """
        text = json.dumps(settings, sort_keys=True)
        version = self._ledger.partition_version(text)
        if version is not None:
            return version
        with self._writing():
            return self._ledger.add_partition(text)

    def partition_settings(self, version: int) -> dict[str, Any]:
        """Return the settings that a version of the region maps was made with.

        Raises
        ------
        UnknownName
            If there is no such version.
        """
        return self._ledger.partition_settings(version)

    def has_regions(self, name: str, version: int) -> bool:
        """Whether the region map of an image is there in a version."""
        return layout.has_labels(self._known(name), f"regions-{version}")

    def read_regions(self, name: str, version: int) -> RegionMap:
        """Region map of an image in a version.

        Raises
        ------
        UnknownName
            If it was not computed.
        """
        folder = self._known(name)
        if not layout.has_labels(folder, f"regions-{version}"):
            raise UnknownName("region map", f"regions-{version} of {name}", ())
        return layout.read_labels(folder, f"regions-{version}")

    def write_regions(self, name: str, version: int, regions: RegionMap) -> None:
        """Keep the region map of an image in a version.

        Raises
        ------
        BadValue
            If it has not the size of the image.
        """
        self._check_size(name, regions)
        with self._writing():
            layout.write_labels(
                self._folder(name), f"regions-{version}", regions.astype(np.int32)
            )

    def read_prediction(self, name: str) -> LabelMap | None:
        """Labels that the latest network gave the image, None if none looked at it."""
        folder = self._known(name)
        if not layout.has_labels(folder, "prediction"):
            return None
        return layout.read_labels(folder, "prediction")

    def write_prediction(self, name: str, labels: LabelMap, round: int) -> None:
        """Keep what the network of a round says of an image.

        Raises
        ------
        BadValue
            If it has not the size of the image, or names no class.
        """
        self._check_size(name, labels)
        self._check_labels(labels)
        with self._writing():
            layout.write_labels(
                self._folder(name), "prediction", labels, self.classes, round
            )

    def read_pseudo_labels(self, name: str) -> LabelMap | None:
        """Labels that a network gave the image to learn from, None if there are none.

        They are no answers: the annotation, the ledger and the cost know nothing of
        them. How far each pixel is trusted is the map ``"pseudo-weight"``, 0..1.
        """
        folder = self._known(name)
        if not layout.has_labels(folder, PSEUDO):
            return None
        try:
            return layout.read_labels(folder, PSEUDO)
        except FileNotFoundError:  # another process cleared them meanwhile
            return None

    def write_pseudo_labels(self, name: str, labels: LabelMap, round: int) -> None:
        """Keep the labels that the network of a round gave an image to learn from.

        Raises
        ------
        BadValue
            If they have not the size of the image, or name no class.
        """
        self._check_size(name, labels)
        self._check_labels(labels)
        with self._writing():
            layout.write_labels(self._folder(name), PSEUDO, labels, self.classes, round)

    def clear_pseudo_labels(self) -> None:
        """Take the pseudo labels of all images away, and their weights."""
        with self._writing():
            for name in self.images(None):
                layout.remove_labels(self._folder(name), PSEUDO)
                layout.remove_map(self._folder(name), PSEUDO_WEIGHT)

    def read_map(self, name: str, map_name: str) -> ScoreMap | None:
        """Map of scores of an image as float32, None if there is none of that name."""
        return layout.read_map(self._known(name), map_name)

    def write_map(
        self,
        name: str,
        map_name: str,
        scores: ScoreMap,
        round: int,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep a map of scores of an image, as float16, and what it was made with.

        Raises
        ------
        BadValue
            If it has not the size of the image, a score is not finite or above what
            float16 holds, or the map's name cannot be a file name.
        """
        self._check_size(name, scores)
        if not re.fullmatch(r"[\w][\w.-]*", map_name):
            raise BadValue(f"a map is named by letters, digits and -, got {map_name!r}")
        highest = np.abs(scores).max()
        if not highest <= np.finfo(np.float16).max:
            raise BadValue(
                f"the scores of {map_name} of {name} reach {highest}; they must be "
                f"finite and at most {np.finfo(np.float16).max:g}"
            )
        with self._writing():
            layout.write_map(
                self._folder(name), map_name, scores, round, parameters or {}
            )

    def map_round(self, name: str, map_name: str) -> int | None:
        """Round whose network a map comes from, None if there is no such map."""
        return layout.map_round(self._known(name), map_name)

    def has_fresh_map(
        self, name: str, map_name: str, parameters: Mapping[str, Any] | None = None
    ) -> bool:
        """Whether a map comes from the latest weights and from these parameters."""
        latest = self.weights.latest_round
        if latest is None or self.map_round(name, map_name) != latest:
            return False
        if layout.map_parameters(self._known(name), map_name) != dict(parameters or {}):
            return False
        learnt = self.weights.time(latest)
        return 0 < learnt <= layout.map_time(self._known(name), map_name)

    def map_names(self, name: str) -> tuple[str, ...]:
        """Names of the maps of an image, sorted."""
        return layout.map_names(self._known(name))

    def _check_size(self, name: str, array: np.ndarray) -> None:
        shape = self.info(name).shape
        if array.shape != shape:
            raise BadValue(
                f"{name} has {shape} rows and columns, the array {array.shape}"
            )

    # Rounds

    @property
    def sequence(self) -> int:
        """Sequence number of the latest event, 0 before the first."""
        return self._ledger.sequence()

    @property
    def rounds(self) -> tuple[int, ...]:
        """Rounds that were asked, in order."""
        return self._ledger.rounds()

    @property
    def latest_round(self) -> int:
        """Number of the latest round, 0 before any."""
        return self.rounds[-1] if self.rounds else 0

    def ask(self, selection: Selection) -> None:
        """Open a round: from now on its regions are asked.

        Raises
        ------
        BadValue
            If its number does not follow the latest round's, or a region lies in an
            image that is not of the pool.
        UnknownName
            If a region lies in an unknown image.
        """
        expected = self.latest_round + 1
        if selection.round != expected:
            raise BadValue(f"the next round is {expected}, got {selection.round}")
        for name in selection.images:
            split = self.info(name).split
            if split != "pool":
                raise BadValue(f"{name} is a {split} image; only the pool is asked")
        with self._writing():
            self._ledger.ask(selection)

    def selection(self, round: int | None = None) -> Selection | None:
        """Return what a round asked; the latest for None, and None before the first.

        Raises
        ------
        UnknownName
            If there was no such round.
        """
        if round is None and not self.rounds:
            return None
        return self._ledger.selection(self.rounds[-1] if round is None else round)

    def states(self, round: int) -> tuple[State, ...]:
        """``"open"``, ``"answered"`` or ``"skipped"``, for each region of a round."""
        return self._ledger.states(round)

    def replaceable(self, round: int) -> tuple[int, ...]:
        """Positions of a round that are open and have never been answered or skipped.

        One that was answered and undone may be answered again by redo, and stays.
        """
        return self._ledger.replaceable(round)

    def reask(self, round: int, regions: Mapping[int, Region]) -> None:
        """Ask other regions in place of some that are open.

        Positions that are not `replaceable` (any more) keep the region they have.

        Parameters
        ----------
        round : int
        regions : mapping
            The new region of each position.
        """
        free = set(self.replaceable(round))
        with self._writing():
            self._ledger.reask(
                round, {at: each for at, each in regions.items() if at in free}
            )

    def asked_regions(self, version: int) -> dict[str, set[int]]:
        """Regions by image that must not be asked again.

        Those that were answered or skipped in any round; what an older round left
        open returns to the pool.
        """
        asked = defaultdict(set)
        for name, region in self._ledger.asked_regions(version):
            asked[name].add(region)
        return dict(asked)

    def closed_regions(
        self, partitions: Container[str]
    ) -> dict[str, list[tuple[Bounds, dict[str, Any]]]]:
        """Return the regions of these partitions that must not be asked again.

        Parameters
        ----------
        partitions
            Values of ``settings["partition"]`` that count.

        Returns
        -------
        dict
            By image: the bounds of each region that was answered or skipped in any
            round, and the settings of its partition.
        """
        found = defaultdict(list)
        for version in self._ledger.partitions():
            settings = self.partition_settings(version)
            if settings.get("partition") in partitions:
                for name, bounds in self._ledger.closed_bounds(version):
                    found[name].append((bounds, settings))
        return dict(found)

    def write_ranking(self, round: int, ranking: Ranking) -> None:
        """Keep what a round measured of each region of the pool, instead of older."""
        with self._writing():
            rankings.write_ranking(self.path / "rankings", round, ranking)

    def read_ranking(self, round: int) -> Ranking | None:
        """Return what a round measured of each region, None if it is not kept."""
        return rankings.read_ranking(self.path / "rankings", round)

    def answer(
        self,
        round: int,
        position: int,
        label: int | None = None,
        pixels: LabelMap | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Answer an asked region, in one transaction.

        Parameters
        ----------
        round, position
            Which region; the first of a round has position 0.
        label
            The class of all its pixels, 1..C. Without it and without `pixels` the
            region is accepted as it is painted.
        pixels : uint8 array of the shape of the region's bounds
            Its exact labels; only the region's own pixels are taken, 0 stays
            unlabelled.
        seconds
            How long the person took.

        Raises
        ------
        BadValue
            If there is no such region or class, or both kinds of answer are given.
        """
        if label is not None and pixels is not None:
            raise BadValue("an answer is one label or the pixels, not both")
        if label is not None and not 1 <= label <= len(self.classes):
            raise BadValue(f"a class is 1 to {len(self.classes)}, got {label}")
        region, _ = self._ledger.region(round, position)
        with self._writing():
            self._answer(region.image, round, {position: pixels}, label, seconds)

    def answer_all(self, round: int, answers: Mapping[int, LabelMap]) -> None:
        """Answer many regions with their exact pixels, as an oracle does.

        One transaction for each image, so that thousands of regions take seconds. If
        one image fails, the answers of the images before it stand.

        Parameters
        ----------
        round
            The round that asked.
        answers
            By position: a patch as in `answer`.

        Raises
        ------
        BadValue
            If there is no such region, or a patch is not of its shape.
        """
        by_image: dict[str, dict[int, LabelMap | None]] = defaultdict(dict)
        for position, pixels in answers.items():
            region, _ = self._ledger.region(round, position)
            by_image[region.image][position] = pixels
        with self._writing():
            for name, patches in by_image.items():
                self._answer(name, round, patches, None, 0.0)

    def _answer(
        self,
        name: str,
        round: int,
        answers: Mapping[int, LabelMap | None],
        label: int | None,
        seconds: float,
    ) -> None:
        """Answer regions of one image: one event each, drawn together."""
        regions = {at: self._ledger.region(round, at) for at in answers}
        bounds = _union([region.bounds for region, _ in regions.values()])
        labels = self._window(name, bounds)
        owners = {
            version: self._owners(name, version, bounds)
            for version in {region.partition for region, _ in regions.values()}
        }
        changes = []
        for position, (region, state) in regions.items():
            inside, pixels = _within(region.bounds, bounds), answers[position]
            if pixels is not None:
                self._check_patch(pixels, region.bounds)
            before = labels[inside].copy()
            own = owners[region.partition][inside] == region.region
            after = _answered(before, own, label, pixels)
            labels[inside] = after
            change = Change(
                "answer",
                name,
                region.bounds,
                before,
                after,
                round=round,
                position=position,
                state_before=state,
                state_after="answered",
                label=label,
                pixels=int(np.count_nonzero(after[own])),
                clicks=1 if pixels is None else clicks(np.where(own, after, 0)),
                seconds=seconds,
            )
            changes.append(change)
        self._commit(name, changes, bounds, labels)

    def _owners(self, name: str, version: int, bounds: Bounds) -> RegionMap:
        """Region of each pixel of a rectangle."""
        return layout.read_labels(self._folder(name), f"regions-{version}", bounds)

    def skip(self, round: int, position: int) -> None:
        """Pass over an asked region for good; an answered one stays answered.

        Raises
        ------
        BadValue
            If there is no such region.
        """
        region, state = self._ledger.region(round, position)
        if state != "open":
            return
        with self._writing():
            labels = self._window(region.image, region.bounds)
            change = Change(
                "skip",
                region.image,
                region.bounds,
                labels,
                labels,
                round=round,
                position=position,
                state_before=state,
                state_after="skipped",
            )
            self._commit(region.image, [change], region.bounds, labels)

    def undo(self) -> Event | None:
        """Take back the latest stroke, answer or skip of the project.

        Returns the new event, so that a window can go to its image; None if nothing
        is left. Imported masks are not taken back.
        """
        return self._reverse("undo")

    def redo(self) -> Event | None:
        """Do again what was undone last; None if something else was done since."""
        return self._reverse("redo")

    def _reverse(self, kind: Literal["undo", "redo"]) -> Event | None:
        with self._writing():
            change = self._ledger.reversal(kind)
            if change is None:
                return None
            if change.image in self._lagging:
                self._redraw(change.image)
            self._commit(change.image, [change], change.bounds, change.after)
        return self.events(after=self.sequence - 1)[-1]

    def events(self, after: int = 0) -> list[Event]:
        """Events later than a sequence number, in order."""
        return self._ledger.events(after)

    def cost(self, round: int | None = None) -> Cost:
        """Return what the answers that stand cost, in rounds 1 to `round`, or in all.

        Pixels are those an answer left labelled inside its region. A whole-region
        answer, or one accepted as it was painted, is one click; an answer with exact
        pixels is one click for each connected piece of a class in it, and at least
        one. A region that was answered twice counts its clicks and seconds twice, the
        rest once. Strokes outside of answers and imported masks cost nothing here.
        """
        return self._ledger.cost(round)

    # What a round gave

    def record(self, round: int, name: str, value: Any) -> None:
        """Keep a metric of a round: a number, a text or any JSON value.

        Raises
        ------
        BadValue
            If it is not a JSON value, NaN included.
        """
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadValue(
                f"the metric {name!r} of round {round} is not JSON: {error}"
            ) from error
        with self._writing():
            self._ledger.record(round, name, text)

    def metrics(self, round: int) -> dict[str, Any]:
        """Metrics of a round by name."""
        return self._ledger.metrics(round)

    # Truth and picture

    def verify(self, repair: bool = False) -> list[str]:
        """Return what is wrong with the project, one sentence each.

        Compares the labels of each image with a replay of the ledger, and looks for
        missing images, region maps and weights. With `repair` the labels are drawn
        anew from the ledger, which is the truth about what people did.
        """
        problems = []
        for name in self.images(None):
            labels, broken = self._replay(name)
            broken += layout.image_problems(self._folder(name), self.info(name).shape)
            drawn = layout.annotation_problems(self._folder(name), labels)
            if drawn and repair:
                with self._writing():
                    layout.replace_labels(
                        self._folder(name), "annotation", labels, self.classes
                    )
            problems += [f"{name}: {problem}" for problem in broken + drawn]
        for name, version in self._ledger.maps_asked():
            if not layout.has_labels(self._folder(name), f"regions-{version}"):
                problems.append(f"{name}: the region map regions-{version} is missing")
        return problems + self.weights.problems()

    def _replay(self, name: str) -> tuple[LabelMap, list[str]]:
        """Labels of an image from the ledger alone, and the events that do not fit."""
        labels, broken = np.zeros(self.info(name).shape, np.uint8), []
        for patch in self._ledger.patches(name):
            if not np.array_equal(labels[patch.bounds.slices], patch.before):
                broken.append(f"event {patch.sequence} does not follow the one before")
            labels[patch.bounds.slices] = patch.after
        return labels, broken


def _described(entry: LabelClass) -> dict[str, Any]:
    return {"name": entry.name, "colour": list(entry.colour), "key": entry.key}


def _checked_image(name: str, image: np.ndarray) -> tuple[int, int, int]:
    if image.ndim != 3 or not image.size:
        raise BadValue(
            f"{name}: an image has rows, columns and channels, "
            f"got an array of shape {image.shape}"
        )
    if image.dtype.kind not in "uif":
        raise BadValue(f"{name}: an image holds numbers, got {image.dtype}")
    if not np.isfinite(image).any():
        raise BadValue(f"{name}: the image has no finite pixel")
    height, width, channels = image.shape
    return height, width, channels


def _union(bounds: list[Bounds]) -> Bounds:
    """Smallest rectangle around all."""
    corners = np.array(bounds)
    return Bounds(*corners[:, :2].min(0).tolist(), *corners[:, 2:].max(0).tolist())


def _within(inner: Bounds, outer: Bounds) -> tuple[slice, slice]:
    """Index of a rectangle in the array of the one around it."""
    row, column = outer.row_start, outer.column_start
    return Bounds(
        inner.row_start - row,
        inner.column_start - column,
        inner.row_stop - row,
        inner.column_stop - column,
    ).slices


def _answered(
    before: LabelMap, own: np.ndarray, label: int | None, pixels: LabelMap | None
) -> LabelMap:
    """Labels of a region's rectangle once it is answered."""
    if label is not None:
        return np.where(own, np.uint8(label), before)
    return before if pixels is None else np.where(own, pixels, before)
