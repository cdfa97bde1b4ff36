"""Windows and single pixels: regions that only their scores find."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from napari_alseg import regions
from napari_alseg.arrays import Mask, Progress, RegionBounds, Task, WindowCentres
from napari_alseg.store import Project
from napari_alseg.systems import PARTITIONS, Query

from .candidates import Candidates, joined, pixels_of
from .maps import Seen

CLOSING = tuple(
    row.name for row in PARTITIONS.values() if row.found_by_scores or row.whole_images
)
"""Partitions whose answered regions are no centres of windows any more."""
WINDOWS_OF_AN_IMAGE = 20
"""An image proposes at most so many times its equal share of the windows."""


def window_radius(query: Query) -> int:
    """Pixels from the centre of a window to its sides; 0 for single pixels."""
    radius: int = query.values.get("window", 0)
    return radius


def block_radius(query: Query) -> int:
    """Pixels around a window's centre in which no other may be centred."""
    return max(2 * window_radius(query), int(query.values["exclusion"]))


def blocked_centres(project: Project, query: Query) -> Callable[[str], Mask]:
    """Return what tells, for an image, where no window may be centred.

    RIPU blocks around each window of all earlier rounds; so do we around those that
    were answered or skipped. Labelled pixels are no centres either, nor is any pixel
    of an image that was answered or skipped as a whole.
    """
    closed = project.rounds.closed_regions(CLOSING)
    labelled = set(project.labels.labelled())
    reach = block_radius(query) - window_radius(query)

    def blocked(image: str) -> Mask:
        shape = project.images.info(image).shape
        mask = np.zeros(shape, bool)
        if image in labelled:
            mask |= project.labels.read(image) > 0
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
    query: Query,
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
    count = _proposals(project, images, query, len(scored))
    rows: list[Candidates] = []
    for done, index in enumerate(scored, 1):
        image = images[index]
        seen = look(image)
        score = seen.score
        if not isinstance(score, np.ndarray):
            score = rng.random(project.images.info(image).shape)
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
    query: Query,
    scored: int,
) -> int:
    """Return how many windows one image may propose."""
    area = (2 * window_radius(query) + 1) ** 2
    match query.budget.unit:
        case "%":
            total = query.budget.amount / 100 * pixels_of(project, images) / area
        case "px/image":
            total = query.budget.amount * len(images) / area
        case "regions" | "images":
            total = query.budget.amount
    share = ceil(total / scored) + 1
    if query.choice.equal_shares:
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
    free = np.where(project.labels.read(image) == 0, window_map, 0)
    pixels = np.bincount(free.ravel(), minlength=len(centres) + 1)[1:]
    terms = np.array([term[row, column] for term in seen.terms], np.float32)
    looks = np.empty((len(centres), 0), np.float32)
    if seen.features is not None and len(centres):
        looks = regions.pool_features(seen.features, window_map)
    return Candidates(
        image=np.full(len(centres), index, np.int32),
        region=np.arange(1, len(centres) + 1, dtype=np.int32),
        pixels=pixels,
        bounds=_window_bounds(centres, radius, seen.score.shape),
        centre=centres,
        open=np.ones(len(centres), bool),
        score=seen.score[row, column].astype(np.float64),
        probability=seen.probability[:, row, column].T.astype(np.float32),
        terms=terms.reshape(len(seen.terms), len(centres)).T,
        features=looks,
    )


def _window_bounds(
    centres: WindowCentres, radius: int, shape: tuple[int, ...]
) -> RegionBounds:
    """Return the bounds of windows, cut at the border of the image; (N, 4)."""
    starts = np.maximum(centres - radius, 0)
    stops = np.minimum(centres + radius + 1, shape)
    return np.hstack([starts, stops])


def look_without_network(project: Project) -> Callable[[str], Seen]:
    """Give pixels no score, and describe them by their colours."""

    def look(image: str) -> Seen:
        pixels = project.images.read(image)
        colours = pixels.transpose(2, 0, 1).astype(np.float32) / 255
        nothing = np.empty((0, *pixels.shape[:2]), np.float32)
        return Seen(None, (), nothing, colours)

    return look


def still_free(
    project: Project,
    images: Sequence[str],
    query: Query,
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
    query: Query,
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
        shape = project.images.info(image).shape
        window_map = regions.windows(shape, centres, window_radius(query))
        project.outputs.write_regions(image, version, window_map)
        ids[rows] = np.arange(1, len(rows) + 1)
    return candidates._replace(region=ids)
