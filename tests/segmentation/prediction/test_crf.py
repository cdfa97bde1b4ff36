from math import inf, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import IGNORE
from napari_alseg.errors import BadValue
from napari_alseg.segmentation import refine, spread

USUAL = {"iterations": 5, "radius": 4, "colour": 9.0, "weight": 5.0}
TRAVEL = {"iterations": 20, "radius": 4, "colour": 9.0, "weight": 10.0}


def distribution(seed, classes=3, height=7, width=9):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(classes, height, width, generator=generator)).softmax(0)


def noise(seed, height=7, width=9, channels=3, contrast=40):
    rng = np.random.default_rng(seed)
    return rng.integers(0, contrast, (height, width, channels)).astype(np.uint8)


def plain(height, width, grey=80):
    return np.full((height, width, 3), grey, np.uint8)


def two_halves(height=12, width=16):
    image = plain(height, width, 60)
    image[:, width // 2 :] = 180
    return image


# --- refine ---------------------------------------------------------------------------


def test_two_pixels_of_one_colour_by_hand():
    # Each hears only the other. Pixel 0: 0.8 e^0.4 : 0.2 e^0.6 = 1.1935 : 0.3644;
    # pixel 1: 0.4 e^0.8 : 0.6 e^0.2 = 0.8902 : 0.7328.
    probability = torch.tensor([[[0.8, 0.4]], [[0.2, 0.6]]])
    found = refine(
        probability, plain(1, 2), iterations=1, radius=1, colour=9.0, weight=1.0
    )
    wanted = torch.tensor([[[0.7661, 0.5485]], [[0.2339, 0.4515]]])
    torch.testing.assert_close(found, wanted, atol=5e-5, rtol=0)


def test_two_pixels_of_two_colours_by_hand():
    # Radius 1: the Gaussian has a width of (1 + 1) / 2 = 1. The appearance kernel is
    # e^-0.5 = 0.6065, times e^-0.5 for colours that differ by `colour`: 0.3679; the
    # smoothness kernel is 0.5 e^-0.5 = 0.3033. The other pixel so counts for
    # (0.3679 + 0.3033) / (0.6065 + 0.3033) = 0.7377. Pixel 0:
    # 0.8 e^(0.7377 * 0.4) : 0.2 e^(0.7377 * 0.6) = 1.0746 : 0.3114.
    image = np.array([[[50], [59]]], np.uint8)
    probability = torch.tensor([[[0.8, 0.4]], [[0.2, 0.6]]])
    found = refine(probability, image, iterations=1, radius=1, colour=9.0, weight=1.0)
    assert found[0, 0, 0].item() == pytest.approx(0.7753, abs=1e-4)


def test_colours_are_compared_by_their_root_mean_square():
    grey = np.array([[[50], [55]]], np.uint8)
    colours = np.repeat(grey, 3, 2)
    one = colours.copy()
    one[0, 1] = 55, 49, 57  # differences of 5, 1 and 7: their mean square is 25
    parameters = {"iterations": 1, "radius": 1, "colour": 9.0, "weight": 3.0}
    wanted = refine(distribution(0, 2, 1, 2), grey, **parameters)
    same = refine(distribution(0, 2, 1, 2), colours, **parameters)
    near = refine(distribution(0, 2, 1, 2), one, **parameters)
    torch.testing.assert_close(same, wanted)
    torch.testing.assert_close(near, wanted)


@pytest.mark.parametrize("radius", [1, 3, 16, 100])
def test_constant_stays_constant_up_to_the_border(radius):
    probability = torch.tensor([0.5, 0.3, 0.2])[:, None, None].expand(3, 11, 17)
    found = refine(probability, plain(11, 17), **USUAL | {"radius": radius})
    wanted = found[:, 5:6, 8:9].expand(3, 11, 17)
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)


def test_uniform_stays_uniform_whatever_the_image():
    uniform = torch.full((4, 7, 9), 0.25)
    parameters = USUAL | {"iterations": 50, "weight": 100.0}
    assert torch.equal(refine(uniform, noise(0), **parameters), uniform)


@settings(max_examples=25)
@given(
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([0, 1, 5, 100]),
    st.sampled_from([0.0, 1.0, 100.0]),
    st.sampled_from(["soft", "hard"]),
)
def test_a_distribution_after_any_number_of_iterations(
    seed, height, width, radius, weight, kind
):
    probability = distribution(seed, 3, height, width)
    if kind == "hard":  # 0 and 1 exactly
        probability = torch.eye(3)[probability.argmax(0)].permute(2, 0, 1)
    image = noise(seed, height, width, contrast=256)
    for iterations in (1, 50):
        parameters = {"iterations": iterations, "radius": radius, "weight": weight}
        found = refine(probability, image, colour=0.1, **parameters)
        assert found.min() >= 0 and found.shape == probability.shape
        torch.testing.assert_close(found.sum(0), torch.ones(height, width))


