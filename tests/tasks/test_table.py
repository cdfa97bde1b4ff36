"""Each request has its task, and names the task's own parameters."""

import inspect
from dataclasses import fields
from queue import SimpleQueue
from typing import get_args

import pytest
from conftest import TINY_PREDICTION, TINY_REGIONS

from napari_alseg.arrays import finish
from napari_alseg.settings import QuerySettings
from napari_alseg.tasks.requests import QueryRequest, Request
from napari_alseg.tasks.table import TASKS, begin


def test_every_request_has_a_task():
    assert set(TASKS) == set(get_args(Request))


@pytest.mark.parametrize("row", TASKS.values(), ids=lambda row: row.request.__name__)
def test_a_request_holds_what_its_task_takes(row):
    wanted = {each.name: each for each in fields(row.request)}
    taken = inspect.signature(row.function).parameters
    first, *others = taken
    assert first == "project"
    assert [*others] == [*wanted] if not row.hears else ["inbox", *wanted] == [*others]
    for name, each in wanted.items():
        given = taken[name].default
        assert each.default == given or given is inspect.Parameter.empty


def test_a_request_is_done_by_its_task(project):
    settings = QuerySettings("random", "3 regions", **TINY_REGIONS)
    request = QueryRequest(settings, TINY_PREDICTION)
    selection = finish(begin(project, request, SimpleQueue()))
    assert project.rounds.selection() == selection
    assert len(selection.regions) == 3
