"""The task that asks the next regions.

One image at a time flows through prediction, score and pooling; what grows with the
pool is one row a region, never a map.
"""

from collections.abc import Collection, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from napari_alseg.arrays import Ranking, Selection, Task
from napari_alseg.errors import NothingToAsk, UnknownName
from napari_alseg.live.model import Live, up_to_date
from napari_alseg.regions import choose_spread, choose_typical
from napari_alseg.segmentation import Network
from napari_alseg.selection.candidates import (
    Candidates,
    open_images,
    pixels_of,
    still_open,
    survey,
)
from napari_alseg.selection.choose import (
    Asking,
    ChooseFirst,
    choose,
    scored_share,
    selection_of,
)
from napari_alseg.selection.maps import see, trained_network
from napari_alseg.selection.measure import (
    Measure,
    by_chance,
    by_encoder,
    by_looks,
    by_network,
)
from napari_alseg.selection.partitions import make_regions
from napari_alseg.selection.windows import (
    keep_windows,
    look_without_network,
    still_free,
    survey_windows,
    window_radius,
)
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    check,
)
from napari_alseg.store import Project
from napari_alseg.systems import Query, resolve


def query(
    project: Project,
    settings: QuerySettings,
    prediction: PredictionSettings | None = None,
    among: Collection[str] | None = None,
    live: NetworkSettings | None = None,
) -> Task[Selection]:
    """Score the pool and ask the next regions.

    Before any network exists, systems that need one ask a *spread* of regions instead:
    k-means++ seeding over colour, texture and position (`regions.choose_spread`). A
    network that has seen nothing scores at random, and random regions repeat the
    common surfaces; a spread reaches the rare ones with the same number of answers.

    Parameters
    ----------
    project : Project
    settings : QuerySettings
    prediction : PredictionSettings, optional
    among : collection of str, optional
        Images of the pool to ask of; a budget in % or px/image is then of these. None
        asks of all.
    live : NetworkSettings, optional
        Ask by a lightweight head that learns all labels of now, on the encoder of the
        latest full network, or of this one before any. While it cannot tell
        two classes apart, regions that are typical of what its encoder sees are asked.

    Raises
    ------
    UnknownName, BadValue
        If the settings or `among` name something unknown, or do not go together.
    NothingToAsk
        If the pool is empty or every region is answered, skipped or labelled.
    """
    query = resolve(check(settings))
    prediction = check(prediction or PredictionSettings())
    images = _pool(project, among)
    number = project.rounds.latest + 1
    network, following = yield from _network(project, query, prediction, live)
    rng = np.random.default_rng([query.seed, number])
    look = _Look(project, images, query, number, prediction, rng, network, following)
    # Only a share of the pool needs to know how large it is.
    pixels = pixels_of(project, images) if query.budget.unit == "%" else 0
    asked = Asking(number, images, pixels, query, rng, look.first)
    start = perf_counter()
    version, candidates = yield from _measure(look)
    scored = perf_counter()
    if not candidates.open.any():
        _refuse_all_closed(project, images)
    picked = choose(asked, candidates)
    if query.partition.found_by_scores:
        candidates = keep_windows(project, images, query, version, candidates, picked)
    if network is not None and query.acquisition.of != "regions":
        project.rounds.write_ranking(number, _ranking(asked, candidates))
    selection = selection_of(asked, version, candidates, picked)
    project.rounds.ask(selection, query.record())
    project.rounds.record(
        number,
        score_seconds=scored - start,
        choose_seconds=perf_counter() - scored,
    )
    return selection


def _pool(project: Project, among: Collection[str] | None) -> tuple[str, ...]:
    """Return the images that are asked of."""
    images = project.images.names()
    if not images:
        raise NothingToAsk(f"{project.path.name} holds no images; make a new project")
    if among is None:
        return images
    wanted = set(among)
    unknown = sorted(wanted - set(images))
    if unknown:
        raise UnknownName("image of the pool", unknown[0], images)
    return tuple(image for image in images if image in wanted)


