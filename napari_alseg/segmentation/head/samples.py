"""Labelled pixels for a lightweight head."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float16, Float32, UInt8
from torch import Tensor

from napari_alseg.arrays import IGNORE, RegionMap, TargetMap


class Samples(NamedTuple):
    """Labelled pixels and what the encoder says of them."""

    features: Float16[Tensor, "N D"]
    targets: UInt8[Tensor, " N"]
    order: Float32[Tensor, " N"]
    """Below 1 for the first pixel of its class in its region, below 2 for the second,
    and so on; the rest is chance. The highest go first where there is no room."""

    def __len__(self) -> int:
        return len(self.targets)

    def of(self, indices: np.ndarray) -> "Samples":
        """Return some of the samples."""
        return Samples(*(column[torch.from_numpy(indices)] for column in self))

    @classmethod
    def joined(cls, parts: Iterable["Samples"]) -> "Samples":
        """Return all samples of several images."""
        return cls(*(torch.cat(column) for column in zip(*parts, strict=True)))


def choose_pixels(
    targets: TargetMap, region_map: RegionMap | None, count: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw labelled pixels evenly over classes and regions.

    Of each class in each region the same number, if it has so many.

    So a large region teaches no more than a small one, as both were one answer, and a
    thin thing that was painted within a region counts as much as what is around it.
    What is drawn of a region depends on nothing outside of it.

    Parameters
    ----------
    targets : uint8 array of shape (H, W)
    region_map : int32 array of shape (H, W) or None
        What a region is; None, and 0 within, take squares of 32 pixels.
    count : int
        Most pixels of a class in a region.
    seed : int

    Returns
    -------
    rows, columns, rank : int64 arrays of shape (N,)

    Examples
    --------
    >>> targets = np.array([[0, 0, 0, 1], [0, 0, 255, 255]], np.uint8)
    >>> rows, columns, rank = choose_pixels(targets, None, 2)
    >>> targets[rows, columns], rank
    (array([0, 0, 1], dtype=uint8), array([0, 1, 0]))
    """
    rows, columns = np.nonzero(targets != IGNORE)
    region = 1 + (rows // 32) * (1 + targets.shape[1] // 32) + columns // 32
    if region_map is not None:
        given = region_map[rows, columns].astype(np.int64)
        region = np.where(given > 0, given, region + region_map.max())
    group = region * (IGNORE + 1) + targets[rows, columns]
    places = rows * targets.shape[1] + columns
    chance = np.random.default_rng(seed).permutation(targets.size)[places]
    order = np.lexsort((chance, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    rank = np.arange(len(order)) - np.repeat(starts, sizes)
    taken = order[rank < count]
    return rows[taken], columns[taken], rank[rank < count]


def thin(samples: Samples, among: np.ndarray, most: int) -> np.ndarray:
    """Choose samples, fair to each class and region.

    No class loses a sample as long as another has more; of a class, those go first
    that are the latest of their region, and of these some by chance.

    Parameters
    ----------
    samples : Samples
    among : int64 array of shape (N,)
        Indices of those that there is a choice of, ascending.
    most : int

    Returns
    -------
    int64 array of shape (n,)
        Indices, ascending.

    Examples
    --------
    >>> samples = Samples(
    ...     torch.zeros(5, 1, dtype=torch.half),
    ...     torch.tensor([0, 0, 0, 0, 1], dtype=torch.uint8),
    ...     torch.tensor([0.5, 1.5, 0.2, 1.2, 0.7]),
    ... )
    >>> thin(samples, np.arange(5), 3)
    array([0, 2, 4])
    """
    if len(among) <= most:
        return among
    targets = samples.targets.numpy()[among]
    counts = np.bincount(targets)
    order = np.lexsort((samples.order.numpy()[among], targets))
    starts = np.cumsum(counts) - counts
    place = np.arange(len(order)) - np.repeat(starts, counts)
    share = _fair_share(counts, most)
    kept: np.ndarray = among[np.sort(order[place < share])]
    return kept


def _fair_share(counts: np.ndarray, most: int) -> int:
    """Return how many samples each class may keep.

    All classes together keep at most so many.
    """
    left, share = most, 0
    waiting = np.sort(counts[counts > 0])
    for index, count in enumerate(waiting):
        share = left // (len(waiting) - index)
        if count > share:
            return share
        left -= int(count)
    return share
