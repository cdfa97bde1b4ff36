"""What a network says of an image, kept as maps."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from napari_alseg import regions, segmentation, systems
from napari_alseg.arrays import Image, Prediction, ScoreMap, to_labels
from napari_alseg.segmentation import Network
from napari_alseg.settings import PredictionSettings, QuerySettings
from napari_alseg.store import Project


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


def trained_network(project: Project, settings: PredictionSettings) -> Network | None:
    """Return the network of the latest weights, ready to predict; None before any.

    Raises
    ------
    WeightsMismatch
        If the weights were made for other classes than the project has.
    """
    stored = project.weights.read()
    if stored is None:
        return None
    arrays, metadata = stored
    network = segmentation.from_metadata(metadata, classes=len(project.classes))
    segmentation.load(network, arrays)
    return network.to(segmentation.choose_device(settings.device)).eval()
