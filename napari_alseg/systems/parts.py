"""The tables of partitions, acquisitions and choices; each row owns its function.

A function is named in its row and looked up when it is used, so that reading the
tables loads no torch. Adding one takes a function and a row: docs/adding-*.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from napari_alseg.arrays import Prediction, PredictionField
from napari_alseg.errors import BadValue, UnknownName
from napari_alseg.settings import default

if TYPE_CHECKING:
    import numpy as np

    from napari_alseg.arrays import Image, RegionMap, Scored, ScoreTensor


@dataclass(frozen=True)
class Partition:
    """What a region is."""

    name: str
    sentence: str
    function: str = ""
    """Name in `napari_alseg.regions.tables`: from an image to a region map; none
    where `found_by_scores`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Keyword of the function -> field of `QuerySettings`."""
    found_by_scores: bool = False
    """Whether its regions are not there before pixels are scored."""
    whole_images: bool = False
    """Whether each image is one region."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Fields of `QuerySettings` that it takes."""
        return tuple(self.parameters.values())

    def maker(self, values: Mapping[str, Any]) -> "Callable[[Image], RegionMap]":
        """Return what makes the region map of an image; parameters by field."""
        function = _function("regions.tables", self)
        return partial(function, **_given(self.parameters, values))


PARTITIONS = {
    row.name: row
    for row in (
        Partition(
            "superpixels",
            "Compact patches of like colour that follow edges (SLIC).",
            "superpixels",
            {"size": "region_size", "compactness": "compactness"},
        ),
        Partition(
            "felzenszwalb",
            "Segments of very unequal size that follow contrast.",
            "felzenszwalb",
            {"scale": "segment_scale", "size": "segment_size"},
        ),
        Partition(
            "grid",
            "Equal rectangles.",
            "cells",
            {"rows": "rows", "columns": "columns"},
        ),
        Partition(
            "windows",
            "Small squares around the best pixels, none overlapping another.",
            parameters={"radius": "window", "exclusion": "exclusion"},
            found_by_scores=True,
        ),
        Partition(
            "pixels",
            "Single pixels.",
            parameters={"exclusion": "exclusion"},
            found_by_scores=True,
        ),
        Partition("image", "Each image as a whole.", "whole_image", whole_images=True),
    )
}


class Asking(Protocol):
    """What an acquisition has to know of a query."""

    @property
    def acquisition(self) -> "Acquisition":
        """The row that it asks by."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Its parameters, by field of `QuerySettings`."""


@dataclass(frozen=True)
class Acquisition:
    """How much a pixel, region or image is worth asking; higher = asked sooner."""

    name: str
    sentence: str
    function: str = ""
    """Name of the function in `napari_alseg.acquisition`; none for what is no score."""
    needs: tuple[PredictionField, ...] = ("probability",)
    """Fields of a `Prediction` that the function takes, in its order; the network
    computes only these."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Keyword of the function -> field of `QuerySettings`."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Parameters whose value is not the usual one."""
    terms: tuple[str, ...] = ()
    """Acquisitions that this one is made of, to explain a score."""
    of: Literal["pixels", "regions", "images"] = "pixels"
    """What gets one number: each pixel (a map), each region, or each image."""

    by_chance: bool = False
    """Whether chance alone decides, so that windows are found as well as regions."""
    compares: bool = False
    """Whether it compares regions with one another, so that none has a score."""

    def score(
        self, prediction: Prediction, query: Asking | None = None
    ) -> "ScoreTensor":
        """Score an image: float32 of shape (H, W), or one number if it is of images.

        Parameters
        ----------
        prediction : Prediction
            With the fields that `needs` names.
        query : Query, optional
            For its parameters; see `values`.
        """
        function = _function("acquisition", self)
        given = (getattr(prediction, name) for name in self.needs)
        chosen = _given(self.parameters, self.values(query))
        score: ScoreTensor = function(*given, **chosen)
        return score

    def values(self, query: Asking | None = None) -> dict[str, Any]:
        """Values of its parameters, by field of `QuerySettings`.

        Those of the query, if it asks by this acquisition or by one that this is a
        term of; else the usual ones.
        """
        asked = query.acquisition if query else self
        given = (
            query.values if query and self.name in (asked.name, *asked.terms) else {}
        )
        return {
            name: given.get(name, self.defaults.get(name, default(name)))
            for name in self.settings
        }

    @property
    def settings(self) -> tuple[str, ...]:
        """Fields of `QuerySettings` that it takes, those of its needs included."""
        of_needs = [name for need in self.needs for name in OF_NEED.get(need, ())]
        return tuple(dict.fromkeys([*self.parameters.values(), *of_needs]))


