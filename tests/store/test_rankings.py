import numpy as np
import pytest

from napari_alseg.arrays import Ranking
from napari_alseg.errors import CannotWrite
from napari_alseg.store import Project


@pytest.fixture
def ranking():
    """Four regions of two images, one of them answered."""
    return Ranking(
        ("first", "second"),
        image=np.array([0, 0, 1, 1], np.int32),
        region=np.array([1, 2, 1, 2], np.int32),
        score=np.array([0.5, 0.9, 0.5, 0.7], np.float32),
        open=np.array([True, False, True, True]),
        probability=np.array([[0.25, 0.75]] * 4, np.float32),
        terms={"impurity": np.array([0.1, 0.2, 0.3, 0.4], np.float32)},
    )


def test_a_ranking_is_read_as_it_was_written(asked, ranking):
    assert asked.rounds.read_ranking(1) is None
    asked.rounds.write_ranking(1, ranking)
    found = asked.rounds.read_ranking(1)
    assert found.images == ranking.images
    for name in ("image", "region", "score", "open", "probability"):
        np.testing.assert_array_equal(getattr(found, name), getattr(ranking, name))
        assert getattr(found, name).dtype == getattr(ranking, name).dtype
    assert list(found.terms) == ["impurity"]
    np.testing.assert_array_equal(found.terms["impurity"], ranking.terms["impurity"])


def test_without_terms_and_regions_too(asked):
    none = np.empty(0, np.int32)
    empty = Ranking(
        (), none, none, np.empty(0, np.float32), np.empty(0, bool), np.empty((0, 3))
    )
    asked.rounds.write_ranking(1, empty)
    assert asked.rounds.read_ranking(1).terms == {}


def test_only_the_latest_is_kept(asked, ranking):
    asked.rounds.write_ranking(1, ranking)
    asked.rounds.write_ranking(2, ranking)
    assert asked.rounds.read_ranking(1) is None
    assert asked.rounds.read_ranking(2) is not None


def test_a_half_written_one_does_not_count(asked, ranking, monkeypatch):
    monkeypatch.setattr("zarr.Group.create_array", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        asked.rounds.write_ranking(1, ranking)
    assert asked.rounds.read_ranking(1) is None


def test_a_rank_counts_the_higher_scores_that_could_be_asked(ranking):
    assert ranking.rank(ranking.row("second", 2)) == (1, 3)
    assert ranking.rank(ranking.row("first", 1)) == (2, 3)
    assert ranking.rank(ranking.row("second", 1)) == (2, 3)
    assert ranking.row("first", 3) is None
    assert ranking.row("third", 1) is None


def test_a_project_opened_for_reading_keeps_none(asked, ranking):
    with Project.open(asked.path, "read") as shown, pytest.raises(CannotWrite):
        shown.rounds.write_ranking(1, ranking)
