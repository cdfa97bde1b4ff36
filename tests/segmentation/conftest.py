"""A network that learns in milliseconds, and examples for it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_alseg.arrays import IGNORE
from napari_alseg.segmentation import Example, Network
from napari_alseg.settings import NetworkSettings, TrainingSettings


class TinyBody(nn.Module):
    """Two convolutions that see 5 x 5 pixels, with the parts of a real network."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(8, classes, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images))


@pytest.fixture
def tiny_network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(TinyBody(3), NetworkSettings(), 3)


@pytest.fixture
def learns_where_it_errs() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network(TinyBody(3), NetworkSettings(difficulty=True), 3)


@pytest.fixture
def examples() -> list[Example]:
    """Six images whose class is their strongest colour; a tenth is labelled."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(6):
        truth = rng.integers(0, 3, (4, 5)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        image = (np.eye(3)[truth] * 155 + rng.integers(0, 100, (32, 40, 3))).astype(
            np.uint8
        )
        targets = np.where(rng.random((32, 40)) < 0.1, truth, IGNORE)
        found.append(Example(image, targets.astype(np.uint8)))
    return found


@pytest.fixture
def quick() -> TrainingSettings:
    return TrainingSettings(
        epochs=10, batch_size=2, learning_rate=0.03, encoder_factor=1.0, device="cpu"
    )
