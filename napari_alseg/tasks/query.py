"""A round: `query` asks, a person answers, `retrain` learns; `look` fills the maps.

Each is a task (a generator of progress), so that the command line drives it in place
and the window drives it in a child process. One image at a time flows through
prediction, score and pooling; what grows with the pool is one row a region, never a
map.
"""

from collections.abc import Collection, Sequence
from functools import partial
from time import perf_counter

import numpy as np

from napari_alseg import systems
from napari_alseg.arrays import Ranking, Selection, Task
from napari_alseg.budget import Budget
from napari_alseg.errors import NothingToAsk, UnknownName
from napari_alseg.live.model import newest
from napari_alseg.selection.candidates import Candidates, still_open, survey
from napari_alseg.selection.choose import Asking, choose, selection_of
from napari_alseg.selection.maps import (
    see,
    trained_network,
)
from napari_alseg.selection.measure import by_chance, by_encoder, by_looks, by_network
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

# --- asking ---------------------------------------------------------------------------


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
    settings = systems.completed(check(settings))
    prediction = check(prediction or PredictionSettings())
    systems.refuse_unfit_budget(str(settings.partition), Budget.parse(settings.budget))
    images = project.images()
    if not images:
        raise NothingToAsk(f"{project.path.name} holds no images; make a new project")
    if among is not None:
        wanted = set(among)
        unknown = sorted(wanted - set(images))
        if unknown:
            raise UnknownName("image of the pool", unknown[0], images)
        images = tuple(image for image in images if image in wanted)
    number = project.latest_round + 1
    following = network = None
    if not systems.needs(settings):
        pass  # what is asked needs no network
    elif live is not None and systems.for_lightweight_head(settings):
        following = yield from newest(project, live, prediction)
        network = following.network if following.ready else None
    else:
        network = trained_network(project, prediction)
    asked = Asking(
        project,
        number,
        images,
        settings,
        Budget.parse(settings.budget),
        network,
        prediction,
        np.random.default_rng([settings.seed, number]),
        following,
    )
    start = perf_counter()
    in_windows = settings.partition in systems.WINDOWS
    survey = _survey_windows if in_windows else _survey_regions
    share = asked.scored()
    version, candidates = yield from survey(asked, share)
    if not candidates.open.any():  # chance may have drawn only what is done
        rest = sorted(set(range(len(images))) - set(share))
        if rest:
            version, candidates = yield from survey(asked, rest)
    scored = perf_counter()
    picked = choose(asked, candidates)
    if in_windows:
        candidates = keep_windows(
            project, images, settings, version, candidates, picked
        )
    if asked.network is not None and asked.acquisition.of != "regions":
        project.write_ranking(number, _ranking(asked, candidates))
    selection = selection_of(asked, version, candidates, picked)
    project.ask(selection)
    project.record(number, "query", settings.parameters())
    project.record(number, "score_seconds", scored - start)
    project.record(number, "choose_seconds", perf_counter() - scored)
    return selection


def _survey_regions(
    asked: Asking, scored: Sequence[int]
) -> Task[tuple[int, Candidates]]:
    """Measure the regions of a partition; return its version and the candidates."""
    project, images, settings = asked.project, asked.images, asked.settings
    version = yield from make_regions(project, images, settings)
    if asked.network is not None:
        measure = by_network(
            project, asked.network, settings, asked.prediction, asked.rng, **asked.about
        )
    elif not asked.spread:
        measure = by_chance(asked.rng)
    elif asked.following is not None:
        measure = by_encoder(project, asked.following.network, asked.prediction)
    else:
        measure = by_looks(project)
    candidates = yield from survey(project, images, scored, version, measure)
    return version, still_open(project, images, version, candidates)


def _survey_windows(
    asked: Asking, scored: Sequence[int]
) -> Task[tuple[int, Candidates]]:
    """Find windows; each round's are region maps of a version of their own."""
    project, images, settings = asked.project, asked.images, asked.settings
    look = look_without_network(project)
    if asked.network is not None:
        look = partial(
            see, project, asked.network, settings, asked.prediction, **asked.about
        )
    candidates = yield from survey_windows(
        project, images, scored, settings, asked.budget, look, asked.rng
    )
    version = project.partition_version(
        {
            "partition": settings.partition,
            "window": window_radius(settings),
            "round": asked.number,
        }
    )
    return version, still_free(project, images, settings, candidates)


def _ranking(asked: Asking, candidates: Candidates) -> Ranking:
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


# --- learning -------------------------------------------------------------------------
