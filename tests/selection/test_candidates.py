"""Every system asks in a real project: within its budget, twice alike, unseen truth."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import TINY_PREDICTION, TINY_REGIONS
from torch import nn

from napari_alseg import segmentation, systems
from napari_alseg.arrays import finish
from napari_alseg.errors import BadValue, NothingToAsk
from napari_alseg.regions.tables import SHORTLIST
from napari_alseg.segmentation import Network
from napari_alseg.selection import choose
from napari_alseg.selection.candidates import KNOWN_SHARE, Candidates
from napari_alseg.selection.windows import survey_windows
from napari_alseg.settings import NetworkSettings, PredictionSettings, QuerySettings
from napari_alseg.simulation.oracle import Oracle
from napari_alseg.store import Project
from napari_alseg.tasks.look import look
from napari_alseg.tasks.query import query

NAMES = [name for name in systems.SYSTEMS if name != "full"]
WINDOWS = ("ripu-ra", "ripu-pa")
SMALL = {"equal": {"rows": 9, "columns": 9}, "ripu-pa": {"exclusion": 0}}
"""Parameters for images of 48 x 64 pixels."""
BUDGETS = dict.fromkeys(("deal-ds", "deal-de", "cisc-r"), "2 images")


class Pointwise(nn.Module):
    """Sees one pixel at a time, so that neither tiles nor batches can matter."""

    def __init__(self, classes):
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, 1)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, images):
        return 9 * self.head(self.encoder(images).relu())


def network_of(project, settings, classes=None):
    """A pointwise network, always the same, in the place of a learnt one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        count = len(project.classes)
        made = Network(Pointwise(count), NetworkSettings(difficulty=True), count)
    return made.eval()


@pytest.fixture
def learnt(project, truth, monkeypatch):
    """A project whose first round is answered and whose network is pointwise."""
    settings = QuerySettings("random", "6 regions", **TINY_REGIONS)
    selection = finish(query(project, settings))
    answers = Oracle(truth.__getitem__).answers(project, selection)
    project.labels.answer_all(1, answers.patches)
    monkeypatch.setattr("napari_alseg.tasks.query.trained_network", network_of)
    return project


def ask(project, system, budget=None, prediction=TINY_PREDICTION, **parameters):
    budget = budget or BUDGETS.get(system, "8 regions")
    settings = systems.resolve(QuerySettings(system, budget, **parameters)).settings
    if settings.partition == "superpixels" and "region_size" not in parameters:
        settings = replace(settings, **TINY_REGIONS)
    return finish(query(project, settings, prediction))


def copies(project, tmp_path, count):
    for number in range(count):
        path = tmp_path / f"copy-{number}.alseg"
        shutil.copytree(project.path, path, ignore=shutil.ignore_patterns("lock*"))
        with Project.open(path) as copy:
            yield copy


def no_peeking(_):
    raise AssertionError("selection looked at the truth")


@pytest.mark.parametrize("system", NAMES)
def test_a_system_asks_what_its_budget_allows_and_sees_no_truth(learnt, system):
    oracle = Oracle(no_peeking)
    asked = ask(learnt, system)
    if system in BUDGETS:
        assert len(asked.images) == 2
    else:
        assert len(asked.regions) == 8
    assert asked.round == 2
    with pytest.raises(AssertionError, match="truth"):
        oracle.answers(learnt, asked)


@pytest.mark.parametrize("system", NAMES)
@pytest.mark.parametrize("budget", ["3%", "60 px/image"])
def test_a_budget_in_pixels_is_never_exceeded_by_what_is_revealed(
    learnt, truth, system, budget
):
    if system in BUDGETS:
        with pytest.raises(NothingToAsk, match="less than the region"):
            ask(learnt, system, budget)
        return
    asked = ask(learnt, system, budget, **SMALL.get(system, {}))
    answers = Oracle(truth.__getitem__).answers(learnt, asked)
    learnt.labels.answer_all(2, answers.patches)
    allowed = 0.03 * 4 * 48 * 64 if budget == "3%" else 4 * 60
    assert 0.6 * allowed < answers.pixels <= allowed
    assert asked.pixels == answers.pixels


