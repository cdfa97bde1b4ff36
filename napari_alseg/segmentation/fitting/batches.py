"""Crops of partly labelled images, ahead of the training loop."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from math import ceil
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image as PictureFile
from PIL.Image import Resampling
from torch import Tensor

from napari_alseg.arrays import (
    IGNORE,
    Bounds,
    Image,
    ImageTensor,
    TargetMap,
    TargetTensor,
)
from napari_alseg.prefetch import prefetch
from napari_alseg.settings import TrainingSettings

AHEAD = 2
"""Batches that are prepared while one is learned."""

MULTIPLE = 32
"""Crops are a multiple of this, so that no network has to pad them."""

LUMA = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the brightness of a colour (ITU-R BT.601)."""


@dataclass(frozen=True)
class Example:
    """An image and what is known of it."""

    image: Image
    targets: TargetMap


class Draw(NamedTuple):
    """The random numbers of one crop, each uniform in 0..1.

    They are drawn before the crop is made, so that the crops do not depend on which
    thread is faster.
    """

    zoom: float
    pixel: float
    row: float
    column: float
    flip: float
    brightness: float
    contrast: float
    saturation: float


Crop = tuple[Image, TargetMap]
"""Colours, uint8 (h, w, 3), and targets, uint8 (h, w)."""


def steps_per_epoch(examples: int, settings: TrainingSettings) -> int:
    """Return the batches of an epoch.

    In these each example comes up at least once.
    """
    return ceil(examples / settings.batch_size)


class Batch(NamedTuple):
    """Crops and what is known of them."""

    images: ImageTensor
    """Colours 0..1, float32 (B, 3, h, w)."""
    targets: TargetTensor
    """uint8 (B, h, w)."""


def batches(
    examples: Sequence[Example],
    settings: TrainingSettings,
    device: torch.device,
    *,
    seed: int,
    start: int = 0,
    shape: tuple[int, int] | None = None,
) -> Generator[Batch, None, None]:
    """Batches of one epoch after the other, without end.

    All have the same shape. A last batch of an epoch that would be smaller is filled
    from the epoch's beginning, so that batch normalisation always has a variance.
    The examples are read in background threads, which end when this is closed.

    Parameters
    ----------
    examples : sequence of Example
        May read from disk; it must allow to be indexed by several threads.
    settings : TrainingSettings
    device : torch.device
    seed : int
        Same seed, same batches.
    start : int
        Batches to leave out, as if they had been taken before.
    shape : (rows, columns), optional
        Of the crops, when not as `crop_shape` says.
    """
    shape = shape or crop_shape(examples, settings)
    plans: deque[list[Draw]] = deque()

    def calls() -> Iterator[Callable[[], Crop]]:
        for indices, draws in plan(len(examples), settings, seed, start):
            plans.append(draws)
            for index, draw in zip(indices, draws, strict=True):
                yield partial(_read_and_crop, examples, index, shape, settings, draw)

    with closing(ahead(calls(), settings)) as ready:
        for crops in ready:
            yield Batch(*collate(crops, plans.popleft(), settings, device))


T = TypeVar("T")


def ahead(
    calls: Iterator[Callable[[], T]], settings: TrainingSettings
) -> Generator[list[T], None, None]:
    """Results of calls, a batch at a time, made in the background.

    Parameters
    ----------
    calls : iterator of callables
        One for each crop of each batch.
    settings : TrainingSettings
        Their `batch_size` says how many make a batch.

    Examples
    --------
    >>> calls = iter([lambda: 1, lambda: 2, lambda: 3, lambda: 4])
    >>> list(ahead(calls, TrainingSettings(batch_size=2)))
    [[1, 2], [3, 4]]
    """
    size = settings.batch_size
    with closing(prefetch(calls, threads(settings), AHEAD * size + 1)) as ready:
        while batch := list(islice(ready, size)):
            yield batch


