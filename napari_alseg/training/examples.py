"""Images with their labels as they were at one moment."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from threading import Lock

from napari_alseg import segmentation
from napari_alseg.arrays import to_targets
from napari_alseg.segmentation import Example
from napari_alseg.settings import SpreadSettings
from napari_alseg.store import Project

CACHED_BYTES = 1_000_000_000
"""Decoded training images kept in memory; the others are read again."""


class Examples(Sequence[Example]):
    """Images with their labels as they were at one moment, read when needed.

    The newest used are kept in memory up to `CACHED_BYTES`; labelling goes on
    meanwhile without changing what is learnt. With `spread`, labels first spread to
    neighbours of like colour (`segmentation.spread`).
    """

    def __init__(
        self,
        project: Project,
        images: Sequence[str],
        sequence: int,
        spread: bool = False,
    ) -> None:
        self._project = project
        self.images = images
        self._sequence = sequence
        self._spread = spread
        self._lock = Lock()  # batches are read by several threads
        self._kept: OrderedDict[int, Example] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        with self._lock:
            if index not in self._kept:
                self._keep(index, self._read(self.images[index]))
            self._kept.move_to_end(index)
            return self._kept[index]

    def _read(self, image: str) -> Example:
        targets = to_targets(self._project.labels_at(image, self._sequence))
        pixels = self._project.read_image(image)
        if self._spread:
            classes = len(self._project.classes)
            how = asdict(SpreadSettings())
            targets = segmentation.spread(targets, pixels, classes, **how)
        return Example(pixels, targets)

    def _keep(self, index: int, example: Example) -> None:
        self._kept[index] = example
        self._bytes += example.image.nbytes + example.targets.nbytes
        while self._bytes > CACHED_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.image.nbytes + dropped.targets.nbytes
