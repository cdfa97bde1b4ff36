"""The table of tasks: which function does what a request asks for."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, fields
from queue import SimpleQueue
from typing import Any

from napari_alseg.store import Project

from .follow import follow
from .look import look
from .query import query
from .requests import (
    FollowRequest,
    LookRequest,
    QueryRequest,
    Request,
    RetrainRequest,
)
from .retrain import retrain


@dataclass(frozen=True)
class TaskRow:
    """A task: its parameters are the project and the fields of its request."""

    request: type
    function: Callable[..., Generator[Any, None, Any]]
    hears: bool = False
    """Whether it takes an inbox, too."""


TASKS = {
    row.request: row
    for row in (
        TaskRow(QueryRequest, query),
        TaskRow(LookRequest, look),
        TaskRow(RetrainRequest, retrain),
        TaskRow(FollowRequest, follow, hears=True),
    )
}


def begin(
    project: Project, request: Request, inbox: SimpleQueue[Any]
) -> Generator[Any, None, Any]:
    """Begin the task of a request."""
    row = TASKS[type(request)]
    given = {entry.name: getattr(request, entry.name) for entry in fields(request)}
    if row.hears:
        given["inbox"] = inbox
    return row.function(project, **given)
