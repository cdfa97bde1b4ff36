"""The labels of a project, and all that people do to them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import numpy as np

from napari_alseg.arrays import Bounds, LabelMap, RegionMap
from napari_alseg.errors import BadValue
from napari_alseg.metrics import clicks

from . import ome_zarr
from .handle import Handle
from .ledger_events import Change, Event


class Labels:
    """The labels of all images, which change only through what people do.

    Each action writes the ledger first and then the picture of the labels, so
    whatever ends the program between the two is made good when the project is opened
    again.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._drawn: list[int] = []
        """Events whose picture is drawn, to be marked in the next transaction."""
        self._lagging: set[str] = set()
        """Images whose picture could not be drawn after the ledger was written."""

    @property
    def sequence(self) -> int:
        """Number of the latest event, 0 before any."""
        return self._handle.events.sequence()

    def read(self, name: str) -> LabelMap:
        """Labels of an image as they are now."""
        return self.at(name, self.sequence)

    def at(self, name: str, sequence: int) -> LabelMap:
        """Labels of an image after an event.

        Exact also while another process writes: what came later is put back, newest
        first, from the patches in the ledger, and what the picture may not hold yet
        is drawn from them.
        """
        folder = self._handle.known(name)
        earliest = self._handle.events.not_drawn(name)
        base = min(sequence + 1, sequence + 1 if earliest is None else earliest)
        # The picture is read before the events are, so that it holds none but these.
        labels = ome_zarr.read_labels(folder, "annotation")
        patches = list(self._handle.events.patches(name, after=base - 1))
        for patch in reversed(patches):
            labels[patch.bounds.slices] = patch.before
        for patch in patches:
            if patch.sequence <= sequence:
                labels[patch.bounds.slices] = patch.after
        return labels

    def labelled(self, sequence: int | None = None) -> tuple[str, ...]:
        """Images of the pool with a labelled pixel."""
        return self._handle.events.labelled(
            self.sequence if sequence is None else sequence
        )

    def pixels(self) -> dict[str, int]:
        """Labelled pixels of every image, counted by the ledger."""
        return self._handle.events.labelled_pixels()

    def events(self, after: int = 0) -> list[Event]:
        """Events later than a sequence number, in order."""
        return self._handle.events.events(after)

    def stroke(self, name: str, bounds: Bounds, after: LabelMap) -> None:
        """Write a rectangle as a person painted it.

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
        with self._handle.writing():
            before = self._window(name, bounds)
            if not np.array_equal(before, after):
                change = Change("stroke", name, bounds, before, after)
                self._commit(name, [change], bounds, after)

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
        if label is not None and not 1 <= label <= len(self._handle.classes):
            raise BadValue(f"a class is 1 to {len(self._handle.classes)}, got {label}")
        region, _ = self._handle.rounds.region(round, position)
        with self._handle.writing():
            self._answer(region.image, round, {position: pixels}, label, seconds)

    def answer_all(self, round: int, answers: Mapping[int, LabelMap]) -> None:
        """Answer many regions with their exact pixels.

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
            region, _ = self._handle.rounds.region(round, position)
            by_image[region.image][position] = pixels
        with self._handle.writing():
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
        """Answer regions of one image, drawn together."""
        regions = {at: self._handle.rounds.region(round, at) for at in answers}
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
        return ome_zarr.read_labels(
            self._handle.folder(name), f"regions-{version}", bounds
        )

    def skip(self, round: int, position: int) -> None:
        """Pass over an asked region for good.

        An answered one stays answered.

        Raises
        ------
        BadValue
            If there is no such region.
        """
        region, state = self._handle.rounds.region(round, position)
        if state != "open":
            return
        with self._handle.writing():
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
        """Take back the latest stroke, answer or skip.

        Returns the new event, so that a window can go to its image; None if nothing
        is left. Imported masks are not taken back.
        """
        return self._reverse("undo")

    def redo(self) -> Event | None:
        """Do again what was undone last.

        None if something else was done since.
        """
        return self._reverse("redo")

    def _reverse(self, kind: Literal["undo", "redo"]) -> Event | None:
        with self._handle.writing():
            change = self._handle.events.reversal(kind)
            if change is None:
                return None
            if change.image in self._lagging:
                self._draw(change.image)
            self._commit(change.image, [change], change.bounds, change.after)
        return self.events(after=self.sequence - 1)[-1]

    def _check_bounds(self, name: str, bounds: Bounds) -> None:
        height, width = self._handle.ledger.info(name).shape
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
        self._handle.check_labels(patch)

    def _window(self, name: str, bounds: Bounds) -> LabelMap:
        """Labels of a rectangle of a picture up to date."""
        if name in self._lagging:
            self._draw(name)
        return ome_zarr.read_labels(self._handle.known(name), "annotation", bounds)

    def _commit(
        self, name: str, changes: list[Change], bounds: Bounds, labels: LabelMap
    ) -> None:
        """Write changes to the ledger, then to the picture.

        That the picture is drawn is noted in the next transaction, which costs
        nothing; until then the events are drawn again when the project is opened.
        """
        with self._handle.ledger.transaction():
            self._handle.events.mark_drawn(self._drawn)
            sequences = [self._handle.events.append(change) for change in changes]
        self._drawn = []
        self._lagging.add(name)
        ome_zarr.write_window(self._handle.folder(name), "annotation", bounds, labels)
        self._lagging.remove(name)
        self._drawn = sequences

    def draw_missing(self) -> None:
        """Draw all events that pictures may lack."""
        for name in self._handle.events.images_not_drawn():
            self._draw(name)

    def _draw(self, name: str) -> None:
        """Draw the events that a picture may lack."""
        earliest = self._handle.events.not_drawn(name)
        if earliest is None:
            return
        patches = list(self._handle.events.patches(name, after=earliest - 1))
        bounds = _union([patch.bounds for patch in patches])
        labels = self.at(name, patches[-1].sequence)
        ome_zarr.write_window(
            self._handle.folder(name), "annotation", bounds, labels[bounds.slices]
        )
        with self._handle.ledger.transaction():
            self._handle.events.mark_drawn(patch.sequence for patch in patches)
        self._lagging.discard(name)

    def replay(self, name: str) -> tuple[LabelMap, list[str]]:
        """Labels by the ledger alone, and events that do not fit."""
        labels = np.zeros(self._handle.ledger.info(name).shape, np.uint8)
        broken = []
        for patch in self._handle.events.patches(name):
            if not np.array_equal(labels[patch.bounds.slices], patch.before):
                broken.append(f"event {patch.sequence} does not follow the one before")
            labels[patch.bounds.slices] = patch.after
        return labels, broken


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
