"""What is measured of each region of the pool, one image at a time.

Torch tensors come in here from prediction and acquisition, NumPy arrays go out to
pooling and choice. What grows with the pool is one row a region, never a map.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import torch

from . import regions, segmentation, systems
from .arrays import (
    Image,
    LabelMap,
    Mask,
    Prediction,
    Progress,
    RegionBounds,
    RegionMap,
    ScoreMap,
    Task,
    WindowCentres,
    to_labels,
)
from .segmentation import Network
from .settings import Budget, PredictionSettings, QuerySettings
from .store import Project

KNOWN_SHARE = 0.5
"""A region with at least this share of labelled pixels is not asked any more."""
WINDOWS_OF_AN_IMAGE = 20
"""An image proposes at most so many times its equal share of the windows."""


class Candidates(NamedTuple):
    """The regions of the pool, one row a region; columns without numbers are empty."""

    image: np.ndarray
    """Index into the pool's images, int32."""
    region: np.ndarray
    """Id in the image's region map, or of its proposed windows, int32."""
    pixels: np.ndarray
    """Pixels without a label, int64: what an answer costs."""
    centre: np.ndarray
    """Row and column of the middle, int64 (N, 2)."""
    open: np.ndarray
    """Whether it may be asked, bool."""
    score: np.ndarray
    """float64; higher = asked sooner."""
    probability: np.ndarray
    """Mean probability of each class, float32 (N, C)."""
    terms: np.ndarray
    """Mean of what the score is made of, float32 (N, T)."""
    features: np.ndarray
    """What it looks like, float32 (N, D)."""

    def of(self, rows: np.ndarray) -> "Candidates":
        """Return some of the rows, by index or mask."""
        return Candidates(*(column[rows] for column in self))


class Measured(NamedTuple):
    """What was measured of the regions of one image, in the order of their ids."""

    score: np.ndarray
    probability: np.ndarray
    terms: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Seen:
    """One image as a network sees it, in NumPy arrays."""

    score: ScoreMap | float | None
    """A map, one number for the image, or nothing."""
    terms: tuple[ScoreMap, ...]
    probability: np.ndarray
    """(C, H, W)"""
    features: np.ndarray | None
    """(D, h, w)"""


# --- looking at an image --------------------------------------------------------------


def predicted(
    network: Network,
    image: Image,
    acquisitions: Iterable[systems.Acquisition],
    settings: PredictionSettings,
    query: QuerySettings | None = None,
    also: Iterable[str] = (),
) -> Prediction:
    """Predict what some acquisitions need of an image, and no more.

    Parameters
    ----------
    network : Network
    image : uint8 array of shape (H, W, K)
    acquisitions : iterable of Acquisition
    settings : PredictionSettings
    query : QuerySettings, optional
        A completed query, for the parameters of its acquisition.
    also : iterable of str
        Other fields of a `Prediction` that are wanted.
    """
    values: dict[str, Any] = {}
    needs = set(also)
    for acquisition in acquisitions:
        values |= acquisition.values(query)
        needs |= set(acquisition.needs)
    prediction = segmentation.predict(
        network,
        image,
        settings,
        needs=needs,  # type: ignore[arg-type]
        passes=values.get("passes", 0),
        dropout=values.get("dropout", 0.0),
        seed=query.seed if query else 0,
    )
    if "refined" in needs:
        crf = {
            name.removeprefix("crf_"): values[name]
            for name in systems.OF_NEED["refined"]
        }
        probability = prediction.probability
        refined = segmentation.refine(probability, image, **crf)
        prediction = replace(prediction, refined=refined)
    if "edges" in needs:
        edges = torch.from_numpy(regions.edges(image)).to(network.device)
        prediction = replace(prediction, edges=edges)
    return prediction


def keep_prediction(project: Project, image: str, prediction: Prediction) -> None:
    """Write the most probable classes of an image."""
    best = prediction.probability.max(0).indices  # argmax takes eight times as long
    labels = to_labels(best.to(torch.uint8)).cpu().numpy()
    project.write_prediction(image, labels, project.weights.latest_round or 0)


