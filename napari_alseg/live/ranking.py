"""The regions of the pool as the live network ranks them, and how fresh that is."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_alseg import regions, systems
from napari_alseg.arrays import Bounds, Region, RegionBounds
from napari_alseg.budget import Budget
from napari_alseg.errors import NothingToAsk
from napari_alseg.selection.candidates import (
    Candidates,
    candidates_of,
    joined,
    still_open,
)
from napari_alseg.selection.choose import Asking, choose, selection_of
from napari_alseg.selection.maps import glance
from napari_alseg.selection.measure import encoded, pooled
from napari_alseg.settings import PredictionSettings, QuerySettings
from napari_alseg.store import Project
from napari_alseg.systems import Query

from .model import Live

SIMILAR = 100
"""Regions that are told to be like one."""
SPARE = 3
"""Regions that are ranked beyond those that the queue has room for."""


class PoolRanking:
    """Scores of all regions of the pool, each image's from when it was last seen.

    Nothing of it goes to disk: a score lives until the head has learnt more.

    Parameters
    ----------
    project : Project
    prediction : PredictionSettings
    """

    def __init__(self, project: Project, prediction: PredictionSettings) -> None:
        self.project = project
        self._prediction = prediction
        self._pool: tuple[str, ...] = ()
        self._images: tuple[str, ...] = ()
        self._version = 0
        self._query: Query | None = None
        self._rows: dict[str, Candidates] = {}
        self._scored: dict[str, int] = {}
        """Times that the head had learnt when it saw an image."""
        self._bounds: dict[str, RegionBounds] = {}
        self._looks: dict[str, np.ndarray] = {}
        """Features of the regions of each image, float16 (R, D)."""
        self._sizes: dict[str, np.ndarray] = {}
        """Pixels of the regions of each image, int32 (R,)."""

    def clear(self) -> None:
        """Forget everything: another encoder has other features."""
        self._rows.clear()
        self._scored.clear()
        self._looks.clear()
        self._bounds.clear()
        self._sizes.clear()

    def begin(self, settings: QuerySettings) -> bool:
        """Rank the regions of the latest round's kind; whether that can be done.

        Windows and single pixels are found anew in each round and have no ranks; a
        round of whole images stays together; a lightweight head knows no difficulty.
        """
        selection = self.project.rounds.selection()
        version = selection.partition if selection else None
        if selection is None or version is None:
            return False
        if Budget.parse(selection.budget).unit == "images":
            return False
        query = systems.resolve(settings)
        asked = self.project.outputs.partition_settings(version)["partition"]
        if query.partition.found_by_scores or query.partition.name != asked:
            return False
        if not query.for_lightweight_head:
            return False
        images = self._with_regions(version)
        if version != self._version or images != self._images:
            self.clear()
        elif not self._same(query):
            self._rows.clear()
            self._scored.clear()
        self._version, self._images, self._query = version, images, query
        return True

    def _same(self, query: Query) -> bool:
        """Whether regions get the same scores as before."""
        before = self._query
        return before is not None and (before.parts, before.values) == (
            query.parts,
            query.values,
        )

    def _with_regions(self, version: int) -> tuple[str, ...]:
        """Images of the pool that have such regions."""
        pool = self.project.images.names()
        if version == self._version and pool == self._pool:
            return self._images
        self._pool = pool
        return tuple(
            each for each in pool if self.project.outputs.has_regions(each, version)
        )

    def waiting(self, first: Sequence[str], live: Live) -> list[str]:
        """Return the images that the newest head has not seen, some of them first."""
        waiting = [
            image for image in self._images if self._scored.get(image) != live.learnt
        ]
        place = {image: index for index, image in enumerate(dict.fromkeys(first))}
        return sorted(
            waiting,
            key=lambda image: (
                place.get(image, len(place)),
                self._scored.get(image, -1),
            ),
        )

    def fresh(self, live: Live) -> float:
        """Return the share of the pool that the newest head has seen, 0..1."""
        seen = sum(learnt == live.learnt for learnt in self._scored.values())
        return seen / max(len(self._images), 1)

    def score(self, image: str, live: Live) -> None:
        """Let the head see an image, and pool what it says over the regions."""
        query = self.query
        region_map = self.project.outputs.read_regions(image, self._version)
        pixels = self.project.images.read(image)
        _, seen = glance(live.network, pixels, query, self._prediction)
        rng = np.random.default_rng([query.seed, live.learnt])
        measured = pooled(seen, region_map, query, rng)
        if image not in self._bounds:
            self._bounds[image] = regions.bounds(region_map).astype(np.int32)
        labels = self.project.labels.read(image)
        self._rows[image] = candidates_of(
            self._images.index(image),
            region_map,
            self._bounds[image],
            measured,
            labels,
            (),
        )
        self._scored[image] = live.learnt

    @property
    def query(self) -> Query:
        """What it ranks by; there is one from the first `begin` on."""
        assert self._query is not None
        return self._query

    def best(self) -> tuple[Region, ...]:
        """Choose as the query says, from all that was scored: the best first."""
        number = self.project.rounds.latest
        count = self.project.rounds.states(number).count("open") + SPARE
        rows = joined(self._rows.values())
        candidates = still_open(self.project, self._images, self._version, rows)
        query = replace(self.query, budget=Budget(count, "regions"))
        rng = np.random.default_rng([query.seed, number])
        asked = Asking(number, self._images, 0, query, rng)
        try:
            picked = choose(asked, candidates)
        except NothingToAsk:
            return ()
        return selection_of(asked, self._version, candidates, picked).regions

    # --- similar regions --------------------------------------------------------------

    def describe(self, image: str, live: Live) -> None:
        """Take note of what the regions of an image look like."""
        region_map = self.project.outputs.read_regions(image, self._version)
        pixels = self.project.images.read(image)
        looks = encoded(live.network, pixels, region_map, self._prediction)
        self._looks[image] = looks.astype(np.float16)
        self._sizes[image] = regions.count_pixels(region_map).astype(np.int32)
        if image not in self._bounds:
            self._bounds[image] = regions.bounds(region_map).astype(np.int32)

    def not_described(self) -> list[str]:
        """Return the images whose regions have no features yet."""
        return [image for image in self._images if image not in self._looks]

    def similar(self, image: str, region: int) -> tuple[Region, ...]:
        """Return the regions that are most like one, by the angle of their features.

        The score of each is the cosine, 1 for the same look.
        """
        if image not in self._looks or region > len(self._looks[image]):
            return ()
        wanted = _unit(self._looks[image][region - 1 : region])[0]
        cosines = {name: _unit(looks) @ wanted for name, looks in self._looks.items()}
        names = np.repeat(list(cosines), [len(each) for each in cosines.values()])
        ids = np.concatenate([1 + np.arange(len(each)) for each in cosines.values()])
        score = np.concatenate(list(cosines.values()))
        score[(names == image) & (ids == region)] = -np.inf
        best = np.argsort(-score, kind="stable")[: min(SIMILAR, len(score) - 1)]
        found = []
        for row in best:
            name, number = str(names[row]), int(ids[row])
            bounds = Bounds(*self._bounds[name][number - 1].tolist())
            pixels = int(self._sizes[name][number - 1])
            found.append(
                Region(name, self._version, number, float(score[row]), pixels, bounds)
            )
        return tuple(found)


def _unit(looks: np.ndarray) -> np.ndarray:
    """Return vectors of length 1."""
    looks = looks.astype(np.float32)
    length = np.linalg.norm(looks, axis=1, keepdims=True)
    unit: np.ndarray = looks / np.maximum(length, 1e-6)
    return unit
