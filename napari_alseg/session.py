"""A round: `query` asks, a person answers, `retrain` learns; `look` fills the maps.

Each is a task (a generator of progress), so that the command line drives it in place
and the window drives it in a child process. Torch tensors and NumPy arrays meet here
and nowhere else. One image at a time flows through prediction, score and pooling;
what grows with the pool is one row a region, never a map.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from threading import Lock
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch

from . import metrics, regions, segmentation, systems
from .arrays import (
    Bounds,
    Progress,
    Ranking,
    Region,
    Selection,
    Task,
    to_targets,
)
from .errors import BadValue, NothingToAsk, NothingToLearn
from .metrics import CurvePoint, Report
from .segmentation import Example, Network
from .settings import (
    Budget,
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    SpreadSettings,
    TrainingSettings,
    check,
)
from .store import Project
from .survey import (
    Candidates,
    by_chance,
    by_looks,
    by_network,
    keep_map,
    keep_prediction,
    keep_windows,
    look_without_network,
    make_regions,
    predicted,
    see,
    still_free,
    still_open,
    survey,
    survey_windows,
    window_radius,
)

CACHED_BYTES = 1_000_000_000
"""Decoded training images kept in memory; the others are read again."""
SHORTLIST = 10
"""Diverse regions are chosen among the best so many times the budget."""

# --- asking ---------------------------------------------------------------------------


def query(
    project: Project,
    settings: QuerySettings,
    prediction: PredictionSettings | None = None,
) -> Task[Selection]:
    """Score the pool and ask the next regions.

    Before any network exists, systems that need one ask a *spread* of regions instead:
    k-means++ seeding over colour, texture and position (`regions.choose_spread`). A
    network that has seen nothing scores at random, and random regions repeat the
    common surfaces; a spread reaches the rare ones with the same number of answers.

    Raises
    ------
    UnknownName, BadValue
        If the settings name something unknown or do not go together.
    NothingToAsk
        If the pool is empty or every region is answered, skipped or labelled.
    """
    settings = systems.completed(check(settings))
    prediction = check(prediction or PredictionSettings())
    images = project.images()
    if not images:
        raise NothingToAsk(f"{project.path.name} holds no images; add some first")
    number = _latest_round(project) + 1
    asked = _Round(
        project,
        number,
        images,
        settings,
        Budget.parse(settings.budget),
        trained_network(project, prediction) if systems.needs(settings) else None,
        prediction,
        np.random.default_rng([settings.seed, number]),
    )
    start = perf_counter()
    in_windows = settings.partition in systems.WINDOWS
    survey = _survey_windows if in_windows else _survey_regions
    version, candidates = yield from survey(asked)
    scored = perf_counter()
    picked = _choose(asked, candidates)
    if in_windows:
        candidates = keep_windows(
            project, images, settings, version, candidates, picked
        )
    if asked.network is not None and asked.acquisition.of != "regions":
        project.write_ranking(number, _ranking(asked, candidates))
    selection = _selection(asked, version, candidates, picked)
    project.ask(selection)
    project.record(number, "query", settings.parameters())
    project.record(number, "score_seconds", scored - start)
    project.record(number, "choose_seconds", perf_counter() - scored)
    return selection


def _latest_round(project: Project) -> int:
    return project.rounds[-1] if project.rounds else 0


class _Round(NamedTuple):
    """All that one round is asked with."""

    project: Project
    number: int
    images: tuple[str, ...]
    """The pool."""
    settings: QuerySettings
    """Completed."""
    budget: Budget
    network: Network | None
    """None if there is none, or none is needed."""
    prediction: PredictionSettings
    rng: np.random.Generator

    @property
    def given(self) -> dict[str, Any]:
        """The parts and parameters of the query."""
        return self.settings.parameters()

    @property
    def acquisition(self) -> systems.Acquisition:
        return systems.acquisition(self.given["acquisition"])

    @property
    def spread(self) -> bool:
        """Whether a spread is asked, for want of a network."""
        return self.network is None and bool(systems.needs(self.settings))

    def scored(self) -> list[int]:
        """Draw the share of the pool that is scored; indices in its order."""
        count = ceil(self.given.get("pool_share", 1.0) * len(self.images))
        drawn: list[int] = self.rng.permutation(len(self.images))[:count].tolist()
        return sorted(drawn)


def _survey_regions(asked: _Round) -> Task[tuple[int, Candidates]]:
    """Measure the regions of a partition; return its version and the candidates."""
    project, images, settings = asked.project, asked.images, asked.settings
    version = yield from make_regions(project, images, settings)
    if asked.network is not None:
        measure = by_network(
            project, asked.network, settings, asked.prediction, asked.rng
        )
    else:
        measure = by_looks(project) if asked.spread else by_chance(asked.rng)
    candidates = yield from survey(project, images, asked.scored(), version, measure)
    return version, still_open(project, images, version, candidates)


def _survey_windows(asked: _Round) -> Task[tuple[int, Candidates]]:
    """Find windows; each round's are region maps of a version of their own."""
    project, images, settings = asked.project, asked.images, asked.settings
    look = look_without_network(project, asked.rng)
    if asked.network is not None:
        look = partial(see, project, asked.network, settings, asked.prediction)
    candidates = yield from survey_windows(
        project, images, asked.scored(), settings, asked.budget, look
    )
    version = project.partition_version(
        {
            "partition": settings.partition,
            "window": window_radius(settings),
            "round": asked.number,
        }
    )
    return version, still_free(project, images, settings, candidates)


