"""Answers a selection from ground truth, and counts what that reveals."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from .arrays import LabelMap, Selection
from .store import Project


class Oracle:
    """A perfect annotator: gives exactly the asked pixels, and keeps count.

    Parameters
    ----------
    truth : callable
        Image name -> `LabelMap`; 0 where the truth itself is unknown. It is called
        for asked images only.
    """

    def __init__(self, truth: Callable[[str], LabelMap]) -> None:
        self._truth = truth
        self.pixels = 0
        """Pixels revealed so far, void ones included: they were asked and looked at."""
        self.void_pixels = 0
        """Revealed pixels whose truth is unknown."""
        self.regions = 0

    def answers(self, project: Project, selection: Selection) -> dict[int, LabelMap]:
        """Return the true labels of each asked region, by position in the selection.

        Each patch has the shape of the region's bounds and is 0 outside the region.
        """
        positions = defaultdict(list)
        for position, region in enumerate(selection.regions):
            positions[region.image, region.partition].append(position)
        patches: dict[int, LabelMap] = {}
        for (image, partition), of_image in positions.items():
            truth = self._truth(image)
            region_map = project.read_regions(image, partition)
            for position in of_image:
                region = selection.regions[position]
                inside = region_map[region.bounds.slices] == region.region
                revealed = truth[region.bounds.slices]
                patches[position] = np.where(inside, revealed, 0)
                self._count(revealed[inside])
        return patches

    def _count(self, revealed: np.ndarray) -> None:
        self.pixels += revealed.size
        self.void_pixels += int((revealed == 0).sum())
        self.regions += 1
