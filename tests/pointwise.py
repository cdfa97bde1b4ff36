"""A network that sees one pixel at a time, and what is asked by it."""

from dataclasses import replace

import torch
from conftest import TINY_PREDICTION, TINY_REGIONS
from torch import nn

from napari_alseg import systems
from napari_alseg.arrays import finish
from napari_alseg.segmentation import Network
from napari_alseg.settings import NetworkSettings, QuerySettings
from napari_alseg.tasks.query import query

NAMES = [name for name in systems.SYSTEMS if name != "full"]


BUDGETS = dict.fromkeys(("deal-ds", "deal-de", "cisc-r"), "2 images")


class Pointwise(nn.Module):
    """Sees one pixel at a time, so that neither tiles nor batches can matter."""

    def __init__(self, classes):
        super().__init__()
        self.encoder = nn.Conv2d(3, 8, 1)
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, images):
        return 9 * self.head(self.encoder(images).relu())


def network_of(project, settings, classes=None):
    """A pointwise network, always the same, in the place of a learnt one."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        count = len(project.classes)
        made = Network(Pointwise(count), NetworkSettings(difficulty=True), count)
    return made.eval()


def ask(project, system, budget=None, prediction=TINY_PREDICTION, **parameters):
    budget = budget or BUDGETS.get(system, "8 regions")
    settings = systems.resolve(QuerySettings(system, budget, **parameters)).settings
    if settings.partition == "superpixels" and "region_size" not in parameters:
        settings = replace(settings, **TINY_REGIONS)
    return finish(query(project, settings, prediction))