def keep_map(
    project: Project,
    image: str,
    acquisition: systems.Acquisition,
    score: ScoreMap,
    query: QuerySettings | None,
    **about: Any,
) -> None:
    """Write the map of an acquisition, with the parameters it was made with.

    What else is said about it must be the same for the map to count as up to date.
    """
    project.write_map(
        image,
        acquisition.name,
        score,
        project.weights.latest_round or 0,
        acquisition.values(query) | about,
    )


def see(
    project: Project,
    network: Network,
    query: QuerySettings,
    settings: PredictionSettings,
    image: str,
    **about: Any,
) -> Seen:
    """Look at an image the way a completed query wants it; keep its maps.

    What else is said about the maps is kept with them (`keep_map`).
    """
    prediction, seen = glance(network, project.read_image(image), query, settings)
    keep_prediction(project, image, prediction)
    if isinstance(seen.score, np.ndarray):
        name = query.parameters()["acquisition"]
        acquisition = systems.acquisition(name)
        keep_map(project, image, acquisition, seen.score, query, **about)
    return seen


def glance(
    network: Network,
    image: Image,
    query: QuerySettings,
    settings: PredictionSettings,
) -> tuple[Prediction, Seen]:
    """Look at an image the way a completed query wants it, and keep nothing."""
    acquisition = systems.acquisition(query.parameters()["acquisition"])
    terms = [systems.acquisition(name) for name in acquisition.terms]
    prediction = predicted(
        network,
        image,
        [acquisition, *terms],
        settings,
        query,
        also=systems.needs(query),
    )
    score: ScoreMap | float | None = None
    if acquisition.of == "pixels":
        score = acquisition.score(prediction, query).cpu().numpy()
    elif acquisition.of == "images":
        score = float(acquisition.score(prediction, query))
    features = prediction.features
    return prediction, Seen(
        score,
        tuple(term.score(prediction, query).cpu().numpy() for term in terms),
        prediction.probability.cpu().numpy(),
        None if features is None else features.cpu().numpy(),
    )


# --- measuring regions ----------------------------------------------------------------


Measure = Callable[[str, RegionMap], Measured]
"""Image name and region map -> what its regions measure."""


def by_chance(rng: np.random.Generator) -> Measure:
    """Score each region by chance."""

    def measure(_: str, region_map: RegionMap) -> Measured:
        return _measured(rng.random(int(region_map.max())))

    return measure


def by_looks(project: Project) -> Measure:
    """Describe each region by colour, texture and place, without any network."""

    def measure(image: str, region_map: RegionMap) -> Measured:
        features = regions.describe(project.read_image(image), region_map)
        return _measured(np.zeros(len(features)), features=features)

    return measure


LOOKS = 96
"""Numbers that a region is described with, of all features of the encoder."""


def by_encoder(
    project: Project, network: Network, settings: PredictionSettings
) -> Measure:
    """Describe each region by what a frozen encoder says of it, before any head."""

    def measure(image: str, region_map: RegionMap) -> Measured:
        looks = encoded(network, project.read_image(image), region_map, settings)
        return _measured(np.zeros(len(looks)), features=looks)

    return measure


def encoded(
    network: Network, image: Image, region_map: RegionMap, settings: PredictionSettings
) -> np.ndarray:
    """Describe each region of an image by the mean features of a frozen encoder.

    All stages of the encoder count alike, the filters not at all. They are mixed at
    random, always in the same way, to `LOOKS` numbers, which keeps distances nearly as
    they are (Johnson & Lindenstrauss, 1984) and lets the regions of a whole pool lie in
    memory.

    Returns
    -------
    float32 array of shape (R, LOOKS)
    """
    found = []
    _, *stages = segmentation.frozen_features(network, image, settings)
    for stage in stages:
        found.append(regions.pool_features(stage, region_map) / np.sqrt(len(stage)))
    looks = np.concatenate(found, 1)
    mix = np.random.default_rng(0).standard_normal((looks.shape[1], LOOKS))
    described: np.ndarray = looks @ (mix / np.sqrt(LOOKS)).astype(np.float32)
    return described


