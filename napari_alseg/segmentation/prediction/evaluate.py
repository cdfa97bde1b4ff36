"""How well a network segments images whose ground truth is known."""

from collections.abc import Sequence

import numpy as np

from napari_alseg.arrays import Progress, Task
from napari_alseg.metrics import confusion_matrix
from napari_alseg.segmentation.fitting.batches import Example
from napari_alseg.segmentation.networks.network import Network
from napari_alseg.settings import PredictionSettings

from .predict import predict


def evaluate(
    network: Network, examples: Sequence[Example], settings: PredictionSettings
) -> Task[np.ndarray]:
    """Confusion matrix over all examples.

    One image is in memory at a time.

    Yields one `Progress` an image.

    Returns
    -------
    int64 array of shape (C, C)
        Rows are true classes, columns predicted ones.
    """
    confusion = np.zeros((network.classes, network.classes), np.int64)
    for index in range(len(examples)):
        example = examples[index]
        probability = predict(network, example.image, settings).probability
        best = probability.max(0).indices  # (H, W); argmax is eight times as slow
        prediction = best.cpu().numpy().astype(np.uint8)
        confusion += confusion_matrix(example.targets, prediction, network.classes)
        yield Progress(index + 1, len(examples), "measuring")
    return confusion