def _network(
    project: Project,
    query: Query,
    prediction: PredictionSettings,
    live: NetworkSettings | None,
) -> Task[tuple[Network | None, Live | None]]:
    """Return the network that asks, if one is needed and there, and live if it asks."""
    if not query.needs:
        return None, None
    if live is None or not query.for_lightweight_head:
        return trained_network(project, prediction), None
    following = yield from up_to_date(project, live, prediction)
    return (following.network if following.ready else None), following


class _Look(NamedTuple):
    """All that the pool is measured with."""

    project: Project
    images: tuple[str, ...]
    query: Query
    number: int
    prediction: PredictionSettings
    rng: np.random.Generator
    network: Network | None
    following: Live | None

    @property
    def about(self) -> dict[str, Any]:
        """What is said of the maps that it leaves: up to which labels live knows."""
        return {} if self.following is None else {"live": self.following.sequence}

    @property
    def first(self) -> ChooseFirst | None:
        """What chooses by looks, without a network."""
        if self.network is not None or not self.query.needs:
            return None
        return choose_spread if self.following is None else choose_typical


def _measure(look: _Look) -> Task[tuple[int, Candidates]]:
    """Measure the drawn share of the pool; the rest, if nothing of it is open."""
    project, images = look.project, look.images
    measure = (
        _measure_windows if look.query.partition.found_by_scores else _measure_regions
    )
    share = scored_share(
        look.query, len(images), look.rng, lambda: open_images(project, images)
    )
    version, candidates = yield from measure(look, share)
    if not candidates.open.any():  # chance may have drawn only what is done
        rest = sorted(set(range(len(images))) - set(share))
        if rest:
            version, candidates = yield from measure(look, rest)
    return version, candidates


def _measure_regions(
    look: _Look, scored: Sequence[int]
) -> Task[tuple[int, Candidates]]:
    """Measure the regions of a partition; return its version and the candidates."""
    project, images = look.project, look.images
    version = yield from make_regions(project, images, look.query)
    candidates = yield from survey(project, images, scored, version, _measure_of(look))
    return version, still_open(project, images, version, candidates)


def _measure_of(look: _Look) -> Measure:
    """Return what measures a region: the network, chance, or how it looks."""
    project, network, prediction = look.project, look.network, look.prediction
    if network is not None:
        return by_network(
            project, network, look.query, prediction, look.rng, **look.about
        )
    if look.first is None:
        return by_chance(look.rng)
    if look.following is not None:
        return by_encoder(project, look.following.network, prediction)
    return by_looks(project)


def _measure_windows(
    look: _Look, scored: Sequence[int]
) -> Task[tuple[int, Candidates]]:
    """Find windows; each round's are region maps of a version of their own."""
    project, images, query = look.project, look.images, look.query
    see_image = look_without_network(project)
    if look.network is not None:
        see_image = partial(
            see, project, look.network, query, look.prediction, **look.about
        )
    candidates = yield from survey_windows(
        project, images, scored, query, see_image, look.rng
    )
    version = project.outputs.partition_version(
        {
            "partition": query.partition.name,
            "window": window_radius(query),
            "round": look.number,
        }
    )
    return version, still_free(project, images, query, candidates)


def _refuse_all_closed(project: Project, images: Collection[str]) -> None:
    """Say that nothing is open since images were closed as a whole, if so."""
    if set(images) <= project.rounds.closed_regions(("image",)).keys():
        raise NothingToAsk(
            "every image of the pool was answered or skipped as a whole: undo a "
            "skipped one to be asked it again"
        )


def _ranking(asked: Asking, candidates: Candidates) -> Ranking:
    """Return what the window shows of the scores of the whole pool."""
    terms = zip(asked.query.acquisition.terms, candidates.terms.T, strict=True)
    return Ranking(
        asked.images,
        candidates.image,
        candidates.region,
        candidates.score.astype(np.float32),
        candidates.open,
        candidates.probability,
        dict(terms),
    )