def test_no_iterations_return_the_input():
    probability = distribution(0)
    found = refine(probability, noise(0), **USUAL | {"iterations": 0})
    assert torch.equal(found, probability)


def test_weight_zero_leaves_the_probability():
    probability = distribution(0)
    found = refine(probability, noise(0), **USUAL | {"weight": 0.0})
    torch.testing.assert_close(found, probability)


def test_the_input_is_not_changed():
    probability, image = distribution(0), noise(0)
    before = probability.clone(), image.copy()
    refine(probability, image, **USUAL)
    assert torch.equal(probability, before[0])
    assert np.array_equal(image, before[1])


@pytest.mark.parametrize("axis", [0, 1])
def test_flips_flip_the_result(axis):
    probability, image = distribution(3), noise(3)
    wanted = refine(probability, image, **USUAL).flip(axis + 1)
    flipped = np.flip(image, axis)
    found = refine(probability.flip(axis + 1), flipped, **USUAL)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_renaming_the_classes_renames_the_result():
    probability, image, order = distribution(4), noise(4), [2, 0, 1]
    wanted = refine(probability, image, **USUAL)[order]
    torch.testing.assert_close(refine(probability[order], image, **USUAL), wanted)


def test_a_lone_wrong_pixel_is_put_right():
    probability = torch.tensor([0.9, 0.1])[:, None, None].repeat(1, 9, 9)
    probability[:, 4, 4] = torch.tensor([0.2, 0.8])
    found = refine(probability, plain(9, 9), **USUAL)
    assert (found[0] > 0.9).all()


def test_a_pixel_of_a_stray_colour_follows_its_surroundings_a_little():
    probability = torch.tensor([0.9, 0.1])[:, None, None].repeat(1, 9, 9)
    probability[:, 4, 4] = torch.tensor([0.4, 0.6])
    image = plain(9, 9)
    image[4, 4] = 255
    found = refine(probability, image, **USUAL)[0, 4, 4]
    alike = refine(probability, plain(9, 9), **USUAL)[0, 4, 4]
    assert 0.4 < found < alike


def test_a_border_of_classes_snaps_to_the_edge_of_the_image():
    image = two_halves(12, 16)
    left = torch.full((12, 16), 0.3)
    left[:, :10] = 0.7  # two columns too far
    found = refine(torch.stack([left, 1 - left]), image, **USUAL | {"iterations": 10})
    assert (found[0, :, :8] > 0.5).all()
    assert (found[0, :, 8:] < 0.5).all()


def test_without_an_edge_the_border_stays():
    left = torch.full((12, 16), 0.3)
    left[:, :10] = 0.7
    found = refine(torch.stack([left, 1 - left]), plain(12, 16), **USUAL)
    assert (found[0, :, :10] > 0.5).all()
    assert (found[0, :, 10:] < 0.5).all()


def test_the_memory_format_and_a_read_only_image_do_not_matter():
    probability, image = distribution(5), noise(5)
    wanted = refine(probability, image, **USUAL)
    channels_last = probability.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    image.setflags(write=False)
    torch.testing.assert_close(refine(channels_last, image, **USUAL), wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_result_is_single_precision(dtype):
    found = refine(distribution(6).to(dtype), noise(6), **USUAL)
    assert found.dtype == torch.float32
    wanted = refine(distribution(6), noise(6), **USUAL)
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0)


def test_gradients_and_inference_mode_do_not_disturb():
    wanted = refine(distribution(7), noise(7), **USUAL)
    assert torch.equal(
        refine(distribution(7).requires_grad_(), noise(7), **USUAL), wanted
    )
    with torch.inference_mode():
        assert torch.equal(refine(distribution(7), noise(7), **USUAL), wanted)


BAD = torch.full((2, 7, 9), 0.5)
BAD[0, 3, 4] = nan


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (BAD, "nan"),
        (torch.full((2, 7, 9), 0.6), "off by 0.2"),
        (torch.randn(3, 7, 9, generator=torch.Generator().manual_seed(0)), "softmax"),
        (torch.tensor([1.5, -0.5])[:, None, None].expand(2, 7, 9), "-0.5"),
        (torch.ones(1, 7, 9), "two classes"),
        (torch.ones(7, 9), "two classes"),
        (torch.ones(2, 0, 9), "two classes"),
    ],
)
def test_what_is_not_a_valid_distribution_is_refused(probability, text):
    with pytest.raises(BadValue, match=text):
        refine(probability, noise(0), **USUAL)


