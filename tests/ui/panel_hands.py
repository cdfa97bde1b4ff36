"""Panels that are shown alone, and how a test finds its way in them."""

from hands import Hands
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QWidget

PANEL = 500, 900
"""Width and height of a panel that is shown alone."""


class PanelHands(Hands):
    """Keyboard and mouse of a panel that is shown alone, without a viewer."""

    def __init__(self, qtbot, panel):
        self.qtbot = qtbot
        self.window = self.canvas = panel

    def begin(self):
        """Show the panel and wait until it has the keyboard."""
        self.window.resize(*PANEL)
        self.window.show()
        self.window.activateWindow()
        self.qtbot.waitExposed(self.window)
        self.qtbot.waitUntil(lambda: QApplication.activeWindow() is self.window)

    def wait_painted(self):
        """Wait until all that has happened so far is on screen."""
        QApplication.processEvents()


def named(parent, name):
    """Return the widget that screen readers call so."""
    found = [e for e in parent.findChildren(QWidget) if e.accessibleName() == name]
    assert len(found) == 1, f"{len(found)} widgets are called {name!r}"
    return found[0]


def settle(qtbot, part):
    """Wait until no timer of a part of the window runs: nothing is put off."""
    QApplication.processEvents()
    timers = part.findChildren(QTimer)
    qtbot.waitUntil(lambda: not any(timer.isActive() for timer in timers))
