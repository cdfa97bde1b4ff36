"""A live model of few steps."""

from conftest import TINY_LIVE, TINY_PREDICTION
from steps import ask as ask_by

from napari_alseg.arrays import finish
from napari_alseg.live.model import Live
from napari_alseg.settings import LiveSettings

QUICK = LiveSettings(first_steps=40, steps=20, batch_size=64)


def start(project, settings=QUICK, network=TINY_LIVE, **how):
    return finish(Live.start(project, network, settings, TINY_PREDICTION, **how))


def ask(project, budget="12 regions", system="random", **more):
    return ask_by(project, budget, system, **more)


def kept(project):
    live = start(project)
    finish(live.read_labels())
    finish(live.learn())
    live.keep()
    return live
