"""A round: `query` asks, a person answers, `retrain` learns; `look` fills the maps.

Each is a task (a generator of progress), so that the command line drives it in place
and the window drives it in a child process. Torch tensors and NumPy arrays meet here
and nowhere else. One image at a time flows through prediction, score and pooling;
what grows with the pool is one row a region, never a map.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from threading import Lock
from time import perf_counter
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from . import metrics, regions, segmentation, systems
from .arrays import (
    Bounds,
    Prediction,
    Progress,
    Region,
    RegionMap,
    Selection,
    Task,
    to_labels,
    to_targets,
)
from .errors import NothingToAsk, NothingToLearn
from .metrics import CurvePoint, Report
from .segmentation import Example, Network
from .settings import (
    Budget,
    NetworkSettings,
    PartitionSettings,
    PredictionSettings,
    QuerySettings,
    TrainingSettings,
    check,
)
from .store import Project

CACHED_BYTES = 1_000_000_000
"""Decoded training images kept in memory; the others are read again."""
KNOWN_SHARE = 0.5
"""A region with at least this share of labelled pixels is not asked any more."""

Measure: TypeAlias = Callable[[str, RegionMap], np.ndarray]
"""Image name and region map -> one row a region: a score ``(R,)`` or a descriptor
``(R, D)``."""


class Candidates(NamedTuple):
    """The regions of the pool that may be asked, one row a region."""

    image: np.ndarray
    """Index into the pool's images, int32."""
    region: np.ndarray
    """Id in the image's region map, int32."""
    pixels: np.ndarray
    """Pixels without a label, int64: what an answer costs."""
    measured: np.ndarray
    """Score ``(N,)`` or descriptor ``(N, D)``, float32."""


# --- asking ---------------------------------------------------------------------------


def query(
    project: Project,
    settings: QuerySettings,
    partition: PartitionSettings | None = None,
    prediction: PredictionSettings | None = None,
) -> Task[Selection]:
    """Score the pool and ask the next regions.

    Before any network exists, systems that need one ask a *spread* of regions instead:
    k-means++ seeding over colour, texture and position (`regions.choose_spread`). A
    network that has seen nothing scores at random, and random regions repeat the
    common surfaces; a spread reaches the rare ones with the same number of answers.

    Raises
    ------
    NothingToAsk
        If the pool is empty or every region is answered, skipped or labelled.
    """
    system = systems.system(settings.system)
    budget = Budget.parse(settings.budget)
    partition, prediction = (
        partition or PartitionSettings(),
        (prediction or PredictionSettings()),
    )
    images = project.images()
    if not images:
        raise NothingToAsk(f"{project.path.name} holds no images; add some first")
    version = yield from _partition(project, images, check(partition))
    number = _latest_round(project) + 1
    rng = np.random.default_rng([settings.seed, number])

    start = perf_counter()
    measure = _measure(project, system, check(prediction), rng)
    candidates = yield from survey(project, images, version, measure)
    candidates = _still_open(project, images, version, candidates)
    scored = perf_counter()
    picked = _choose(project, system, budget, candidates, rng)
    selection = _selection(project, images, version, candidates, picked, settings)
    project.ask(selection)
    project.record(number, "score_seconds", scored - start)
    project.record(number, "choose_seconds", perf_counter() - scored)
    return selection


def _latest_round(project: Project) -> int:
    return project.rounds[-1] if project.rounds else 0


def _partition(
    project: Project, images: Sequence[str], settings: PartitionSettings
) -> Task[int]:
    """Compute the region map of each image that has none of this version."""
    version = project.partition_version(
        {"partition": "superpixels", **asdict(settings)}
    )
    missing = [image for image in images if not project.has_regions(image, version)]
    maps = regions.superpixels_of_many(
        (project.read_image(image) for image in missing),
        size=settings.region_size,
        compactness=settings.compactness,
    )
    for done, (image, region_map) in enumerate(zip(missing, maps, strict=True), 1):
        project.write_regions(image, version, region_map)
        yield Progress(done, len(missing), "finding superpixels")
    return version


