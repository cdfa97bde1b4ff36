"""What a network says of an image of any size."""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from napari_alseg.arrays import (
    Bounds,
    Image,
    ImageTensor,
    LogitTensor,
    Prediction,
    PredictionField,
    ProbabilityTensor,
    SampleTensor,
    ScoreTensor,
)
from napari_alseg.errors import BadValue
from napari_alseg.segmentation.networks.device import half_precision
from napari_alseg.segmentation.networks.network import Network
from napari_alseg.settings import PredictionSettings

from .hooks import encoded_once, features_of, thinned
from .tiles import Blend, blend_features, blend_weight, tiles, to_tensor

logger = logging.getLogger(__name__)

SMALLEST_TILE = 128
"""Tiles become no smaller than this, in pixels, when memory is short."""


def prepared(
    network: Network, image: Image, settings: PredictionSettings
) -> ImageTensor:
    """Image's middle tile as the network takes it."""
    bounds = tiles(image.shape[:2], settings.tile, settings.overlap)
    middle = image[bounds[len(bounds) // 2].slices]
    return network.prepared(to_tensor(middle, network.device))


def predict(
    network: Network,
    image: Image,
    settings: PredictionSettings,
    *,
    needs: Collection[PredictionField] = (),
    passes: int = 0,
    dropout: float = 0.0,
    seed: int = 0,
) -> Prediction:
    """Class probabilities of an image, and what else is needed.

    All is float32 on the network's device. Logits, not probabilities, are blended
    where tiles overlap: one softmax then serves the whole image, and two tiles that
    disagree do not look like an uncertain pixel.

    Features are the input of the last convolution. They span the image exactly; for
    tiles and padded images `blend_coarse` says how.

    When graphics memory is full fewer tiles pass at once, then tiles are halved; the
    network remembers what fits. If nothing does, a copy of it predicts on the CPU. Each
    time the log says so.

    Parameters
    ----------
    network : Network
        It computes on the device where its weights are, in evaluation mode.
    image : uint8 array of shape (H, W, 3)
    settings : PredictionSettings
    needs : collection of str
        Fields of the prediction that are computed beside the probability: any of
        'mirrored', 'samples', 'features' and 'difficulty'. Others are not computed
        here and stay None.
    passes : int
        Number of samples T; DEAL's baseline takes 10.
    dropout : float
        Share of channels that are left out in each of these passes, from 0 to below
        1; DEAL's baseline takes 0.2.
    seed : int
        0 or more; same seed, same channels left out.

    Raises
    ------
    BadValue
        If samples are needed and there are fewer than two passes or the share is out
        of its limits, if the network has no difficulty branch, or no last convolution.
    """
    _check(network, needs, passes, dropout)
    seeds = [(seed, index) for index in range(passes) if "samples" in needs]
    able: Network | None = network
    while able is not None:
        fitting = _fitting(network, settings)
        try:
            found = _predict(able, image, fitting, needs, dropout, seeds)
            return found if able is network else _moved(found, network.device)
        except torch.OutOfMemoryError:
            if able is not network:
                raise
        # Outside of the handler, which keeps the tensors alive.
        able = _retreat(network, (image.shape[0], image.shape[1]), fitting)
    raise torch.OutOfMemoryError(
        f"memory is full, though tiles are of {fitting.tile} pixels and alone: close "
        "what else needs memory, or make the images smaller"
    )


def _fitting(network: Network, settings: PredictionSettings) -> PredictionSettings:
    """Return the settings, cut down to what fits into memory."""
    if network.fits is None:
        return settings
    tile = min(settings.tile, network.fits.tile)
    return replace(
        settings,
        tile=tile,
        overlap=min(settings.overlap, tile // 2),
        batch_size=min(settings.batch_size, network.fits.batch_size),
    )


def _retreat(
    network: Network, shape: tuple[int, int], settings: PredictionSettings
) -> Network | None:
    """Need less memory from now on; return what can predict then.

    That is the network, a copy of it on the CPU, or None.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    count = len(tiles(shape, settings.tile, settings.overlap))
    at_once = min(settings.batch_size, count) // 2
    tile = min(settings.tile, max(shape)) // 2
    full = "the graphics memory is full"
    if at_once:
        network.fits = replace(settings, batch_size=at_once)
        logger.warning("%s: %d tiles at a time now", full, at_once)
    elif tile >= SMALLEST_TILE:
        network.fits = replace(settings, tile=tile)
        logger.warning("%s: tiles are at most %d pixels now", full, tile)
    elif (copy := _on_cpu(network)) is not None:
        logger.warning("%s even so: the CPU looks at this image, slowly", full)
        return copy
    else:
        return None
    return network


def _on_cpu(network: Network) -> Network | None:
    """Copy on the CPU; None if it is there.

    No other copy is made on the way: there is no memory for it.
    """
    if network.device.type == "cpu":
        return None
    here: dict[int, Any] = {
        id(each): torch.nn.Parameter(each.detach().cpu(), each.requires_grad)
        for each in network.parameters()
    }
    here |= {id(each): each.cpu() for each in network.buffers()}
    return deepcopy(network, here)


def _moved(prediction: Prediction, device: torch.device) -> Prediction:
    """Return the same prediction elsewhere."""
    tensors = {
        entry.name: value.to(device)
        for entry in fields(prediction)
        if (value := getattr(prediction, entry.name)) is not None
    }
    return replace(prediction, **tensors)


def _predict(
    network: Network,
    image: Image,
    settings: PredictionSettings,
    needs: Collection[PredictionField],
    dropout: float,
    seeds: Sequence[tuple[int, int]],
) -> Prediction:
    """Return what is needed of an image, if memory holds it."""
    images = to_tensor(image, network.device)  # (1, 3, H, W)
    with _evaluating(network), torch.inference_mode():
        prediction = _see(network, images, settings, needs, dropout, seeds)
        if "mirrored" not in needs:
            return prediction
        mirrored = _see(network, images.flip(-1), settings).probability
    return replace(prediction, mirrored=mirrored.flip(-1))


def _check(
    network: Network, needs: Collection[PredictionField], passes: int, dropout: float
) -> None:
    if "samples" in needs and (passes < 2 or not 0 <= dropout < 1):
        raise BadValue(
            "samples need two or more passes and a dropout from 0 to below 1, got "
            f"{passes} passes with {dropout}; take for example 10 passes with 0.2"
        )
    if "difficulty" in needs and network.difficulty is None:
        raise BadValue(
            "this network has not learnt where it errs: learn by the recipe "
            "'difficulty', as the systems of DEAL do, and ask again"
        )


@contextmanager
def _evaluating(network: Network) -> Iterator[None]:
    """Within, the network is in evaluation mode."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)


def _see(
    network: Network,
    images: ImageTensor,
    settings: PredictionSettings,
    needs: Collection[PredictionField] = (),
    dropout: float = 0.0,
    seeds: Sequence[tuple[int, int]] = (),
) -> Prediction:
    """Return what is needed of an image (1, 3, H, W).

    There is one pass with dropout for each seed; the mirror image is left out.
    """
    shape = images.shape[-2], images.shape[-1]
    bounds = tiles(shape, settings.tile, settings.overlap)
    weight = blend_weight(bounds[0].shape, settings.overlap).to(images.device)
    view = _View(network, shape, weight, needs, dropout, seeds)
    for start in range(0, len(bounds), settings.batch_size):
        some = bounds[start : start + settings.batch_size]
        batch = torch.cat([images[..., *each.slices] for each in some])  # (B, 3, h, w)
        view.add(some, batch)
    return view.prediction(bounds)


class _View:
    """What is needed of one image, blended tile by tile.

    Parameters
    ----------
    network : Network
    shape : (rows, columns)
        Of the image.
    weight : tensor of shape (h, w)
        How much each pixel of a tile counts.
    needs : collection of str
    dropout : float
    seeds : sequence of (int, int)
        One for each pass with dropout.
    """

    def __init__(
        self,
        network: Network,
        shape: tuple[int, int],
        weight: ScoreTensor,
        needs: Collection[PredictionField],
        dropout: float,
        seeds: Sequence[tuple[int, int]],
    ) -> None:
        self._network, self._shape, self._weight = network, shape, weight
        self._needs, self._dropout, self._seeds = needs, dropout, seeds
        self._logits, self._difficulty = Blend(shape), Blend(shape)
        self._samples = [Blend(shape) for _ in seeds]
        self._features: list[Tensor] = []

    def add(self, some: Sequence[Bounds], batch: ImageTensor) -> None:
        """Look at some tiles, of shape (B, 3, h, w)."""
        network, weight = self._network, self._weight
        wanted = "features" in self._needs
        with encoded_once(network) if self._seeds else nullcontext():
            with features_of(network, self._features) if wanted else nullcontext():
                found = _logits(network, batch)  # (B, C, h, w)
            self._logits.add(some, found, weight)
            if "difficulty" in self._needs and network.difficulty is not None:
                self._difficulty.add(some, network.difficulty(found)[:, None], weight)
            for sample, seed in zip(self._samples, self._seeds, strict=True):
                with thinned(network, self._dropout, seed):
                    found = _logits(network, batch)
                sample.add(some, found, weight)

    def prediction(self, bounds: Sequence[Bounds]) -> Prediction:
        """Return what was seen in all tiles; to be called once."""
        probability = _probability(self._logits)
        samples = features = difficulty = None
        if self._seeds:
            samples = _samples(self._samples)
        if self._features:
            stride = self._network.stride
            features = blend_features(
                self._features, bounds, self._shape, stride, self._weight
            )
        if "difficulty" in self._needs:
            difficulty = self._difficulty.mean()[0].sigmoid()
        return Prediction(
            probability, samples=samples, features=features, difficulty=difficulty
        )


def _logits(network: Network, batch: ImageTensor) -> LogitTensor:
    """Logits of a batch of tiles; (B, C, h, w)."""
    with half_precision(network.device):
        logits: LogitTensor = network(batch)
    return logits


def _probability(logits: Blend) -> ProbabilityTensor:
    """Softmax over classes; (C, H, W)."""
    return torch.softmax(logits.mean(), dim=0)


def _samples(logits: list[Blend]) -> SampleTensor:
    """Softmax of each pass; (T, C, H, W).

    The list is emptied, which spares memory.
    """
    first = _probability(logits.pop(0))
    samples = first.new_empty(len(logits) + 1, *first.shape)
    samples[0] = first
    for sample in samples[1:]:
        sample.copy_(_probability(logits.pop(0)))
    return samples