@pytest.mark.parametrize("system", NAMES)
def test_the_same_is_asked_for_any_batch_and_tile(learnt, tmp_path, system):
    tiled = PredictionSettings(tile=64, overlap=0, batch_size=1, device="cpu")
    small = PredictionSettings(tile=64, overlap=8, batch_size=7, device="cpu")
    found = [
        ask(copy, system, prediction=prediction).regions
        for copy, prediction in zip(
            copies(learnt, tmp_path, 3), (TINY_PREDICTION, tiled, small), strict=True
        )
    ]
    where = [[(r.image, r.region, r.bounds) for r in regions] for regions in found]
    assert where[0] == where[1] == where[2]


@pytest.mark.parametrize("system", NAMES)
def test_what_was_answered_is_not_asked_again(learnt, truth, system):
    seen = learnt.rounds.selection(1)
    taken = {name: learnt.labels.read(name) > 0 for name in learnt.images.names()}
    for number in (2, 3):
        try:
            asked = ask(learnt, system)
        except NothingToAsk:
            break
        for region in asked.regions:
            chosen = learnt.outputs.read_regions(region.image, region.partition)
            inside = chosen == region.region
            known = taken[region.image][inside].mean()
            assert known < KNOWN_SHARE
            assert region.pixels == (~taken[region.image][inside]).sum()
        learnt.labels.answer_all(
            number, Oracle(truth.__getitem__).answers(learnt, asked).patches
        )
        taken = {name: learnt.labels.read(name) > 0 for name in learnt.images.names()}
    assert seen == learnt.rounds.selection(1)


@pytest.mark.parametrize("system", NAMES)
def test_only_what_is_declared_is_computed(learnt, system, monkeypatch):
    wanted = []
    predict = segmentation.predict

    def spy(*arguments, needs, **rest):
        wanted.append(set(needs))
        return predict(*arguments, needs=needs, **rest)

    monkeypatch.setattr(segmentation, "predict", spy)
    ask(learnt, system)
    query = systems.resolve(QuerySettings(system))
    terms = query.acquisition.terms
    declared = set(query.needs).union(
        *(systems.acquisition(term).needs for term in terms)
    )
    assert all(needs == declared for needs in wanted)
    share = query.values.get("pool_share", 1)
    assert len(wanted) == (len(learnt.images.names()) * share if declared else 0)


@pytest.mark.parametrize("system", NAMES)
def test_before_any_network_every_system_has_a_first_round(project, system):
    asked = ask(project, system)
    assert asked.round == 1 and len(asked.regions) >= 2
    assert len(asked.images) >= 2


# --- windows --------------------------------------------------------------------------


def test_windows_never_overlap_also_across_rounds(learnt, truth):
    seen = np.zeros((48, 64), int)
    for number in (2, 3, 4):
        asked = ask(learnt, "ripu-ra", "40 regions")
        learnt.labels.answer_all(
            number, Oracle(truth.__getitem__).answers(learnt, asked).patches
        )
        for region in asked.regions:
            if region.image == learnt.images.names()[0]:
                seen[region.bounds.slices] += 1
                assert max(region.bounds.shape) <= 3
    assert seen.max() == 1


def test_pixels_keep_their_distance_also_across_rounds(learnt, truth):
    centres = []
    for number in (2, 3):
        asked = ask(learnt, "ripu-pa", "16 regions", exclusion=6, radius=4)
        learnt.labels.answer_all(
            number, Oracle(truth.__getitem__).answers(learnt, asked).patches
        )
        first = learnt.images.names()[0]
        centres += [r.bounds[:2] for r in asked.regions if r.image == first]
    away = [
        max(abs(a[0] - b[0]), abs(a[1] - b[1]))
        for index, a in enumerate(centres)
        for b in centres[:index]
    ]
    assert len(centres) == 8
    assert min(away) >= 7


def test_windows_left_open_return_to_the_pool(learnt):
    first = ask(learnt, "ripu-ra", "4 regions")
    again = ask(learnt, "ripu-ra", "4 regions")
    assert [r.bounds for r in first.regions] == [r.bounds for r in again.regions]
    assert first.regions[0].partition != again.regions[0].partition


def test_a_window_scores_as_its_centre(learnt):
    region = ask(learnt, "ripu-ra", window=2, radius=1).regions[0]
    row, column = region.bounds.row_start + 2, region.bounds.column_start + 2
    score = learnt.outputs.read_map(region.image, "ripu")
    if region.bounds.shape == (5, 5):
        assert region.score == pytest.approx(score[row, column], abs=1e-3)
    assert region.bounds.shape[0] * region.bounds.shape[1] == region.pixels


