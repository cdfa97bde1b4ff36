from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import TINY_LIVE
from torch import nn
from torch.nn import functional

from napari_alseg.arrays import Progress, finish
from napari_alseg.errors import BadValue
from napari_alseg.segmentation import build
from napari_alseg.segmentation.head.filters import MAPS
from napari_alseg.segmentation.head.frozen import (
    FEATURES,
    LARGEST,
    REDUCED,
    FrozenFeatures,
    fused,
    pixel_features,
)
from napari_alseg.settings import NetworkSettings


@pytest.fixture(autouse=True)
def no_features_of_other_tests():
    FEATURES.clear()


class Stages(nn.Module):
    """Maps of the strides 2, 4 and 8: few channels, some, and more than are kept."""

    def __init__(self) -> None:
        super().__init__()
        depths = (3, 4, 6, REDUCED + 20)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(given, depth, 3, 2, 1), nn.BatchNorm2d(depth), nn.Tanh()
            )
            for given, depth in pairwise(depths)
        )
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        maps = [images[:, :0]]  # some encoders have an empty first one
        for layer in self.layers:
            images = layer(images)
            maps.append(images)
        return maps


def frozen(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = FrozenFeatures(Stages())
    features.encoder.seen = 0
    return features


def pictures(count=3, side=64):
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(1, 3, side, side, generator=generator) for _ in range(count)]


# --- an encoder that never learns -----------------------------------------------------


def test_neither_weights_nor_batch_normalisation_ever_change():
    features = frozen()
    before = {name: each.clone() for name, each in features.state_dict().items()}
    features.train()
    assert not any(module.training for module in features.modules())
    assert not any(each.requires_grad for each in features.parameters())
    assert not any(each.requires_grad for each in features(pictures()[0]))
    for name, each in features.state_dict().items():
        assert torch.equal(each, before[name])


def test_filters_come_first_and_maps_finer_than_four_pixels_are_left_out():
    features = frozen()
    assert features.channels == (MAPS, 6, REDUCED)
    maps = features(torch.cat(pictures(2)))
    assert [tuple(each.shape) for each in maps] == [
        (2, MAPS, 16, 16),
        (2, 6, 16, 16),
        (2, REDUCED, 8, 8),
    ]
    assert {each.dtype for each in maps} == {torch.float32}


def test_an_encoder_without_any_map_is_refused():
    class Nothing(nn.Module):
        def forward(self, images):
            return [images]

    with pytest.raises(BadValue, match=r"no feature maps.*for example mobilenet_v2"):
        FrozenFeatures(Nothing())


# --- one scale ------------------------------------------------------------------------


def test_calibrated_features_have_mean_0_and_deviation_1():
    features = frozen()
    progress = list(features.calibrate(pictures(), 3))
    assert progress == [Progress(done, 3, "looking at the pool") for done in (1, 2, 3)]
    maps = [features(image) for image in pictures()]
    for stage in zip(*maps, strict=True):
        values = torch.cat(stage, 2).flatten(2)[0]
        torch.testing.assert_close(
            values.mean(1), torch.zeros(len(values)), atol=0.05, rtol=0
        )
        if len(values) < REDUCED:
            torch.testing.assert_close(
                values.std(1), torch.ones(len(values)), atol=0.1, rtol=0
            )


def test_of_many_channels_components_are_kept_that_do_not_repeat_one_another():
    features = frozen()
    finish(features.calibrate(pictures(), 3))
    values = torch.cat([features(each)[-1] for each in pictures()], 2).flatten(2)[0]
    covariance = torch.cov(values)
    variances = covariance.diagonal()
    assert variances.mean() == pytest.approx(1, abs=0.05)
    assert (variances.diff() >= -0.05).all()  # what varies most comes last
    off = covariance - torch.diag(variances)
    assert off.abs().max() < 0.05


def test_constant_channels_and_odd_pixels_stay_small():
    features = frozen()
    grey = torch.zeros(1, 3, 64, 64)
    finish(features.calibrate([grey], 1))
    odd = grey.clone()
    odd[..., 30, 30] = 1000.0
    for stage in features(odd):
        assert stage.isfinite().all()
        assert stage.abs().max() <= LARGEST


# --- from memory ----------------------------------------------------------------------


def counted(features):
    """Note each time that the features are computed, in the list that is returned."""
    encoded, encode = [], features._encode

    def encode_and_note(images):
        encoded.append(images)
        return encode(images)

    features._encode = encode_and_note
    return encoded


def test_batch_normalisation_within_the_convolutions_gives_the_same():
    network = build(TINY_LIVE, classes=3, seed=0).eval()
    encoder, image = network.encoder, pictures()[0]
    with torch.no_grad():
        for bare, fast in zip(encoder(image), fused(encoder)(image), strict=True):
            torch.testing.assert_close(bare, fast, rtol=1e-3, atol=1e-4)