def by_network(
    project: Project,
    network: Network,
    query: QuerySettings,
    settings: PredictionSettings,
    rng: np.random.Generator,
    **about: Any,
) -> Measure:
    """Pool what the network says over each region, and keep its maps (`see`)."""

    def measure(image: str, region_map: RegionMap) -> Measured:
        seen = see(project, network, query, settings, image, **about)
        return pooled(seen, region_map, query, rng)

    return measure


def pooled(
    seen: Seen, region_map: RegionMap, query: QuerySettings, rng: np.random.Generator
) -> Measured:
    """Pool what was seen of an image over each of its regions."""
    count = int(region_map.max())
    if isinstance(seen.score, np.ndarray):
        how = query.parameters()["pooling"]
        score = regions.pool(seen.score, region_map, how=how)
    elif query.acquisition == "random":
        score = rng.random(count)
    else:
        score = np.full(count, seen.score or 0.0)
    return _measured(
        score,
        regions.pool_classes(seen.probability, region_map),
        [regions.pool(term, region_map) for term in seen.terms],
        None
        if seen.features is None
        else regions.pool_features(seen.features, region_map),
    )


def _measured(
    score: np.ndarray,
    probability: np.ndarray | None = None,
    terms: Sequence[np.ndarray] = (),
    features: np.ndarray | None = None,
) -> Measured:
    nothing = np.empty((len(score), 0), np.float32)
    return Measured(
        score,
        nothing if probability is None else probability,
        np.array(terms, np.float32).reshape(len(terms), len(score)).T,
        nothing if features is None else features,
    )


def survey(
    project: Project,
    images: Sequence[str],
    scored: Sequence[int],
    version: int,
    measure: Measure,
) -> Task[Candidates]:
    """Measure every region of the images, and say which may be asked.

    Parameters
    ----------
    project : Project
    images : sequence of str
        The pool.
    scored : sequence of int
        Indices of the images that are looked at.
    version : int
        Of the region maps.
    measure : callable
    """
    asked = project.asked_regions(version)
    labelled = set(project.labelled())
    rows: list[Candidates] = []
    for done, index in enumerate(scored, 1):
        image = images[index]
        region_map = project.read_regions(image, version)
        measured = measure(image, region_map)
        labels = project.read_labels(image) if image in labelled else None
        closed = asked.get(image, ())
        bounds = regions.bounds(region_map)
        rows.append(candidates_of(index, region_map, bounds, measured, labels, closed))
        yield Progress(done, len(scored), "scoring the pool")
    return joined(rows)


def candidates_of(
    index: int,
    region_map: RegionMap,
    bounds: RegionBounds,
    measured: Measured,
    labels: LabelMap | None,
    closed: Collection[int],
) -> Candidates:
    """Return the rows of one image.

    Parameters
    ----------
    index : int
        Of the image in the pool.
    region_map : int32 array of shape (H, W)
    bounds : int array of shape (R, 4)
        Of each region, as `regions.bounds` has them.
    measured : Measured
    labels : uint8 array of shape (H, W) or None
        None where nothing is labelled.
    closed : collection of int
        Regions that were answered or skipped.
    """
    free = size = regions.count_pixels(region_map)
    if labels is not None:
        blank = np.where(labels == 0, region_map, 0)
        free = np.bincount(blank.ravel(), minlength=len(size) + 1)[1:]
    may_be_asked = free > (1 - KNOWN_SHARE) * size
    may_be_asked[[region - 1 for region in closed]] = False
    return Candidates(
        image=np.full(len(size), index, np.int32),
        region=np.arange(1, len(size) + 1, dtype=np.int32),
        pixels=free,
        centre=(bounds[:, :2] + bounds[:, 2:]) // 2,
        open=may_be_asked,
        **measured._asdict(),
    )


def open_images(project: Project, images: Sequence[str]) -> Mask:
    """Return which images of the pool may be asked as a whole; bool (n,)."""
    closed = project.closed_regions(("image",))
    known = project.labelled_pixels()
    shapes = [project.info(image).shape for image in images]
    return np.array(
        [
            image not in closed and known[image] < KNOWN_SHARE * rows * columns
            for image, (rows, columns) in zip(images, shapes, strict=True)
        ]
    )