def test_each_image_gets_its_equal_share_of_windows(learnt):
    asked = ask(learnt, "ripu-ra", "40 regions")
    counts = [
        sum(r.image == name for r in asked.regions) for name in learnt.images.names()
    ]
    assert counts == [10, 10, 10, 10]
    few = ask(learnt, "ripu-ra", "3 regions")
    assert len(few.images) == 3


def test_windows_cannot_be_asked_by_images(learnt):
    with pytest.raises(BadValue, match="by regions or pixels"):
        ask(learnt, "ripu-ra", "2 images")


def test_what_is_labelled_while_windows_are_found_is_not_asked(learnt, monkeypatch):
    first = ask(learnt, "ripu-ra", "4 regions")
    found = survey_windows

    def label_meanwhile(*arguments):
        result = yield from found(*arguments)
        for position in range(len(first.regions)):
            learnt.labels.answer(2, position, 1)
        return result

    monkeypatch.setattr("napari_alseg.tasks.query.survey_windows", label_meanwhile)
    again = ask(learnt, "ripu-ra", "4 regions")
    before = {(r.image, r.bounds) for r in first.regions}
    assert before.isdisjoint((r.image, r.bounds) for r in again.regions)


# --- mixing and ranking ---------------------------------------------------------------


@pytest.mark.parametrize("choice", ["per-image", "class-quota", "class-stratified"])
@pytest.mark.parametrize("partition", ["felzenszwalb", "grid", "windows", "pixels"])
def test_parts_mix(learnt, partition, choice):
    asked = ask(learnt, "bvsb", "6 regions", partition=partition, choice=choice)
    assert len(asked.regions) == 6


def test_pooling_changes_a_region_s_score(learnt, tmp_path):
    scores = [
        ask(copy, "entropy", pooling=how).regions[0].score
        for how, copy in zip(("mean", "max"), copies(learnt, tmp_path, 2), strict=True)
    ]
    assert scores[0] < scores[1]


def test_a_score_and_diversity_together_stay_on_the_shortlist(learnt):
    asked = ask(learnt, "entropy", "4 regions", choice="diverse")
    ranking = learnt.rounds.read_ranking(2)
    for region in asked.regions:
        rank, _ = ranking.rank(ranking.row(region.image, region.region))
        assert rank <= 4 * SHORTLIST


def test_a_share_of_the_pool_is_drawn_anew_each_round(learnt):
    images = [
        ask(learnt, "entropy", "400 regions", pool_share=0.5).images for _ in range(6)
    ]
    assert all(len(each) <= 2 for each in images)
    assert len({frozenset(each) for each in images}) > 1


def test_a_share_of_the_pool_holds_as_many_images_as_are_asked(project, truth):
    """DEAL draws half of the pool; what is labelled already is no choice."""
    untouched = set(project.images.names())
    for number, images in enumerate((1, 3), 1):
        asked = ask(project, "random", f"{images} images", partition="image",
                    pool_share=0.25, region_size=None)  # fmt: skip
        assert len(asked.images) == images
        assert set(asked.images) <= untouched
        untouched -= set(asked.images)
        answers = Oracle(truth.__getitem__).answers(project, asked)
        project.labels.answer_all(number, answers.patches)
    assert not untouched


def test_the_ranking_holds_score_terms_and_classes_of_each_region(learnt):
    asked = ask(learnt, "entropy-edge")
    ranking = learnt.rounds.read_ranking(2)
    region = max(asked.regions, key=lambda region: region.score)
    row = ranking.row(region.image, region.region)
    inside = (
        learnt.outputs.read_regions(region.image, region.partition) == region.region
    )
    seen = segmentation.predict(
        network_of(learnt, TINY_PREDICTION),
        learnt.images.read(region.image),
        TINY_PREDICTION,
    ).probability.numpy()
    np.testing.assert_allclose(
        ranking.probability[row], seen[:, inside].mean(1), atol=1e-3
    )
    assert ranking.score[row] == pytest.approx(region.score, rel=1e-5)
    assert list(ranking.terms) == ["entropy"]
    assert ranking.terms["entropy"][row] <= ranking.score[row] + 1e-6
    total = sum(
        learnt.outputs.read_regions(name, region.partition).max()
        for name in learnt.images.names()
    )
    assert len(ranking.score) == total
    assert not ranking.open.all()  # six are answered


