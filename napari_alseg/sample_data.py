"""Small drawn scenes with ground truth and a rare class: menu, demo and tests.

Each scene is a meadow under a sky with water, trees, houses and - seldom, and a few
pixels wide - balloons. Shades overlap between classes (sky in the water, trees on the
meadow), so that a network has something to learn and something to be unsure of.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .arrays import Image, LabelClass, LabelMap, Mask

CLASSES = (
    LabelClass("sky", (86, 180, 233), "1"),
    LabelClass("meadow", (240, 228, 66), "2"),
    LabelClass("water", (0, 114, 178), "3"),
    LabelClass("tree", (0, 158, 115), "4"),
    LabelClass("house", (213, 94, 0), "5"),
    LabelClass("balloon", (204, 121, 167), "6"),
)
SKY, MEADOW, WATER, TREE, HOUSE, BALLOON = range(1, 7)


class Scene(NamedTuple):
    """A drawn picture and the truth of every pixel."""

    name: str
    image: Image
    labels: LabelMap


class _Canvas:
    """A picture being painted: colours and labels change together."""

    def __init__(self, shape: tuple[int, int], rng: np.random.Generator) -> None:
        self.rng = rng
        self.rows, self.columns = np.mgrid[: shape[0], : shape[1]]
        self.colours = np.zeros((*shape, 3))
        self.labels = np.zeros(shape, np.uint8)

    def paint(self, mask: Mask, colour: tuple[int, int, int], label: int) -> None:
        """Fill a mask with a colour of slightly random tint and its label."""
        tint = np.array(colour) + self.rng.normal(0, 10, 3)
        self.colours[mask] = tint
        self.labels[mask] = label

    def disc(self, row: float, column: float, height: float, width: float) -> Mask:
        """Return the pixels of an upright ellipse."""
        down = (self.rows - row) / max(height, 0.5)
        right = (self.columns - column) / max(width, 0.5)
        return np.asarray(down**2 + right**2 <= 1)

    def box(self, row: float, column: float, height: float, width: float) -> Mask:
        """Return the pixels of a box, given its centre and half its sides."""
        return np.asarray(
            (abs(self.rows - row) <= height) & (abs(self.columns - column) <= width)
        )

    def image(self) -> Image:
        """Picture with light falling off downwards, grain and blotches."""
        shape = self.labels.shape
        light = 1.1 - 0.3 * self.rows / shape[0]
        coarse = self.rng.normal(0, 9, (shape[0] // 8 + 1, shape[1] // 8 + 1))
        blotches = coarse.repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]]
        grain = self.rng.normal(0, 9, (*shape, 3))
        picture = self.colours * light[..., None] + blotches[..., None] + grain
        return np.asarray(np.clip(picture, 0, 255), np.uint8)


def _landscape(canvas: _Canvas) -> None:
    """Paint sky, meadow and a strip of water."""
    rng, (height, width) = canvas.rng, canvas.labels.shape
    wave = rng.uniform(0.02, 0.08) * height
    phase = canvas.columns / width * rng.uniform(3, 9) + rng.uniform(0, 6)
    horizon = rng.uniform(0.35, 0.55) * height + wave * np.sin(phase)
    canvas.paint(canvas.rows < horizon, (150, 190, 225), SKY)
    canvas.paint(canvas.rows >= horizon, (140, 165, 80), MEADOW)
    shore = horizon + rng.uniform(0.12, 0.35) * height
    river = rng.uniform(0.04, 0.12) * height
    canvas.paint(abs(canvas.rows - shore) < river, (120, 165, 195), WATER)


def _things(canvas: _Canvas) -> None:
    """Put trees, houses and, in two scenes of five, a balloon into the landscape."""
    rng, (height, width) = canvas.rng, canvas.labels.shape
    for _ in range(rng.integers(2, 6)):
        row, column = rng.uniform(0.4, 0.9) * height, rng.uniform(0, 1) * width
        size = rng.uniform(0.05, 0.12) * height
        canvas.paint(canvas.disc(row, column, size * 1.3, size), (75, 120, 55), TREE)
    for _ in range(rng.integers(0, 3)):
        row, column = rng.uniform(0.5, 0.85) * height, rng.uniform(0.1, 0.9) * width
        half = rng.uniform(0.04, 0.09) * height
        canvas.paint(canvas.box(row, column, half, half * 1.4), (190, 150, 120), HOUSE)
        roof = canvas.box(row - 1.3 * half, column, half * 0.4, half * 1.6)
        canvas.paint(roof, (150, 75, 60), HOUSE)
    if rng.random() < 0.4:
        row, column = rng.uniform(0.08, 0.3) * height, rng.uniform(0.1, 0.9) * width
        size = rng.uniform(0.03, 0.05) * height
        canvas.paint(canvas.disc(row, column, size * 1.2, size), (190, 80, 90), BALLOON)


def scene(
    rng: np.random.Generator, shape: tuple[int, int] = (192, 256), name: str = "scene"
) -> Scene:
    """Draw one scene.

    Parameters
    ----------
    rng : numpy.random.Generator
        The same generator state draws the same scene.
    shape : (rows, columns)
    name : str

    Examples
    --------
    >>> drawn = scene(np.random.default_rng(0), (48, 64))
    >>> drawn.image.shape, drawn.labels.dtype
    ((48, 64, 3), dtype('uint8'))
    """
    canvas = _Canvas(shape, rng)
    _landscape(canvas)
    _things(canvas)
    return Scene(name, canvas.image(), canvas.labels)


def scenes(
    count: int, seed: int = 0, shape: tuple[int, int] = (192, 256)
) -> Iterator[Scene]:
    """Draw a number of scenes, the same ones for the same seed.

    Examples
    --------
    >>> [drawn.name for drawn in scenes(2, shape=(48, 64))]
    ['scene-00', 'scene-01']
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        yield scene(rng, shape, f"scene-{number:02d}")
