"""Every parameter of every stage, stated once.

A stage is a frozen dataclass. The form in the window, the flags of the command line
and the JSON in the project all come from these lines: the meaning of a parameter is
its line in the class docstring, its limits are the field's metadata.
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from .errors import BadValue

Device = Literal["auto", "cpu", "cuda", "mps"]


def _limited(default: Any, **limits: Any) -> Any:
    """Return a field whose limits the form shows and `check` enforces."""
    return field(default=default, metadata=limits)


@dataclass(frozen=True)
class Budget:
    """How much may be asked: an amount and its unit.

    Examples
    --------
    >>> Budget.parse("5%")
    Budget(amount=5.0, unit='%')
    >>> str(Budget.parse("100 px/image"))
    '100 px/image'
    """

    amount: float
    unit: Literal["%", "regions", "px/image", "images"]

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read ``5%``, ``2000 regions``, ``100 px/image`` or ``20 images``.

        Raises
        ------
        BadValue
            If the text names no known unit or its amount is not above zero.
        """
        match = re.fullmatch(
            r"\s*([-+]?\d*\.?\d+)\s*(%|regions?|px/image|images?)\s*", text
        )
        if match is None:
            raise BadValue(
                f"a budget is an amount and a unit, got {text!r}; write for example "
                "'5%' (of all pixels), '2000 regions', '100 px/image' or '20 images'"
            )
        amount, unit = float(match[1]), match[2]
        unit = {"region": "regions", "image": "images"}.get(unit, unit)
        if amount <= 0:
            raise BadValue(f"a budget must be above zero, got {text!r}")
        if unit == "%" and amount > 100:
            raise BadValue(f"a budget in % is at most 100, got {text!r}")
        return cls(amount, unit)  # type: ignore[arg-type]

    def __str__(self) -> str:
        space = "" if self.unit == "%" else " "
        amount = f"{self.amount:.12f}".rstrip("0").rstrip(".")
        return f"{amount}{space}{self.unit}"

    def share(self, parts: int) -> "Budget":
        """Return the part of this budget that one of `parts` equal rounds may spend."""
        return Budget(self.amount / parts, self.unit)


@dataclass(frozen=True)
class PartitionSettings:
    """What a region is.

    Parameters
    ----------
    region_size
        Mean pixels in a superpixel; smaller regions follow thin things better.
    compactness
        Weight of closeness against colour; higher gives squarer superpixels.
    """

    region_size: int = _limited(400, min=4, max=1_000_000)
    compactness: float = _limited(10.0, min=0.01, max=1000.0)


@dataclass(frozen=True)
class QuerySettings:
    """What one round asks.

    Parameters
    ----------
    system
        Name of a row of the table of systems.
    budget
        Most that the round may ask: '1%', '100 regions', '100 px/image' or '5 images'.
    seed
        Same seed, same computer: same regions.
    """

    system: str = "entropy"
    budget: str = "40 regions"
    seed: int = _limited(0, min=0, max=2**31 - 1)


@dataclass(frozen=True)
class NetworkSettings:
    """Which network learns.

    Parameters
    ----------
    network
        Architecture of segmentation-models-pytorch ('deeplabv3plus', 'unet', 'fpn'
        ...), or 'torchvision/fcn_resnet50' and its sisters.
    encoder
        Encoder of segmentation-models-pytorch; not used by torchvision networks.
    weights
        Where the encoder starts: 'imagenet', 'random' or the path of a file.
    """

    network: str = "deeplabv3plus"
    encoder: str = "mobilenet_v2"
    weights: str = "imagenet"


@dataclass(frozen=True)
class TrainingSettings:
    """How the network learns.

    Parameters
    ----------
    epochs
        Passes over all images that have a label.
    batch_size
        Crops in a step; batch normalisation needs at least two.
    crop
        Longest side of a training crop, in pixels; smaller images are taken whole.
    learning_rate
        First learning rate of the decoder; it falls to zero along (1 - t) ** 0.9.
    encoder_factor
        The pretrained encoder learns this much slower than the decoder.
    weight_decay
        Pull of the weights towards zero.
    scale
        Training images are zoomed by 1/scale to scale.
    flip
        Mirror half of the training crops.
    jitter
        Strength of changes in brightness, contrast and saturation.
    validate_every
        Epochs between two looks at the validation images.
    device
        Where to compute; 'auto' takes CUDA, then MPS, then the CPU.
    """

    epochs: int = _limited(20, min=1, max=10_000)
    batch_size: int = _limited(4, min=2, max=512)
    crop: int = _limited(512, min=32, max=4096)
    learning_rate: float = _limited(2e-3, min=1e-7, max=1.0)
    encoder_factor: float = _limited(0.2, min=0.0, max=1.0)
    weight_decay: float = _limited(1e-4, min=0.0, max=1.0)
    scale: float = _limited(1.33, min=1.0, max=4.0)
    flip: bool = True
    jitter: float = _limited(0.2, min=0.0, max=1.0)
    validate_every: int = _limited(2, min=1, max=1000)
    device: Device = "auto"


@dataclass(frozen=True)
class PredictionSettings:
    """How an image is predicted.

    Parameters
    ----------
    tile
        Longest side of a tile, in pixels; smaller images are taken whole.
    overlap
        Pixels that neighbouring tiles share and blend.
    batch_size
        Tiles in one pass through the network.
    device
        Where to compute; 'auto' takes CUDA, then MPS, then the CPU.
    """

    tile: int = _limited(512, min=64, max=8192)
    overlap: int = _limited(64, min=0, max=1024)
    batch_size: int = _limited(4, min=1, max=512)
    device: Device = "auto"


@dataclass(frozen=True)
class SimulationSettings:
    """What is rehearsed with an oracle.

    Parameters
    ----------
    system
        Name of a row of the table of systems; 'full' gives the upper bound.
    budget
        All that may be asked, shared equally among the rounds.
    rounds
        Times the pool is asked and the network retrained.
    seed
        Seed of asking and of learning.
    size
        ROWSxCOLUMNS that images and masks are resized to; empty keeps their own.
    """

    system: str = "entropy"
    budget: str = "5%"
    rounds: int = _limited(3, min=1, max=1000)
    seed: int = _limited(0, min=0, max=2**31 - 1)
    size: str = ""


Settings = TypeVar("Settings")


def check(settings: Settings) -> Settings:
    """Return the settings if each number lies in its limits.

    Raises
    ------
    BadValue
        Naming the parameter, its value and its limits.

    Examples
    --------
    >>> check(TrainingSettings(epochs=0))
    Traceback (most recent call last):
    napari_alseg.errors.BadValue: epochs must be from 1 to 10000, got 0
    """
    for entry in fields(settings):  # type: ignore[arg-type]
        value, limits = getattr(settings, entry.name), entry.metadata
        if limits and not limits["min"] <= value <= limits["max"]:
            raise BadValue(
                f"{entry.name} must be from {limits['min']} to {limits['max']}, "
                f"got {value}"
            )
    return settings