def test_an_image_is_encoded_once_whatever_batch_it_comes_in():
    features = frozen()
    encoded = counted(features)
    first, second, _ = pictures()
    alone = features(first)
    together = features(torch.cat([second, first]))
    assert len(encoded) == 2
    for one, both in zip(alone, together, strict=True):
        assert torch.equal(one[0], both[1])


def test_other_weights_are_never_answered_with_old_features():
    features, other = frozen(0), frozen(1)
    image = pictures()[0]
    before = features(image)
    assert not torch.equal(other(image)[1], before[1])
    features.encoder.load_state_dict(other.encoder.state_dict())
    after = features(image)
    assert torch.equal(after[1], other(image)[1])
    features.load_state_dict(frozen(0).state_dict())
    assert torch.equal(features(image)[1], before[1])


def test_another_calibration_is_never_answered_with_old_features():
    features = frozen()
    image = pictures()[0]
    before = features(image)
    finish(features.calibrate(pictures(), 3))
    assert not torch.equal(features(image)[0], before[0])


def test_images_of_the_same_colour_and_another_shape_are_told_apart():
    features = frozen()
    assert features(torch.zeros(1, 3, 32, 64))[0].shape[2:] == (8, 16)
    assert features(torch.zeros(1, 3, 64, 32))[0].shape[2:] == (16, 8)


# --- pixels ---------------------------------------------------------------------------


def test_features_of_pixels_are_the_maps_enlarged():
    generator = torch.Generator().manual_seed(0)
    maps = [
        torch.randn(1, 2, 8, 12, generator=generator),
        torch.randn(1, 3, 4, 6, generator=generator),
    ]
    rows, columns = (
        each.flatten()
        for each in torch.meshgrid(torch.arange(32), torch.arange(48), indexing="ij")
    )
    found = pixel_features(maps, rows, columns, (32, 48))
    enlarged = torch.cat(
        [nn.functional.interpolate(each, (32, 48), mode="bilinear") for each in maps],
        1,
    )
    assert found.dtype == torch.float16
    wanted = enlarged[0].flatten(1).T
    torch.testing.assert_close(found.float(), wanted, atol=5e-3, rtol=0)


def test_a_pixel_between_cells_has_the_mean_by_hand():
    maps = [torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])]
    middle = torch.tensor([1])
    # Pixel 1 of 4 is a quarter of a cell before the border between the two.
    found = pixel_features(maps, middle, middle, (4, 4))
    assert found.item() == pytest.approx(0.25 * 1 + 0.25 * 2, abs=1e-3)


def test_no_pixels_have_no_features():
    nothing = torch.empty(0, dtype=torch.long)
    assert pixel_features(
        [torch.zeros(1, 5, 2, 2)], nothing, nothing, (8, 8)
    ).shape == (
        0,
        5,
    )


# --- encoders of all kinds ------------------------------------------------------------

KINDS = {
    "unet": "mobilenet_v2",
    "pan": "mobilenet_v2",
    "dpt": "tu-vit_tiny_patch16_224",
    "torchvision/lraspp_mobilenet_v3_large": "mobilenet_v2",
    "torchvision/fcn_resnet50": "mobilenet_v2",
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_encoder_gives_features_of_images_of_any_size(name):
    settings = NetworkSettings("live/" + name, KINDS[name], "random")
    network = build(settings, 3).eval()
    features = network.body.features
    assert features.channels[0] == MAPS
    assert len(features.channels) > 2
    for shape in [(64, 64), (45, 67), (9, 33)]:
        image = torch.rand(1, 3, *shape)
        maps = features(network.prepared(image))
        assert tuple(each.shape[1] for each in maps) == features.channels
        heights = [each.shape[2] for each in maps]
        assert heights == sorted(heights, reverse=True)
        assert network(image).shape == (1, 3, *shape)


def test_features_of_the_same_weights_are_the_same_numbers():
    first, second = (
        build(NetworkSettings("live/unet", weights="random"), 3).body.features
        for _ in range(2)
    )
    image = pictures()[0]
    before = [each.numpy() for each in first(image)]
    FEATURES.clear()
    for one, other in zip(before, second(image), strict=True):
        np.testing.assert_array_equal(one, other.numpy())


def test_only_the_encoder_computes_in_half_precision():
    """Filters are differences of what is nearly the same."""
    features, (picture,) = frozen(), pictures(1)
    finish(features.calibrate([picture], 1))
    plain = features(picture)
    FEATURES.clear()
    with torch.autocast("cpu", torch.bfloat16):
        within = features(picture)
    for one, other in zip(plain, within, strict=True):
        torch.testing.assert_close(one, other)


def test_beyond_the_outermost_cells_pixels_have_their_features():
    generator = torch.Generator().manual_seed(3)
    maps = [torch.randn(1, 2, 3, 5, generator=generator)]
    rows, columns = (torch.tensor(each) for each in np.indices((12, 20)).reshape(2, -1))
    found = pixel_features(maps, rows, columns, (12, 20)).float()
    whole = functional.interpolate(maps[0], (12, 20), mode="bilinear")[0]
    torch.testing.assert_close(found, whole.flatten(1).T, atol=2e-3, rtol=0)
