"""Arrays by name and shape, and small values that are passed.

Axis letters, once for all: ``H`` rows, ``W`` columns, ``K`` image channels, ``C``
classes, ``T`` samples, ``D`` features, ``R`` regions, ``N`` pixels, ``B`` batch.
Rows stand before columns, always. Tensors are annotated with their shape without
importing torch, so that packages without torch may use this file.

Label values (files, zarr, napari) are ``uint8``: 0 = unlabelled, 1..C = the classes
in project order. Targets (losses, metrics) are class indices 0..C-1 with
``IGNORE`` = 255. `to_targets` and `to_labels` are the only ways between the two.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, Real, Shaped, UInt8

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any

IGNORE = 255
"""The target of a pixel that no loss and no metric may count."""

MAXIMUM_CLASSES = 254
"""Labels are uint8 with 0 for unlabelled, targets uint8 with 255 for ignored."""

Image: TypeAlias = UInt8[np.ndarray, "H W K"]
"""What networks and partitions see: 8 bits after the stored intensity window."""
LabelMap: TypeAlias = UInt8[np.ndarray, "H W"]
"""0 = unlabelled, 1..C = classes."""
TargetMap: TypeAlias = UInt8[np.ndarray, "H W"]
"""0..C-1 = class index, 255 = ignored."""
RegionMap: TypeAlias = Int32[np.ndarray, "H W"]
"""Ids 1..R without gaps, 0 = no region."""
ScoreMap: TypeAlias = Float[np.ndarray, "H W"]
"""One score a pixel; higher = asked sooner."""
RegionScores: TypeAlias = Float[np.ndarray, " R"]
"""One score a region; entry i belongs to region i + 1."""
FeatureMap: TypeAlias = Float[np.ndarray, "D h w"]
"""Features of a network, at their own (coarser) resolution."""
RegionFeatures: TypeAlias = Float32[np.ndarray, "R D"]
"""What a region looks like, as D numbers on one scale."""
RegionCosts: TypeAlias = Real[np.ndarray, " R"]
"""What asking a region costs, in the unit of the budget."""
RegionClasses: TypeAlias = Int[np.ndarray, " R"]
"""One class index a region, for example the one most predicted."""
RegionBounds: TypeAlias = Int[np.ndarray, "R 4"]
"""Row start, column start, row stop, column stop; the stops exclusive."""
RegionPlaces: TypeAlias = Real[np.ndarray, "R 3"]
"""Index of the image, row and column of the centre."""
WindowCentres: TypeAlias = Int[np.ndarray, "n 2"]
"""Row and column of each window's centre."""
RegionIndices: TypeAlias = Int[np.ndarray, " n"]
"""Positions 0..R-1 in arrays of one entry a region."""
Mask: TypeAlias = Bool[np.ndarray, "H W"]

ImageTensor: TypeAlias = Float[Tensor, "B 3 H W"]
"""Red, green, blue, 0..1."""
LogitTensor: TypeAlias = Float[Tensor, "B C H W"]
TargetTensor: TypeAlias = Shaped[Tensor, "*B H W"]
ProbabilityTensor: TypeAlias = Float[Tensor, "C H W"]
"""Sums to 1 over classes at each pixel."""
ProbabilityTensors: TypeAlias = Float[Tensor, "*T C H W"]
"""One probability or several."""
SampleTensor: TypeAlias = Float[Tensor, "T C H W"]
FeatureTensor: TypeAlias = Float[Tensor, "D H W"]
ScoreTensor: TypeAlias = Float[Tensor, "H W"]
ClassIndexTensor: TypeAlias = Int[Tensor, "H W"]
MaskTensor: TypeAlias = Shaped[Tensor, "H W"]

Labels = TypeVar("Labels", np.ndarray, Tensor)


def to_targets(labels: Labels) -> Labels:
    """Class index of each pixel, `IGNORE` without a label.

    Parameters
    ----------
    labels : uint8 array or tensor of any shape
        0 = unlabelled, 1..C = classes.

    Examples
    --------
    >>> to_targets(np.array([0, 1, 5], np.uint8))
    array([255,   0,   4], dtype=uint8)
    """
    return labels - 1  # uint8 wraps 0 to 255


def to_labels(targets: Labels) -> Labels:
    """Label value of each class index; ignored pixels become unlabelled.

    Parameters
    ----------
    targets : uint8 array or tensor of any shape
        0..C-1 = class index, 255 = ignored.

    Examples
    --------
    >>> to_labels(np.array([255, 0, 4], np.uint8))
    array([0, 1, 5], dtype=uint8)
    """
    return targets + 1  # uint8 wraps 255 to 0


@dataclass(frozen=True)
class LabelClass:
    """A class a person can choose: its name, colour and key."""

    name: str
    colour: tuple[int, int, int]
    """Red, green, blue, 0..255."""
    key: str = ""
    """The key that answers a region with this class, for example ``"1"``."""


