"""Which of the measured regions are asked: a completed query and its candidates."""

from collections.abc import Callable
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from napari_alseg import regions, systems
from napari_alseg.arrays import Bounds, Region, RegionBounds, Selection
from napari_alseg.budget import Budget
from napari_alseg.errors import NothingToAsk
from napari_alseg.live.model import Live
from napari_alseg.segmentation import Network
from napari_alseg.settings import PredictionSettings, QuerySettings
from napari_alseg.store import Project

from .candidates import Candidates, open_images

SHORTLIST = 10
"""Diverse regions are chosen among the best so many times the budget."""


class Asking(NamedTuple):
    """All that one round is asked with."""

    project: Project
    number: int
    images: tuple[str, ...]
    """The pool."""
    settings: QuerySettings
    """Completed."""
    budget: Budget
    network: Network | None
    """None if there is none, or none is needed."""
    prediction: PredictionSettings
    rng: np.random.Generator
    following: Live | None = None
    """The live network, if it asks; its head knows nothing before two classes."""

    @property
    def given(self) -> dict[str, Any]:
        """The parts and parameters of the query."""
        return self.settings.parameters()

    @property
    def acquisition(self) -> systems.Acquisition:
        """The row of what each region is worth."""
        return systems.acquisition(self.given["acquisition"])

    @property
    def about(self) -> dict[str, Any]:
        """What is said of the maps that it leaves: up to which labels live knows."""
        return {} if self.following is None else {"live": self.following.sequence}

    @property
    def spread(self) -> bool:
        """Whether a spread is asked, for want of a network."""
        return self.network is None and bool(systems.needs(self.settings))

    def scored(self) -> list[int]:
        """Draw the share of the pool that is scored; indices in its order.

        A budget in images has at least so many to choose among, as far as there are
        any that may be asked: the share grows if it has to.
        """
        count = ceil(self.given.get("pool_share", 1.0) * len(self.images))
        drawn = self.rng.permutation(len(self.images))
        if self.budget.unit == "images":
            there = np.cumsum(open_images(self.project, self.images)[drawn])
            count = max(count, int(np.searchsorted(there, self.budget.amount)) + 1)
        return sorted(drawn[:count].tolist())


def choose(asked: Asking, candidates: Candidates) -> np.ndarray:
    """Return rows of the candidates that are asked, best first.

    Raises
    ------
    NothingToAsk
        If no candidate is left, or the budget is smaller than the first of them.
    """
    rows = np.flatnonzero(candidates.open)
    if len(rows) == 0:
        raise _nothing_left(asked)
    if asked.settings.choice == "everything":
        return rows
    free, known = candidates.of(rows), candidates.of(~candidates.open)
    costs, limit = _costs(asked, free)
    if asked.budget.unit == "images":
        picked = _choose_images(asked, free, known)
    elif asked.spread:
        choose_first = (
            regions.choose_spread if asked.following is None else regions.choose_typical
        )
        picked = choose_first(free.features, costs, limit, asked.rng)
    else:
        picked = _pick(asked, free, known.features, costs, limit)
    if len(picked) == 0:
        raise NothingToAsk(
            f"a budget of {asked.budget} is less than the region that would be asked "
            f"first; the open ones have {free.pixels.min()} to {free.pixels.max()} "
            "pixels: give a larger budget or make smaller regions"
        )
    chosen: np.ndarray = rows[picked]
    return chosen


def _nothing_left(asked: Asking) -> NothingToAsk:
    """Return the error that says why nothing is open, and what would open something."""
    if set(asked.images) <= asked.project.closed_regions(("image",)).keys():
        return NothingToAsk(
            "every image of the pool was answered or skipped as a whole: undo a "
            "skipped one to be asked it again"
        )
    return NothingToAsk(
        "every region of the pool is labelled, answered or skipped: ask smaller "
        "regions, or undo a skipped one to be asked it again"
    )


