"""The table of systems: every way to ask and learn, as four independent choices.

A row names a partition (what a region is), an acquisition (which pixels are worth
asking), a choice (which regions, within the budget) and a recipe (how the network
learns). The same names serve the menu, the command line and the API. Reading this
table loads no torch: the functions behind a name are looked up when they are used.

Adding an acquisition: write the function in `napari_alseg.acquisition`, add its row to
`ACQUISITIONS`, and it is in the menu and under the contract tests.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeVar

from .arrays import Prediction
from .errors import UnknownName

if TYPE_CHECKING:
    from .arrays import ScoreTensor

PredictionField = Literal[
    "probability", "mirrored", "samples", "features", "difficulty"
]


@dataclass(frozen=True)
class Acquisition:
    """A score of each pixel; higher = asked sooner."""

    name: str
    sentence: str
    function: str
    """Name of the function in `napari_alseg.acquisition`."""
    needs: tuple[PredictionField, ...] = ("probability",)
    """Fields of a `Prediction` that the function takes, in its order; the network
    computes only these."""

    def score(self, prediction: Prediction) -> "ScoreTensor":
        """Return the score of each pixel of one image, float32 of shape (H, W)."""
        function = getattr(import_module("napari_alseg.acquisition"), self.function)
        score: ScoreTensor = function(*(getattr(prediction, f) for f in self.needs))
        return score


ACQUISITIONS = {
    row.name: row
    for row in (
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
    )
}


@dataclass(frozen=True)
class System:
    """A good combination of the four choices, under one name."""

    name: str
    sentence: str
    acquisition: str | None
    """A row of `ACQUISITIONS`; None = regions are drawn without looking at scores."""
    partition: Literal["superpixels"] = "superpixels"
    choice: Literal["top", "everything"] = "top"
    recipe: Literal["partial"] = "partial"
    source: str = ""


SYSTEMS = {
    row.name: row
    for row in (
        System(
            "random",
            "Any region, whatever the network thinks: the baseline.",
            acquisition=None,
        ),
        System(
            "entropy",
            "Regions where the network hesitates between many classes.",
            acquisition="entropy",
            source="Kasarla et al., WACV 2019 (the variant 'SP')",
        ),
        System(
            "least-confidence",
            "Regions where the network's best guess is weak.",
            acquisition="least-confidence",
        ),
        System(
            "margin",
            "Regions where the two best classes are close, as a difference.",
            acquisition="margin",
        ),
        System(
            "bvsb",
            "Regions where the two best classes are close, as a ratio.",
            acquisition="bvsb",
            source="Cai et al., CVPR 2021",
        ),
        System(
            "full",
            "Every pixel of every image: the upper bound, for simulations.",
            acquisition=None,
            choice="everything",
        ),
    )
}

Row = TypeVar("Row", Acquisition, System)


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


def acquisition(name: str) -> Acquisition:
    """Return the acquisition of this name."""
    return look_up("acquisition", name, ACQUISITIONS)
