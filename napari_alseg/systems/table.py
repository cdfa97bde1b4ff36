"""The table of systems: good combinations under a name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from napari_alseg.arrays import Selection

from .parts import look_up
from .recipes import Recipe, recipe

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
    """A good combination of four choices, with a name."""

    name: str
    group: Group
    sentence: str
    acquisition: str
    partition: str = "superpixels"
    choice: str = "top"
    recipe: str = "partial"
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
    >>> recipe_after(Selection(1, "equal", "5%", ())).name, recipe_after(None).name
    ('consistency', 'partial')
    """
    return recipe(system(selection.system).recipe if selection else "partial")
