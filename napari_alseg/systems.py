"""The tables of ways to ask: systems, and the parts they are made of.

A system is four independent choices: a partition (what a region is), an acquisition
(how much it is worth asking), a choice (which regions, within the budget) and a recipe
(how the network learns). A row only names a good combination; `completed` lets any
part or parameter differ from it. The same names serve the menu, the command line and
the API. Reading these tables loads no torch: the functions behind a name are looked up
when they are used.

Adding an acquisition takes a function and a row: docs/adding-an-acquisition.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .arrays import Prediction, PredictionField, Selection
from .errors import BadValue, UnknownName
from .settings import Budget, QuerySettings, Recipe, check, default

if TYPE_CHECKING:
    from .arrays import ScoreTensor


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

Group = Literal[
    "Live",
    "Baselines",
    "Uncertainty",
    "Kasarla",
    "EquAL",
    "DEAL",
    "RIPU",
    "CISC-R",
    "Diversity",
]


@dataclass(frozen=True)
class System:
    """A good combination of the four choices, under one name."""

    name: str
    group: Group
    sentence: str
    acquisition: str
    partition: str = "superpixels"
    choice: str = "top"
    recipe: Recipe = "partial"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Parameters whose value in the source is not the usual one."""
    source: str = ""
    published: str = ""
    """Budget of the published results, of all rounds together."""


KASARLA = "Kasarla et al., WACV 2019"
EQUAL = "Golestaneh & Kitani, BMVC 2020"
DEAL = "Xie et al., ACCV 2020"
RIPU = "Xie et al., CVPR 2022"
CISC = "Wu et al., TPAMI 2023"
CLASP = "the rule of ClaSP PE, after the nnActive study"

SYSTEMS = {
    row.name: row
    for row in (
        System(
            "live",
            "Live",
            "Small regions where the two best classes are close, a few of an image.",
            "bvsb",
            choice="few-per-image",
            recipe="live",
            defaults={"region_size": 200},
            source="found best for a lightweight head on a frozen encoder",
        ),
        System(
            "random",
            "Baselines",
            "Any region, whatever the network thinks: the baseline.",
            "random",
        ),
        System(
            "random-foreground",
            "Baselines",
            "Any region, but two thirds of them not of the most predicted class.",
            "random",
            choice="foreground",
            source="nnActive, whose foreground is read from the truth; ours is "
            "predicted",
        ),
        System(
            "full",
            "Baselines",
            "Every pixel of every image: the upper bound, for simulations.",
            "random",
            choice="everything",
        ),
        System(
            "entropy",
            "Uncertainty",
            "Regions where the network hesitates between many classes.",
            "entropy",
        ),
        System(
            "least-confidence",
            "Uncertainty",
            "Regions where the network's best guess is weak.",
            "least-confidence",
        ),
        System(
            "margin",
            "Uncertainty",
            "Regions where the two best classes are close, as a difference.",
            "margin",
        ),
        System(
            "bvsb",
            "Uncertainty",
            "Regions where the two best classes are close, as a ratio.",
            "bvsb",
            source="Cai et al., CVPR 2021",
        ),
        System(
            "bald",
            "Uncertainty",
            "Regions where passes with dropout are sure of different classes.",
            "bald",
            source="Houlsby et al., 2011; Gal et al., ICML 2017",
        ),
        System(
            "clasp-pe",
            "Uncertainty",
            "Unsure regions, drawn with noise, two thirds shared among the classes.",
            "entropy",
            choice="class-stratified",
            source=CLASP,
        ),
        System(
            "entropy-edge",
            "Kasarla",
            "In each image, regions that are unsure and lie on edges.",
            "edge-entropy",
            choice="per-image",
            source=KASARLA,
            published="10% of each added image",
        ),
        System(
            "sp",
            "Kasarla",
            "In each image, the superpixels that are most unsure.",
            "entropy",
            choice="per-image",
            source=KASARLA,
            published="10% of each added image",
        ),
        System(
            "sp-crf",
            "Kasarla",
            "As sp, after a CRF has removed the doubt that colours can settle.",
            "crf-entropy",
            choice="per-image",
            source=KASARLA,
            published="10% of each added image",
        ),
        System(
            "class-sp-crf",
            "Kasarla",
            "As sp-crf, the budget shared among the classes, more for rare ones.",
            "crf-entropy",
            choice="class-quota",
            source=KASARLA,
            published="10% of each added image",
        ),
        System(
            "equal",
            "EquAL",
            "Rectangles that are unsure in the image and in its mirror image.",
            "self-consistency",
            partition="grid",
            recipe="consistency",
            source=EQUAL,
            published="12%",
        ),
        System(
            "deal-ds",
            "DEAL",
            "Images that are difficult: the network thinks itself often wrong.",
            "difficulty",
            partition="image",
            recipe="difficulty",
            defaults={"pool_share": 0.5},
            source=DEAL,
            published="40% of the images",
        ),
        System(
            "deal-de",
            "DEAL",
            "Images that hold easy and difficult pixels alike.",
            "difficulty-entropy",
            partition="image",
            recipe="difficulty",
            defaults={"pool_share": 0.5},
            source=DEAL,
            published="40% of the images",
        ),
        System(
            "ripu-ra",
            "RIPU",
            "In each image, small squares where many classes meet in doubt.",
            "ripu",
            partition="windows",
            choice="per-image",
            recipe="adaptation",
            source=RIPU,
            published="2.2% or 5%",
        ),
        System(
            "ripu-pa",
            "RIPU",
            "In each image, unsure pixels in surroundings of many classes.",
            "ripu-pixel",
            partition="pixels",
            choice="per-image",
            recipe="adaptation",
            defaults={"exclusion": 32},
            source=RIPU,
            published="40 px/image of 1280 x 640 pixels",
        ),
        System(
            "cisc-r",
            "CISC-R",
            "Any images; the network also learns from all that are not labelled.",
            "random",
            partition="image",
            recipe="rectified",
            source=CISC,
            published="1/16, 1/8 or 1/4 of the images",
        ),
        System(
            "coreset",
            "Diversity",
            "Regions unlike all that are labelled, by the network's own features.",
            "core-set",
            choice="diverse",
            source="Sener & Savarese, ICLR 2018",
        ),
    )
}