def threads(settings: TrainingSettings) -> int:
    """Return how many threads read.

    Most cores are left to the network.
    """
    return max(1, min(settings.batch_size, (os.cpu_count() or 1) // 2))


def generator_of(seed: int, epoch: int) -> torch.Generator:
    """Return the random generator of one epoch."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)


def draws(size: int, generator: torch.Generator) -> list[Draw]:
    """Draw the random numbers of so many crops."""
    numbers = torch.rand(size, len(Draw._fields), generator=generator)
    return [Draw(*row) for row in numbers.tolist()]


def plan(
    examples: int, settings: TrainingSettings, seed: int, start: int
) -> Iterator[tuple[list[int], list[Draw]]]:
    """Yield each batch's indices and random numbers.

    The first is batch number `start`.
    """
    size = settings.batch_size
    steps = steps_per_epoch(examples, settings)
    for epoch in count(start // steps):
        generator = generator_of(seed, epoch)
        order = torch.randperm(examples, generator=generator).tolist()
        for step in range(steps):
            places = range(step * size, (step + 1) * size)
            numbers = draws(size, generator)
            if epoch * steps + step >= start:
                yield [order[place % examples] for place in places], numbers


def crop_shape(
    examples: Sequence[Example], settings: TrainingSettings, looks: int = 16
) -> tuple[int, int]:
    """Rows and columns of every crop of a run.

    The largest image, at most `settings.crop`, rounded up to what networks take. Only
    a few examples, spread evenly, are read for it.
    """
    places = np.linspace(0, len(examples) - 1, min(looks, len(examples))).round()
    shapes = [examples[int(place)].targets.shape for place in places]
    largest = np.minimum(np.max(shapes, axis=0), settings.crop)
    rows, columns = np.ceil(largest / MULTIPLE).astype(int) * MULTIPLE
    return int(rows), int(columns)


def _read_and_crop(
    examples: Sequence[Example],
    index: int,
    shape: tuple[int, int],
    settings: TrainingSettings,
    draw: Draw,
) -> Crop:
    return crop(examples[index], shape, settings, draw)


def crop(
    example: Example, shape: tuple[int, int], settings: TrainingSettings, draw: Draw
) -> Crop:
    """Cut out, zoom and mirror a labelled part.

    Colours beyond the image repeat it by reflection, as at prediction; their targets
    are ignored. NumPy and Pillow do this, not torch: a second thread with OpenMP loops
    makes those of the training loop a third slower.

    Parameters
    ----------
    example : Example
    shape : (rows, columns)
        Of the crop.
    settings : TrainingSettings
    draw : Draw

    Returns
    -------
    colours : uint8 array of shape (rows, columns, 3)
    targets : uint8 array of shape (rows, columns)
    """
    zoom = settings.scale ** (2 * draw.zoom - 1)
    window = _window(example.targets, [ceil(side / zoom) for side in shape], draw)
    height, width = (
        min(side, max(1, round(part * zoom)))
        for side, part in zip(shape, window.shape, strict=True)
    )
    colours = np.ascontiguousarray(example.image[window.slices])
    targets = _nearest(example.targets[window.slices], height, width)
    if colours.shape[:2] != (height, width):
        picture = PictureFile.fromarray(colours)
        colours = np.asarray(picture.resize((width, height), Resampling.BILINEAR))
    if settings.flip and draw.flip < 0.5:
        colours, targets = colours[:, ::-1], targets[:, ::-1]
    rows, columns = _reflected(height, shape[0]), _reflected(width, shape[1])
    beyond = (0, shape[0] - height), (0, shape[1] - width)
    return (
        colours[rows[:, None], columns],
        np.pad(targets, beyond, constant_values=IGNORE),
    )


def _window(targets: TargetMap, size: list[int], draw: Draw) -> Bounds:
    """Choose a rectangle around a labelled pixel, if any."""
    labelled = np.flatnonzero(targets != IGNORE)
    if len(labelled):
        place = int(labelled[int(draw.pixel * len(labelled))])
    else:
        place = int(draw.pixel * targets.size)
    pixel = divmod(place, targets.shape[1])
    starts, stops = [], []
    for middle, side, length, number in zip(
        pixel, size, targets.shape, (draw.row, draw.column), strict=True
    ):
        side = min(side, length)
        first, last = max(0, middle - side + 1), min(middle, length - side)
        start = first + int(number * (last - first + 1))
        starts.append(start)
        stops.append(start + side)
    return Bounds(starts[0], starts[1], stops[0], stops[1])


def _nearest(targets: TargetMap, height: int, width: int) -> TargetMap:
    """Zoom targets to the nearest pixel.

    Colours are sampled at the same places.
    """
    rows = (np.arange(height) + 0.5) * (targets.shape[0] / height)
    columns = (np.arange(width) + 0.5) * (targets.shape[1] / width)
    zoomed: TargetMap = targets[rows.astype(int)[:, None], columns.astype(int)]
    return zoomed


def _reflected(length: int, size: int) -> np.ndarray:
    """Return the indices that reflect an axis.

    They are 0, 1 .. length - 1, length - 1 .. 0, 0 .. for `size` places.
    """
    place = np.arange(size) % (2 * length)
    index: np.ndarray = np.minimum(place, 2 * length - 1 - place)
    return index


def collate(
    crops: Sequence[Crop],
    draws: Sequence[Draw],
    settings: TrainingSettings,
    device: torch.device,
) -> tuple[ImageTensor, TargetTensor]:
    """Put crops on the device as one batch, their colours jittered."""
    images, targets = to_device(crops, device)
    factors = torch.tensor([each[-3:] for each in draws], device=device)  # (B, 3)
    return jitter(images, 1 + settings.jitter * (2 * factors - 1)), targets


def to_device(
    crops: Sequence[Crop], device: torch.device
) -> tuple[ImageTensor, TargetTensor]:
    """Put crops on the device: colours 0..1 and targets."""
    colours = torch.from_numpy(np.stack([each for each, _ in crops]))  # (B, h, w, 3)
    targets = torch.from_numpy(np.stack([each for _, each in crops]))  # (B, h, w)
    if device.type == "cuda":
        colours, targets = colours.pin_memory(), targets.pin_memory()
    images = colours.to(device, non_blocking=True).permute(0, 3, 1, 2)  # (B, 3, h, w)
    images = images.float().div_(255.0)  # channels last in memory
    return images, targets.to(device, non_blocking=True)


def jitter(images: ImageTensor, factors: Tensor) -> ImageTensor:
    """Images with other brightness, contrast and saturation, 0..1.

    The three are one affine map of colours: saturation pulls towards the grey of a
    pixel, contrast towards the mean grey of the image.

    Parameters
    ----------
    images : tensor of shape (B, 3, h, w)
        0..1.
    factors : tensor of shape (B, 3)
        Of brightness, contrast and saturation; 1 changes nothing.
    """
    brightness, contrast, saturation = factors[:, :, None, None].unbind(1)  # (B, 1, 1)
    luma = images.new_tensor(LUMA)  # (3,)
    grey = luma.expand(3, 3)
    identity = torch.eye(3, device=images.device)
    linear = saturation * identity + (1 - saturation) * grey  # (B, 3, 3)
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, 3)
    mean = (pixels.mean(1, keepdim=True) * luma).sum(-1, keepdim=True)  # (B, 1, 1)
    changed = torch.baddbmm(
        (1 - contrast) * brightness * mean,
        pixels,
        (contrast * brightness * linear).transpose(1, 2),
    )  # (B, N, 3)
    count, _, height, width = images.shape
    changed = changed.clamp_(0.0, 1.0).view(count, height, width, 3)
    return changed.permute(0, 3, 1, 2)
