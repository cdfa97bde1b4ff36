"""What a round's ranking says of one region, one image or a range of scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_alseg import systems
from napari_alseg.arrays import LabelClass, Ranking, Region, RegionScores, Selection

if TYPE_CHECKING:
    from napari_alseg.store import Project

BEST_CLASSES = 3
SAME = 1e-3
"""Scores that differ by less are the same, as far as they are kept."""


class Range(NamedTuple):
    """Scores from the lowest to the highest, both included."""

    low: float
    high: float

    def holds(self, scores: RegionScores) -> np.ndarray:
        """Whether each score lies in the range.

        Examples
        --------
        >>> Range(0.2, 0.4).holds(np.array([0.1, 0.2, 0.3, 0.5]))
        array([False,  True,  True, False])
        """
        inside: np.ndarray = (scores >= self.low) & (scores <= self.high)
        return inside


class Count(NamedTuple):
    """How many regions lie in a range."""

    regions: int
    images: int
    here: int
    """In the shown image."""


def of_image(ranking: Ranking, image: str) -> np.ndarray:
    """Rows of a ranking that lie in an image and in its region map."""
    if image not in ranking.images:
        return np.empty(0, np.int64)
    here = ranking.image == ranking.images.index(image)
    return np.flatnonzero(here & (ranking.region > 0))


def lit_regions(ranking: Ranking, image: str, wanted: Range) -> np.ndarray:
    """Ids of the regions of an image whose score lies in a range, ascending."""
    rows = of_image(ranking, image)
    ids: np.ndarray = np.sort(ranking.region[rows[wanted.holds(ranking.score[rows])]])
    return ids


def count(ranking: Ranking, image: str, wanted: Range) -> Count:
    """Count the regions whose score lies in a range, and the images they lie in."""
    inside = wanted.holds(ranking.score)
    images = np.unique(ranking.image[inside])
    here = len(lit_regions(ranking, image, wanted))
    return Count(int(inside.sum()), len(images), here)


def scores_by_id(ranking: Ranking, image: str, largest: int) -> RegionScores:
    """Score of each region of an image; entry i is that of id i, NaN if unmeasured."""
    scores = np.full(largest + 1, np.nan, np.float32)
    rows = of_image(ranking, image)
    rows = rows[ranking.region[rows] <= largest]
    scores[ranking.region[rows]] = ranking.score[rows]
    return scores


@dataclass(frozen=True)
class Reason:
    """Why a region was asked, as far as it is known."""

    text: str
    """In a sentence."""
    score: float | None = None
    rank: int = 0
    """1 = the highest score of the pool."""
    among: int = 0
    """How many regions could be asked."""
    terms: tuple[tuple[str, float], ...] = ()
    """What the score is made of."""
    classes: tuple[tuple[LabelClass, float], ...] = ()
    """The most probable classes with their mean probability, best first."""


@dataclass(frozen=True)
class Origin:
    """How the regions of a round came to be asked; it does not change later."""

    acquisition: str
    learned: bool
    """Whether a network had learned before."""
    spread: bool
    """Whether a spread was asked, which has no scores, for want of a network."""


def origin_of(project: "Project", selection: Selection) -> Origin:
    """Read how the regions of a round came to be asked."""
    asked = project.rounds.metrics(selection.round).query.get("acquisition")
    name = str(asked or systems.system(selection.system).acquisition)
    learned = any(
        project.rounds.metrics(number).train_seconds is not None
        for number in range(selection.round)  # round 0: labels that were there already
    )
    spread = not learned and _without_scores(project, selection, name)
    return Origin(name, learned, spread)


def _without_scores(project: "Project", selection: Selection, name: str) -> bool:
    """Whether nothing but a network could have scored what a round asked."""
    if selection.partition is None or systems.acquisition(name).by_chance:
        return False
    partition = project.outputs.partition_settings(selection.partition)["partition"]
    return not systems.PARTITIONS[partition].found_by_scores


def reason(
    classes: Sequence[LabelClass],
    origin: Origin,
    ranking: Ranking | None,
    selection: Selection,
    region: Region,
) -> Reason:
    """Return why a region was asked.

    Parameters
    ----------
    classes : sequence of LabelClass
        Of the project.
    origin : Origin
        How the round came to be.
    ranking : Ranking, optional
        What the round measured; None if it measured nothing or it is not kept.
    selection : Selection
        The round.
    region : Region
        One of the round's.
    """
    row = None if ranking is None else ranking.row(region.image, region.region)
    if put_by_live(origin, ranking, region):
        text = f"its score is {region.score:.2f}, by {selection.system}."
        return Reason(f"Put here by live: {text}")
    if ranking is None or row is None:
        return Reason(without_ranking(origin, selection))
    rank, among = ranking.rank(row)
    probability = ranking.probability[row]
    best = np.argsort(-probability, kind="stable")[:BEST_CLASSES]
    return Reason(
        f"Asked by {selection.system}: {systems.system(selection.system).sentence}",
        float(ranking.score[row]),
        rank,
        among,
        tuple((name, float(term[row])) for name, term in ranking.terms.items()),
        tuple((classes[i], float(probability[i])) for i in best.tolist()),
    )


def put_by_live(origin: Origin, ranking: Ranking | None, region: Region) -> bool:
    """Whether a region came after its round was asked: it has another score."""
    if ranking is not None:
        row = ranking.row(region.image, region.region)
        asked_with = 0.0 if row is None else float(ranking.score[row])
        return abs(region.score - asked_with) > SAME
    return origin.spread and abs(region.score) > SAME


def without_ranking(origin: Origin, selection: Selection) -> str:
    """Say why a round's regions have no ranking."""
    row = systems.acquisition(origin.acquisition)
    if row.by_chance:
        return "Asked at random: chance is the measure of all other systems."
    if not origin.learned:
        return "Asked to spread over colours and places: there was no network yet."
    if row.of == "regions":
        return (
            f"Asked by {selection.system}: regions are compared with all that are "
            "labelled, not scored."
        )
    return f"The scores of round {selection.round} are not kept any more."
