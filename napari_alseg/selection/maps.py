"""What a network says of an image, kept as maps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from napari_alseg import regions, segmentation, systems
from napari_alseg.arrays import Image, Prediction, ScoreMap, to_labels
from napari_alseg.segmentation import Network
from napari_alseg.settings import PredictionSettings
from napari_alseg.store import Project
from napari_alseg.systems import Acquisition, Query


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
    acquisitions: Iterable[Acquisition],
    settings: PredictionSettings,
    query: Query | None = None,
    also: Iterable[str] = (),
) -> Prediction:
    """Predict what some acquisitions need of an image, and no more.

    Parameters
    ----------
    network : Network
    image : uint8 array of shape (H, W, K)
    acquisitions : iterable of Acquisition
    settings : PredictionSettings
    query : Query, optional
        For the parameters of its acquisition.
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


def draw_maps(
    project: Project,
    network: Network,
    image: str,
    acquisitions: Sequence[Acquisition],
    settings: PredictionSettings,
    query: Query,
    **about: Any,
) -> None:
    """Look at an image with a network, and write the maps of some acquisitions.

    Parameters
    ----------
    project : Project
    network : Network
    image : str
    acquisitions : sequence of Acquisition
        All of pixels; they are made of one prediction.
    settings : PredictionSettings
    query : Query
        For the parameters of its acquisition.
    **about
        What else is said of the maps; see `write_maps`.
    """
    pixels = project.images.read(image)
    prediction = predicted(network, pixels, acquisitions, settings, query)
    scores = {
        each.name: each.score(prediction, query).cpu().numpy() for each in acquisitions
    }
    write_maps(project, image, prediction, scores, query, **about)


def write_maps(
    project: Project,
    image: str,
    prediction: Prediction,
    scores: Mapping[str, ScoreMap],
    query: Query,
    **about: Any,
) -> None:
    """Write the most probable classes of an image, and maps with their parameters.

    What else is said of a map must be the same for it to count as up to date.
    """
    best = prediction.probability.max(0).indices  # argmax takes eight times as long
    labels = to_labels(best.to(torch.uint8)).cpu().numpy()
    number = project.weights.latest_round or 0
    project.outputs.write_prediction(image, labels, number)
    for name, score in scores.items():
        values = systems.acquisition(name).values(query) | about
        project.outputs.write_map(image, name, score, number, values)


def see(
    project: Project,
    network: Network,
    query: Query,
    settings: PredictionSettings,
    image: str,
    **about: Any,
) -> Seen:
    """Look at an image the way a query wants it; keep its map (`write_maps`)."""
    prediction, seen = glance(network, project.images.read(image), query, settings)
    scores = {}
    if isinstance(seen.score, np.ndarray):
        scores = {query.acquisition.name: seen.score}
    write_maps(project, image, prediction, scores, query, **about)
    return seen


def glance(
    network: Network, image: Image, query: Query, settings: PredictionSettings
) -> tuple[Prediction, Seen]:
    """Look at an image the way a query wants it, and keep nothing."""
    terms = [systems.acquisition(name) for name in query.acquisition.terms]
    prediction = predicted(
        network, image, [query.acquisition, *terms], settings, query, also=query.needs
    )
    features = prediction.features
    return prediction, Seen(
        _score(prediction, query),
        tuple(term.score(prediction, query).cpu().numpy() for term in terms),
        prediction.probability.cpu().numpy(),
        None if features is None else features.cpu().numpy(),
    )


def _score(prediction: Prediction, query: Query) -> ScoreMap | float | None:
    """Return the map of a query, its number for the image, or nothing."""
    match query.acquisition.of:
        case "pixels":
            score: ScoreMap = query.acquisition.score(prediction, query).cpu().numpy()
            return score
        case "images":
            return float(query.acquisition.score(prediction, query))
        case _:
            return None


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
