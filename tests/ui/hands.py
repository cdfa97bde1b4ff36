"""Real events in a window that is painted: what a person's hands do, and no less.

Keys and clicks go through the window, which finds out for itself whom they are for. No
test calls a keymap, a slot or a private method in place of an event.
"""

import gc
import logging
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import (
    QAbstractAnimation,
    QMimeData,
    QPoint,
    QPointF,
    Qt,
    QTimer,
    QtMsgType,
    QUrl,
    qInstallMessageHandler,
)
from qtpy.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
)
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDockWidget,
    QLineEdit,
    QScrollArea,
    QStyle,
    QStyleOptionViewItem,
)

LEFT, NOTHING = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
PLAIN = Qt.KeyboardModifier.NoModifier
LATENCY = 200
"""Milliseconds that events of the display server may take to arrive."""
BOX = 11
"""Screen pixels from the left end of a row of a list to its box."""
THROTTLE = 15
"""Milliseconds: napari leaves out moves of the mouse that come faster."""
HARMLESS = ("Mouse event occurs outside target window", "/_themes/")
"""What Qt says of the test and not of the window: processes write napari's icons."""


class Hands:
    """Keyboard and mouse of a shown viewer.

    Parameters
    ----------
    qtbot : QtBot
    viewer : napari.Viewer
        Shown, for example by ``make_napari_viewer(show=True)``.
    """

    def __init__(self, qtbot, viewer):
        self.qtbot = qtbot
        self.viewer = viewer
        self.window = viewer.window._qt_window
        self.canvas = viewer.window._qt_viewer.canvas.native

    # --- the window -------------------------------------------------------------------

    def begin(self):
        """Wait until the window has the keyboard and is painted."""
        self.window.activateWindow()
        self.qtbot.waitExposed(self.window)
        self.qtbot.waitUntil(lambda: QApplication.activeWindow() is self.window)
        self.canvas.setFocus()
        self.wait_painted()

    def close(self):
        """Close the window as a window manager does, and say that we mean it."""
        self.answer_dialog("Close")
        QApplication.sendEvent(self.window.windowHandle(), QCloseEvent())
        QApplication.processEvents()

    def answer_dialog(self, *texts):
        """Click on these buttons of the next dialog, as soon as it is there."""

        def answer(patience=50):
            dialog = QApplication.activeModalWidget()
            if dialog is not None:
                for text in texts:
                    button(dialog, text).click()
            elif patience:
                QTimer.singleShot(100, lambda: answer(patience - 1))

        QTimer.singleShot(100, answer)

    def end(self):
        """Let go of the window, so that it can be deleted."""
        vars(self).clear()

    def wait_painted(self):
        """Wait until all that has happened so far is on screen."""
        QApplication.processEvents()
        with self.qtbot.waitSignal(self.canvas.frameSwapped, timeout=60_000):
            self.canvas.update()
        QApplication.processEvents()

    def freeze(self, *keys):
        """Type keys while the window is frozen: they all wait before the next frame."""
        for key in keys:
            QApplication.postEvent(self.canvas, _event(key, 0))
        QApplication.processEvents()

    # --- keys -------------------------------------------------------------------------

    def key(self, *keys):
        """Press and let go of keys where the focus is, each after a painted frame.

        Parameters
        ----------
        *keys : str
            As Qt writes them: '3', 'Ctrl+Z', 'Shift+H', 'Return', 'PgDown'.
        """
        for key in keys:
            self.wait_painted()
            self._type(key)
        QApplication.processEvents()

    def _type(self, key):
        code, modifiers = _parts(key)
        QTest.keyClick(self.window.windowHandle(), code, modifiers)

    def type_late(self, key, seconds):
        """Type a key that waited in the queue of the window system for so long."""
        QApplication.sendEvent(self.canvas, _event(key, seconds))

    # --- mouse ------------------------------------------------------------------------

    def click(self, widget, place=None):
        """Click on a widget that can be seen, in its middle if no place is named."""
        QTest.mouseClick(*self._at(widget, place))
        QApplication.processEvents()

    def double_click(self, widget, place=None):
        """Click twice in quick succession."""
        window, _, _, where = self._at(widget, place)
        QTest.mouseClick(window, LEFT, PLAIN, where)
        QTest.mouseDClick(window, LEFT, PLAIN, where)
        QApplication.processEvents()

    def press_button(self, parent, text):
        """Click on the button that begins with this text."""
        self.click(button(parent, text))

    def toggle(self, box):
        """Click on the box of a check box, which may be wider than its text."""
        self.click(box, QPoint(box.height() // 2, box.height() // 2))

    def unfold(self, parent, text):
        """Click on a folder, and wait until it is open."""
        self.press_button(parent, text)
        running = QAbstractAnimation.State.Running
        motions = parent.findChildren(QAbstractAnimation)
        self.qtbot.waitUntil(lambda: all(e.state() != running for e in motions))

    def tick(self, rows, text):
        """Click on the box before a row of a list."""
        (item,) = rows.findItems(text, Qt.MatchFlag.MatchExactly)
        self.wait_painted()
        rectangle = rows.visualItemRect(item)
        middle = QPoint(BOX, rectangle.height() // 2)
        self.click(rows.viewport(), rectangle.topLeft() + middle)

    def choose(self, menu, text):
        """Open a menu and click on one of its entries."""
        self.click(menu)
        view = menu.view()
        self.qtbot.waitUntil(view.isVisible)
        index = view.model().index(menu.findText(text), 0)
        view.scrollTo(index)
        popup = view.window()
        where = view.viewport().mapTo(popup, view.visualRect(index).center())
        for place in (QPoint(1, 1), where):  # who moves has let go of the first click
            QTest.mouseMove(popup.windowHandle(), place)
        QTest.mouseClick(popup.windowHandle(), LEFT, PLAIN, where)
        self.qtbot.waitUntil(lambda: not view.isVisible())

    def enter(self, field, text):
        """Click into a field, type over what is there, and end with Enter."""
        self.qtbot.waitUntil(lambda: field.parentWidget().height() >= field.height())
        self.click(field.findChild(QLineEdit) or field)
        self.key("Ctrl+A", *text, "Return")

    def tool(self, mode):
        """Click on a tool of napari's controls, such as 'paint' or 'pan_zoom'."""
        controls = self.window.findChild(QDockWidget, "layer controls")
        tools = controls.findChildren(QAbstractButton)
        (found,) = (
            each
            for each in tools
            if each.isVisible() and str(getattr(each, "mode", "")) == mode
        )
        self.click(found)

    def eye(self, layer):
        """Click on the eye of a layer in napari's list."""
        view = self.viewer.window._qt_viewer.layers
        rows = [view.model().index(at, 0) for at in range(view.model().rowCount())]
        (index,) = (each for each in rows if each.data() == layer.name)
        view.scrollTo(index)
        self.wait_painted()
        option = QStyleOptionViewItem()
        option.initFrom(view)
        view.itemDelegate().initStyleOption(option, index)
        option.rect = view.visualRect(index)
        box = QStyle.SubElement.SE_ItemViewItemCheckIndicator
        rectangle = view.style().subElementRect(box, option, view)
        self.click(view.viewport(), rectangle.center())

    def click_pixel(self, row, column):
        """Click on a pixel of the image."""
        self.stroke((row, column))

    def stroke(self, *pixels):
        """Press on the first pixel, move over the others, let go on the last."""
        self.wait_painted()
        places = [self.place(*pixel) for pixel in pixels]
        self._mouse(places[0], QMouseEvent.Type.MouseMove, NOTHING, NOTHING)
        self._mouse(places[0], QMouseEvent.Type.MouseButtonPress, LEFT, LEFT)
        for place in places[1:]:
            self._mouse(place, QMouseEvent.Type.MouseMove, NOTHING, LEFT)
        self._mouse(places[-1], QMouseEvent.Type.MouseButtonRelease, LEFT, NOTHING)
        QApplication.processEvents()

    def move_to(self, row, column):
        """Move the mouse over a pixel of the image."""
        self.wait_painted()
        place = self.place(row, column)
        self._mouse(place, QMouseEvent.Type.MouseMove, NOTHING, NOTHING)

    def wheel(self, widget, notches=1):
        """Turn the wheel of a real mouse over a widget, away from us if positive.

        Qt itself can only be told of wheels that take no focus and scroll no parent.
        """
        program = shutil.which("xdotool")
        if program is None:
            pytest.skip("xdotool turns the wheel; scripts/system-libraries has it")
        self._reveal(widget)
        place = widget.mapToGlobal(widget.rect().center())
        move = [program, "mousemove", str(place.x()), str(place.y())]
        turn = ["click", "--repeat", str(abs(notches)), "4" if notches > 0 else "5"]
        subprocess.run(move + turn, check=True)
        self.qtbot.wait(LATENCY)

    def drop(self, widget, *paths):
        """Drag files or folders over a widget, and let go."""
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(Path(path))) for path in paths])
        window, _, _, place = self._at(widget, None)
        given = Qt.DropAction.CopyAction, mime, LEFT, PLAIN
        for event in (
            QDragEnterEvent(place, *given),
            QDragMoveEvent(place, *given),
            QDropEvent(QPointF(place), *given),
        ):
            QApplication.sendEvent(window, event)
        QApplication.processEvents()

    def place(self, row, column):
        """Return where a pixel of the image lies on the canvas."""
        camera = self.viewer.scene.camera
        offset = (np.array((row, column)) - camera.center[-2:]) * camera.zoom
        size = self.canvas.size()
        down, right = np.array((size.height(), size.width())) / 2 + offset
        place = QPoint(round(right), round(down))
        assert self.canvas.rect().contains(place), f"({row}, {column}) is not in view"
        return place

    def _mouse(self, place, kind, pressed, held):
        glob = QPointF(self.canvas.mapToGlobal(place))
        event = QMouseEvent(kind, QPointF(place), glob, pressed, held, PLAIN)
        QApplication.sendEvent(self.canvas, event)
        self.qtbot.wait(THROTTLE)

    def _at(self, widget, place):
        """Return the arguments of a click in the window of a widget."""
        self._reveal(widget)
        window = widget.window()
        where = widget.mapTo(window, place or widget.rect().center())
        found = window.childAt(where)
        assert found is widget or widget.isAncestorOf(found), (
            f"{widget} cannot be clicked: {found} lies there"
        )
        return window.windowHandle(), LEFT, PLAIN, where

    def _reveal(self, widget):
        """Scroll a widget into view, once all widgets have their places."""
        self.wait_painted()
        parent = widget.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(widget)
            parent = parent.parentWidget()
        QApplication.processEvents()
        assert widget.isVisible(), f"{widget} cannot be seen"


