import importlib
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.acquisition import entropy, impurity, region_uncertainty, ripu
from napari_alseg.errors import BadValue

module = importlib.import_module("napari_alseg.acquisition.impurity")

HAND = torch.tensor([[0, 0, 1, 1], [0, 2, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]])


def random_probability(seed, classes=4, height=7, width=9):
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(classes, height, width, generator=generator)).softmax(0)


def windows(image, radius):
    """Each pixel with its window, cut off at the border."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            rows = slice(max(row - radius, 0), row + radius + 1)
            columns = slice(max(column - radius, 0), column + radius + 1)
            yield row, column, image[rows, columns]


def brute_impurity(prediction, classes, radius):
    result = torch.empty(prediction.shape)
    for row, column, window in windows(prediction, radius):
        share = torch.bincount(window.flatten().long(), minlength=classes).double()
        share /= share.sum()
        result[row, column] = torch.special.entr(share).sum() / math.log(classes)
    return result


def brute_mean(image, radius):
    result = torch.empty(image.shape)
    for row, column, window in windows(image, radius):
        result[row, column] = window.double().mean()
    return result


def test_hand_worked_impurity():
    score = impurity(HAND, 3, 1)
    assert score[1, 1].item() == pytest.approx(0.8528, abs=5e-5)
    assert score[0, 0].item() == pytest.approx(0.5119, abs=5e-5)
    assert score[0, 3].item() == score[3, 0].item() == 0


@pytest.mark.parametrize(("classes", "wanted"), [(2, 0.9911), (19, 0.2333)])
def test_five_to_four(classes, wanted):
    prediction = torch.tensor([[0, 0, 0], [0, 0, 1], [1, 1, 1]])
    score = impurity(prediction, classes, 1)[1, 1]
    assert score.item() == pytest.approx(wanted, abs=5e-5)


def test_evenly_mixed_is_one():
    assert impurity(torch.tensor([[0, 1], [2, 3]]), 4, 1)[0, 0].item() == pytest.approx(
        1
    )


def test_more_classes_than_a_byte_counts():
    prediction = torch.arange(300).reshape(15, 20)
    torch.testing.assert_close(
        impurity(prediction, 300, 2), brute_impurity(prediction, 300, 2)
    )


@settings(max_examples=25)
@given(
    st.integers(0, 2**31),
    st.integers(2, 5),
    st.integers(0, 6),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_both_ways_equal_brute_force(seed, classes, radius, shape):
    probability = random_probability(seed, classes, *shape)
    prediction, doubt = probability.argmax(0), entropy(probability)
    wanted = brute_impurity(prediction, classes, radius)
    mean = brute_mean(doubt, radius)
    close = {"atol": 2e-6, "rtol": 0}
    torch.testing.assert_close(impurity(prediction, classes, radius), wanted, **close)
    torch.testing.assert_close(
        module._pooled_impurity(prediction, classes, radius), wanted, **close
    )
    torch.testing.assert_close(region_uncertainty(probability, radius), mean, **close)
    torch.testing.assert_close(module._box_mean(doubt, radius), mean, **close)
    torch.testing.assert_close(ripu(probability, radius), wanted * mean, **close)


def test_bands_of_rows_join_without_a_seam(monkeypatch):
    probability = random_probability(0, height=23)
    wanted = ripu(probability, 3)
    monkeypatch.setattr(module, "ROWS", 4)
    torch.testing.assert_close(ripu(probability, 3), wanted, atol=1e-6, rtol=0)


def test_zero_exactly_where_a_window_has_one_class():
    prediction = torch.zeros(9, 9, dtype=torch.int64)
    prediction[4, 4] = 1
    for score in (
        impurity(prediction, 3, 1),
        module._pooled_impurity(prediction, 3, 1),
    ):
        assert torch.equal(score > 0, brute_mean(prediction.float(), 1) > 0)


def test_invariant_to_the_names_of_classes_and_to_flips():
    prediction = random_probability(5).argmax(0)
    score = impurity(prediction, 4, 2)
    renamed = torch.tensor([2, 0, 3, 1])[prediction]
    torch.testing.assert_close(impurity(renamed, 4, 2), score)
    for axis in (0, 1):
        flipped = impurity(prediction.flip(axis), 4, 2)
        torch.testing.assert_close(flipped, score.flip(axis))


def test_uniform_doubt_is_one_everywhere():
    score = region_uncertainty(torch.full((3, 4, 5), 1 / 3), 2)
    torch.testing.assert_close(score, torch.ones(4, 5))


def test_radius_zero_of_the_doubt_is_the_entropy():
    probability = random_probability(1)
    torch.testing.assert_close(region_uncertainty(probability, 0), entropy(probability))


def test_best_class_is_the_lowest_of_a_tie():
    probability = torch.tensor([0.2, 0.4, 0.4]).reshape(3, 1, 1)
    assert module._best_class(probability).item() == 1
    assert module._doubt_and_class(probability)[1].item() == 1


def test_one_pass_finds_entropy_and_class():
    probability = random_probability(3, 6, 40, 50)
    probability[:, 0, 0] = torch.eye(6)[4]
    doubt, best = module._doubt_and_class(probability)
    torch.testing.assert_close(doubt, entropy(probability), atol=1e-6, rtol=0)
    assert torch.equal(best.long(), probability.argmax(0))
    assert torch.equal(best, module._best_class(probability))
    assert doubt[0, 0] == 0


def test_the_memory_format_does_not_show():
    probability = random_probability(2)
    channels_last = probability.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    torch.testing.assert_close(ripu(channels_last, 1), ripu(probability, 1))
    transposed = impurity(HAND.T, 3, 1)
    torch.testing.assert_close(transposed, impurity(HAND, 3, 1).T)


@pytest.mark.parametrize(
    ("prediction", "classes", "text"),
    [
        (HAND, 2, "0..1, got 0 to 2"),
        (HAND - 1, 3, "got -1"),
        (torch.zeros(2, 2, dtype=torch.int64), 1, "two classes"),
        (torch.zeros(0, 2, dtype=torch.int64), 3, "two classes"),
    ],
)
def test_a_prediction_that_does_not_fit_is_refused(prediction, classes, text):
    with pytest.raises(BadValue, match=text):
        impurity(prediction, classes, 1)


def test_a_negative_radius_is_refused():
    probability = random_probability(0)
    for call in (
        lambda: impurity(HAND, 3, -1),
        lambda: region_uncertainty(probability, -1),
        lambda: ripu(probability, -1),
    ):
        with pytest.raises(BadValue, match="radius"):
            call()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("radius", [0, 1, 16])
def test_cuda_gives_the_same(radius):
    probability = random_probability(0, 19, 64, 80)
    torch.testing.assert_close(
        ripu(probability.cuda(), radius).cpu(), ripu(probability, radius)
    )
