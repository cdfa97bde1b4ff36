"""Answers from ground truth, and what they cost.

**What a click is.** An answer with one class for the whole region is one click, and so
is a skip. Exact pixels are one click for every connected piece of one class in the
region, at least one a region. Pixels that touch at a side or a corner are connected. A
person who is given perfect outlines would click into each piece. No outline is drawn,
so no corner of a polygon is counted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from napari_alseg import settings
from napari_alseg.arrays import LabelMap, Mask, Region, Selection
from napari_alseg.metrics import clicks
from napari_alseg.store import Project


@dataclass(frozen=True)
class OracleAnswers:
    """What an oracle says of the regions of a round."""

    patches: dict[int, LabelMap]
    """By position in the selection: labels of the region's bounds, 0 outside it."""
    skipped: tuple[int, ...]
    """Positions of regions whose truth is mostly unknown, where one class is asked."""
    pixels: int
    """Pixels looked at, ignored ones included: they were asked."""
    ignored_pixels: int
    """Pixels looked at whose truth is unknown."""
    clicks: int
    """By the rule at the head of this module."""


class Oracle:
    """A perfect annotator, who sees asked images only.

    Parameters
    ----------
    truth : callable
        Image name -> `LabelMap`; 0 where the truth itself is unknown.
    kind : str
        exact gives each pixel its own class; dominant gives a region's most frequent
        class (of equally frequent ones the first) to all its pixels, also those that
        are something else or unknown, as answering with a key does.
    """

    def __init__(
        self, truth: Callable[[str], LabelMap], kind: settings.Answers = "exact"
    ) -> None:
        self._truth = truth
        self._kind = kind

    def answers(self, project: Project, selection: Selection) -> OracleAnswers:
        """Return the answers to all asked regions."""
        patches: dict[int, LabelMap] = {}
        ignored = 0
        for position, inside, revealed in self._revealed(project, selection):
            patches[position] = self._patch(inside, revealed)
            ignored += int((revealed[inside] == 0).sum())
        one_class = self._kind == "dominant"
        spent = len(patches) if one_class else sum(map(clicks, patches.values()))
        skipped = tuple(
            at for at, patch in patches.items() if one_class and not patch.any()
        )
        answered = {at: each for at, each in patches.items() if at not in set(skipped)}
        return OracleAnswers(answered, skipped, selection.pixels, ignored, spent)

    def _revealed(
        self, project: Project, selection: Selection
    ) -> Iterator[tuple[int, Mask, LabelMap]]:
        """Yield each region's position, pixels and truth."""
        positions = defaultdict(list)
        for position, region in enumerate(selection.regions):
            positions[region.image, region.partition].append(position)
        for (image, partition), of_image in positions.items():
            truth = self._truth(image)
            region_map = project.outputs.read_regions(image, partition)
            for position in of_image:
                region = selection.regions[position]
                yield position, *_cut(region, region_map, truth)

    def _patch(self, inside: Mask, revealed: LabelMap) -> LabelMap:
        """Labels that answer a region, 0 outside it."""
        exact = self._kind == "exact"
        labels = revealed if exact else dominant(revealed[inside])
        return np.where(inside, labels, np.uint8(0))


def _cut(region: Region, regions: np.ndarray, truth: LabelMap) -> tuple[Mask, LabelMap]:
    """Region's own pixels and the truth of its bounds."""
    within = region.bounds.slices
    return regions[within] == region.region, truth[within]


def dominant(labels: np.ndarray) -> np.uint8:
    """Most frequent class, 1..C; 0 if most have none.

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
