"""Where keys and the wheel go: to the labels, unless text is typed or a control asks.

An event filter of the application. It looks at the dock and at napari's own docks only;
dialogs, menus and the docks of other plugins are left alone.
"""

from time import monotonic
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
    QTextEdit,
    QWidget,
)

from .canvas import frames

if TYPE_CHECKING:
    from napari.viewer import Viewer

OF_NAPARI = ("layer list", "layer controls")
"""Docks of napari whose keys go to the labels, too."""
KEYS = (QEvent.Type.KeyPress, QEvent.Type.KeyRelease)
FOCUS = (QEvent.Type.FocusIn, QEvent.Type.FocusOut, QEvent.Type.MouseButtonPress)
LEAVING = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
"""Keys that give the focus back to the canvas."""
PAGING = (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
BY_KEY = (
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)
"""Who comes to a field by one of these wants to type in it."""
TEXT = (QLineEdit, QTextEdit, QPlainTextEdit)
FIELDS = (QAbstractSpinBox, QComboBox)
CONTROLS = (QAbstractSpinBox, QComboBox, QAbstractSlider)
ANOTHER_CLOCK = 120.0
"""Seconds; no event waits as long, so its time is told by another clock."""


class Keyboard(QObject):
    """Sends keys to the canvas from wherever the focus is, unless text is typed.

    Parameters
    ----------
    dock : QWidget
        Of which all controls are watched; also the parent.
    viewer : napari.Viewer
    """

    def __init__(self, dock: QWidget, viewer: "Viewer") -> None:
        super().__init__(dock)
        self.active = False
        """Whether there are labels that keys can go to."""
        self._dock = dock
        self._viewer = viewer
        self._clock = EventClock()
        self._moment: float | None = None
        self._typed_in: QWidget | None = None
        self._left: QWidget | None = None
        """A control that is given Enter or Escape, which go no further."""

    def start(self) -> None:
        """Watch the application; more than once does no harm."""
        application = QApplication.instance()
        assert application is not None
        application.installEventFilter(self)

    def stop(self) -> None:
        """Watch no longer."""
        application = QApplication.instance()
        if application is not None:
            application.removeEventFilter(self)

    def moment(self) -> float:
        """Return when the key was pressed that is being dealt with."""
        return monotonic() if self._moment is None else self._moment

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Send keys on, keep the wheel from controls, and see who types."""
        kind = event.type()
        if kind in KEYS:
            if kind == QEvent.Type.KeyPress:
                self._moment = self._clock.read(event.timestamp(), monotonic())
            return isinstance(watched, QWidget) and self._on_key(watched, event)
        if kind == QEvent.Type.Wheel:
            return isinstance(watched, QWidget) and self._on_wheel(watched, event)
        if kind == QEvent.Type.Show and isinstance(watched, CONTROLS):
            self._on_shown(watched)
        elif kind in FOCUS and isinstance(watched, QWidget):
            self._on_focus(watched, event)
        return False

    # --- keys -------------------------------------------------------------------------

    def _on_key(self, widget: QWidget, event: QKeyEvent) -> bool:
        """Send a key to the canvas, or leave it where it is."""
        if self._left is not None:
            return widget is not self._left
        own = self._dock.isAncestorOf(widget)
        if not self.active or not (own or self._of_napari(widget)):
            return False
        if own and event.key() in LEAVING:
            return self._leave(widget, event)
        if not is_for_labels(event) or self._is_typing(widget):
            return False
        QApplication.sendEvent(frames.widget(self._viewer), event)
        return True

    def _leave(self, widget: QWidget, event: QKeyEvent) -> bool:
        """Let a control have Enter or Escape, then give the focus back.

        Enter presses a button that has the focus, as Space does.
        """
        if event.type() == QEvent.Type.KeyRelease:
            return True
        if isinstance(widget, QAbstractButton):
            if event.key() != Qt.Key.Key_Escape:
                widget.click()
                return True
        else:
            self._left = widget
            QApplication.sendEvent(widget, event)
            self._left = None
        frames.widget(self._viewer).setFocus()
        return True

    def _of_napari(self, widget: QWidget) -> bool:
        parent: QWidget | None = widget
        while parent is not None and not isinstance(parent, QDockWidget):
            parent = None if parent.isWindow() else parent.parentWidget()
        return parent is not None and parent.objectName() in OF_NAPARI

    def _is_typing(self, widget: QWidget) -> bool:
        """Whether a text cursor is active: a field must have been entered by hand."""
        field = _field(widget)
        if field is not None:
            return field is self._typed_in
        return isinstance(widget, TEXT) and not widget.isReadOnly()

    def _on_focus(self, widget: QWidget, event: Any) -> None:
        """Note who begins or ends to type in a spin box or an editable list."""
        field = _field(widget)
        if field is None:
            return
        if event.type() == QEvent.Type.FocusOut:
            self._typed_in = None
        elif event.type() == QEvent.Type.FocusIn:
            if event.reason() in BY_KEY:
                self._typed_in = field
        elif isinstance(widget, QLineEdit):
            self._typed_in = field

    # --- the wheel --------------------------------------------------------------------

    def _on_wheel(self, widget: QWidget, event: Any) -> bool:
        """Keep the wheel from a control without the focus: it scrolls the panel."""
        control = _control(widget)
        if control is None or not self._dock.isAncestorOf(control):
            return False
        if control.hasFocus():
            return False
        event.ignore()
        return True

    def _on_shown(self, control: QWidget) -> None:
        """Take from a control that it gets the focus by the wheel."""
        policy = Qt.FocusPolicy
        if control.focusPolicy() == policy.WheelFocus and self._dock.isAncestorOf(
            control
        ):
            control.setFocusPolicy(policy.StrongFocus)


class EventClock:
    """Tells when an event happened that may have waited in a queue.

    Events carry milliseconds since some moment that only the window system knows. It is
    found from the events that waited least.

    Examples
    --------
    >>> clock = EventClock()
    >>> clock.read(5_000, 105.0)  # came at once
    105.0
    >>> clock.read(6_000, 109.0)  # had to wait for three seconds
    106.0
    """

    def __init__(self) -> None:
        self._begins: list[float] = []

    def read(self, timestamp: int, now: float) -> float:
        """Return the moment of an event that arrives now, on our clock."""
        if not timestamp:  # made by a program
            return now
        begin = now - timestamp / 1000
        near = [each for each in self._begins if abs(begin - each) < ANOTHER_CLOCK]
        for each in near:
            self._begins.remove(each)
        least = min([begin, *near])
        self._begins.append(least)
        return least + timestamp / 1000


def is_for_labels(event: QKeyEvent) -> bool:
    """Whether a key can mean something to the labels: a character, a page, an undo."""
    held = event.modifiers() & ~(
        Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier
    )
    if held == Qt.KeyboardModifier.ControlModifier:
        return event.key() == Qt.Key.Key_Z
    if held != Qt.KeyboardModifier.NoModifier:
        return False
    if event.key() in PAGING:
        return True
    text = event.text() or (chr(event.key()) if 32 < event.key() < 127 else "")
    return text.isprintable() and bool(text.strip())


def _field(widget: QWidget) -> QWidget | None:
    """Return the spin box or list that a widget is or belongs to, if one can type."""
    for each in (widget, widget.parentWidget()):
        if isinstance(each, FIELDS):
            return each
    return None


def _control(widget: QWidget) -> QWidget | None:
    """Return the control that a widget is or belongs to; a scroll bar is none."""
    for each in (widget, widget.parentWidget()):
        if isinstance(each, CONTROLS) and not isinstance(each, QScrollBar):
            return each
    return None