def test_no_ranking_without_scores(learnt):
    for number, system in enumerate(("random", "coreset"), 2):
        ask(learnt, system)
        assert learnt.rounds.read_ranking(number) is None


def test_a_round_remembers_how_it_was_asked(learnt):
    ask(learnt, "ripu-ra", radius=4)
    asked = learnt.rounds.metrics(2).query
    assert asked["radius"] == 4 and asked["partition"] == "windows"
    assert systems.resolve(QuerySettings(**asked)).record() == asked


# --- looking --------------------------------------------------------------------------


def test_all_maps_of_an_image_come_from_one_prediction(learnt, monkeypatch):
    calls = []
    predict = segmentation.predict
    monkeypatch.setattr(
        segmentation, "predict", lambda *a, **k: calls.append(a) or predict(*a, **k)
    )
    image = learnt.images.names()[0]
    finish(look(learnt, image, systems.maps(), prediction=TINY_PREDICTION))
    assert learnt.outputs.map_names(image) == tuple(sorted(systems.maps()))
    assert len(calls) == 1


def test_a_map_follows_the_parameters_of_the_query(learnt):
    image = learnt.images.names()[0]
    query = QuerySettings("ripu-ra", radius=5)
    learnt.weights.commit(1, {"a": np.zeros(1, np.float32)}, {})
    finish(look(learnt, image, ["ripu"], query, TINY_PREDICTION))
    assert learnt.outputs.has_fresh_map(image, "ripu", {"radius": 5})
    wide = learnt.outputs.read_map(image, "ripu")
    finish(look(learnt, image, ["ripu"], prediction=TINY_PREDICTION))
    assert not np.array_equal(wide, learnt.outputs.read_map(image, "ripu"))


def test_what_gives_no_map_is_refused(learnt):
    with pytest.raises(BadValue, match="no map; maps are entropy"):
        finish(look(learnt, learnt.images.names()[0], ["random"]))


@pytest.mark.parametrize("choice", ["top", "class-quota", "class-stratified"])
def test_chance_finds_windows_also_where_a_network_sees_classes(learnt, choice):
    asked = ask(learnt, "random", "6 regions", partition="windows", choice=choice)
    assert len(asked.regions) == 6


@pytest.mark.parametrize("partition", ["superpixels", "grid", "windows"])
def test_an_image_that_is_done_is_not_asked_again_in_parts(learnt, partition):
    """What it has no label for was looked at, and is void."""
    done = ask(learnt, "random", "3 images", partition="image", region_size=None)
    first, second, skipped = done.images
    for position in (0, 1):
        half = np.zeros((48, 64), np.uint8)
        half[:, :32] = 1
        learnt.labels.answer_all(done.round, {position: half})
    learnt.labels.skip(done.round, 2)
    again = ask(learnt, "entropy", "400 regions", partition=partition)
    assert set(again.images) == set(learnt.images.names()) - {first, second, skipped}


def test_a_core_set_of_images_compares_images():
    """Mean features 1, 5 and 9 beside a labelled 6: 1 is farthest, then 9."""
    features = np.array([[0], [2], [5], [5], [8], [10], [6]], np.float32)
    rows = len(features)
    candidates = Candidates(
        image=np.array([0, 0, 1, 1, 2, 2, 3], np.int32),
        region=np.arange(1, rows + 1, dtype=np.int32),
        pixels=np.ones(rows, int),
        bounds=np.zeros((rows, 4), int),
        centre=np.zeros((rows, 2), int),
        open=np.arange(rows) < 6,
        score=np.zeros(rows),
        probability=np.empty((rows, 0), np.float32),
        terms=np.empty((rows, 0), np.float32),
        features=features,
    )
    for count, images in ((1, {0}), (2, {0, 2})):
        query = systems.resolve(QuerySettings("coreset", f"{count} images"))
        asked = choose.Asking(1, tuple("abcd"), rows, query, np.random.default_rng(0))
        picked = choose._choose_images(
            asked, candidates.of(candidates.open), candidates.of(~candidates.open)
        )
        assert set(candidates.image[picked].tolist()) == images
        assert len(picked) == 2 * count
