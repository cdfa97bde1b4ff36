"""Images with their labels of one moment."""

from collections.abc import Sequence
from dataclasses import asdict
from threading import Lock

from napari_alseg import segmentation
from napari_alseg.arrays import to_targets
from napari_alseg.byte_cache import ByteCache
from napari_alseg.segmentation import Example
from napari_alseg.settings import SpreadSettings
from napari_alseg.store import Project

CACHED_BYTES = 1_000_000_000
"""Decoded training images kept in memory; the others are read again."""


class Examples(Sequence[Example]):
    """Images with their labels of one moment.

    The newest used are kept in memory up to `CACHED_BYTES`. Labelling meanwhile does
    not change what is learnt. With `spread`, labels first spread to
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
        self._kept = ByteCache[int, Example](CACHED_BYTES, _bytes, least=1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        with self._lock:
            example = self._kept.get(index)
            if example is None:
                example = self._read(self.images[index])
                self._kept.put(index, example)
            return example

    def _read(self, image: str) -> Example:
        targets = to_targets(self._project.labels.at(image, self._sequence))
        pixels = self._project.images.read(image)
        if self._spread:
            classes = len(self._project.classes)
            how = asdict(SpreadSettings())
            targets = segmentation.spread(targets, pixels, classes, **how)
        return Example(pixels, targets)


def _bytes(example: Example) -> int:
    return example.image.nbytes + example.targets.nbytes
