"""Answers a selection from ground truth, and counts what each answer costs.

**What a click is.** An answer with one class for the whole region is one click, and so
is a skip. Exact pixels are one click for every connected piece of one class in the
region (pixels that touch at a side or a corner belong together), at least one a region:
a person who is given perfect outlines would click into each piece. No outline is drawn,
so no corner of a polygon is counted.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_alseg import settings
from napari_alseg.arrays import LabelMap, Mask, Region, Selection
from napari_alseg.metrics import clicks
from napari_alseg.store import Project


@dataclass(frozen=True)
class Answers:
    """What an oracle says of the regions of a round."""

    patches: dict[int, LabelMap]
    """By position in the selection: labels of the region's bounds, 0 outside it."""
    skipped: tuple[int, ...]
    """Positions of regions whose truth is mostly unknown, where one class is asked."""
    pixels: int
    """Pixels looked at, void ones included: they were asked."""
    ignored_pixels: int
    """Pixels looked at whose truth is unknown."""
    clicks: int
    """By the rule at the head of this module."""


class Oracle:
    """A perfect annotator; it looks at the truth of asked images only.

    Parameters
    ----------
    truth : callable
        Image name -> `LabelMap`; 0 where the truth itself is unknown.
    kind : str
        exact gives each pixel its own class; dominant gives a region's most frequent
        class (of equally frequent ones the first) to all its pixels, also those that
        are something else or void, as answering with a key does.
    """

    def __init__(
        self, truth: Callable[[str], LabelMap], kind: settings.Answers = "exact"
    ) -> None:
        self._truth = truth
        self._kind = kind

    def answers(self, project: Project, selection: Selection) -> Answers:
        """Return what is to be said of each asked region, and what it costs."""
        positions = defaultdict(list)
        for position, region in enumerate(selection.regions):
            positions[region.image, region.partition].append(position)
        patches: dict[int, LabelMap] = {}
        void = spent = 0
        for (image, partition), of_image in positions.items():
            truth = self._truth(image)
            region_map = project.read_regions(image, partition)
            for position in of_image:
                inside, revealed = _cut(selection.regions[position], region_map, truth)
                void += int((revealed[inside] == 0).sum())
                if self._kind == "exact":
                    patches[position] = np.where(inside, revealed, np.uint8(0))
                    spent += clicks(patches[position])
                else:
                    most = dominant(revealed[inside])
                    patches[position] = np.where(inside, most, np.uint8(0))
                    spent += 1
        skipped = []
        if self._kind == "dominant":
            skipped = [at for at, patch in patches.items() if not patch.any()]
        answered = {at: patches[at] for at in patches if at not in set(skipped)}
        return Answers(answered, tuple(skipped), selection.pixels, void, spent)


def _cut(region: Region, regions: np.ndarray, truth: LabelMap) -> tuple[Mask, LabelMap]:
    """Return which pixels of a region's bounds are its own, and their truth."""
    within = region.bounds.slices
    return regions[within] == region.region, truth[within]


def dominant(labels: np.ndarray) -> np.uint8:
    """Most frequent class of some labels, 1..C; 0 if most of them have none.

    Of equally frequent classes the first wins. Where the truth of more than half of
    the pixels is unknown, a person would not name the rest, but skip.

    Examples
    --------
    >>> int(dominant(np.array([0, 0, 0, 3, 2, 2, 3], np.uint8)))
    2
    >>> int(dominant(np.array([0, 0, 0, 3, 2], np.uint8)))
    0
    """
    counts = np.bincount(labels.ravel(), minlength=1)
    unknown, counts[0] = counts[0], 0
    return np.uint8(0 if 2 * unknown > labels.size else counts.argmax())
