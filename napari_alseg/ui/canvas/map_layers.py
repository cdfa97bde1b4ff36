"""Which maps of an image are wanted, which are there, and which must be computed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_alseg import systems
from napari_alseg.arrays import RegionMap, ScoreMap
from napari_alseg.errors import AlsegError, BadValue
from napari_alseg.regions import pool
from napari_alseg.store import PSEUDO_WEIGHT

from . import layers

if TYPE_CHECKING:
    from napari_alseg.store import Project

USUAL = "entropy"
"""The map to look at where the system asks by none."""


@dataclass(frozen=True)
class Shown:
    """What is wanted over an image."""

    names: tuple[str, ...] = ()
    """Maps, each a layer of its own."""
    maps: bool = False
    """Whether the maps are visible."""
    prediction: bool = False
    by_region: bool = False
    """Whether a map shows the mean of each region."""
    side_by_side: bool = False
    pseudo: bool = False
    """Whether the pseudo labels are visible."""


def map_layers(
    project: "Project", image: str, shown: Shown, region_map: RegionMap | None
) -> list[layers.LayerData]:
    """Return wanted maps, prediction and pseudo labels, as far as they are there.

    Parameters
    ----------
    project : Project
    image : str
    shown : Shown
    region_map : int32 array of shape (H, W), optional
        The regions to take means of; none if the image has none.
    """
    found = []
    for name in shown.names:
        score = project.outputs.read_map(image, name)
        if score is None:
            continue
        if shown.by_region and region_map is not None:
            score = mean_of_regions(score, region_map)
        found.append(layers.map_layer(image, name, score, shown.maps))
    prediction = project.outputs.read_prediction(image)
    if prediction is not None:
        found.append(
            layers.prediction_layer(project, image, prediction, shown.prediction)
        )
    pseudo = project.outputs.read_pseudo_labels(image)
    if pseudo is not None:
        found.append(layers.pseudo_layer(project, image, pseudo, shown.pseudo))
    return found


def mean_of_regions(score: ScoreMap, region_map: RegionMap) -> ScoreMap:
    """Map with each pixel's score replaced by its region's mean; region 0 keeps its.

    Examples
    --------
    >>> score = np.array([[0.0, 1.0, 5.0]], np.float32)
    >>> mean_of_regions(score, np.array([[1, 1, 0]], np.int32))
    array([[0.5, 0.5, 5. ]], dtype=float32)
    """
    if not region_map.any():
        return score
    means = np.concatenate([[0.0], pool(score, region_map, how="mean")])
    pooled: ScoreMap = np.where(region_map > 0, means[region_map], score)
    return pooled.astype(np.float32)


def map_of(acquisition: str) -> str:
    """Name of the map that shows best what an acquisition asks by.

    Examples
    --------
    >>> map_of("ripu"), map_of("difficulty-entropy"), map_of("random")
    ('ripu', 'difficulty', 'entropy')
    """
    row = systems.acquisition(acquisition)
    if row.of == "pixels":
        return row.name
    return row.terms[0] if row.terms else USUAL


def missing(
    project: "Project", image: str, shown: Shown, query: systems.Query
) -> dict[str, dict[str, Any]]:
    """Return the maps that the latest network has still to make, with their parameters.

    Parameters
    ----------
    project : Project
    image : str
    shown : Shown
        Where no map is wanted but the prediction, any map brings it along.
    query : QuerySettings
        Completed, for the parameters.
    """
    names = of_network(shown.names) or ((USUAL,) if shown.prediction else ())
    wanted = {name: systems.acquisition(name).values(query) for name in names}
    return {
        name: values
        for name, values in wanted.items()
        if not project.outputs.has_fresh_map(image, name, values)
    }


def of_network(names: Iterable[str]) -> tuple[str, ...]:
    """Return the maps that a look can make; a training alone makes the other.

    Examples
    --------
    >>> of_network(("entropy", "pseudo-weight"))
    ('entropy',)
    """
    return tuple(name for name in names if name != PSEUDO_WEIGHT)


@dataclass
class Looks:
    """Decides what the next look computes, so that one bad map does not spoil others.

    One look computes all maps that are missing. If one of them cannot be made, each
    is tried alone, and only those that fail then are given up.
    """

    latest: tuple[str, dict[str, dict[str, Any]]] = ("", {})
    """Image and maps of the latest look."""
    alone: set[str] = field(default_factory=set)
    """Maps to be tried one at a time."""

    def next(
        self, image: str, maps: dict[str, dict[str, Any]], again: bool
    ) -> tuple[str, ...]:
        """Return the maps that the next look computes, none if there is to be none.

        Parameters
        ----------
        image : str
        maps : dict
            The maps that are missing, each with its parameters.
        again : bool
            Whether nobody asks for it: then the same is not tried once more.
        """
        self.alone &= set(maps)
        if self.alone:
            first = next(name for name in maps if name in self.alone)
            maps = {first: maps[first]}
        if not maps or (again and (image, maps) == self.latest):
            return ()
        self.latest = image, maps
        return tuple(maps)

    def failed(self, error: AlsegError) -> tuple[str, ...] | None:
        """Return the maps to give up, or None if each is to be tried alone first."""
        _, names = self.latest
        if not isinstance(error, BadValue):
            return ()  # not the fault of a map
        if len(names) > 1:
            self.alone = set(names)
            return None
        self.alone -= set(names)
        return tuple(names)