def joined(rows: Iterable[Candidates]) -> Candidates:
    """Return the rows of several images."""
    return Candidates(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def still_open(
    project: Project, images: Sequence[str], version: int, candidates: Candidates
) -> Candidates:
    """Close what somebody answered while the pool was scored, and done images.

    An image that was answered or skipped as a whole is not asked again in parts: what
    it has no label for is void.
    """
    place = {image: index for index, image in enumerate(images)}
    done = [place[i] for i in project.closed_regions(("image",)) if i in place]
    asked = project.asked_regions(version)
    codes = [place[i] << 32 | r for i in asked if i in place for r in asked[i]]
    of_rows = candidates.image.astype(np.int64) << 32 | candidates.region
    closed = np.isin(of_rows, codes) | np.isin(candidates.image, done)
    return candidates._replace(open=candidates.open & ~closed)


# --- windows --------------------------------------------------------------------------


def window_radius(query: QuerySettings) -> int:
    """Pixels from the centre of a window to its sides; 0 for single pixels."""
    return query.window or 0


def block_radius(query: QuerySettings) -> int:
    """Pixels around a window's centre in which no other may be centred."""
    return max(2 * window_radius(query), query.exclusion or 0)


def blocked_centres(project: Project, query: QuerySettings) -> Callable[[str], Mask]:
    """Return what tells, for an image, where no window may be centred.

    RIPU blocks around each window of all earlier rounds; so do we around those that
    were answered or skipped. Labelled pixels are no centres either, nor is any pixel
    of an image that was answered or skipped as a whole.
    """
    closed = project.closed_regions(("image", *systems.WINDOWS))
    labelled = set(project.labelled())
    reach = block_radius(query) - window_radius(query)

    def blocked(image: str) -> Mask:
        shape = project.info(image).shape
        mask = np.zeros(shape, bool)
        if image in labelled:
            mask |= project.read_labels(image) > 0
        for bounds, _ in closed.get(image, ()):
            top, left = (
                max(bounds.row_start - reach, 0),
                max(bounds.column_start - reach, 0),
            )
            mask[top : bounds.row_stop + reach, left : bounds.column_stop + reach] = (
                True
            )
        return mask

    return blocked


def survey_windows(
    project: Project,
    images: Sequence[str],
    scored: Sequence[int],
    query: QuerySettings,
    budget: Budget,
    look: Callable[[str], Seen],
    rng: np.random.Generator,
) -> Task[Candidates]:
    """Find the best windows of each image; a window's score is that of its centre.

    Where nothing gives pixels a score, chance does. An image proposes a little more
    than its equal share of the budget, and several times of it if the choice ranks
    over the whole pool.
    """
    radius = window_radius(query)
    blocked = blocked_centres(project, query)
    count = _proposals(project, images, query, budget, len(scored))
    rows: list[Candidates] = []
    for done, index in enumerate(scored, 1):
        image = images[index]
        seen = look(image)
        score = seen.score
        if not isinstance(score, np.ndarray):
            score = rng.random(project.info(image).shape)
        centres, _ = regions.choose_windows(
            score, radius, count, blocked(image), block_radius(query)
        )
        seen = replace(seen, score=score)
        rows.append(_window_rows(project, image, index, centres, radius, seen))
        yield Progress(done, len(scored), "scoring the pool")
    return joined(rows)


def _proposals(
    project: Project,
    images: Sequence[str],
    query: QuerySettings,
    budget: Budget,
    scored: int,
) -> int:
    """Return how many windows one image may propose."""
    area = (2 * window_radius(query) + 1) ** 2
    match budget.unit:
        case "%":
            pool = sum(int(np.prod(project.info(image).shape)) for image in images)
            total = budget.amount / 100 * pool / area
        case "px/image":
            total = budget.amount * len(images) / area
        case "regions" | "images":
            total = budget.amount
    share = ceil(total / scored) + 1
    if query.choice == "per-image":
        return share
    return min(ceil(total), max(WINDOWS_OF_AN_IMAGE * share, 100))


def _window_rows(
    project: Project,
    image: str,
    index: int,
    centres: WindowCentres,
    radius: int,
    seen: Seen,
) -> Candidates:
    """Return the rows of one image's proposed windows."""
    assert isinstance(seen.score, np.ndarray)
    row, column = centres.T
    window_map = regions.windows(seen.score.shape, centres, radius)
    free = np.where(project.read_labels(image) == 0, window_map, 0)
    pixels = np.bincount(free.ravel(), minlength=len(centres) + 1)[1:]
    terms = np.array([term[row, column] for term in seen.terms], np.float32)
    looks = np.empty((len(centres), 0), np.float32)
    if seen.features is not None and len(centres):
        looks = regions.pool_features(seen.features, window_map)
    return Candidates(
        image=np.full(len(centres), index, np.int32),
        region=np.arange(1, len(centres) + 1, dtype=np.int32),
        pixels=pixels,
        centre=centres,
        open=np.ones(len(centres), bool),
        score=seen.score[row, column].astype(np.float64),
        probability=seen.probability[:, row, column].T.astype(np.float32),
        terms=terms.reshape(len(seen.terms), len(centres)).T,
        features=looks,
    )


def look_without_network(project: Project) -> Callable[[str], Seen]:
    """Give pixels no score, and describe them by their colours."""

    def look(image: str) -> Seen:
        pixels = project.read_image(image)
        colours = pixels.transpose(2, 0, 1).astype(np.float32) / 255
        nothing = np.empty((0, *pixels.shape[:2]), np.float32)
        return Seen(None, (), nothing, colours)

    return look


def still_free(
    project: Project,
    images: Sequence[str],
    query: QuerySettings,
    candidates: Candidates,
) -> Candidates:
    """Close the windows whose centre was labelled while the pool was scored."""
    blocked = blocked_centres(project, query)
    closed = candidates.open.copy()
    for index in np.unique(candidates.image):
        here = np.flatnonzero(candidates.image == index)
        row, column = candidates.centre[here].T
        closed[here] &= ~blocked(images[index])[row, column]
    return candidates._replace(open=closed)


def keep_windows(
    project: Project,
    images: Sequence[str],
    query: QuerySettings,
    version: int,
    candidates: Candidates,
    picked: np.ndarray,
) -> Candidates:
    """Write the picked windows as region maps; return all rows with their new ids."""
    ids = np.zeros(len(candidates.region), np.int32)
    by_image: dict[int, list[int]] = defaultdict(list)
    for row in picked:
        by_image[int(candidates.image[row])].append(int(row))
    for index, rows in by_image.items():
        image = images[index]
        centres = candidates.centre[rows]
        shape = project.info(image).shape
        window_map = regions.windows(shape, centres, window_radius(query))
        project.write_regions(image, version, window_map)
        ids[rows] = np.arange(1, len(rows) + 1)
    return candidates._replace(region=ids)


# --- partitions -----------------------------------------------------------------------


def partition_function(query: QuerySettings) -> Callable[[Image], RegionMap]:
    """Return what makes the region map of an image under a completed query."""
    given = query.parameters()
    match query.partition:
        case "superpixels":
            return partial(
                regions.superpixels,
                size=given["region_size"],
                compactness=given["compactness"],
            )
        case "felzenszwalb":
            return partial(
                regions.felzenszwalb,
                scale=given["segment_scale"],
                size=given["segment_size"],
            )
        case "grid":
            return lambda image: regions.grid(
                image.shape[:2], given["rows"], given["columns"]
            )
        case _:
            return lambda image: regions.grid(image.shape[:2], 1, 1)


def make_regions(
    project: Project, images: Sequence[str], query: QuerySettings
) -> Task[int]:
    """Make the region map of each image that has none yet; return their version."""
    given = query.parameters()
    taken = ("partition", *systems.PARTITIONS[given["partition"]].parameters)
    version = project.partition_version({name: given[name] for name in taken})
    missing = [image for image in images if not project.has_regions(image, version)]
    maps = regions.of_many(
        partition_function(query), (project.read_image(image) for image in missing)
    )
    for done, (image, region_map) in enumerate(zip(missing, maps, strict=True), 1):
        project.write_regions(image, version, region_map)
        yield Progress(done, len(missing), "finding regions")
    return version