@pytest.mark.parametrize(
    "image", [noise(0, 7, 8), noise(0, 9, 7), noise(0)[..., 0], noise(0) / 255]
)
def test_an_image_that_does_not_fit_is_refused(image):
    targets = np.zeros((7, 9), np.uint8)
    with pytest.raises(BadValue, match="7 x 9 pixels"):
        refine(distribution(0), image, **USUAL)
    with pytest.raises(BadValue, match="7 x 9 pixels"):
        spread(targets, image, 2, **USUAL, confidence=0.9)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"iterations": -1}, "iterations"),
        ({"radius": -1}, "radius"),
        ({"colour": 0.0}, "colour"),
        ({"colour": nan}, "colour"),
        ({"colour": inf}, "colour"),
        ({"weight": -0.1}, "weight"),
        ({"weight": nan}, "weight"),
        ({"weight": inf}, "weight"),
    ],
)
def test_a_parameter_out_of_range_is_refused(change, text):
    targets = np.zeros((7, 9), np.uint8)
    with pytest.raises(BadValue, match=text):
        refine(distribution(0), noise(0), **USUAL | change)
    with pytest.raises(BadValue, match=text):
        spread(targets, noise(0), 2, **USUAL | change, confidence=0.9)


# --- spread ---------------------------------------------------------------------------


def corners(height=12, width=16):
    """One labelled pixel in the left half, two in the right one."""
    targets = np.full((height, width), IGNORE, np.uint8)
    targets[5, 2] = 0
    targets[5, 13] = targets[6, 13] = 1
    return targets