CRF = ("crf_iterations", "crf_radius", "crf_colour", "crf_weight")
OF_NEED: dict[PredictionField, tuple[str, ...]] = {
    "samples": ("passes", "dropout"),
    "refined": CRF,
}
"""Parameters of what a network has to compute."""

ACQUISITIONS = {
    row.name: row
    for row in (
        Acquisition(
            "random",
            "Nothing but chance: the baseline.",
            needs=(),
            of="regions",
            by_chance=True,
        ),
        Acquisition(
            "entropy",
            "How evenly the network spreads its belief over the classes.",
            "entropy",
        ),
        Acquisition(
            "least-confidence",
            "How little the network believes in its best class.",
            "least_confidence",
        ),
        Acquisition(
            "margin",
            "How close the second class comes to the first, as a difference.",
            "margin",
        ),
        Acquisition(
            "bvsb",
            "How close the second class comes to the first, as a ratio.",
            "best_versus_second_best",
        ),
        Acquisition(
            "edge-entropy",
            "Entropy, raised on the edges of the image.",
            "edge_entropy",
            needs=("probability", "edges"),
            parameters={"weight": "edge_weight"},
            terms=("entropy",),
        ),
        Acquisition(
            "crf-entropy",
            "Entropy that is left after a CRF has smoothed the prediction along edges.",
            "entropy",
            needs=("refined",),
            terms=("entropy",),
        ),
        Acquisition(
            "bald",
            "How much passes with dropout disagree while each is sure.",
            "bald",
            needs=("samples",),
        ),
        Acquisition(
            "vote-entropy",
            "How evenly passes with dropout spread their votes over the classes.",
            "vote_entropy",
            needs=("samples",),
        ),
        Acquisition(
            "self-consistency",
            "Entropy of the image and of its mirror image, added.",
            "self_consistency",
            needs=("probability", "mirrored"),
            terms=("entropy",),
        ),
        Acquisition(
            "impurity",
            "How many classes are predicted around a pixel, and how evenly.",
            "predicted_impurity",
            parameters={"radius": "radius"},
        ),
        Acquisition(
            "region-uncertainty",
            "Mean entropy of the pixels around a pixel.",
            "region_uncertainty",
            parameters={"radius": "radius"},
        ),
        Acquisition(
            "ripu",
            "Impurity times mean entropy of the pixels around a pixel.",
            "ripu",
            parameters={"radius": "radius"},
            terms=("impurity", "region-uncertainty"),
        ),
        Acquisition(
            "ripu-pixel",
            "Entropy of a pixel times the impurity of a large square around it.",
            "ripu_pixel",
            parameters={"radius": "radius"},
            defaults={"radius": 32},
            terms=("entropy", "impurity"),
        ),
        Acquisition(
            "difficulty",
            "How likely the network thinks itself wrong.",
            "difficulty",
            needs=("difficulty",),
        ),
        Acquisition(
            "difficulty-entropy",
            "How evenly the difficulties of an image's pixels are spread.",
            "difficulty_entropy",
            needs=("difficulty",),
            parameters={"bins": "bins", "fixed": "fixed_bins"},
            terms=("difficulty",),
            of="images",
        ),
        Acquisition(
            "core-set",
            "How far the network's features are from those of all labelled regions.",
            needs=("features",),
            of="regions",
            compares=True,
        ),
    )
}


