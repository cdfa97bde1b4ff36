"""Images whose class is their strongest colour, and a network that knows it."""

from contextlib import closing
from itertools import islice

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_alseg.segmentation import Example, Network
from napari_alseg.segmentation.cisc_r.pairs import PairBatch
from napari_alseg.settings import NetworkSettings

CPU = torch.device("cpu")


class Colours(nn.Module):
    """A teacher whose features are the colours, and whose class is the strongest."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.encoder = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.head = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.dirac_(self.head.weight)

    def forward(self, images):
        logits = self.head(self.encoder(images))
        return functional.interpolate(logits, images.shape[-2:])


def colours(stride: int = 1, span: int = 1) -> Network:
    network = Network(Colours(stride), NetworkSettings(), 3, stride=span)
    network.mean.zero_()
    network.deviation.fill_(1.0)
    return network.eval()


def blocks(count: int, seed: int, noise: int = 0) -> list[Example]:
    """Images whose class is their strongest colour, labelled as a whole."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        truth = rng.integers(0, 3, (4, 5)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        image = np.eye(3)[truth] * (255 - noise)
        image = image + rng.integers(0, noise + 1, (32, 40, 3))
        found.append(Example(image.astype(np.uint8), truth))
    return found


def of_class(*classes: int) -> Example:
    """An image of columns, each of one class and its colour."""
    truth = np.repeat(np.array(classes, np.uint8), 8)[None].repeat(32, 0)
    return Example((np.eye(3)[truth] * 255).astype(np.uint8), truth)


def held(*classes: tuple[int, ...]) -> np.ndarray:
    found = np.zeros((len(classes), 254), bool)
    for row, each in zip(found, classes, strict=True):
        row[list(each)] = True
    return found


def some(objective, count=1, start=0):
    with closing(objective.batches(start, CPU)) as stream:
        return list(islice(stream, count))


def equal(first: PairBatch, second: PairBatch) -> bool:
    return all(
        torch.equal(one, other) for one, other in zip(first, second, strict=True)
    )