def blocks(height=12, width=16):
    """The left eighth and the right eighth are labelled."""
    targets = np.full((height, width), IGNORE, np.uint8)
    targets[:, : width // 8] = 0
    targets[:, -(width // 8) :] = 1
    return targets


@pytest.mark.parametrize("classes", [2, 3, 30])
def test_labels_fill_what_looks_alike_and_stop_at_edges(classes):
    parameters = TRAVEL | {"weight": 20.0}
    found = spread(blocks(), two_halves(), classes, **parameters, confidence=0.9)
    assert (found[:, :8] == 0).all()
    assert (found[:, 8:] == 1).all()


def test_one_label_of_two_classes_does_not_run_over_an_edge():
    targets = blocks()
    targets[:, 8:] = IGNORE
    found = spread(targets, two_halves(), 2, **TRAVEL, confidence=0.5)
    assert (found[:, :8] == 0).all()
    assert (found[:, 8:] == IGNORE).all()


def test_three_pixels_in_a_row_by_hand():
    # Radius 1, one colour: the middle hears the labelled left and the open right alike,
    # what it hears being half of the label. Weight 4, two classes: three more are held
    # open, max(2, 4) + 1 = 5 in all. After one iteration the middle is sure to
    # e^2 / (e^2 + 4) = 0.6488; the right one heard only the open middle and stays.
    targets = np.array([[1, IGNORE, IGNORE]], np.uint8)
    parameters = {"iterations": 1, "radius": 1, "colour": 9.0, "weight": 4.0}
    for confidence, wanted in ((0.648, 1), (0.65, IGNORE)):
        found = spread(targets, plain(1, 3), 2, **parameters, confidence=confidence)
        assert found.tolist() == [[1, wanted, IGNORE]]


def test_a_label_travels_one_radius_an_iteration():
    targets = np.full((4, 30), IGNORE, np.uint8)
    targets[:, :10] = 2
    parameters = {"radius": 2, "colour": 9.0, "weight": 100.0, "confidence": 0.5}
    for iterations in (1, 2, 3):
        found = spread(targets, plain(4, 30), 3, iterations=iterations, **parameters)
        reached = 10 + 2 * iterations
        assert (found[:, :reached] == 2).all() and (found[:, reached:] == IGNORE).all()


@settings(max_examples=25)
@given(
    st.integers(0, 2**31),
    st.integers(1, 5),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([0.0, 3.0, 10.0, 100.0]),
    st.sampled_from([0.02, 0.3, 0.9]),
)
def test_given_labels_never_change_and_only_they_are_handed_on(
    seed, classes, shape, weight, share
):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, shape)
    targets = np.where(rng.random(shape) < share, truth, IGNORE).astype(np.uint8)
    before = targets.copy()
    parameters = TRAVEL | {"weight": weight}
    image = noise(seed, *shape)
    found = spread(targets, image, classes, **parameters, confidence=0.6)
    assert np.array_equal(targets, before)
    assert found.dtype == np.uint8 and found.shape == shape
    known = targets != IGNORE
    assert np.array_equal(found[known], targets[known])
    assert set(np.unique(found)) <= {*np.unique(targets), IGNORE}
    sure = spread(targets, image, classes, **parameters, confidence=0.9)
    assert np.array_equal(sure[sure != IGNORE], found[sure != IGNORE])


@pytest.mark.parametrize("value", [IGNORE, 1])
def test_no_label_at_all_and_all_labelled_come_back(value):
    targets = np.full((7, 9), value, np.uint8)
    found = spread(targets, noise(0), 2, **TRAVEL, confidence=0.5)
    assert np.array_equal(found, targets)
    given = torch.from_numpy(targets)
    spread(given, noise(0), 2, **TRAVEL, confidence=0.5).fill_(7)
    assert (given == value).all()


def test_where_no_label_comes_nothing_is_said():
    # However strong and long: the right half is further than labels can travel.
    targets = np.full((6, 60), IGNORE, np.uint8)
    targets[:3, 0], targets[3:, 0] = 0, 1
    image = noise(0, 6, 60, contrast=3)
    parameters = {"iterations": 14, "radius": 2, "colour": 9.0, "weight": 100.0}
    found = spread(targets, image, 2, **parameters, confidence=0.5)
    assert (found[:, 30:] == IGNORE).all()
    assert (found[:, :10] != IGNORE).all()


def test_no_iterations_hand_nothing_on():
    parameters = TRAVEL | {"iterations": 0}
    found = spread(corners(), two_halves(), 2, **parameters, confidence=0.5)
    assert np.array_equal(found, corners())


@pytest.mark.parametrize("axis", [0, 1])
def test_flips_flip_the_spread(axis):
    image = noise(1, 12, 16)
    wanted = np.flip(spread(corners(), image, 3, **TRAVEL, confidence=0.7), axis)
    targets = np.flip(corners(), axis)
    found = spread(targets, np.flip(image, axis), 3, **TRAVEL, confidence=0.7)
    assert np.array_equal(found, wanted)


def test_renaming_the_classes_renames_the_spread():
    names = np.full(256, IGNORE, np.uint8)
    names[:2] = 5, 3
    image, parameters = noise(2, 12, 16), TRAVEL | {"colour": 20.0, "weight": 20.0}
    wanted = names[spread(blocks(), image, 6, **parameters, confidence=0.7)]
    found = spread(names[blocks()], image, 6, **parameters, confidence=0.7)
    assert np.array_equal(found, wanted)
    assert (found != names[blocks()]).any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_tensors_come_back_as_they_came(dtype):
    targets = torch.from_numpy(blocks()).to(dtype)
    found = spread(targets, two_halves(), 2, **TRAVEL, confidence=0.9)
    wanted = spread(blocks(), two_halves(), 2, **TRAVEL, confidence=0.9)
    assert found.dtype == dtype
    assert np.array_equal(found.numpy(), wanted)
    assert torch.equal(targets, torch.from_numpy(blocks()).to(dtype))


def test_spread_targets_can_be_learnt_from():
    targets = spread(
        torch.from_numpy(blocks()).long(), two_halves(), 2, **TRAVEL, confidence=0.9
    )
    logits = torch.zeros(1, 2, 12, 16, requires_grad=True)
    torch.nn.functional.cross_entropy(
        logits, targets[None], ignore_index=IGNORE
    ).backward()
    assert logits.grad is not None


@pytest.mark.parametrize(
    ("targets", "classes", "text"),
    [
        (np.full((7, 9), 2, np.uint8), 2, "0..1 or 255, got 2 to 2"),
        (torch.full((7, 9), -1), 2, "got -1"),
        (np.zeros((2, 7, 9), np.uint8), 2, "rows and columns"),
        (np.zeros((0, 9), np.uint8), 2, "rows and columns"),
        (torch.zeros(7, 9), 2, "float32"),
    ],
)
def test_targets_that_are_no_classes_are_refused(targets, classes, text):
    with pytest.raises(BadValue, match=text):
        spread(targets, noise(0), classes, **TRAVEL, confidence=0.9)


@pytest.mark.parametrize("confidence", [0.4, 1.1, nan])
def test_a_confidence_out_of_range_is_refused(confidence):
    with pytest.raises(BadValue, match="confidence"):
        spread(corners(), two_halves(), 2, **TRAVEL, confidence=confidence)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same():
    probability, image = distribution(0, 11, 60, 80), noise(0, 60, 80)
    found = refine(probability.cuda(), image, **USUAL)
    assert found.device.type == "cuda"
    wanted = refine(probability, image, **USUAL)
    torch.testing.assert_close(found.cpu(), wanted, atol=1e-4, rtol=0)
    targets = torch.from_numpy(blocks(60, 80))
    parameters = TRAVEL | {"colour": 30.0}
    labels = spread(targets.cuda(), image, 2, **parameters, confidence=0.9)
    wanted_labels = spread(targets, image, 2, **parameters, confidence=0.9)
    assert (labels.cpu() != wanted_labels).float().mean() < 0.001
