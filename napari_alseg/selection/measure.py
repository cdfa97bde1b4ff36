"""What is measured of the regions of one image."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from napari_alseg import regions, segmentation
from napari_alseg.arrays import Image, RegionMap
from napari_alseg.segmentation import Network
from napari_alseg.settings import PredictionSettings
from napari_alseg.store import Project
from napari_alseg.systems import Query

from .maps import Seen, see


class Measured(NamedTuple):
    """What was measured of the regions of one image, in the order of their ids."""

    score: np.ndarray
    probability: np.ndarray
    terms: np.ndarray
    features: np.ndarray


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
        features = regions.describe(project.images.read(image), region_map)
        return _measured(np.zeros(len(features)), features=features)

    return measure


LOOKS = 96
"""Numbers that a region is described with, of all features of the encoder."""


def by_encoder(
    project: Project, network: Network, settings: PredictionSettings
) -> Measure:
    """Describe each region by what a frozen encoder says of it, before any head."""

    def measure(image: str, region_map: RegionMap) -> Measured:
        looks = encoded(network, project.images.read(image), region_map, settings)
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
    query: Query,
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
    seen: Seen, region_map: RegionMap, query: Query, rng: np.random.Generator
) -> Measured:
    """Pool what was seen of an image over each of its regions."""
    count = int(region_map.max())
    if isinstance(seen.score, np.ndarray):
        how = query.values["pooling"]
        score = regions.pool(seen.score, region_map, how=how)
    elif query.acquisition.by_chance:
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
