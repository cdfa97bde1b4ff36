"""What was computed of the images: regions, predictions, pseudo labels, maps."""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_alseg.arrays import LabelMap, RegionMap, ScoreMap
from napari_alseg.errors import BadValue, UnknownName

from . import ome_zarr, score_maps
from .handle import Handle

PREDICTION = "prediction"
PSEUDO = "pseudo"
PSEUDO_WEIGHT = "pseudo-weight"
"""Name of the map that says how far each pseudo label is trusted, 0..1."""


class Outputs:
    """What was computed of images: regions, predictions, maps.

    Region maps go by the version of their partition.

    A prediction and a map carry the number of the weights that they were made with
    (`Weights.number`), and are *fresh* while these are the latest.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def partition_version(self, settings: Mapping[str, Any]) -> int:
        """Version of the region maps made with these settings.

        New ones get a new one.

        Regions are asked by version and id, so an old answer keeps its meaning.
        """
        text = json.dumps(settings, sort_keys=True)
        version = self._handle.ledger.partition_version(text)
        if version is not None:
            return version
        with self._handle.writing():
            return self._handle.ledger.add_partition(text)

    def partition_settings(self, version: int) -> dict[str, Any]:
        """Return the settings of a version.

        Raises
        ------
        UnknownName
            If there is no such version.
        """
        return self._handle.ledger.partition_settings(version)

    def has_regions(self, name: str, version: int) -> bool:
        """Whether an image has such a region map."""
        return ome_zarr.has_labels(self._handle.known(name), f"regions-{version}")

    def read_regions(self, name: str, version: int) -> RegionMap:
        """Region map of an image in a version.

        Raises
        ------
        UnknownName
            If it was not computed.
        """
        folder = self._handle.known(name)
        if not ome_zarr.has_labels(folder, f"regions-{version}"):
            raise UnknownName("region map", f"regions-{version} of {name}", ())
        return ome_zarr.read_labels(folder, f"regions-{version}")

    def write_regions(self, name: str, version: int, regions: RegionMap) -> None:
        """Keep the region map of an image.

        Raises
        ------
        BadValue
            If it has not the size of the image.
        """
        self._handle.check_size(name, regions)
        with self._handle.writing():
            ome_zarr.write_labels(
                self._handle.folder(name),
                f"regions-{version}",
                regions.astype(np.int32),
            )

    def read_prediction(self, name: str) -> LabelMap | None:
        """Labels that the latest network gave, None without any."""
        folder = self._handle.known(name)
        if not ome_zarr.has_labels(folder, PREDICTION):
            return None
        return ome_zarr.read_labels(folder, PREDICTION)

    def write_prediction(
        self, name: str, labels: LabelMap, round: int, weights: int | None = None
    ) -> None:
        """Keep what a round's network says of an image.

        Parameters
        ----------
        name : str
        labels : LabelMap
        round : int
        weights : int, optional
            Number of the weights it was made with; those of the round as they are
            now, if not given.

        Raises
        ------
        BadValue
            If it has not the size of the image, or names no class.
        """
        self._handle.check_size(name, labels)
        self._handle.check_labels(labels)
        number = self._number(round) if weights is None else weights
        with self._handle.writing():
            ome_zarr.write_labels(
                self._handle.folder(name),
                PREDICTION,
                labels,
                self._handle.classes,
                round,
                number,
            )

    def has_fresh_prediction(self, name: str) -> bool:
        """Whether a prediction is of the latest weights."""
        folder = self._handle.known(name)
        return self._is_latest(ome_zarr.label_attributes(folder, PREDICTION))

    def read_pseudo_labels(self, name: str) -> LabelMap | None:
        """Pseudo labels to learn from; None without any.

        They are no answers: the annotation, the ledger and the cost know nothing of
        them. How far each pixel is trusted is the map ``"pseudo-weight"``, 0..1.
        """
        folder = self._handle.known(name)
        if not ome_zarr.has_labels(folder, PSEUDO):
            return None
        try:
            return ome_zarr.read_labels(folder, PSEUDO)
        except FileNotFoundError:  # another process cleared them meanwhile
            return None

    def write_pseudo_labels(self, name: str, labels: LabelMap, round: int) -> None:
        """Keep labels of a network to learn from.

        Raises
        ------
        BadValue
            If they have not the size of the image, or name no class.
        """
        self._handle.check_size(name, labels)
        self._handle.check_labels(labels)
        with self._handle.writing():
            ome_zarr.write_labels(
                self._handle.folder(name), PSEUDO, labels, self._handle.classes, round
            )

    def clear_pseudo_labels(self) -> None:
        """Take all pseudo labels away, and their weights."""
        with self._handle.writing():
            for name in self._handle.ledger.images():
                ome_zarr.remove_labels(self._handle.folder(name), PSEUDO)
                score_maps.remove_map(self._handle.folder(name), PSEUDO_WEIGHT)

    def read_map(self, name: str, map_name: str) -> ScoreMap | None:
        """Map of scores as float32, None without it."""
        return score_maps.read_map(self._handle.known(name), map_name)

    def write_map(
        self,
        name: str,
        map_name: str,
        scores: ScoreMap,
        round: int,
        parameters: Mapping[str, Any] | None = None,
        weights: int | None = None,
    ) -> None:
        """Keep a map of scores and what it was made with.

        Parameters
        ----------
        name, map_name : str
        scores : ScoreMap
        round : int
        parameters : mapping, optional
            All else that the map must be made with to count as fresh.
        weights : int, optional
            As in `write_prediction`.

        Raises
        ------
        BadValue
            If it has not the size of the image, a score is not finite or above what
            float16 holds, or the map's name cannot be a file name.
        """
        self._handle.check_size(name, scores)
        if not re.fullmatch(r"[\w][\w.-]*", map_name):
            raise BadValue(f"a map is named by letters, digits and -, got {map_name!r}")
        highest = np.abs(scores).max()
        if not highest <= np.finfo(np.float16).max:
            raise BadValue(
                f"the scores of {map_name} of {name} reach {highest}; they must be "
                f"finite and at most {np.finfo(np.float16).max:g}"
            )
        number = self._number(round) if weights is None else weights
        with self._handle.writing():
            score_maps.write_map(
                self._handle.folder(name),
                map_name,
                scores,
                round,
                number,
                parameters or {},
            )

    def map_round(self, name: str, map_name: str) -> int | None:
        """Round that a map was scored in, or None."""
        return score_maps.map_round(self._handle.known(name), map_name)

    def has_fresh_map(
        self, name: str, map_name: str, parameters: Mapping[str, Any] | None = None
    ) -> bool:
        """Whether a map is of the latest weights and these parameters."""
        about = score_maps.map_attributes(self._handle.known(name), map_name)
        same = about.get("parameters", {}) == dict(parameters or {})
        return same and self._is_latest(about)

    def map_names(self, name: str) -> tuple[str, ...]:
        """Names of the maps of an image, sorted."""
        return score_maps.map_names(self._handle.known(name))

    def problems(self) -> list[str]:
        """Return which asked region maps are missing, in sentences."""
        return [
            f"{name}: the region map regions-{version} is missing"
            for name, version in self._handle.rounds.maps_asked()
            if not self.has_regions(name, version)
        ]

    def _number(self, round: int) -> int | None:
        return self._handle.ledger.weights_numbers().get(round)

    def _is_latest(self, about: Mapping[str, Any]) -> bool:
        """Whether attributes name the latest weights."""
        numbers = self._handle.ledger.weights_numbers()
        return bool(numbers) and about.get("weights") == numbers[max(numbers)]
