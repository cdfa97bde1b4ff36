import numpy as np

from napari_alseg.arrays import IGNORE, Progress, finish
from napari_alseg.segmentation import Example, evaluate, predict
from napari_alseg.settings import PredictionSettings

SETTINGS = PredictionSettings()


def test_a_network_agrees_with_its_own_prediction(tiny_network, examples):
    own = []
    for example in examples:
        best = predict(tiny_network, example.image, SETTINGS).probability.argmax(0)
        targets = best.numpy().astype(np.uint8)
        targets[0] = IGNORE
        own.append(Example(example.image, targets))
    confusion = finish(evaluate(tiny_network, own, SETTINGS))
    assert confusion.shape == (3, 3)
    assert confusion.sum() == np.trace(confusion) == 6 * 31 * 40


def test_each_image_is_a_step(tiny_network, examples):
    steps = list(evaluate(tiny_network, examples, SETTINGS))
    assert steps[-1] == Progress(6, 6, "measuring")
    assert len(steps) == 6


def test_no_examples_count_nothing(tiny_network):
    assert finish(evaluate(tiny_network, [], SETTINGS)).sum() == 0
