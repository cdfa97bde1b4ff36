"""The tables of ways to ask: systems, and the parts they are made of.

A system is four independent choices: a partition (what a region is), an acquisition
(how much it is worth asking), a choice (which regions, within the budget) and a recipe
(how the network learns). A row only names a good combination; `completed` lets any
part or parameter differ from it. The same names serve the menu, the command line and
the API. Reading these tables loads no torch: the functions behind a name are looked up
when they are used.

Adding an acquisition takes a function and a row: docs/adding-an-acquisition.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from napari_alseg.arrays import Prediction, PredictionField
from napari_alseg.errors import UnknownName
from napari_alseg.settings import QuerySettings, default

if TYPE_CHECKING:
    from napari_alseg.arrays import ScoreTensor


@dataclass(frozen=True)
class Partition:
    """What a region is."""

    name: str
    sentence: str
    parameters: tuple[str, ...] = ()
    """Fields of `QuerySettings` that it takes."""


PARTITIONS = {
    row.name: row
    for row in (
        Partition(
            "superpixels",
            "Compact patches of like colour that follow edges (SLIC).",
            ("region_size", "compactness"),
        ),
        Partition(
            "felzenszwalb",
            "Segments of very unequal size that follow contrast.",
            ("segment_scale", "segment_size"),
        ),
        Partition("grid", "Equal rectangles.", ("rows", "columns")),
        Partition(
            "windows",
            "Small squares around the best pixels, none overlapping another.",
            ("window", "exclusion"),
        ),
        Partition("pixels", "Single pixels.", ("exclusion",)),
        Partition("image", "Each image as a whole."),
    )
}
WINDOWS = ("windows", "pixels")
"""Partitions whose regions are only found by the scores."""


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

    def score(
        self, prediction: Prediction, query: QuerySettings | None = None
    ) -> "ScoreTensor":
        """Score an image: float32 of shape (H, W), or one number if it is of images.

        Parameters
        ----------
        prediction : Prediction
            With the fields that `needs` names.
        query : QuerySettings, optional
            A completed query; see `values`.
        """
        function = getattr(import_module("napari_alseg.acquisition"), self.function)
        values = self.values(query)
        given = (getattr(prediction, name) for name in self.needs)
        chosen = {keyword: values[name] for keyword, name in self.parameters.items()}
        score: ScoreTensor = function(*given, **chosen)
        return score

    def values(self, query: QuerySettings | None = None) -> dict[str, Any]:
        """Value of each of its parameters, by field of `QuerySettings`.

        Those of the query, if it asks by this acquisition or by one that this is a
        term of; else the usual ones.
        """
        asked = (query and query.acquisition) or self.name
        relatives = (asked, *acquisition(asked).terms)
        given = query.parameters() if query and self.name in relatives else {}
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
            "random", "Nothing but chance: the baseline.", needs=(), of="regions"
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
        ),
    )
}


def maps() -> tuple[str, ...]:
    """Names of the acquisitions that give each pixel a score."""
    return tuple(row.name for row in ACQUISITIONS.values() if row.of == "pixels")


def live_maps() -> tuple[str, ...]:
    """Names of the maps that a lightweight head can give."""
    return tuple(name for name in maps() if "difficulty" not in acquisition(name).needs)


@dataclass(frozen=True)
class Choice:
    """Which regions are taken, within the budget."""

    name: str
    sentence: str
    parameters: tuple[str, ...] = ()


CHOICES = {
    row.name: row
    for row in (
        Choice("top", "The highest scores of the whole pool."),
        Choice(
            "few-per-image",
            "The highest scores of the whole pool, at most a few of one image.",
            ("image_limit",),
        ),
        Choice("per-image", "The highest scores of each image, for an equal share."),
        Choice(
            "class-quota",
            "The highest scores of each predicted class, more for rare classes.",
        ),
        Choice(
            "class-stratified",
            "Drawn by score, a part of the budget dealt out evenly to the classes.",
            ("stratified", "power"),
        ),
        Choice(
            "foreground",
            "A part of the budget only for what is not the most predicted class.",
            ("foreground",),
        ),
        Choice(
            "diverse",
            "One after another the region least like all labelled and asked ones, of "
            "those that score high.",
            ("exclusion",),
        ),
        Choice("everything", "All regions, whatever the budget."),
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


# --- from a name to all its parameters ------------------------------------------------