def _measure(
    project: Project,
    system: systems.System,
    settings: PredictionSettings,
    rng: np.random.Generator,
) -> Measure:
    """Return what is measured of each region under a system."""
    if system.acquisition is None:
        return lambda _, region_map: rng.random(region_map.max(), np.float32)
    network = trained_network(project, settings)
    if network is None:
        return lambda image, region_map: regions.describe(
            project.read_image(image), region_map
        )
    acquisition = systems.acquisition(system.acquisition)
    return pooled_measure(project, network, acquisition, settings)


def pooled_measure(
    project: Project,
    network: Network,
    acquisition: systems.Acquisition,
    settings: PredictionSettings,
) -> Measure:
    """Return what gives the mean score of each region, and keeps the maps."""

    def measure(image: str, region_map: RegionMap) -> np.ndarray:
        score = _score(project, image, network, acquisition, settings)
        return regions.pool(score, region_map, how="mean")

    return measure


def survey(
    project: Project, images: Sequence[str], version: int, measure: Measure
) -> Task[Candidates]:
    """Measure every region of the pool that may still be asked."""
    asked = project.asked_regions(version)
    labelled = set(project.labelled())
    rows: list[Candidates] = []
    for index, image in enumerate(images):
        region_map = project.read_regions(image, version)
        measured = measure(image, region_map)
        size = np.bincount(region_map.ravel())[1:]
        free = size.copy()
        if image in labelled:
            blank = region_map[project.read_labels(image) == 0]
            free = np.bincount(blank, minlength=len(size) + 1)[1:]
        askable = free > (1 - KNOWN_SHARE) * size
        askable[[region - 1 for region in asked.get(image, ())]] = False
        ids = np.flatnonzero(askable)
        of_image = np.full(len(ids), index)
        rows.append(Candidates(of_image, ids + 1, free[ids], measured[ids]))
        yield Progress(index + 1, len(images), "scoring the pool")
    return Candidates(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _still_open(
    project: Project, images: Sequence[str], version: int, candidates: Candidates
) -> Candidates:
    """Return the candidates that nobody answered while the pool was scored."""
    asked = project.asked_regions(version)
    still_open = [
        region not in asked.get(images[image], ())
        for image, region in zip(candidates.image, candidates.region, strict=True)
    ]
    return Candidates(*(column[np.array(still_open, bool)] for column in candidates))


def _choose(
    project: Project,
    system: systems.System,
    budget: Budget,
    candidates: Candidates,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return indices of the candidates that are asked, best first.

    Raises
    ------
    NothingToAsk
        If no candidate is left, or the budget is smaller than the first of them.
    """
    if len(candidates.region) == 0:
        raise NothingToAsk(
            "every region of the pool is labelled, answered or skipped: add images, "
            "or undo a skipped region to be asked it again"
        )
    if system.choice == "everything":
        return np.arange(len(candidates.region))
    costs, limit = _costs(project, budget, candidates)
    if budget.unit == "images":
        picked = _choose_images(candidates, limit, rng)
    else:
        picked = _pick(candidates.measured, costs, limit, rng)
    if len(picked) == 0:
        raise NothingToAsk(
            f"a budget of {budget} is less than one region ({costs.min():.0f} pixels "
            "at least); give a larger budget or make smaller superpixels"
        )
    return picked


def _pick(
    measured: np.ndarray, costs: np.ndarray, limit: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the top of scores ``(N,)``, or a spread over descriptors ``(N, D)``."""
    if measured.ndim == 1:
        return regions.choose_top(measured, costs, limit)
    return regions.choose_spread(measured, costs, limit, rng)


def _costs(
    project: Project, budget: Budget, candidates: Candidates
) -> tuple[np.ndarray, float]:
    """Return what each candidate costs and how much may be spent, in one unit."""
    images = project.images()
    pixels = candidates.pixels.astype(float)
    match budget.unit:
        case "%":
            pool = sum(int(np.prod(project.info(image).shape)) for image in images)
            return pixels, budget.amount / 100 * pool
        case "px/image":
            return pixels, budget.amount * len(images)
        case "regions" | "images":
            return np.ones(len(pixels)), budget.amount


def _choose_images(
    candidates: Candidates, count: float, rng: np.random.Generator
) -> np.ndarray:
    """Pick whole images by the mean of their regions; return all their candidates."""
    images, member = np.unique(candidates.image, return_inverse=True)
    total = np.zeros((len(images), *candidates.measured.shape[1:]), np.float32)
    np.add.at(total, member, candidates.measured)
    size = np.bincount(member).astype(np.float32)
    mean = (total.T / size).T
    picked = _pick(mean, np.ones(len(images)), count, rng)
    return np.flatnonzero(np.isin(member, picked))


def _selection(
    project: Project,
    images: Sequence[str],
    version: int,
    candidates: Candidates,
    picked: np.ndarray,
    settings: QuerySettings,
) -> Selection:
    """Return the picked candidates as regions, image by image to spare the eye.

    Images come in the order of their best region, regions within in falling score.
    """
    first_seen = {
        image: i for i, image in reversed([*enumerate(candidates.image[picked])])
    }
    order = sorted(picked, key=lambda row: first_seen[candidates.image[row]])
    scores = candidates.measured if candidates.measured.ndim == 1 else None
    boxes: dict[int, np.ndarray] = {}
    chosen = []
    for row in order:
        index, region = int(candidates.image[row]), int(candidates.region[row])
        if index not in boxes:
            boxes = {
                index: regions.bounds(project.read_regions(images[index], version))
            }
        chosen.append(
            Region(
                image=images[index],
                partition=version,
                region=region,
                score=0.0 if scores is None else float(scores[row]),
                pixels=int(candidates.pixels[row]),
                bounds=Bounds(*(int(edge) for edge in boxes[index][region - 1])),
            )
        )
    return Selection(
        _latest_round(project) + 1, settings.system, settings.budget, tuple(chosen)
    )


# --- looking --------------------------------------------------------------------------


def look(
    project: Project,
    image: str,
    acquisition: str,
    prediction: PredictionSettings | None = None,
) -> Task[str]:
    """Write the prediction and one map of an image by the latest network; its name.

    Raises
    ------
    NothingToLearn
        If the project has no network yet.
    """
    settings = prediction or PredictionSettings()
    network = trained_network(project, settings)
    if network is None:
        raise NothingToLearn("there is no network yet: answer regions, then Learn")
    yield Progress(0, 1, f"looking at {image}")
    _score(project, image, network, systems.acquisition(acquisition), settings)
    return image


def _score(
    project: Project,
    image: str,
    network: Network,
    acquisition: systems.Acquisition,
    settings: PredictionSettings,
) -> np.ndarray:
    """Predict one image, keep its prediction and score map, return the score."""
    predicted: Prediction = segmentation.predict(
        network,
        project.read_image(image),
        settings,
        mirrored="mirrored" in acquisition.needs,
    )
    score = acquisition.score(predicted).cpu().numpy()
    best = predicted.probability.max(0).indices  # argmax takes eight times as long
    labels = to_labels(best.to(torch.uint8)).cpu().numpy()
    number = project.latest_weights_round() or 0
    project.write_map(image, acquisition.name, score, number)
    project.write_prediction(image, labels, number)
    return score


def trained_network(project: Project, settings: PredictionSettings) -> Network | None:
    """Return the network of the latest weights, ready to predict; None before any.

    Raises
    ------
    WeightsMismatch
        If the weights were made for other classes than the project has.
    """
    stored = project.read_weights()
    if stored is None:
        return None
    arrays, card = stored
    network = segmentation.from_card(card, classes=len(project.classes))
    segmentation.load(network, arrays)
    return network.to(segmentation.choose_device(settings.device)).eval()


# --- learning -------------------------------------------------------------------------


class Examples(Sequence[Example]):
    """Images with their labels as they were at one moment, read when needed.

    The newest used are kept in memory up to `CACHED_BYTES`; labelling goes on
    meanwhile without changing what is learnt.
    """

    def __init__(self, project: Project, images: Sequence[str], sequence: int) -> None:
        self._project = project
        self._images = images
        self._sequence = sequence
        self._lock = Lock()  # batches are read by several threads
        self._kept: OrderedDict[int, Example] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        with self._lock:
            if index not in self._kept:
                self._keep(index, self._read(self._images[index]))
            self._kept.move_to_end(index)
            return self._kept[index]

    def _read(self, image: str) -> Example:
        labels = self._project.labels_at(image, self._sequence)
        return Example(self._project.read_image(image), to_targets(labels))

    def _keep(self, index: int, example: Example) -> None:
        self._kept[index] = example
        self._bytes += example.image.nbytes + example.targets.nbytes
        while self._bytes > CACHED_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.image.nbytes + dropped.targets.nbytes


def retrain(
    project: Project,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    prediction: PredictionSettings | None = None,
    seed: int = 0,
) -> Task[Report]:
    """Train a network on all labels and make its weights the project's latest.

    Every round starts again from the pretrained encoder and replays all labels:
    going on from the last round would favour the labels that came first. Closing the
    task keeps the best weights so far.

    Raises
    ------
    NothingToLearn
        If no image of the pool has a label.
    """
    training = check(training or TrainingSettings())
    sequence = project.sequence
    labelled = project.labelled(sequence)
    if not labelled:
        raise NothingToLearn(
            f"no image of {project.path.name} has a label yet; answer asked regions "
            "or paint in the annotation layer first"
        )
    number = _latest_round(project)
    generator = torch.Generator().manual_seed(seed)
    yield Progress(0, 1, "loading the network")
    net = segmentation.build(
        network or NetworkSettings(), len(project.classes), seed=seed
    )
    net.to(segmentation.choose_device(training.device))
    examples = Examples(project, labelled, sequence)
    validation = Examples(project, project.images("validation"), sequence)
    curve: list[CurvePoint] = []
    start = perf_counter()

    def keep() -> None:
        seconds = perf_counter() - start
        _keep_weights(project, number, net, curve, seconds)

    try:
        yield from segmentation.train(
            net, examples, validation, training, generator=generator, curve=curve
        )
    except (GeneratorExit, KeyboardInterrupt):
        if _worth_keeping(project, number, curve):
            keep()
        raise
    keep()
    scores = yield from measure_scores(project, net, "validation", prediction)
    if scores is not None:
        project.record(number, "miou", scores.mean)
        project.record(number, "iou", list(scores.iou))
    return Report(number, tuple(curve), net.weights_source, scores)


def _worth_keeping(project: Project, number: int, curve: Sequence[CurvePoint]) -> bool:
    """Whether a stopped training may take the place of what the round has."""
    if not curve or curve[-1].step == 0:
        return False
    if project.latest_weights_round() != number:
        return True
    measured = [point.miou for point in curve if point.miou is not None]
    before = float(project.metrics(number).get("miou", 0.0))
    return max(measured[1:], default=0.0) >= before


def _keep_weights(
    project: Project,
    number: int,
    net: Network,
    curve: Sequence[CurvePoint],
    seconds: float,
) -> None:
    project.commit_weights(number, segmentation.state(net), segmentation.card(net))
    project.record(number, "train_seconds", seconds)
    project.record(number, "curve", [list(_row(point)) for point in curve])


def _row(point: CurvePoint) -> tuple[int, int, float | None, float | None]:
    return point.step, point.epoch, point.loss, point.miou


def measure_scores(
    project: Project,
    network: Network,
    split: str,
    prediction: PredictionSettings | None = None,
) -> Task[metrics.Scores | None]:
    """Return IoU on the labelled pixels of a split; None if it has none."""
    images = project.images(split)
    if not images:
        return None
    examples = Examples(project, images, project.sequence)
    confusion = yield from segmentation.evaluate(
        network, examples, prediction or PredictionSettings()
    )
    return metrics.scores(confusion) if confusion.any() else None