class Bounds(NamedTuple):
    """A rectangle of pixels, the stops exclusive."""

    row_start: int
    column_start: int
    row_stop: int
    column_stop: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an ``(H, W)`` array."""
        return (
            slice(self.row_start, self.row_stop),
            slice(self.column_start, self.column_stop),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the rectangle."""
        return self.row_stop - self.row_start, self.column_stop - self.column_start


@dataclass(frozen=True)
class Region:
    """One region that is asked: where it is, and why."""

    image: str
    partition: int
    """Version of the region map that `region` counts in."""
    region: int
    """Id in the region map, 1..R."""
    score: float
    pixels: int
    bounds: Bounds


@dataclass(frozen=True)
class Selection:
    """The regions asked in one round, in order."""

    round: int
    system: str
    budget: str
    regions: tuple[Region, ...]

    @property
    def partition(self) -> int | None:
        """Version of its region maps; None if it asks nothing."""
        return self.regions[0].partition if self.regions else None

    @property
    def pixels(self) -> int:
        """Pixels that all answers together would label."""
        return sum(region.pixels for region in self.regions)

    @property
    def images(self) -> tuple[str, ...]:
        """Names of its images, in the order they first appear."""
        return tuple(dict.fromkeys(region.image for region in self.regions))


@dataclass(frozen=True)
class Ranking:
    """What a round measured of the pool's regions.

    It has one row a region. Windows and pixels have rows only where one was proposed;
    those that were not asked have region 0.
    """

    images: tuple[str, ...]
    image: Int32[np.ndarray, " N"]
    """Index into `images`."""
    region: Int32[np.ndarray, " N"]
    score: Float32[np.ndarray, " N"]
    open: Bool[np.ndarray, " N"]
    """Whether the region could be asked."""
    probability: Float32[np.ndarray, "N C"]
    """Mean probability of each class in the region."""
    terms: dict[str, Float32[np.ndarray, " N"]] = field(default_factory=dict)
    """What the score is made of, by the name of an acquisition."""

    def row(self, image: str, region: int) -> int | None:
        """Return the row of a region; None without one."""
        if image not in self.images:
            return None
        here = self.image == self.images.index(image)
        found = np.flatnonzero(here & (self.region == region))
        return int(found[0]) if len(found) else None

    def rank(self, row: int) -> tuple[int, int]:
        """Return the rank of a row, and of how many.

        1 = highest, among the regions that could be asked.
        """
        scores = self.score[self.open]
        return 1 + int((scores > self.score[row]).sum()), len(scores)


@dataclass(frozen=True)
class Scored:
    """The regions that may be asked, one row a region."""

    score: Float[np.ndarray, " N"]
    """Higher = asked sooner."""
    informed: bool
    """Whether the score says more than chance."""
    cost: Float[np.ndarray, " N"]
    """What asking costs, in the unit of the limit."""
    pixels: Int[np.ndarray, " N"]
    image: Int[np.ndarray, " N"]
    """Which image it is of."""
    probability: Float[np.ndarray, "N C"]
    """Mean probability of each class; no column without a network."""
    features: Float[np.ndarray, "N D"]
    """What it looks like; no column if nothing describes it."""
    known: Float[np.ndarray, "M D"]
    """Features of the regions that are labelled or asked already."""
    centre: Int[np.ndarray, "N 2"]
    """Row and column of the middle."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    What was not asked for is None.
    """

    probability: ProbabilityTensor
    mirrored: ProbabilityTensor | None = None
    """Probability of the mirrored image, mirrored back."""
    samples: SampleTensor | None = None
    """Probabilities of T passes with dropout."""
    features: FeatureTensor | None = None
    """Decoder features, at their own (coarser) resolution."""
    difficulty: ScoreTensor | None = None
    """How likely the network is wrong at each pixel, 0..1."""
    refined: ProbabilityTensor | None = None
    """Probability after a dense CRF has looked at the image's colours."""
    edges: MaskTensor | None = None
    """Edges of the image itself."""


PredictionField: TypeAlias = Literal[
    "probability",
    "mirrored",
    "samples",
    "features",
    "difficulty",
    "refined",
    "edges",
]
"""Names of the fields of a `Prediction`; only those that are needed are computed."""


@dataclass(frozen=True)
class Progress:
    """One step of a long task, to send between processes."""

    done: int
    total: int
    message: str
    metrics: dict[str, float] = field(default_factory=dict)
    """For example ``{"loss": 0.41}`` or ``{"miou": 0.55}``."""


NOTE = "note: "
"""What the message of a progress begins with that is to stay on screen."""

Result = TypeVar("Result")
Task: TypeAlias = Generator[Progress, None, Result]
"""Long work: yields its progress, returns its result, stops when closed."""


def finish(task: "Task[Result]") -> Result:
    """Run a task to its end and return its result.

    Examples
    --------
    >>> def count():
    ...     yield Progress(1, 1, "counting")
    ...     return "done"
    >>> finish(count())
    'done'
    """
    while True:
        try:
            next(task)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
