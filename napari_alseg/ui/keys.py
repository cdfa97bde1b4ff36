"""The keys of the window, and how napari is told of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

Action: TypeAlias = Callable[[], None]

NEXT, PREVIOUS, SKIP, ACCEPT, CENTRE, MAPS = "d", "a", "s", "w", "c", "h"
NEXT_IMAGE, PREVIOUS_IMAGE = "PageDown", "PageUp"
UNDO, REDO = "Control-Z", "Control-Shift-Z"
SIDE_BY_SIDE, PREDICTION, PSEUDO = "Shift-H", "Shift-P", "Shift-L"
RANGE, WHY = "Shift-R", "Shift-W"
LIVE, SIMILAR = "Shift-V", "Shift-S"
OF_OTHERS = (MAPS, SIDE_BY_SIDE, PREDICTION, PSEUDO, RANGE, WHY, LIVE, SIMILAR)
"""Keys that something other than the labels answers to."""


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
