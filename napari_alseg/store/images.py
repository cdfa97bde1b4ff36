"""The images of a project."""

import shutil
from collections.abc import Sequence
from typing import Literal

import numpy as np

from napari_alseg.arrays import Bounds, Image, LabelMap
from napari_alseg.errors import BadValue, MaskMismatch

from . import ome_zarr
from .handle import Handle
from .intensity import Window, intensity_windows, three_channels, windowed
from .ledger import ImageInfo
from .ledger_events import Change
from .naming import safe_name, unused
from .reading import numbered

SPLITS = ("pool", "source", "validation", "test")
Split = Literal["pool", "source", "validation", "test"]
"""What an image is for: asked and learnt from, learnt from only (labelled images of
another domain), choosing weights, or measuring."""


class Images:
    """The images of a project: their pixels, and what is known of them.

    Names are the ids that `add` returns.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def names(self, split: str | None = "pool") -> tuple[str, ...]:
        """Names in the order added.

        Of all splits for None.
        """
        return self._handle.ledger.images(split)

    def info(self, name: str) -> ImageInfo:
        """Return what is known of an image, unread.

        Raises
        ------
        UnknownName
            If no image has that id.
        """
        return self._handle.ledger.info(name)

    def add(
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
        """Copy an image into the project; its id.

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
        name = unused(safe_name(name), self.names(None))
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
        with self._handle.writing():
            try:
                self._write_image(info, image, labels)
            except BaseException:
                shutil.rmtree(self._handle.folder(name), ignore_errors=True)
                raise
        return name

    def sweep(self) -> None:
        """Remove folders of images that never came to count."""
        known = self.names(None)
        for folder in (self._handle.path / "images").iterdir():
            if folder.is_dir() and folder.name not in known:
                shutil.rmtree(folder)

    def _check_mask(self, name: str, labels: LabelMap, shape: tuple[int, int]) -> None:
        if labels.shape != shape:
            raise MaskMismatch(
                f"the mask of {name} has {labels.shape} rows and columns, the image "
                f"{shape}; give a mask of the image's size"
            )
        try:
            self._handle.check_labels(labels)
        except BadValue as error:
            raise MaskMismatch(f"the mask of {name}: {error}") from error

    def _write_image(
        self, info: ImageInfo, image: np.ndarray, labels: LabelMap
    ) -> None:
        """Write an image's folder, then its row."""
        folder = self._handle.folder(info.id)
        ome_zarr.create_image(folder, image, info.windows, info.channels, info.colour)
        ome_zarr.write_labels(folder, "annotation", labels, self._handle.classes)
        with self._handle.ledger.transaction():
            self._handle.ledger.add_image(info)
            if labels.any():
                whole = Bounds(0, 0, *labels.shape)
                nothing = np.zeros_like(labels)
                imported = Change("import", info.id, whole, nothing, labels)
                self._handle.events.append(imported, drawn=True)

    def read(self, name: str) -> Image:
        """Image as networks see it: ``(H, W, 3)``.

        Grey is in all three channels. Of more than three channels the first three
        are taken, or the `network_channels` of the project; where there are fewer
        than three, what is missing is empty.
        """
        return three_channels(self.read_shown(name), self._handle.network_channels)

    def read_shown(self, name: str) -> np.ndarray:
        """Image in 8 bits, each channel within its window."""
        info = self.info(name)
        return windowed(self.read_original(name), info.windows, info.nodata)

    def read_original(self, name: str) -> np.ndarray:
        """Image ``(H, W, K)`` in its native dtype."""
        return ome_zarr.read_image(self._handle.known(name))


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
