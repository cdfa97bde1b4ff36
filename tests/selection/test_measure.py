import shutil

import pytest
from conftest import TINY_PREDICTION
from pointwise import NAMES, ask

from napari_alseg import segmentation, systems
from napari_alseg.settings import PredictionSettings, QuerySettings
from napari_alseg.store import Project


def copies(project, tmp_path, count):
    for number in range(count):
        path = tmp_path / f"copy-{number}.alseg"
        shutil.copytree(project.path, path, ignore=shutil.ignore_patterns("lock*"))
        with Project.open(path) as copy:
            yield copy


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


def test_pooling_changes_a_region_s_score(learnt, tmp_path):
    scores = [
        ask(copy, "entropy", pooling=how).regions[0].score
        for how, copy in zip(("mean", "max"), copies(learnt, tmp_path, 2), strict=True)
    ]
    assert scores[0] < scores[1]


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