Row = TypeVar("Row", Partition, Acquisition, Choice, System)


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


def system(name: str) -> System:
    """Return the system of this name.

    Examples
    --------
    >>> system("entropy").acquisition
    'entropy'
    >>> system("entropie")
    Traceback (most recent call last):
    napari_alseg.errors.UnknownName: unknown system 'entropie'
    """
    return look_up("system", name, SYSTEMS)


def recipe_after(selection: Selection | None) -> Recipe:
    """Return how the system that asked wants the network to learn.

    Examples
    --------
    >>> recipe_after(Selection(1, "equal", "5%", ())), recipe_after(None)
    ('consistency', 'partial')
    """
    return system(selection.system).recipe if selection else "partial"


def acquisition(name: str) -> Acquisition:
    """Return the acquisition of this name."""
    return look_up("acquisition", name, ACQUISITIONS)


# --- from a name to all its parameters ------------------------------------------------


def parameters(partition: str, acquisition: str, choice: str) -> tuple[str, ...]:
    """Fields of `QuerySettings` that a combination of parts takes, in their order.

    Raises
    ------
    UnknownName
        If a part is in no table.
    BadValue
        If the parts do not go together.

    Examples
    --------
    >>> parameters("grid", "self-consistency", "top")
    ('pool_share', 'rows', 'columns', 'pooling')
    """
    where = look_up("partition", partition, PARTITIONS)
    what = look_up("acquisition", acquisition, ACQUISITIONS)
    which = look_up("choice", choice, CHOICES)
    _refuse_incompatible_parts(where, what, which)
    taken = {*where.parameters, *what.settings, *which.parameters}
    if choice != "everything":
        taken.add("pool_share")
    if what.of == "pixels" and partition not in WINDOWS:
        taken.add("pooling")
    return tuple(name for name in PARAMETERS if name in taken)


def _refuse_incompatible_parts(
    where: Partition, what: Acquisition, which: Choice
) -> None:
    if what.of == "images" and where.name != "image":
        raise BadValue(
            f"{what.name} gives a number to whole images, not to {where.name}: take "
            "the partition 'image'"
        )
    # Chance gives no map that could be shown, but finds windows as well as regions.
    if where.name in WINDOWS and what.of != "pixels" and what.name != "random":
        raise BadValue(
            f"{where.name} are found where single pixels score high, and {what.name} "
            "does not score pixels: take another partition, or one of the "
            f"acquisitions {', '.join(maps())}"
        )
    if where.name in WINDOWS and which.name in ("diverse", "everything"):
        raise BadValue(
            f"{where.name} cannot be chosen by {which.name!r}: take the choice "
            "'per-image' or 'top'"
        )
    if what.name == "core-set" and which.name not in ("diverse", "everything"):
        raise BadValue(
            "core-set compares regions with one another and has no score to choose "
            f"{which.name!r} by: take the choice 'diverse'"
        )


