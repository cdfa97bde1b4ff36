import numpy as np
import pytest
import torch
from coloured import blocks, colours, held, of_class
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from napari_alseg.arrays import IGNORE, finish
from napari_alseg.segmentation import Example, predict
from napari_alseg.segmentation.cisc_r import pseudo
from napari_alseg.segmentation.cisc_r.pseudo import (
    SCALES,
    Anchors,
    class_anchors,
    class_losses,
    pseudo_labels,
    query_half,
    rectification,
    reliable_half,
    unreliability,
)
from napari_alseg.settings import PredictionSettings

PREDICTION = PredictionSettings(device="cpu")


def test_pseudo_labels_are_the_mean_over_sizes_and_mirror_images(tiny_network):
    image = blocks(1, 0, 100)[0].image[:31, :37]
    targets, confidence = pseudo_labels(tiny_network, image, PREDICTION)
    total = np.zeros((3, 31, 37))
    for scale in SCALES:
        small = pseudo._resized(image, scale)
        assert small.shape[:2] == (round(31 * scale), round(37 * scale))
        for flip in (1, -1):
            seen = predict(
                tiny_network, np.ascontiguousarray(small[:, ::flip]), PREDICTION
            ).probability
            large = functional.interpolate(seen[None], (31, 37), mode="bilinear")[0]
            total += large.numpy()[:, :, ::flip] / 10
    assert targets.dtype == np.uint8
    assert np.array_equal(targets, total.argmax(0))
    np.testing.assert_allclose(confidence, total.max(0), atol=1e-5)
    assert confidence.max() <= 1


def test_a_picture_of_one_pixel_has_pseudo_labels(tiny_network):
    targets, confidence = pseudo_labels(
        tiny_network, np.zeros((1, 1, 3), np.uint8), PREDICTION
    )
    assert targets.shape == confidence.shape == (1, 1)


def test_anchors_are_mean_prototypes_of_the_images_that_show_a_class():
    """Class 0 is red in the one image and, by its labels, green in the other."""
    first, second = of_class(0, 1), of_class(1, 1)
    second = Example(second.image, np.where(np.arange(16) < 3, 0, IGNORE)[None])
    second = Example(second.image, second.targets.repeat(32, 0).astype(np.uint8))
    found = finish(class_anchors(colours(), [first, second], PREDICTION))
    assert found.seen.tolist() == [True, True, False]
    expected = [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    torch.testing.assert_close(found.vectors, torch.tensor(expected))


def test_a_class_without_an_anchor_is_not_compared():
    anchors = Anchors(torch.eye(3), np.array([True, True, False]))
    losses = class_losses(colours(), of_class(0, 2), anchors, PREDICTION)
    assert np.isnan(losses).tolist() == [False, True, True]
    unseen = Anchors(torch.eye(3), np.zeros(3, bool))
    assert unreliability(colours(), of_class(0, 2), unseen, PREDICTION) == np.inf


def test_class_losses_are_means_over_the_labelled_pixels():
    """Class 0 against red: two red pixels are right, a green one is wrong."""
    image = (np.eye(3)[[0, 0, 1, 1]][None] * 255).astype(np.uint8)
    targets = np.array([[0, 0, 0, IGNORE]], np.uint8)
    anchors = Anchors(torch.eye(3), np.ones(3, bool))
    losses = class_losses(colours(), Example(image, targets), anchors, PREDICTION)
    expected = -np.log([1 - 1e-4, 1 - 1e-4, 1e-4]).mean()
    assert losses[0] == pytest.approx(expected, rel=1e-3)


def test_unreliability_is_the_mean_over_classes():
    anchors = Anchors(torch.eye(3) + 0.5, np.ones(3, bool))
    three = of_class(0, 1, 2)
    losses = class_losses(colours(), three, anchors, PREDICTION)
    found = unreliability(colours(), three, anchors, PREDICTION)
    assert found == pytest.approx(losses.mean())


def test_wrong_pseudo_labels_are_unreliable():
    right = blocks(1, 0, 100)[0]
    wrong = Example(right.image, (2 - right.targets).astype(np.uint8))
    anchors = finish(class_anchors(colours(), blocks(3, 5, 100), PREDICTION))
    scores = [
        unreliability(colours(), each, anchors, PREDICTION) for each in (wrong, right)
    ]
    assert reliable_half(scores) == [1]


@settings(max_examples=100)
@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, np.inf]), max_size=9))
def test_the_reliable_half_is_the_lower_one(scores):
    reliable = reliable_half(scores)
    others = [index for index in range(len(scores)) if index not in reliable]
    assert len(reliable) == len(scores) // 2
    assert reliable == sorted(set(reliable))
    for index in reliable:  # ties go to the first
        assert all((scores[index], index) < (scores[each], each) for each in others)


def test_the_better_half_of_each_class_is_queried():
    classes = held((0,), (0, 1), (0, 1), (0, 1), (2,))
    losses = np.full((5, 3), np.nan)
    losses[:4, 0] = 0.4, 0.1, 0.3, 0.2
    losses[1:4, 1] = 0.1, np.nan, 0.1
    losses[0, 1] = 0.0  # of a class that it hardly shows
    expected = held((), (0, 1), (), (0, 1), (2,))
    assert np.array_equal(query_half(classes, losses), expected)


def test_rectification_is_the_mean_over_shared_classes():
    """Red against red (m = 1, s = 1) and against green (m = 0, s = 0) count in full."""
    example, other = of_class(0, 1), of_class(1, 0, 2)
    weight = rectification(colours(), example, other, PREDICTION)
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, 1.0)
    turned = Example(example.image, 1 - example.targets)
    weight = rectification(colours(), turned, other, PREDICTION)
    np.testing.assert_allclose(weight, 0.0)


def test_a_pixel_that_suits_one_of_two_shared_classes_counts_half():
    """Beside red (class 0) and blue (class 1) green suits the class it is not."""
    example = Example(of_class(0, 1, 1).image, of_class(0, 0, 1).targets)
    other = Example(of_class(0, 2).image, of_class(0, 1).targets)
    weight = rectification(colours(), example, other, PREDICTION)
    expected = np.repeat([1.0, 0.5, 0.5], 8)[None].repeat(32, 0)
    np.testing.assert_allclose(weight, expected)


def test_rectification_without_a_shared_class_or_a_pseudo_label():
    example = of_class(0, 0)
    example.targets[:, :3] = IGNORE
    weight = rectification(colours(), example, of_class(1, 2, 2), PREDICTION)
    assert (weight[:, :3] == 0).all()
    assert (weight[:, 3:] == 1).all()
