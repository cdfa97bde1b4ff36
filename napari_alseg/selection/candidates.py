"""The candidates of a round: one row a region of the pool.

Torch tensors come in here from prediction and acquisition, NumPy arrays go out to
pooling and choice. What grows with the pool is one row a region, never a map.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from napari_alseg import regions
from napari_alseg.arrays import (
    LabelMap,
    Mask,
    Progress,
    RegionBounds,
    RegionMap,
    Task,
)
from napari_alseg.store import Project

from .measure import Measure, Measured

KNOWN_SHARE = 0.5
"""A region with at least this share of labelled pixels is not asked any more."""


class Candidates(NamedTuple):
    """The regions of the pool, one row a region; columns without numbers are empty."""

    image: np.ndarray
    """Index into the pool's images, int32."""
    region: np.ndarray
    """Id in the image's region map, or of its proposed windows, int32."""
    pixels: np.ndarray
    """Pixels without a label, int64: what an answer costs."""
    bounds: np.ndarray
    """First row and column, and those behind the last, int64 (N, 4)."""
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


# --- measuring regions ----------------------------------------------------------------


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
    asked = project.rounds.asked_regions(version)
    labelled = set(project.labels.labelled())
    rows: list[Candidates] = []
    for done, index in enumerate(scored, 1):
        image = images[index]
        region_map = project.outputs.read_regions(image, version)
        measured = measure(image, region_map)
        labels = project.labels.read(image) if image in labelled else None
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
        bounds=bounds,
        centre=(bounds[:, :2] + bounds[:, 2:]) // 2,
        open=may_be_asked,
        **measured._asdict(),
    )


def pixels_of(project: Project, images: Iterable[str]) -> int:
    """Count the pixels of some images."""
    shapes = (project.images.info(image).shape for image in images)
    return sum(rows * columns for rows, columns in shapes)


def open_images(project: Project, images: Sequence[str]) -> Mask:
    """Return which images of the pool may be asked as a whole; bool (n,)."""
    closed = project.rounds.closed_regions(("image",))
    known = project.labels.pixels()
    shapes = [project.images.info(image).shape for image in images]
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
    it has no label for is ignored.
    """
    place = {image: index for index, image in enumerate(images)}
    done = [place[i] for i in project.rounds.closed_regions(("image",)) if i in place]
    asked = project.rounds.asked_regions(version)
    codes = [place[i] << 32 | r for i in asked if i in place for r in asked[i]]
    of_rows = candidates.image.astype(np.int64) << 32 | candidates.region
    closed = np.isin(of_rows, codes) | np.isin(candidates.image, done)
    return candidates._replace(open=candidates.open & ~closed)
