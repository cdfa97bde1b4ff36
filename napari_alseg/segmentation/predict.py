"""What a network says of an image of any size."""

from typing import cast

import numpy as np
import torch
from torch import Tensor

from napari_alseg.arrays import Image, LogitTensor, Prediction, ProbabilityTensor
from napari_alseg.settings import PredictionSettings

from .device import half_precision
from .network import Network
from .tiles import blend_weight, tiles


def to_tensor(image: Image, device: torch.device) -> Tensor:
    """Colours 0..1 as a float32 batch of one, channels last; (1, 3, H, W).

    Parameters
    ----------
    image : uint8 array of shape (H, W, 3)
    """
    pixels = torch.from_numpy(np.array(image)).to(device)  # (H, W, 3)
    return pixels.permute(2, 0, 1)[None].float().div_(255.0)  # (1, 3, H, W)


def predict(
    network: Network,
    image: Image,
    settings: PredictionSettings,
    *,
    mirrored: bool = False,
) -> Prediction:
    """Class probabilities of one image, float32 on the network's device.

    Logits, not probabilities, are blended where tiles overlap: one softmax then serves
    the whole image, and two tiles that disagree do not look like an uncertain pixel.

    Parameters
    ----------
    network : Network
        It computes on the device where its weights are, in evaluation mode.
    image : uint8 array of shape (H, W, 3)
    settings : PredictionSettings
    mirrored : bool
        Whether to predict the image mirrored left to right as well.
    """
    images = to_tensor(image, network.device)  # (1, 3, H, W)
    was_training = network.training
    if was_training:
        network.eval()
    with torch.inference_mode(), half_precision(network.device):
        probability = _probability(network, images, settings)
        other = _probability(network, images.flip(-1), settings) if mirrored else None
    if was_training:
        network.train()
    return Prediction(probability, None if other is None else other.flip(-1))


def _probability(
    network: Network, images: Tensor, settings: PredictionSettings
) -> ProbabilityTensor:
    """Softmax of the logits of one image; (C, H, W)."""
    logits = _logits(network, images, settings)[0]  # (C, H, W)
    return torch.softmax(logits, dim=0, dtype=torch.float32)


def _logits(
    network: Network, images: Tensor, settings: PredictionSettings
) -> LogitTensor:
    """Logits of one image, tiles blended; (1, C, H, W)."""
    height, width = images.shape[-2:]
    bounds = tiles((height, width), settings.tile, settings.overlap)
    if len(bounds) == 1:
        return cast(Tensor, network(images))
    weight = blend_weight(bounds[0].shape, settings.overlap).to(images.device)
    total = images.new_zeros(1, network.classes, height, width)
    weights = images.new_zeros(height, width)
    for start in range(0, len(bounds), settings.batch_size):
        some = bounds[start : start + settings.batch_size]
        batch = torch.cat([images[..., *each.slices] for each in some])  # (B, 3, h, w)
        for each, logits in zip(some, network(batch), strict=True):
            total[0, :, *each.slices] += logits * weight  # (C, h, w)
            weights[each.slices] += weight
    return total.div_(weights)