def maps() -> tuple[str, ...]:
    """Acquisitions that give each pixel a score."""
    return tuple(row.name for row in ACQUISITIONS.values() if row.of == "pixels")


def live_maps() -> tuple[str, ...]:
    """Return the maps of a lightweight head."""
    return tuple(name for name in maps() if "difficulty" not in acquisition(name).needs)


@dataclass(frozen=True)
class Choice:
    """Which regions are taken, within the budget."""

    name: str
    sentence: str
    function: str
    """Name in `napari_alseg.regions.tables`: from scored regions to rows."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Keyword of the function -> field of `QuerySettings`."""
    needs: tuple[PredictionField, ...] = ()
    """Fields of a `Prediction` that it takes besides those of the acquisition."""
    compares: bool = False
    """Whether it compares regions with one another."""
    takes_all: bool = False
    """Whether it takes all regions, whatever the budget."""
    equal_shares: bool = False
    """Whether each image has an equal share of the budget."""

    @property
    def settings(self) -> tuple[str, ...]:
        """Fields of `QuerySettings` that it takes."""
        return tuple(self.parameters.values())

    @property
    def for_windows(self) -> bool:
        """Whether it can choose among windows."""
        return not (self.compares or self.takes_all)

    def choose(
        self,
        regions: "Scored",
        limit: float,
        values: Mapping[str, Any],
        rng: "np.random.Generator",
    ) -> "np.ndarray":
        """Rows that are taken, best first; parameters by field."""
        function = _function("regions.tables", self)
        chosen: np.ndarray = function(
            regions, limit, rng=rng, **_given(self.parameters, values)
        )
        return chosen


CHOICES = {
    row.name: row
    for row in (
        Choice("top", "The highest scores of the whole pool.", "top"),
        Choice(
            "few-per-image",
            "The highest scores of the whole pool, at most a few of one image.",
            "few_per_image",
            {"most": "image_limit"},
        ),
        Choice(
            "per-image",
            "The highest scores of each image, for an equal share.",
            "per_image",
            equal_shares=True,
        ),
        Choice(
            "class-quota",
            "The highest scores of each predicted class, more for rare classes.",
            "class_quota",
            needs=("probability",),
        ),
        Choice(
            "class-stratified",
            "Drawn by score, a part of the budget dealt out evenly to the classes.",
            "stratified",
            {"stratified": "stratified", "power": "power"},
            needs=("probability",),
        ),
        Choice(
            "foreground",
            "A part of the budget only for what is not the most predicted class.",
            "foreground",
            {"share": "foreground"},
            needs=("probability",),
        ),
        Choice(
            "diverse",
            "One after another the region least like all labelled and asked ones, of "
            "those that score high.",
            "diverse",
            {"exclusion": "exclusion"},
            needs=("features",),
            compares=True,
        ),
        Choice(
            "everything",
            "All regions, whatever the budget.",
            "everything",
            takes_all=True,
        ),
    )
}


Row = TypeVar("Row")


def look_up(kind: str, name: str, table: dict[str, Row]) -> Row:
    """Return a row of a table.

    Raises
    ------
    UnknownName
        Listing the names the table has.
    """
    if name not in table:
        raise UnknownName(kind, name, table)
    return table[name]


def acquisition(name: str) -> Acquisition:
    """Return the acquisition of this name."""
    return look_up("acquisition", name, ACQUISITIONS)


def _function(package: str, row: "Partition | Acquisition | Choice") -> Any:
    """Return the function that a row names, of a package of ours."""
    if not row.function:
        raise BadValue(f"{row.name!r} has no function of its own in {package}")
    return getattr(import_module(f"napari_alseg.{package}"), row.function)


def _given(parameters: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {keyword: values[name] for keyword, name in parameters.items()}
