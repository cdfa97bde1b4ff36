import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_alseg.errors import BadValue
from napari_alseg.segmentation import Network, build, networks
from napari_alseg.segmentation.prediction.hooks import (
    channel_mask,
    dropout_layers,
    encoded_once,
    features_of,
    last_convolution,
    thinned,
)
from napari_alseg.settings import NetworkSettings

SEED = (0, 3)


class Body(nn.Module):
    """Pixel by pixel, so that each number can be worked out by hand."""

    def __init__(self, *encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 16, 1), *encoder)
        self.head = head

    def forward(self, images):
        return self.head(self.encoder(images))


def of(*encoder: nn.Module, head: nn.Module | None = None) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = Body(*encoder, head=head or nn.Conv2d(16, 3, 1))
    return Network(body, NetworkSettings(), 3).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))


def passed(network: Network, images: torch.Tensor, rate=0.5, seed=SEED):
    with torch.inference_mode(), thinned(network, rate, seed):
        return network(images)


@settings(max_examples=50)
@given(st.integers(1, 300), st.floats(0, 0.95), st.integers(0, 2**31 - 1))
def test_a_mask_holds_zero_or_what_makes_up_for_it(channels, rate, seed):
    mask = channel_mask(channels, rate, (seed, 0, 0))
    assert mask.shape == (channels,)
    assert ((mask == 0) | ((mask * (1 - rate) - 1).abs() < 1e-6)).all()
    assert torch.equal(mask, channel_mask(channels, rate, (seed, 0, 0)))


def test_a_mask_keeps_the_share_that_it_should():
    mask = channel_mask(20_000, 0.2, SEED)
    assert abs(float((mask == 0).float().mean()) - 0.2) < 0.01
    assert abs(float(mask.mean()) - 1) < 0.01
    assert torch.equal(channel_mask(50, 0.0, SEED), torch.ones(50))


def test_each_seed_pass_and_layer_has_masks_of_its_own():
    seeds = [(a, b, c) for a in range(3) for b in range(3) for c in range(3)]
    masks = {tuple(channel_mask(64, 0.5, seed).tolist()) for seed in seeds}
    assert len(masks) == 27


def test_a_network_without_dropout_is_thinned_before_its_last_convolution(images):
    network = of()
    mask = channel_mask(16, 0.5, (*SEED, 0)).view(1, 16, 1, 1)
    with torch.inference_mode():
        inner = network.encoder((images - network.mean) / network.deviation)
        expected = network.body.head(inner * mask)
    torch.testing.assert_close(passed(network, images), expected)


def test_all_dropout_layers_act_with_the_rate_and_masks_of_their_own(images):
    network = of(nn.Dropout(0.1), nn.ReLU(), nn.Dropout2d(0.9), nn.ReLU())
    masks = [channel_mask(16, 0.5, (*SEED, i)).view(1, 16, 1, 1) for i in range(3)]
    with torch.inference_mode():
        values = (images - network.mean) / network.deviation
        values = (network.encoder[0](values) * masks[0]).relu() * masks[1]
        expected = network.body.head(values.relu() * masks[2])
    torch.testing.assert_close(passed(network, images), expected)


def test_dropout_just_before_the_last_convolution_is_not_doubled(images):
    network = of(nn.ReLU())
    expected = passed(network, images)
    dropout = nn.Dropout(0.1, inplace=True).eval()
    network.body.head = nn.Sequential(dropout, nn.Identity(), network.body.head)
    assert torch.equal(passed(network, images), expected)


def test_layers_that_are_turned_off_stay_off():
    network = of(nn.Dropout(0.0), nn.Dropout2d(0.3), nn.AlphaDropout(0.2))
    assert dropout_layers(network) == [network.encoder[2], network.encoder[3]]


def test_where_there_are_no_rows_the_last_axis_counts_channels():
    """Tokens, as vision transformers have them: (B, N, C)."""

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.1)

        def forward(self, values):
            tokens = self.drop(values.flatten(2).transpose(1, 2))
            return tokens.transpose(1, 2).reshape(values.shape)

    network = of(Tokens())
    images = torch.rand(1, 3, 4, 4)
    first, second = (channel_mask(16, 0.5, (*SEED, i)) for i in range(2))
    mask = (first * second).view(1, 16, 1, 1)
    with torch.inference_mode():
        inner = network.encoder((images - network.mean) / network.deviation)
        expected = network.body.head(inner * mask)
    torch.testing.assert_close(passed(network, images), expected)


