"""The table of commands, and how napari is told of their keys."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from qtpy.QtCore import QObject

from .annotator import Annotator
from .canvas import layers
from .inspector import Inspector
from .live import Live
from .panels.project import ProjectPanel
from .projects import Projects
from .tasks import Tasks

Action: TypeAlias = Callable[[], Any]
PROJECT = "napari/file/io_utilities"
ANNOTATE = "napari/layers/annotate"
LEARN = "napari/layers/segment"
LOOK = "napari/layers/visualize"


@dataclass(frozen=True)
class Targets:
    """What commands act on."""

    projects: Projects
    tasks: Tasks
    images: ProjectPanel
    inspector: Inspector
    live: Live
    label: Callable[[Callable[[Annotator], Any]], None]
    """Does something with the open project, if there is one."""


@dataclass(frozen=True)
class Command:
    """A command is one thing that a key, a menu or the palette does."""

    id: str
    """Its name in the manifest, and that of its function in `commands`."""
    title: str
    key: str
    """As napari writes it; empty for none."""
    menu: str
    action: Callable[[Targets], Any]
    writes: bool = False
    """Whether its key does nothing in a project that is read-only."""
    seen: bool = False
    """Whether its key counts only for a region that is on screen."""


def _labels(action: Callable[[Annotator], Any]) -> Callable[[Targets], Any]:
    """Return what does something with the open project."""
    return lambda on: on.label(action)


COMMANDS = (
    Command(
        "new_project",
        "new project…",
        "",
        PROJECT,
        lambda on: on.projects.ask_for_new(),
    ),
    Command(
        "open_project",
        "open project…",
        "",
        PROJECT,
        lambda on: on.projects.ask_for_folder(),
    ),
    Command("ask", "ask", "", ANNOTATE, lambda on: on.tasks.ask()),
    Command("learn", "learn", "", LEARN, lambda on: on.tasks.learn()),
    Command("resume", "resume learning", "", LEARN, lambda on: on.tasks.resume()),
    Command("stop", "stop", "", LEARN, lambda on: on.tasks.stop()),
    Command("next_region", "next region", "d", ANNOTATE, _labels(lambda a: a.step(1))),
    Command(
        "previous_region",
        "previous region",
        "a",
        ANNOTATE,
        _labels(lambda a: a.step(-1)),
    ),
    Command(
        "skip_region",
        "skip region",
        "s",
        ANNOTATE,
        _labels(lambda a: a.skip()),
        writes=True,
        seen=True,
    ),
    Command(
        "accept_region",
        "region is done as painted",
        "w",
        ANNOTATE,
        _labels(lambda a: a.accept()),
        writes=True,
        seen=True,
    ),
    Command(
        "undo", "undo", "Control-Z", ANNOTATE, _labels(lambda a: a.undo()), writes=True
    ),
    Command(
        "redo",
        "redo",
        "Control-Shift-Z",
        ANNOTATE,
        _labels(lambda a: a.redo()),
        writes=True,
    ),
    Command(
        "centre_region",
        "centre the region",
        "c",
        LOOK,
        _labels(lambda a: a.view.centre()),
    ),
    Command(
        "next_image",
        "next image",
        "PageDown",
        LOOK,
        lambda on: on.images.step(1),
    ),
    Command(
        "previous_image",
        "previous image",
        "PageUp",
        LOOK,
        lambda on: on.images.step(-1),
    ),
    Command(
        "toggle_map",
        "show or hide the maps",
        "h",
        LOOK,
        lambda on: on.inspector.turn(lambda s: replace(s, maps=not s.maps)),
    ),
    Command(
        "toggle_prediction",
        "show or hide the prediction",
        "Shift-P",
        LOOK,
        lambda on: on.inspector.turn(lambda s: replace(s, prediction=not s.prediction)),
    ),
    Command(
        "toggle_pseudo_labels",
        "show or hide the pseudo labels",
        "Shift-L",
        LOOK,
        lambda on: on.inspector.turn(lambda s: replace(s, pseudo=not s.pseudo)),
    ),
    Command(
        "toggle_side_by_side",
        "image and maps side by side",
        "Shift-H",
        LOOK,
        lambda on: on.inspector.turn(
            lambda s: replace(s, side_by_side=not s.side_by_side)
        ),
    ),
    Command(
        "toggle_range",
        "light up a range of scores",
        "Shift-R",
        LOOK,
        lambda on: on.inspector.scores.toggle(),
    ),
    Command(
        "why",
        "why this region?",
        "Shift-W",
        LOOK,
        lambda on: on.inspector.why.toggle(),
    ),
    Command(
        "toggle_live",
        "follow each answer live",
        "Shift-V",
        LOOK,
        lambda on: on.live.toggle(),
    ),
    Command(
        "toggle_similar",
        "show or hide similar regions",
        "Shift-S",
        LOOK,
        lambda on: on.live.toggle_similar(),
    ),
)
"""All commands, in the order of the palette."""


def command(id: str) -> Command:
    """Return the command of this name."""
    return next(each for each in COMMANDS if each.id == id)


def shown_key(key: str) -> str:
    """Return a key as people write it.

    Examples
    --------
    >>> shown_key("d"), shown_key("Control-Shift-Z"), shown_key("PageUp")
    ('D', 'Ctrl+Shift+Z', 'Page Up')
    """
    names = {"Control": "Ctrl", "PageUp": "Page Up", "PageDown": "Page Down"}
    parts = [names.get(part, part) for part in key.split("-")]
    return "+".join(part.upper() if len(part) == 1 else part for part in parts)


class Shortcuts(QObject):
    """Binds class keys and the keys of all commands while a project is open.

    Parameters
    ----------
    targets : Targets
    annotator : Annotator
    moment : callable
        Tells when the key was pressed that is being dealt with.
    """

    def __init__(
        self,
        targets: Targets,
        annotator: Annotator,
        moment: Callable[[], float],
    ) -> None:
        super().__init__(annotator)
        self._targets = targets
        self._annotator = annotator
        self._moment = moment
        self._bindings = Bindings()
        annotator.view.layers_changed.connect(self._bind)

    def close(self) -> None:
        """Give all keys back."""
        self._bindings.release()

    def _bind(self) -> None:
        """Bind the keys on the layers of now."""
        self._bindings.release()
        viewer = self._annotator.view.viewer
        owners = (viewer, *layers.ours(viewer))
        self._bindings.bind(owners, self.actions())

    def actions(self) -> dict[str, Action]:
        """Return what each key does."""
        read_only = self._annotator.project.read_only
        actions: dict[str, Action] = {
            each.key: partial(self._do, each)
            for each in COMMANDS
            if each.key and not (each.writes and read_only)
        }
        if not read_only:
            for label, entry in enumerate(self._annotator.project.classes, 1):
                if entry.key:
                    actions[entry.key] = partial(self._on_class_key, label)
        return actions

    def _do(self, command: Command) -> None:
        action = partial(command.action, self._targets)
        if command.seen:
            self._annotator.when_seen(action, self._moment())
        else:
            action()

    def _on_class_key(self, label: int) -> None:
        """Pick a class for the tool in hand at once; an answer waits for its frame."""
        answer = partial(self._targets.label, lambda a: a.answer(label))
        if self._annotator.view.painting:
            answer()
        else:
            self._annotator.when_seen(answer, self._moment())


class Bindings:
    """Keys bound on layers and a viewer, until they are given back."""

    def __init__(self) -> None:
        self._bound: list[tuple[Any, str]] = []

    def bind(self, owners: Iterable[Any], actions: Mapping[str, Action]) -> None:
        """Bind each key on each owner, over what was bound there before."""
        for owner in owners:
            for key, action in actions.items():
                owner.bind_key(key, _pressed(action), overwrite=True)
                self._bound.append((owner, key))

    def release(self) -> None:
        """Give all keys back."""
        for owner, key in self._bound:
            owner.bind_key(key, None)
        self._bound = []


def _pressed(action: Action) -> Callable[[Any], None]:
    """Return what napari calls; it reads the name of each function that is bound."""

    def active_learning_key(_: Any) -> None:
        action()

    return active_learning_key
