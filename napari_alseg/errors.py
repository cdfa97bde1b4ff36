"""Everything that can go wrong for a user, as one tree.

AlsegError
├── NotAProject        (FileNotFoundError)  the folder holds no labelling project
├── NewerFormat                             written by a newer napari-alseg
├── Busy                                    another window or command writes to it
├── CannotWrite        (OSError)            no room on the disk, or a read-only folder
├── UnreadableImage    (ValueError)         no image, or a kind we do not read
├── EmptyFolder        (FileNotFoundError)  no images where some were promised
├── MaskMismatch       (ValueError)         mask of another size or with other values
│   └── AmbiguousMasks                      masks that can be read in two ways
├── BadFiles           (ValueError)         several files that cannot be imported
├── BadClasses         (ValueError)         a table of classes contradicts itself
├── BadValue           (ValueError)         a budget, size or setting out of range
├── UnknownName        (LookupError)        no such system, network, image ...
├── WeightsMismatch    (ValueError)         weights of another network or classes
├── NothingToAsk                            the pool is empty or exhausted
├── NothingToLearn                          no pixel has a label yet
└── TaskDied           (RuntimeError)       the process that did the work ended early

Each is raised with what came, what was wanted and what to do. The window shows
them as notifications, the command line prints them and exits with code 2; any
other exception is a bug and is shown with its traceback.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any


def printable(text: object) -> str:
    r"""Text that can be printed: names of files need not be Unicode.

    Examples
    --------
    >>> print(printable("caf\udce9.png"))
    caf\udce9.png
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


class AlsegError(Exception):
    """Something the user can put right; its text says how."""


class NotAProject(AlsegError, FileNotFoundError):
    """The folder is not a labelling project."""


class NewerFormat(AlsegError):
    """The project was written by a newer version of napari-alseg."""


class Busy(AlsegError):
    """Somebody else is writing to this project."""


class CannotWrite(AlsegError, OSError):
    """The disk is full or the folder is read-only; nothing was changed."""


class UnreadableImage(AlsegError, ValueError):
    """A file is no image, or an image of a kind that is not read."""


class EmptyFolder(AlsegError, FileNotFoundError):
    """A folder of images holds no image."""


class MaskMismatch(AlsegError, ValueError):
    """A mask does not fit its image or the classes."""


class AmbiguousMasks(MaskMismatch):
    """Masks can be read in more than one way; a person says which is meant.

    Parameters
    ----------
    text : str
    readings : tuple
        What fits, each with its word.
    """

    def __init__(self, text: str, readings: tuple[Any, ...] = ()) -> None:
        super().__init__(text)
        self.readings = readings


class BadFiles(AlsegError, ValueError):
    """Several files cannot be imported; the text names them all."""


class BadClasses(AlsegError, ValueError):
    """The table of classes contradicts itself."""


class BadValue(AlsegError, ValueError):
    """A value is out of the range that has a meaning."""


class WeightsMismatch(AlsegError, ValueError):
    """The weights belong to another network or to other classes."""


class NothingToAsk(AlsegError):
    """No region is left to ask about."""


class NothingToLearn(AlsegError):
    """No pixel is labelled yet."""


class TaskDied(AlsegError, RuntimeError):
    """The process that did the work ended before its time."""


class UnknownName(AlsegError, LookupError):
    """A name that no table knows.

    Examples
    --------
    >>> print(UnknownName("system", "entrpy", ["random", "entropy"]))
    unknown system 'entrpy': did you mean 'entropy'? Known: entropy, random
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        close = get_close_matches(name, known, n=1)
        hint = f" did you mean {close[0]!r}?" if close else ""
        super().__init__(
            f"unknown {kind} {name!r}:{hint} Known: {', '.join(known) or 'none'}"
        )


def _all(kind: type[AlsegError]) -> Iterator[type[AlsegError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _all(each)


ERRORS = {kind.__name__: kind for kind in _all(AlsegError)}
"""Each error by its name, for what comes from another process."""
