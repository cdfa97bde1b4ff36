"""What the client and the child of a worker say to each other."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from napari_alseg.arrays import Progress
from napari_alseg.live.messages import LiveUpdate
from napari_alseg.tasks.requests import Request

# --- to the child ---------------------------------------------------------------------


@dataclass(frozen=True)
class Begin:
    """Begin a task on a project."""

    project: Path
    request: Request


@dataclass(frozen=True)
class Told:
    """Something for the inbox of the running task; None ends it."""

    content: Any


@dataclass(frozen=True)
class Stop:
    """Stop the running task after its step."""


# --- from the child -------------------------------------------------------------------


@dataclass(frozen=True)
class Stepped:
    """The task has come a step further."""

    progress: Progress | LiveUpdate


@dataclass(frozen=True)
class Finished:
    """The task has come to its end."""

    result: Any


@dataclass(frozen=True)
class Stopped:
    """The task was stopped, or its child was ended."""


@dataclass(frozen=True)
class Failed:
    """The task raised an error for people."""

    error: str
    """Name in `errors.ERRORS`."""
    text: str


@dataclass(frozen=True)
class Broke:
    """The task failed in a way that nobody expected."""

    trace: str


Reply: TypeAlias = Stepped | Finished | Stopped | Failed | Broke


def forward(stream: IO[bytes], put: Callable[[Any], None]) -> None:
    """Hand on every pickled message of a stream; None at its end."""
    while True:
        try:
            put(pickle.load(stream))
        except (
            EOFError,
            OSError,
            ValueError,
            AttributeError,
            ImportError,
            pickle.UnpicklingError,
        ):
            put(None)
            return
