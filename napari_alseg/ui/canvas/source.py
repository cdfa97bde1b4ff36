"""What a project holds of a screen, read once and kept until it changes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_alseg.arrays import LabelMap, Ranking, Region, RegionMap, Selection
from napari_alseg.errors import WeightsMismatch
from napari_alseg.ui.queue import Marked, Queue

from .layers import LayerData
from .pictures import image_layers
from .scores import Origin, lit_regions, origin_of, scores_by_id
from .screen import Screen

if TYPE_CHECKING:
    from napari_alseg.store import Project


@dataclass(frozen=True)
class Standing:
    """How far a project is: what tasks have left, which changes when one ends."""

    images: int
    sources: int
    round: int
    """The latest round, 0 before any."""
    learned: int | None
    """The round of the latest weights."""
    stopped: bool
    """Whether a training of the latest round was stopped and can be resumed."""


def standing_of(project: "Project") -> Standing:
    """Read how far a project is."""
    latest = project.rounds.latest
    return Standing(
        len(project.images.names()),
        len(project.images.names("source")),
        latest,
        project.weights.latest_round,
        _is_stopped(project, latest),
    )


def _is_stopped(project: "Project", latest: int) -> bool:
    try:
        metadata = project.weights.checkpoint_metadata("training")
    except WeightsMismatch:
        return False  # damaged: only a new training helps
    return metadata is not None and metadata.get("plan", {}).get("round") == latest


class Source:
    """A source reads what a screen needs, each thing once for each event.

    Regions, rankings and images do not change while a round is asked; states and labels
    change with the sequence number of the screen.

    Parameters
    ----------
    project : Project
    """

    def __init__(self, project: "Project") -> None:
        self.project = project
        self._standing: Standing | None = None
        self._selections: dict[int, Selection] = {}
        self._queue: tuple[tuple[int, int], Queue] | None = None
        self._labelled: tuple[int, bool] | None = None
        self._rankings: dict[int, Ranking | None] = {}
        self._origins: dict[int, Origin] = {}
        self._regions: tuple[tuple[str, int], RegionMap] | None = None
        self._pictures: tuple[tuple[str, bool], list[LayerData]] | None = None

    @property
    def standing(self) -> Standing:
        """How far the project is."""
        if self._standing is None:
            self._standing = standing_of(self.project)
        return self._standing

    def forget(self) -> None:
        """Read anew what a task may have left."""
        self._standing = None
        self._labelled = None
        self._rankings.clear()
        self._origins.clear()

    def forget_queue(self) -> None:
        """Read anew what the rounds ask."""
        self._selections.clear()
        self._queue = None

    def selection(self, round: int | None) -> Selection | None:
        """Return what a round asks; None before the first."""
        if not round:
            return None
        if round not in self._selections:
            selection = self.project.rounds.selection(round)
            assert selection is not None
            self._selections[round] = selection
        return self._selections[round]

    def queue(self, screen: Screen) -> Queue | None:
        """Return the asked regions with their states; None before the first round."""
        selection = self.selection(screen.round)
        if selection is None:
            return None
        key = selection.round, screen.sequence
        if self._queue is None or self._queue[0] != key:
            states = self.project.rounds.states(selection.round)
            self._queue = key, Queue(selection, states)
        return self._queue[1]

    def states(self, screen: Screen) -> tuple[str, ...]:
        """'open', 'answered' or 'skipped' for each region."""
        queue = self.queue(screen)
        return () if queue is None else queue.states

    def region(self, screen: Screen) -> Region | None:
        """Return the current region, wherever it is."""
        selection = self.selection(screen.round)
        if selection is None or screen.position is None:
            return None
        return selection.regions[screen.position]

    def marked(self, screen: Screen) -> Marked:
        """Return the current region's state; elsewhere if the image has it not."""
        region, position = self.region(screen), screen.position
        if region is None or region.image != screen.image or position is None:
            return "elsewhere"
        return self.states(screen)[position]  # type: ignore[return-value]

    def ranking(self, screen: Screen) -> Ranking | None:
        """Return what the round measured of the pool; None if nothing."""
        number = screen.round
        if number is None:
            return None
        if number not in self._rankings:
            self._rankings = {number: self.project.rounds.read_ranking(number)}
        return self._rankings[number]

    def origin(self, round: int | None) -> Origin | None:
        """How the regions of a round came to be asked; None before the first."""
        selection = self.selection(round)
        if selection is None:
            return None
        if selection.round not in self._origins:
            self._origins[selection.round] = origin_of(self.project, selection)
        return self._origins[selection.round]

    def region_map(self, screen: Screen) -> RegionMap | None:
        """Regions of the shown image, of the kind that the round asks."""
        selection = self.selection(screen.round)
        version = selection.partition if selection else None
        if version is None or not screen.image:
            return None
        if self._regions is None or self._regions[0] != (screen.image, version):
            if not self.project.outputs.has_regions(screen.image, version):
                return None
            found = self.project.outputs.read_regions(screen.image, version)
            self._regions = (screen.image, version), found
        return self._regions[1]

    def region_scores(self, screen: Screen) -> np.ndarray | None:
        """Score of each region of the shown image by its id; NaN where none was."""
        ranking, region_map = self.ranking(screen), self.region_map(screen)
        if ranking is None or region_map is None:
            return None
        return scores_by_id(ranking, screen.image, int(region_map.max()))

    def lit_ids(self, screen: Screen) -> np.ndarray:
        """Ids of the regions of the shown image with a score in range, ascending."""
        ranking = self.ranking(screen)
        if screen.lit is None or ranking is None:
            return np.empty(0, np.int32)
        return lit_regions(ranking, screen.image, screen.lit)

    def labels(self, screen: Screen) -> LabelMap:
        """Labels of the shown image."""
        return self.project.labels.at(screen.image, screen.sequence)

    def labelled(self, screen: Screen) -> bool:
        """Whether any pixel of the pool has a label."""
        if self._labelled is None or self._labelled[0] != screen.sequence:
            found = bool(self.project.labels.labelled(screen.sequence))
            self._labelled = screen.sequence, found
        return self._labelled[1]

    def pictures(self, screen: Screen) -> list[LayerData]:
        """Layers of the image itself; side by side it is one."""
        key = screen.image, screen.side_by_side
        if self._pictures is None or self._pictures[0] != key:
            self._pictures = key, image_layers(self.project, *key)
        return self._pictures[1]
