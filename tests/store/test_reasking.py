from dataclasses import replace

import numpy as np
import pytest

from napari_alseg.arrays import Bounds, Region
from napari_alseg.errors import CannotWrite
from napari_alseg.store import Project


def other(project, score=0.9):
    """A region that is asked nowhere yet: the first image, cut in halves."""
    version = project.outputs.partition_version({"region_size": 24})
    halves = np.kron([[1], [2]], np.ones((3, 8))).astype(np.int32)
    project.outputs.write_regions("first", version, halves)
    return Region("first", version, 2, score, 24, Bounds(3, 0, 6, 8))


def test_regions_are_asked_in_place_of_open_ones(asked):
    before, new = asked.rounds.selection(1), other(asked)
    asked.rounds.reask(1, {5: new, 2: before.regions[5]})
    regions = asked.rounds.selection(1).regions
    assert regions[5] == new
    assert regions[2] == before.regions[5]
    kept = [at for at in range(8) if at not in (2, 5)]
    assert [regions[at] for at in kept] == [before.regions[at] for at in kept]
    assert asked.rounds.states(1) == ("open",) * 8
    assert asked.rounds.selection(1).system == before.system


def test_what_is_asked_instead_stays_when_the_project_is_opened_again(asked, path):
    new = other(asked)
    asked.rounds.reask(1, {5: new})
    asked.close()
    with Project.open(path) as again:
        assert again.rounds.selection(1).regions[5] == new


def test_only_what_nobody_has_touched_can_be_replaced(asked):
    assert asked.rounds.replaceable(1) == tuple(range(8))
    asked.labels.answer(1, 0, 2)
    asked.labels.skip(1, 3)
    asked.labels.answer(1, 6, 1)
    asked.labels.undo()
    assert asked.rounds.states(1)[6] == "open"
    assert asked.rounds.replaceable(1) == (1, 2, 4, 5, 7)  # redo would answer 6 again


def test_a_round_that_was_never_asked_has_nothing_to_replace(asked):
    assert asked.rounds.replaceable(2) == ()


def test_answered_skipped_and_undone_positions_keep_their_region(asked):
    before, new = asked.rounds.selection(1), other(asked)
    asked.labels.answer(1, 0, 2)
    asked.labels.skip(1, 3)
    asked.labels.answer(1, 6, 1)
    asked.labels.undo()
    asked.rounds.reask(1, {0: new, 3: new, 6: new, 7: new, 99: new})
    regions = asked.rounds.selection(1).regions
    assert regions[:7] == before.regions[:7]
    assert regions[7] == new
    assert len(regions) == 8


def test_what_somebody_has_begun_to_paint_is_not_replaced(asked):
    region = asked.rounds.selection(1).regions[5]
    corner = Bounds(*region.bounds[:2], *(edge + 1 for edge in region.bounds[:2]))
    asked.labels.stroke(region.image, corner, np.ones(corner.shape, np.uint8))
    assert asked.rounds.replaceable(1) == (0, 1, 2, 3, 4, 6, 7)
    asked.labels.undo()
    assert asked.rounds.replaceable(1) == tuple(range(8))


def test_what_was_painted_before_the_round_holds_no_region(asked):
    asked.labels.stroke("first", Bounds(0, 0, 6, 8), np.ones((6, 8), np.uint8))
    assert asked.rounds.replaceable(1) == (4, 5, 6, 7)
    asked.rounds.ask(replace(asked.rounds.selection(1), round=2))
    assert asked.rounds.replaceable(2) == tuple(range(8))


def test_what_was_undone_before_is_done_again_after(asked):
    asked.labels.answer(1, 6, 1)
    labels = asked.labels.read("second")
    asked.labels.undo()
    asked.rounds.reask(1, dict.fromkeys(range(8), other(asked)))
    asked.labels.redo()
    assert asked.rounds.states(1)[6] == "answered"
    assert np.array_equal(asked.labels.read("second"), labels)
    assert asked.rounds.selection(1).regions[6].image == "second"


def test_the_new_region_is_the_one_that_is_answered_counted_and_undone(asked):
    asked.rounds.reask(1, {5: other(asked)})
    asked.labels.answer(1, 5, 3)
    labels = asked.labels.read("first")
    assert (labels[3:] == 3).all()
    assert not labels[:3].any()
    assert not asked.labels.read("second").any()
    assert asked.rounds.cost(1).pixels == 24
    version = asked.rounds.selection(1).regions[5].partition
    assert asked.rounds.asked_regions(version) == {"first": {2}}
    asked.labels.undo()
    assert not asked.labels.read("first").any()
    assert asked.verify() == []


def test_a_region_that_was_replaced_returns_to_the_pool(asked):
    given = asked.rounds.selection(1).regions[5]
    asked.rounds.reask(1, {5: other(asked)})
    asked.labels.answer(1, 5, 3)
    closed = asked.rounds.asked_regions(given.partition)
    assert given.region not in closed.get(given.image, set())


def test_earlier_rounds_stay_as_they_are(asked):
    asked.rounds.ask(replace(asked.rounds.selection(1), round=2))
    before, new = asked.rounds.selection(1), other(asked)
    asked.rounds.reask(2, {1: new})
    assert asked.rounds.selection(1) == before
    assert asked.rounds.selection(2).regions[1] == new


def test_a_project_that_is_only_read_asks_nothing_else(asked, path):
    new = other(asked)
    with Project.open(path, "read") as reader:
        with pytest.raises(CannotWrite, match="reading only"):
            reader.rounds.reask(1, {5: new})
        assert reader.rounds.replaceable(1) == tuple(range(8))