def _pick(
    asked: Asking,
    free: Candidates,
    known: np.ndarray,
    costs: np.ndarray,
    limit: float,
) -> np.ndarray:
    """Choose among the candidates as the settings say."""
    scores, given = free.score, asked.given
    match asked.settings.choice:
        case "per-image":
            return regions.choose_per_image(scores, costs, free.image, limit)
        case "few-per-image":
            return regions.choose_few_per_image(
                scores, costs, free.image, limit, given["image_limit"]
            )
        case "class-quota":
            classes = free.probability.argmax(1)
            return regions.choose_class_quota(scores, costs, classes, limit)
        case "class-stratified":
            return regions.choose_stratified(
                scores,
                costs,
                free.probability.argmax(1),
                limit,
                asked.rng,
                stratified=given["stratified"],
                power=given["power"],
            )
        case "foreground":
            classes = free.probability.argmax(1)
            background = np.bincount(classes, free.pixels).argmax()
            share = given["foreground"]
            in_front = (classes != background).astype(int)
            return regions.choose_class_quota(
                scores, costs, in_front, limit, np.array([1 - share, share])
            )
        case "diverse":
            return _pick_diverse(asked, free, known, costs, limit)
        case _:
            return regions.choose_top(scores, costs, limit)


def _pick_diverse(
    asked: Asking,
    free: Candidates,
    known: np.ndarray,
    costs: np.ndarray,
    limit: float,
) -> np.ndarray:
    """Choose a core-set; with a score, of the best `SHORTLIST` times the budget."""
    rows = np.arange(len(costs))
    if asked.acquisition.of != "regions":
        rows = regions.choose_top(free.score, costs, SHORTLIST * limit)
    picked = regions.choose_diverse(
        free.features[rows],
        costs[rows],
        limit,
        known=known,
        places=np.column_stack([free.image, free.centre])[rows],
        exclusion=asked.given["exclusion"],
    )
    chosen: np.ndarray = rows[picked]
    return chosen


def _costs(asked: Asking, candidates: Candidates) -> tuple[np.ndarray, float]:
    """Return what each candidate costs and how much may be spent, in one unit."""
    pixels = candidates.pixels.astype(float)
    match asked.budget.unit:
        case "%":
            shapes = (asked.project.info(image).shape for image in asked.images)
            pool = sum(int(np.prod(shape)) for shape in shapes)
            return pixels, asked.budget.amount / 100 * pool
        case "px/image":
            return pixels, asked.budget.amount * len(asked.images)
        case "regions" | "images":
            return np.ones(len(pixels)), asked.budget.amount


def _choose_images(
    asked: Asking, candidates: Candidates, known: Candidates
) -> np.ndarray:
    """Pick whole images by the mean of their regions; return all their candidates.

    Whatever the choice is, images are ranked; only a core-set compares them.
    """
    compared = asked.acquisition.name == "core-set"
    member, mean = _means(candidates, features=asked.spread or compared)
    costs, count = np.ones(len(mean)), asked.budget.amount
    if asked.spread:
        picked = regions.choose_spread(mean, costs, count, asked.rng)
    elif compared:
        _, there = _means(known, features=True)
        picked = regions.choose_diverse(mean, costs, count, known=there)
    else:
        picked = regions.choose_top(mean[:, 0], costs, count)
    return np.flatnonzero(np.isin(member, picked))


def _means(candidates: Candidates, *, features: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the image each candidate is of, 0..n - 1, and the mean of each image."""
    images, member = np.unique(candidates.image, return_inverse=True)
    measured = candidates.features if features else candidates.score[:, None]
    total = np.zeros((len(images), measured.shape[1]), np.float32)
    np.add.at(total, member, measured)
    return member, total / np.bincount(member)[:, None].astype(np.float32)


def selection_of(
    asked: Asking,
    version: int,
    candidates: Candidates,
    picked: np.ndarray,
    bounds_of: Callable[[str], RegionBounds] | None = None,
) -> Selection:
    """Return the picked candidates as regions, image by image to spare the eye.

    Images come in the order of their best region, regions within in falling score.
    The bounds of an image's regions are read from its region map, unless they are
    known.
    """

    def read(image: str) -> RegionBounds:
        return regions.bounds(asked.project.read_regions(image, version))

    first_seen = {
        image: i for i, image in reversed([*enumerate(candidates.image[picked])])
    }
    order = sorted(picked, key=lambda row: first_seen[candidates.image[row]])
    boxes: dict[int, np.ndarray] = {}
    chosen = []
    for row in order:
        index, region = int(candidates.image[row]), int(candidates.region[row])
        image = asked.images[index]
        if index not in boxes:
            boxes = {index: (bounds_of or read)(image)}
        chosen.append(
            Region(
                image=image,
                partition=version,
                region=region,
                score=float(candidates.score[row]),
                pixels=int(candidates.pixels[row]),
                bounds=Bounds(*(int(edge) for edge in boxes[index][region - 1])),
            )
        )
    settings = asked.settings
    return Selection(asked.number, settings.system, settings.budget, tuple(chosen))