def button(parent, text):
    """Return the visible button whose text begins so, whatever its letter for Alt."""
    found = [
        each
        for each in parent.findChildren(QAbstractButton)
        if each.text().replace("&", "").startswith(text) and each.isVisible()
    ]
    assert len(found) == 1, f"{len(found)} buttons begin with {text!r}"
    return found[0]


def _parts(key):
    """Return the key and the modifiers of a sequence such as 'Ctrl+Z'."""
    *names, last = key.split("+") if len(key) > 1 else (key,)
    modifiers = PLAIN
    for name in names:
        modifiers |= {
            "Ctrl": Qt.KeyboardModifier.ControlModifier,
            "Shift": Qt.KeyboardModifier.ShiftModifier,
            "Alt": Qt.KeyboardModifier.AltModifier,
        }[name]
    first = QKeySequence(last)[0]
    if not isinstance(first, int):  # Qt 6 has a type of its own for it
        first = first.key()
    return Qt.Key(first), modifiers


def _event(key, seconds):
    """Return a key that was pressed some seconds ago."""
    code, modifiers = _parts(key)
    event = TimedKey(QKeyEvent.Type.KeyPress, code, modifiers, key.lower())
    event.pressed = round((monotonic() - seconds) * 1000)
    return event


class TimedKey(QKeyEvent):
    """A key whose time we choose; not every binding lets us set it."""

    pressed = 0

    def timestamp(self):
        return self.pressed


@contextmanager
def noises(capfd):
    """Give a list of all that went wrong unseen; it is full when the block is left.

    Warnings of Qt, errors of vispy, red pop-ups of napari and any line on stderr.
    """
    heard = []
    log = logging.Handler(logging.WARNING)
    log.emit = lambda record: heard.append(f"vispy: {record.getMessage()}")

    def of_qt(kind, context, message):
        if kind != QtMsgType.QtDebugMsg and not any(
            text in message for text in HARMLESS
        ):
            heard.append(f"Qt: {message}")

    def of_napari(notification):
        if notification.severity >= NotificationSeverity.ERROR:
            heard.append(f"napari: {notification.message}")

    capfd.readouterr()
    before = qInstallMessageHandler(of_qt)
    logging.getLogger("vispy").addHandler(log)
    notification_manager.notification_ready.connect(of_napari)
    try:
        yield heard
    finally:
        gc.collect()
        notification_manager.notification_ready.disconnect(of_napari)
        logging.getLogger("vispy").removeHandler(log)
        qInstallMessageHandler(before)
        heard += [f"stderr: {line}" for line in capfd.readouterr().err.splitlines()]
