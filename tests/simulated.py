"""Tiny simulations, and what is left of them."""

from dataclasses import replace

from conftest import TINY_NETWORK, TINY_PREDICTION, TINY_REGIONS, TINY_TRAINING

from napari_alseg.arrays import finish
from napari_alseg.settings import SimulationSettings
from napari_alseg.simulation.run import Seconds
from napari_alseg.simulation.simulate import simulate
from napari_alseg.store import Project

TINY = {
    "network": TINY_NETWORK,
    "training": TINY_TRAINING,
    "prediction": TINY_PREDICTION,
}
ARGUMENTS = ("network", "training", "recipe", "source", "after", "resume")


def begin(dataset, out, **changes):
    """The task of a tiny run; some changes are arguments, the others settings."""
    given = {name: changes.pop(name) for name in ARGUMENTS if name in changes}
    settings = {"budget": "20%", "rounds": 2} | TINY_REGIONS | changes
    return simulate(dataset, out, SimulationSettings(**settings), **TINY | given)


def simulated(dataset, out, **changes):
    return finish(begin(dataset, out, **changes))


def results(run):
    """All of a run that must not depend on when and where it was made."""
    return [replace(row, seconds=Seconds(0, 0, 0)) for row in run.rounds]


def weights(out):
    """The weights of every round of a run."""
    with Project.open(out / "project.alseg", "read") as project:
        rounds = (0, *project.rounds.numbers)
        kept = {number: project.weights.read(number) for number in rounds}
    return {number: arrays[0] for number, arrays in kept.items() if arrays}


def costs(out):
    """What the ledger of a run counts."""
    with Project.open(out / "project.alseg", "read") as project:
        return project.rounds.cost()


class Killed(BaseException):
    """Ends a run without its knowing, as a power cut does."""
