"""The line that always says what to do next."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from napari_alseg.ui.queue import Marked

LiveState: TypeAlias = Literal["off", "waiting", "on"]
"""Whether maps and queue follow each answer, or wait for a second class to do so."""


@dataclass(frozen=True)
class Situation:
    """All that the next step depends on."""

    project: bool = False
    images: int = 0
    task: str = ""
    """Name of the running task, or empty."""
    asked: int = 0
    open: int = 0
    """Asked regions that wait for an answer."""
    marked: Marked = "open"
    next_image: str = ""
    """Where the next open region lies, if not in the shown image."""
    painting: bool = False
    """Whether the brush or another tool that changes labels is chosen."""
    labelled: bool = False
    """Whether any pixel of the pool has a label."""
    learned: bool = False
    """Whether the network has learned since the round was asked."""
    stopped: bool = False
    """Whether a training of this round was stopped and can be resumed."""
    exhausted: bool = False
    """Whether Ask has found nothing more to ask."""
    read_only: bool = False
    live: LiveState = "off"
    maps: bool = False
    """Whether heat maps are shown."""


SECOND_CLASS = "The live map comes with a second class."


def next_step(now: Situation) -> str:
    """Next step in one or two short sentences.

    Examples
    --------
    >>> next_step(Situation())
    'Make a new project, or open one.'
    >>> next_step(Situation(project=True, images=3))
    'Press Ask: the plugin chooses the regions to label.'
    """
    match now:
        case Situation(project=False):
            return "Make a new project, or open one."
        case Situation(read_only=True):
            return "Somebody else is writing to this project: look, but do not touch."
        case Situation(task="Learn" | "Resume", open=waiting) if waiting:
            return f"Learning. Go on labelling meanwhile: {waiting} regions are open."
        case Situation(task=task) if task:
            return f"{task} is running. Press Stop to end it."
        case Situation(images=0):
            return "This project has no images: make a new one from a folder."
        case Situation(stopped=True, open=waiting):
            answers = f", or answer the {waiting} open regions first" if waiting else ""
            return (
                "Learning was stopped. Resume learning, or press Learn to start anew "
                f"with all labels{answers}."
            )
        case Situation(asked=0, labelled=True, learned=False):
            return "Press Learn to use the labels that are there, or Ask."
        case Situation(asked=0):
            return "Press Ask: the plugin chooses the regions to label."
        case Situation(open=waiting) if waiting:
            step = _answer(now)
            return step + (f" {SECOND_CLASS}" if now.live == "waiting" else "")
        case Situation(labelled=False):
            return "No label yet: answer a region, or press Ask for others."
        case Situation(learned=False):
            return "All regions are answered. Press Learn."
        case Situation(exhausted=True):
            return "Nothing is left to ask: all is labelled, answered or skipped."
    if now.maps or now.live == "on":
        return "Look at the heat map, then press Ask for the next regions."
    return "Press Ask for the next regions."


def _answer(now: Situation) -> str:
    """Return what does something while regions are open: never a key without use.

    Examples
    --------
    >>> _answer(Situation(open=3, marked="answered", next_image="road"))
    'This region is answered: press D for the next open one, in road (3 to go).'
    """
    if now.marked != "open":
        here = {
            "elsewhere": "No open region is marked here",
            "answered": "This region is answered",
            "skipped": "This region is skipped",
        }[now.marked]
        where = f", in {now.next_image}" if now.next_image else ""
        return f"{here}: press D for the next open one{where} ({now.open} to go)."
    if now.painting:
        return (
            "Paint; a class key picks the colour. Press W when the marked region is "
            f"done ({now.open} to go)."
        )
    return f"Press a class key for the marked region ({now.open} to go)."