def test_all_images_and_parts_of_them_see_one_thinned_network(images):
    network = of(nn.Dropout(0.1), nn.ReLU())
    whole = passed(network, images)
    torch.testing.assert_close(
        passed(network, images[1:, :, 2:, :5]), whole[1:, :, 2:, :5]
    )
    torch.testing.assert_close(passed(network, images.flip(-1)), whole.flip(-1))
    torch.testing.assert_close(passed(network, images.flip(-2)), whole.flip(-2))


def test_afterwards_the_network_is_as_before_also_if_it_fails(images):
    network = of(nn.ReLU())
    with torch.inference_mode():
        before = network(images)
        assert not torch.equal(passed(network, images), before)
        assert torch.equal(network(images), before)
        for context in (thinned(network, 0.5, SEED), encoded_once(network)):
            with pytest.raises(RuntimeError), context:
                network(images[:, :2])
            network(images.flip(0))
            assert torch.equal(network(images), before)
        kept: list[torch.Tensor] = []
        with pytest.raises(RuntimeError), features_of(network, kept):
            network(images[:, :2])
        network(images)
    assert kept == []
    assert all(
        not each._forward_hooks and not each._forward_pre_hooks
        for each in network.modules()
    )


def test_features_are_what_the_last_convolution_is_given(images):
    network = of(nn.ReLU())
    kept: list[torch.Tensor] = []
    with torch.no_grad(), features_of(network, kept):
        logits = network(images)
    assert len(kept) == 1
    assert kept[0].shape == (2, 16, 6, 8)
    torch.testing.assert_close(network.body.head(kept[0]), logits)


def test_the_last_convolution_is_the_last_that_gives_the_classes():
    network = of(nn.Conv2d(16, 3, 1), nn.Conv2d(3, 16, 1))
    assert last_convolution(network) is network.body.head
    with_branch = build(NetworkSettings(weights="random", difficulty=True), 1)
    assert last_convolution(with_branch) is with_branch.body.segmentation_head[0]


def test_a_network_without_such_a_convolution_is_refused():
    network = of(head=nn.Conv2d(16, 4, 1))
    with pytest.raises(BadValue, match="no convolution of this network gives its 3"):
        last_convolution(network)


def count(module: nn.Module) -> list[int]:
    calls: list[int] = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_the_encoder_works_once_unless_it_drops_out_itself(images):
    for layer, expected in ((nn.ReLU(), 1), (nn.Dropout(0.1), 3)):
        network = of(layer)
        calls = count(network.encoder[0])
        with torch.inference_mode():
            full = [passed(network, images, seed=(0, i)) for i in range(3)]
            calls.clear()
            with encoded_once(network):
                shared = [passed(network, images, seed=(0, i)) for i in range(3)]
        assert len(calls) == expected
        assert all(torch.equal(a, b) for a, b in zip(full, shared, strict=True))
        with torch.inference_mode():
            assert network(images[:1, :, :2]).shape == (1, 3, 2, 8)


ENCODERS = {"segformer": "mit_b0", "dpt": "tu-vit_tiny_patch16_224"}
HEAVY = ("resnet50", "resnet101")


@pytest.mark.parametrize(
    "name", [name for name in networks() if not name.endswith(HEAVY)]
)
def test_every_network_can_be_thinned_and_encodes_once(name):
    """Sharing holds only while no decoder changes what the encoder gave it."""
    encoder = ENCODERS.get(name, "mobilenet_v2")
    network = build(NetworkSettings(name, encoder, "random"), 5)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # one batch sets the scale of the features
    with torch.no_grad():
        network(images)
    network.eval()
    with torch.inference_mode():
        plain = network(images)
        full = [passed(network, images, 0.3, (0, i)) for i in range(2)]
        with encoded_once(network):
            assert torch.equal(network(images), plain)
            shared = [passed(network, images, 0.3, (0, i)) for i in range(2)]
        assert torch.equal(passed(network, images, 0.0), plain)
    assert all(torch.equal(a, b) for a, b in zip(full, shared, strict=True))
    assert (full[0] - full[1]).abs().mean() > 0.02 * plain.std()


def test_a_compiled_network_still_hears_hooks(tiny_network, monkeypatch):
    """Compiled without a compiler: what counts is whether hooks are seen."""
    torch.compiler.reset()
    tiny_network.body.compile(backend="eager")
    tiny_network.eval()
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        plain = tiny_network(images)
        kept = []
        with features_of(tiny_network, kept):
            tiny_network(images)
        with thinned(tiny_network, 0.5, (0,)):
            thin = tiny_network(images)
    assert len(kept) == 1
    assert not torch.allclose(plain, thin)