def _choose(asked: _Round, candidates: Candidates) -> np.ndarray:
    """Return rows of the candidates that are asked, best first.

    Raises
    ------
    NothingToAsk
        If no candidate is left, or the budget is smaller than the first of them.
    """
    rows = np.flatnonzero(candidates.open)
    if len(rows) == 0:
        raise NothingToAsk(
            "every region of the pool is labelled, answered or skipped: add images, "
            "or undo a skipped region to be asked it again"
        )
    if asked.settings.choice == "everything":
        return rows
    free, known = candidates.of(rows), candidates.of(~candidates.open)
    costs, limit = _costs(asked, free)
    if asked.budget.unit == "images":
        picked = _choose_images(asked, free)
    elif asked.spread:
        picked = regions.choose_spread(free.features, costs, limit, asked.rng)
    else:
        picked = _pick(asked, free, known.features, costs, limit)
    if len(picked) == 0:
        raise NothingToAsk(
            f"a budget of {asked.budget} is less than one region ({costs.min():.0f} "
            "pixels at least); give a larger budget or make smaller regions"
        )
    chosen: np.ndarray = rows[picked]
    return chosen


def _pick(
    asked: _Round,
    free: Candidates,
    known: np.ndarray,
    costs: np.ndarray,
    limit: float,
) -> np.ndarray:
    """Choose among the candidates as the settings say."""
    scores, given = free.score, asked.given
    match asked.settings.choice:
        case "per-image":
            return regions.choose_per_image(scores, costs, free.image, limit)
        case "class-quota":
            classes = free.probability.argmax(1)
            return regions.choose_class_quota(scores, costs, classes, limit)
        case "class-stratified":
            return regions.choose_stratified(
                scores,
                costs,
                free.probability.argmax(1),
                limit,
                asked.rng,
                stratified=given["stratified"],
                power=given["power"],
            )
        case "foreground":
            classes = free.probability.argmax(1)
            background = np.bincount(classes, free.pixels).argmax()
            share = given["foreground"]
            in_front = (classes != background).astype(int)
            return regions.choose_class_quota(
                scores, costs, in_front, limit, np.array([1 - share, share])
            )
        case "diverse":
            return _pick_diverse(asked, free, known, costs, limit)
        case _:
            return regions.choose_top(scores, costs, limit)


def _pick_diverse(
    asked: _Round,
    free: Candidates,
    known: np.ndarray,
    costs: np.ndarray,
    limit: float,
) -> np.ndarray:
    """Choose a core-set; with a score, of the best `SHORTLIST` times the budget."""
    rows = np.arange(len(costs))
    if asked.acquisition.of != "regions":
        rows = regions.choose_top(free.score, costs, SHORTLIST * limit)
    picked = regions.choose_diverse(
        free.features[rows],
        costs[rows],
        limit,
        known=known,
        places=np.column_stack([free.image, free.centre])[rows],
        exclusion=asked.given["exclusion"],
    )
    chosen: np.ndarray = rows[picked]
    return chosen


def _costs(asked: _Round, candidates: Candidates) -> tuple[np.ndarray, float]:
    """Return what each candidate costs and how much may be spent, in one unit."""
    pixels = candidates.pixels.astype(float)
    match asked.budget.unit:
        case "%":
            shapes = (asked.project.info(image).shape for image in asked.images)
            pool = sum(int(np.prod(shape)) for shape in shapes)
            return pixels, asked.budget.amount / 100 * pool
        case "px/image":
            return pixels, asked.budget.amount * len(asked.images)
        case "regions" | "images":
            return np.ones(len(pixels)), asked.budget.amount


