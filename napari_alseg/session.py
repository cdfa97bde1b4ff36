"""A round: `query` asks, a person answers, `retrain` learns; `look` fills the maps.

Each is a task (a generator of progress), so that the command line drives it in place
and the window drives it in a child process. One image at a time flows through
prediction, score and pooling; what grows with the pool is one row a region, never a
map.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter

import numpy as np

from . import segmentation, systems
from .arrays import (
    Progress,
    Ranking,
    Selection,
    Task,
)
from .choosing import Asking, choose, selection_of
from .errors import BadValue, NothingToAsk, NothingToLearn, UnknownName
from .learning import (
    Learner,
    Plan,
    learn_once,
    measure_scores,
)
from .live import learn_live, newest
from .metrics import Report
from .rectifying import learn_rectified
from .segmentation import Network
from .settings import (
    Budget,
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    Recipe,
    RecipeSettings,
    TrainingSettings,
    check,
)
from .store import Project
from .survey import (
    Candidates,
    by_chance,
    by_encoder,
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

__all__ = ["look", "measure_scores", "query", "retrain", "trained_network"]

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
        score = acquisition.score(found, settings).cpu().numpy()
        keep_map(project, image, acquisition, score, settings)
    return image


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


# --- learning -------------------------------------------------------------------------


def retrain(
    project: Project,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    prediction: PredictionSettings | None = None,
    seed: int = 0,
    *,
    recipe: RecipeSettings | None = None,
    live: LiveSettings | None = None,
    resume: bool = False,
    part: tuple[float, float] = (0.0, 1.0),
) -> Task[Report]:
    """Train a network on all labels and make its weights the project's latest.

    By default every round starts again from the pretrained encoder and replays all
    labels: going on from the last round would favour the labels that came first, and
    a network that has once settled learns less from what is added (warm starts are
    known to generalise worse: Ash & Adams, NeurIPS 2020). ``start="last"`` needs
    fewer epochs instead.

    Closing the task keeps the best weights so far, and what is needed to go on.

    Parameters
    ----------
    project : Project
    network : NetworkSettings, optional
    training : TrainingSettings, optional
        Its recipe is that of the system of the latest round if it names none.
    prediction : PredictionSettings, optional
        For the final look at the validation images.
    seed : int
        Same seed, same labels, same CPU and threads: same weights.
    recipe : RecipeSettings, optional
        How much the special terms count.
    live : LiveSettings, optional
        For the recipe 'live'.
    resume : bool
        Go on with the training of this round that was stopped, exactly as it was
        begun, whatever else is given here; start anew if there is none.
    part : (float, float)
        The part of the training that this call does, 0..1. One that does not begin at
        0 goes on where the last call ended, with the labels of now: so RIPU asks
        while one training runs.

    Raises
    ------
    NothingToLearn
        If no image has a label, or there is nothing to go on with.
    BadValue
        If a part is asked of the recipe 'rectified', which has stages of its own; or
        the network has a difficulty branch and another recipe than that.
    """
    begin, end = part
    number = project.latest_round
    plan = Plan(
        number,
        project.sequence,
        seed,
        network or NetworkSettings(),
        check(training or TrainingSettings()),
        check(recipe or RecipeSettings()),
    )
    if plan.training.recipe is None:
        named = systems.recipe_after(project.selection())
        plan = replace(plan, training=replace(plan.training, recipe=named))
    if plan.training.recipe == "difficulty":
        plan = replace(plan, network=replace(plan.network, difficulty=True))
    unfinished = project.weights.read_aside("unfinished") if resume or begin else None
    if begin and unfinished is None:
        raise NothingToLearn(
            f"there is no training to go on with from {begin:.0%}; begin one at 0"
        )
    spent = 0.0
    if resume and unfinished and unfinished[1]["plan"]["round"] == number:
        plan = Plan.of(unfinished[1]["plan"])
        spent = unfinished[1].get("seconds", 0.0)  # older ones lack it
    elif not begin:
        unfinished = None  # of another round: what was asked since counts
    if plan.network.difficulty:
        refuse_untaught_branch(plan.training.recipe)
    yield Progress(0, 1, "loading the network")
    learner = Learner(project, plan, prediction or PredictionSettings(), spent)
    if plan.training.recipe == "live":
        return (yield from learn_live(learner, live or LiveSettings()))
    if plan.training.recipe == "rectified":
        if part != (0.0, 1.0):
            raise BadValue(
                "the recipe 'rectified' is learnt as a whole, in three stages; ask "
                "rounds after it, or take another recipe"
            )
        return (yield from learn_rectified(learner, unfinished))
    return (yield from learn_once(learner, unfinished, end))


def refuse_untaught_branch(recipe: Recipe | None) -> None:
    """Refuse a difficulty branch that the recipe does not teach.

    Raises
    ------
    BadValue
        Naming the recipe that does.
    """
    if recipe != "difficulty":
        raise BadValue(
            f"the recipe {recipe!r} does not teach the branch of the network's "
            "'difficulty': take the recipe 'difficulty', or leave the branch out"
        )
