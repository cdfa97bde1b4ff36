from dataclasses import replace

import numpy as np
import pytest

from napari_alseg.arrays import Bounds, Region, Selection
from napari_alseg.errors import (
    BadValue,
    UnknownName,
)
from napari_alseg.store import Cost, Project, RoundRecord


def test_a_round_reads_back(asked):
    selection = asked.rounds.selection()
    assert (selection.round, selection.system, selection.pixels) == (1, "random", 96)
    assert selection.regions[5].bounds == Bounds(0, 4, 3, 8)
    assert asked.rounds.selection(1) == selection
    assert asked.rounds.numbers == (1,)
    assert asked.rounds.states(1) == ("open",) * 8
    with pytest.raises(BadValue, match="the next round is 2, got 1"):
        asked.rounds.ask(selection)
    with pytest.raises(UnknownName, match=r"round '7'.*Known: 1"):
        asked.rounds.selection(7)


def test_before_the_first_round(project):
    assert project.rounds.selection() is None
    assert project.rounds.numbers == ()
    assert project.rounds.states(1) == ()
    region = Region("none", 1, 1, 0.5, 4, Bounds(0, 0, 2, 2))
    with pytest.raises(UnknownName, match="image 'none'"):
        project.rounds.ask(Selection(1, "random", "1 regions", (region,)))
    assert project.rounds.numbers == ()


def test_cost_up_to_a_round(asked):
    asked.labels.answer(1, 0, label=1, seconds=1.0)
    asked.rounds.ask(
        Selection(2, "random", "1 regions", (asked.rounds.selection().regions[4],))
    )
    asked.labels.answer(2, 0, label=1, seconds=3.0)
    assert asked.rounds.cost(1) == Cost(12, 1, 1, 1, 1.0)
    assert asked.rounds.cost(2) == asked.rounds.cost() == Cost(24, 2, 2, 2, 4.0)


def test_closed_regions_are_those_answered_or_skipped_of_these_partitions(asked):
    settings = {"partition": "windows", "window": 1, "round": 2}
    version = asked.outputs.partition_version(settings)
    windows = np.zeros((6, 8), np.int32)
    windows[:3, :3], windows[3:, :3], windows[:3, 5:] = 1, 2, 3
    asked.outputs.write_regions("first", version, windows)
    boxes = [Bounds(0, 0, 3, 3), Bounds(3, 0, 6, 3), Bounds(0, 5, 3, 8)]
    regions = [
        Region("first", version, number, 0.5, 9, bounds)
        for number, bounds in enumerate(boxes, 1)
    ]
    asked.rounds.ask(Selection(2, "ripu-ra", "3 regions", tuple(regions)))
    asked.labels.answer(1, 0, label=1)  # of another partition
    asked.labels.answer(2, 0, label=1)
    asked.labels.skip(2, 2)
    found = asked.rounds.closed_regions(("windows", "pixels"))
    assert found == {"first": [(boxes[0], settings), (boxes[2], settings)]}
    assert asked.rounds.closed_regions(("pixels",)) == {}


def test_a_record_reads_back_as_it_was_kept(project):
    assert project.rounds.metrics(1) == RoundRecord()
    curve = ((0, 0, None, 0.1), (4, 2, 1.5, 0.2))
    project.rounds.record(1, miou=0.25, iou=(0.5, None), learnt="random")
    project.rounds.record(1, miou=0.5, curve=curve, train_seconds=2.0)
    assert project.rounds.metrics(1) == RoundRecord(
        miou=0.5, iou=(0.5, None), learnt="random", curve=curve, train_seconds=2.0
    )
    assert project.rounds.metrics(2) == RoundRecord()


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_what_is_not_json_is_not_recorded(project, value):
    with pytest.raises(BadValue, match="'miou' of round 1 is not JSON"):
        project.rounds.record(1, train_seconds=1.0, miou=value)
    assert project.rounds.metrics(1) == RoundRecord()


def test_a_name_that_no_record_has_is_an_error(project):
    with pytest.raises(TypeError, match="mean_iou"):
        project.rounds.record(1, mean_iou=0.5)


def test_a_round_keeps_its_whole_query(asked, path):
    query = {"acquisition": "entropy", "budget": "5%", "seed": 7, "pool_share": 0.5}
    again = replace(asked.rounds.selection(1), round=2)
    asked.rounds.ask(again, query)
    asked.close()
    with Project.open(path, "read") as opened:
        assert opened.rounds.metrics(2).query == query
        assert opened.rounds.metrics(2).seed == 7
        assert opened.rounds.metrics(1).seed is None


def test_a_query_that_is_not_json_asks_nothing(asked):
    again = replace(asked.rounds.selection(1), round=2)
    with pytest.raises(BadValue, match="'query' of round 2 is not JSON"):
        asked.rounds.ask(again, {"seed": object()})
    assert asked.rounds.latest == 1