def _choose_images(asked: _Round, candidates: Candidates) -> np.ndarray:
    """Pick whole images by the mean of their regions; return all their candidates."""
    images, member = np.unique(candidates.image, return_inverse=True)
    measured = candidates.features if asked.spread else candidates.score[:, None]
    total = np.zeros((len(images), measured.shape[1]), np.float32)
    np.add.at(total, member, measured)
    mean = total / np.bincount(member)[:, None].astype(np.float32)
    costs, count = np.ones(len(images)), asked.budget.amount
    if asked.spread:
        picked = regions.choose_spread(mean, costs, count, asked.rng)
    else:
        picked = regions.choose_top(mean[:, 0], costs, count)
    return np.flatnonzero(np.isin(member, picked))


def _selection(
    asked: _Round, version: int, candidates: Candidates, picked: np.ndarray
) -> Selection:
    """Return the picked candidates as regions, image by image to spare the eye.

    Images come in the order of their best region, regions within in falling score.
    """
    first_seen = {
        image: i for i, image in reversed([*enumerate(candidates.image[picked])])
    }
    order = sorted(picked, key=lambda row: first_seen[candidates.image[row]])
    boxes: dict[int, np.ndarray] = {}
    chosen = []
    for row in order:
        index, region = int(candidates.image[row]), int(candidates.region[row])
        image = asked.images[index]
        if index not in boxes:
            boxes = {index: regions.bounds(asked.project.read_regions(image, version))}
        chosen.append(
            Region(
                image=image,
                partition=version,
                region=region,
                score=float(candidates.score[row]),
                pixels=int(candidates.pixels[row]),
                bounds=Bounds(*(int(edge) for edge in boxes[index][region - 1])),
            )
        )
    settings = asked.settings
    return Selection(asked.number, settings.system, settings.budget, tuple(chosen))


def _ranking(asked: _Round, candidates: Candidates) -> Ranking:
    """Return what the window shows of the scores of the whole pool."""
    terms = zip(asked.acquisition.terms, candidates.terms.T, strict=True)
    return Ranking(
        asked.images,
        candidates.image,
        candidates.region,
        candidates.score.astype(np.float32),
        candidates.open,
        candidates.probability,
        dict(terms),
    )


# --- looking --------------------------------------------------------------------------


def look(
    project: Project,
    image: str,
    maps: Sequence[str],
    settings: QuerySettings | None = None,
    prediction: PredictionSettings | None = None,
) -> Task[str]:
    """Write the prediction and some maps of an image by the latest network; its name.

    Parameters
    ----------
    project : Project
    image : str
    maps : sequence of str
        Acquisitions of pixels; all are made of one prediction.
    settings : QuerySettings, optional
        For the parameters of the acquisition that it asks by.
    prediction : PredictionSettings, optional

    Raises
    ------
    NothingToLearn
        If the project has no network yet.
    UnknownName, BadValue
        If there is no such acquisition, or it gives pixels no score.
    """
    acquisitions = [systems.acquisition(name) for name in maps]
    for acquisition in acquisitions:
        if acquisition.of != "pixels":
            raise BadValue(
                f"{acquisition.name} gives pixels no score, so it has no map; maps "
                f"are {', '.join(systems.maps())}"
            )
    settings = systems.completed(settings or QuerySettings())
    seen = prediction or PredictionSettings()
    network = trained_network(project, seen)
    if network is None:
        raise NothingToLearn("there is no network yet: answer regions, then Learn")
    yield Progress(0, 1, f"looking at {image}")
    pixels = project.read_image(image)
    found = predicted(network, pixels, acquisitions, seen, settings)
    keep_prediction(project, image, found)
    for acquisition in acquisitions:
        keep_map(project, image, acquisition, found, settings)
    return image


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
    meanwhile without changing what is learnt. With `spread`, labels first spread to
    neighbours of like colour (`segmentation.spread`).
    """

    def __init__(
        self,
        project: Project,
        images: Sequence[str],
        sequence: int,
        spread: bool = False,
    ) -> None:
        self._project = project
        self._images = images
        self._sequence = sequence
        self._spread = spread
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
        targets = to_targets(self._project.labels_at(image, self._sequence))
        pixels = self._project.read_image(image)
        if self._spread:
            classes = len(self._project.classes)
            how = asdict(SpreadSettings())
            targets = segmentation.spread(targets, pixels, classes, **how)
        return Example(pixels, targets)

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
    network = network or NetworkSettings()
    if _recipe(project) == "difficulty":
        network = replace(network, difficulty=True)
    net = segmentation.build(network, len(project.classes), seed=seed)
    net.to(segmentation.choose_device(training.device))
    examples = Examples(project, labelled, sequence, training.spread)
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


def _recipe(project: Project) -> str:
    """Return how the system of the latest round wants the network to learn."""
    selection = project.selection()
    return systems.system(selection.system).recipe if selection else "partial"


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
