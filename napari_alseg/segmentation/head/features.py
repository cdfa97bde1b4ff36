"""Features of an image, or of some of its pixels."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float16
from torch import Tensor

from napari_alseg.arrays import Bounds, FeatureMap, Image
from napari_alseg.segmentation.networks.network import Network
from napari_alseg.segmentation.prediction.tiles import (
    blend_features,
    blend_weight,
    tiles,
    to_tensor,
)
from napari_alseg.settings import PredictionSettings

from .frozen import pixel_features


def frozen_features(
    network: Network, image: Image, settings: PredictionSettings
) -> list[FeatureMap]:
    """Features of an image, a map each stage.

    The network has a frozen encoder.

    Returns
    -------
    list of float32 arrays of shape (D, h, w)
        Of the filters, then of each stage of the encoder, finest first; each spans the
        image exactly (`blend_coarse`).
    """
    images = to_tensor(image, network.device)
    shape = images.shape[-2], images.shape[-1]
    bounds = tiles(shape, settings.tile, settings.overlap)
    weight = blend_weight(bounds[0].shape, settings.overlap).to(images.device)
    seen = [
        network.body.features(network.prepared(images[..., *each.slices]))  # type: ignore[operator]
        for each in bounds
    ]
    return [
        blend_features(maps, bounds, shape, network.stride, weight).cpu().numpy()
        for maps in zip(*seen, strict=True)
    ]


def describe_pixels(
    network: Network,
    image: Image,
    rows: np.ndarray,
    columns: np.ndarray,
    settings: PredictionSettings,
) -> Float16[Tensor, "N D"]:
    """Features of some pixels, seen in a prediction's tiles.

    Parameters
    ----------
    network : Network
        One with a frozen encoder.
    image : uint8 array of shape (H, W, 3)
    rows, columns : int64 arrays of shape (N,)
    settings : PredictionSettings

    Returns
    -------
    tensor on the CPU
        A pixel that several tiles share is seen in the one whose middle is nearest.
    """
    images = to_tensor(image, network.device)
    bounds = tiles(images.shape[-2:], settings.tile, settings.overlap)  # type: ignore[arg-type]
    nearest = _nearest_tile(bounds, rows, columns, settings.overlap)
    features = torch.empty(len(rows), sum(network.body.features.channels)).half()  # type: ignore[union-attr, arg-type]
    for index in np.unique(nearest):
        here = torch.from_numpy(np.flatnonzero(nearest == index))
        tile = bounds[index]
        given = network.prepared(images[..., *tile.slices])
        features[here] = pixel_features(
            network.body.features(given),  # type: ignore[operator]
            torch.from_numpy(rows)[here] - tile.row_start,
            torch.from_numpy(columns)[here] - tile.column_start,
            (given.shape[-2], given.shape[-1]),
        ).cpu()
    return features


def _nearest_tile(
    bounds: Sequence[Bounds], rows: np.ndarray, columns: np.ndarray, overlap: int
) -> np.ndarray:
    """Return the tile whose middle is nearest to each pixel; int64 (N,)."""
    weight = blend_weight(bounds[0].shape, overlap).numpy()
    nearest, highest = np.zeros(len(rows), np.int64), np.zeros(len(rows))
    for index, tile in enumerate(bounds):
        row, column = rows - tile.row_start, columns - tile.column_start
        height, width = tile.shape
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        found = np.zeros(len(rows))
        found[inside] = weight[row[inside], column[inside]]
        nearest[found > highest] = index
        highest = np.maximum(found, highest)
    return nearest
