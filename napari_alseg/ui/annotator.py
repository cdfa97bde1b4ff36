"""Keys, clicks and strokes become answers that are on disk at once."""

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_alseg.arrays import Region
from napari_alseg.errors import AlsegError

from .canvas.screen import Screen
from .canvas.view import View
from .queue import Queue
from .strokes import Strokes

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_alseg.store import Event, Project

UNSEEN = "That key came before the region was on screen; it does not count."


class Annotator(QObject):
    """An annotator answers the asked regions of a project, one after another.

    What has been answered is always read from the project. What is on screen is the
    view's; each action here writes to the project first, then sets the screen once.

    Parameters
    ----------
    viewer : napari.Viewer
    project : Project
        Open for writing, or only shown if it is read-only.
    moment : callable, optional
        Tells when the key was pressed that is being dealt with.
    """

    failed = Signal(str)
    """Why something that was tried by key or brush did not work."""

    def __init__(
        self,
        viewer: "Viewer",
        project: "Project",
        parent: QObject | None = None,
        moment: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(parent)
        self.project = project
        self.view = View(viewer, project, self)
        self.source = self.view.source
        self._moment = moment
        self._strokes = Strokes(self.view, project, self.failed.emit)
        self.view.painted.connect(self._on_paint)
        self.view.failed.connect(self.failed)

    @property
    def screen(self) -> Screen:
        """What is shown."""
        return self.view.screen

    @property
    def queue(self) -> Queue | None:
        """The asked regions with their states; None before the first round."""
        return self.source.queue(self.screen)

    @property
    def region(self) -> Region | None:
        """Current region, on the shown image or another."""
        return self.source.region(self.screen)

    # --- moving -----------------------------------------------------------------------

    def show(self, image: str) -> None:
        """Show an image with its labels, maps and asked regions as they are now."""
        self._strokes.write()
        again = image == self.screen.image
        self.view.set(image=image, sequence=self.project.labels.sequence)
        if again:
            self.view.refresh()

    def show_round(self) -> None:
        """Go to the latest round's first open region."""
        self._strokes.write()
        rounds = self.project.rounds.numbers
        self.source.forget_queue()
        latest = rounds[-1] if rounds else None
        self._advance(round=latest, position=None, lit=None, similar=())

    def step(self, direction: int) -> None:
        """Go to the next (+1) or previous (-1) open region, round and round."""
        queue = self.queue
        if queue is not None:
            position = queue.next_open(self.screen.position, direction)
            if position is not None:
                self.go_to(position)

    def go_to(self, position: int) -> None:
        """Make a region current: show its image and put it in the middle."""
        assert self.queue is not None
        written = self._strokes.write()
        sequence = self.project.labels.sequence if written else self.screen.sequence
        image = self.queue.selection.regions[position].image
        self.view.set(position=position, image=image, sequence=sequence, centre=True)

    def coming(self) -> list[Region]:
        """Return the open regions, the next one first, the current one left out."""
        return self.queue.coming(self.screen.position) if self.queue else []

    def requeue(self, best: Sequence[Region]) -> None:
        """Ask these regions in place of those that nobody has touched yet.

        The current region stays, and so does whatever was answered, skipped or undone.
        """
        queue, position = self.queue, self.screen.position
        if queue is None or self.project.read_only:
            return
        number = queue.selection.round
        free = set(self.project.rounds.replaceable(number)) - {position}
        changed = queue.replaced(best, free, position)
        if changed:
            self.project.rounds.reask(number, changed)
            self.source.forget_queue()
            self.view.redraw_outlines()

    # --- answering --------------------------------------------------------------------

    def answer(self, label: int) -> None:
        """Fill the current region with a class, and go to the next one.

        With no region to answer on the shown image, or with the brush or another tool
        in hand, the class is picked for it, and that is all.
        """
        if self.view.annotation is not None:
            self.view.annotation.selected_label = label
        if self._open_position() is not None and not self.view.painting:
            self._commit(label)

    @property
    def next_image(self) -> str:
        """The image of the next open region, or empty if it is the shown one."""
        coming = self.coming() or ([self.region] if self.region else [])
        image = coming[0].image if coming else ""
        return "" if image == self.screen.image else image

    def accept(self) -> None:
        """Take the current region as it is painted, and go to the next one."""
        if self._open_position() is not None:
            self._commit(None)

    def skip(self) -> None:
        """Leave the current region unlabelled, and go to the next one.

        It is not asked again as long as regions keep their size.
        """
        position = self._open_position()
        if self.screen.round is not None and position is not None:
            self._strokes.write()
            self.project.labels.skip(self.screen.round, position)
            self._advance()

    def undo(self) -> None:
        """Take back the latest answer, stroke or skip, also of an earlier session."""
        self.save_strokes()
        self._show_event(self.project.labels.undo())

    def redo(self) -> None:
        """Do again what was taken back last."""
        self.save_strokes()
        self._show_event(self.project.labels.redo())

    def save_strokes(self) -> None:
        """Write what was painted since the last write, as one stroke."""
        if self._strokes.write():
            self.view.set(sequence=self.project.labels.sequence, drawn=True)

    def when_seen(self, action: Callable[[], Any], moment: float | None = None) -> None:
        """Do something with the current region, if it was on screen at that moment.

        A key that was typed while the window was busy is meant for what was to be seen
        then, and so is not for a region that came later.
        """
        unasked = self._open_position() is None
        at = monotonic() if moment is None else moment
        if unasked or self.view.frames.seen(at):
            action()
        else:
            self.view.viewer.status = UNSEEN

    def close(self) -> None:
        """Write what is painted, and give the layers back."""
        self._attempt(self.save_strokes)
        self.view.close()

    def _on_paint(self) -> None:
        """Save a stroke as soon as it is in the layer: some tools tell it before."""
        QTimer.singleShot(0, partial(self._attempt, self.save_strokes))

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something; say so if it fails for a reason that can be put right."""
        try:
            action()
        except AlsegError as error:
            self.failed.emit(str(error))

    def _open_position(self) -> int | None:
        """Return the current position if its region is shown and waits for an answer.

        Nobody answers what is not to be seen.
        """
        return (
            self.screen.position if self.source.marked(self.screen) == "open" else None
        )

    def _commit(self, label: int | None) -> None:
        number, position = self.screen.round, self.screen.position
        assert number is not None and position is not None
        self._strokes.write()
        began = self.view.frames.painted or self.view.began
        seconds = max(0.0, self._moment() - began)
        self.project.labels.answer(number, position, label, seconds=seconds)
        self._advance()

    def _advance(self, **changes: Any) -> None:
        """Go to the next open region, in one change of the screen."""
        changes["sequence"] = self.project.labels.sequence
        after = self.screen.after(**changes)
        queue = self.source.queue(after)
        position = queue.next_open(after.position) if queue else None
        image = after.image or self.project.images.names()[0]
        if queue is not None and position is not None:
            image = queue.selection.regions[position].image
            changes["position"] = position
        self.view.set(image=image, centre=position is not None, **changes)

    def _show_event(self, event: "Event | None") -> None:
        """Go where something was undone or redone."""
        if event is None:
            return
        position = self.screen.position
        if event.position is not None and event.round == self.screen.round:
            position = event.position
        self.view.set(
            image=event.image,
            position=position,
            sequence=event.sequence,
            centre=True,
        )