def refuse_unfit_budget(partition: str, budget: Budget) -> None:
    """Refuse a budget in images where regions are not there before they are scored.

    Raises
    ------
    BadValue
        Naming the units that there are.
    """
    if partition in WINDOWS and budget.unit == "images":
        raise BadValue(
            f"{partition} are asked by regions or pixels, not by images: write "
            f"'40 regions', '1%' or '100 px/image' instead of '{budget}'"
        )


PARAMETERS = tuple(
    entry.name for entry in fields(QuerySettings) if "default" in entry.metadata
)
"""Parameters that a system fills."""


def completed(settings: QuerySettings) -> QuerySettings:
    """Fill in what a query leaves to its system; what does not apply stays None.

    Raises
    ------
    UnknownName
        If the system or a part is in no table.
    BadValue
        If the parts do not go together, a parameter is out of its limits, or one is
        given that this query does not take.

    Examples
    --------
    >>> query = completed(QuerySettings("ripu-pa", radius=16))
    >>> query.partition, query.radius, query.exclusion, query.region_size
    ('pixels', 16, 32, None)
    """
    row = system(settings.system)
    parts = {
        part: getattr(settings, part) or getattr(row, part)
        for part in ("partition", "acquisition", "choice")
    }
    taken = parameters(**parts)
    _refuse_unused_parameters(settings, taken, parts.values())
    special = {**acquisition(parts["acquisition"]).defaults, **row.defaults}
    values = {
        name: special.get(name, default(name))
        for name in taken
        if getattr(settings, name) is None
    }
    return check(replace(settings, **parts, **values))


def needs(query: QuerySettings) -> tuple[PredictionField, ...]:
    """Fields of a `Prediction` that a completed query needs; none without a network.

    Examples
    --------
    >>> needs(completed(QuerySettings("equal")))
    ('probability', 'mirrored')
    >>> needs(completed(QuerySettings("random")))
    ()
    """
    assert query.acquisition is not None
    needed = acquisition(query.acquisition).needs
    if query.choice in ("class-quota", "class-stratified", "foreground"):
        needed += ("probability",)
    if query.choice == "diverse":
        needed += ("features",)
    return tuple(dict.fromkeys(needed))


def for_lightweight_head(query: QuerySettings) -> bool:
    """Whether a lightweight head can give all that a completed query needs.

    Examples
    --------
    >>> for_lightweight_head(completed(QuerySettings("equal")))
    True
    >>> for_lightweight_head(completed(QuerySettings("deal-ds")))
    False
    """
    return "difficulty" not in needs(query)


def _refuse_unused_parameters(
    settings: QuerySettings, taken: Iterable[str], parts: Iterable[str]
) -> None:
    """Refuse a parameter that would have no effect."""
    for name in PARAMETERS:
        if name not in taken and name in settings.parameters():
            raise BadValue(
                f"{name} means nothing to {settings.system} "
                f"({', '.join(parts)}); it takes {', '.join(taken)}"
            )


def described(row: System) -> dict[str, Any]:
    """Return what a system is made of, for `napari-alseg systems --json`."""
    query = completed(QuerySettings(row.name))
    taken = parameters(row.partition, row.acquisition, row.choice)
    return {
        "group": row.group,
        "sentence": row.sentence,
        "partition": row.partition,
        "acquisition": row.acquisition,
        "choice": row.choice,
        "recipe": row.recipe,
        "needs": list(needs(query)),
        "parameters": {name: getattr(query, name) for name in taken},
        "cost": scoring_cost(query),
        "source": row.source,
        "published": row.published,
    }


def scoring_cost(query: QuerySettings) -> str:
    """Say in words what a completed query computes to score one image.

    Examples
    --------
    >>> scoring_cost(completed(QuerySettings("equal")))
    '2 passes through the network an image'
    >>> scoring_cost(completed(QuerySettings("random")))
    'nothing'
    """
    needed = needs(query)
    if not needed:
        return "nothing"
    passes = 1 + ("mirrored" in needed) + ("samples" in needed) * (query.passes or 0)
    text = f"{passes} pass{'es' * (passes > 1)} through the network an image"
    if "refined" in needed:
        text += f" and {query.crf_iterations} iterations of a CRF"
    return text
