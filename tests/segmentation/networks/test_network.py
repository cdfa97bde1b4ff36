import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_alseg.errors import BadValue, UnknownName, WeightsMismatch
from napari_alseg.segmentation import (
    Network,
    build,
    decoder_parameters,
    difficulty_loss,
    encoder_parameters,
    encoders,
    from_metadata,
    load,
    metadata,
    networks,
    state,
)
from napari_alseg.segmentation.networks.network import _padded
from napari_alseg.settings import NetworkSettings

RANDOM = NetworkSettings(weights="random")
LEARNING = NetworkSettings(weights="random", difficulty=True)
SMALL = [
    RANDOM,
    NetworkSettings("unet", "mobilenet_v2", "random"),
    NetworkSettings("pan", "mobilenet_v2", "random"),
    NetworkSettings("segformer", "tu-mobilenetv3_small_050", "random"),
    NetworkSettings("torchvision/lraspp_mobilenet_v3_large", weights="random"),
    NetworkSettings("torchvision/deeplabv3_mobilenet_v3_large", weights="random"),
]


@pytest.mark.parametrize("settings", SMALL, ids=lambda each: each.network)
@pytest.mark.parametrize("shape", [(33, 47), (1, 1)])
def test_logits_of_any_size(settings, shape):
    network = build(settings, 5).eval()
    with torch.inference_mode():
        logits = network(torch.rand(2, 3, *shape))
    assert logits.shape == (2, 5, *shape)
    assert logits.isfinite().all()


@pytest.mark.parametrize("settings", SMALL, ids=lambda each: each.network)
def test_every_network_can_learn_where_it_errs(settings):
    network = build(replace(settings, difficulty=True), 5).train()
    logits = network(torch.rand(2, 3, 33, 47))
    targets = torch.randint(0, 5, (2, 33, 47))
    errs = network.difficulty(logits)
    assert errs.shape == (2, 33, 47)
    difficulty_loss(errs, logits, targets).backward()
    for parameters in (network.difficulty.parameters(), encoder_parameters(network)):
        gradients = [each.grad for each in parameters if each.grad is not None]
        assert all(each.isfinite().all() for each in gradients)
        assert any((each != 0).any() for each in gradients)


@pytest.mark.parametrize("settings", SMALL, ids=lambda each: each.network)
def test_every_parameter_is_in_one_of_two_groups(settings):
    network = build(settings, 2)
    encoder, decoder = encoder_parameters(network), decoder_parameters(network)
    assert encoder
    assert decoder
    groups = {id(each) for each in encoder}, {id(each) for each in decoder}
    assert not groups[0] & groups[1]
    assert groups[0] | groups[1] == {id(each) for each in network.parameters()}


def test_a_vision_transformer_takes_any_size():
    settings = NetworkSettings("dpt", "tu-vit_tiny_patch16_224", "random")
    with torch.inference_mode():
        assert build(settings, 2).eval()(torch.rand(1, 3, 40, 30)).shape[-1] == 30


def test_padding_reflects_and_repeats_where_it_cannot():
    row = torch.arange(5.0).expand(1, 3, 1, 5)
    assert _padded(row, 1) is row
    assert _padded(row.expand(1, 3, 4, 5), 4)[0, 0, 0].tolist() == [
        0,
        1,
        2,
        3,
        4,
        3,
        2,
        1,
    ]
    assert _padded(row, 4)[0, 0, 3].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]


def test_colours_are_normalised_inside():
    class Body(torch.nn.Module):
        def forward(self, images):
            return images

    network = Network(Body(), RANDOM, 3)
    mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[None, :, None, None]
    torch.testing.assert_close(network(mean + deviation), torch.ones(1, 3, 1, 1))


def test_the_seed_makes_the_weights_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, again = (state(build(RANDOM, 2, seed=1)) for _ in range(2))
    other = state(build(RANDOM, 2, seed=2))
    assert torch.equal(before, torch.random.get_rng_state())
    name = "body.segmentation_head.0.weight"
    assert np.array_equal(first[name], again[name])
    assert not np.array_equal(first[name], other[name])


def test_weights_lie_channels_last():
    weight = build(RANDOM, 2).encoder.features[1].conv[1].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownName, match="did you mean 'deeplabv3plus'"):
        build(NetworkSettings("deeplabv3plus+"), 2)
    with pytest.raises(UnknownName, match="did you mean 'mobilenet_v2'"):
        build(NetworkSettings(encoder="mobilenetv2"), 2)
    with pytest.raises(UnknownName, match="unknown encoder 'tu-nothing'"):
        build(NetworkSettings(encoder="tu-nothing"), 2)
    assert "torchvision/fcn_resnet50" in networks()
    assert "resnet50" in encoders()


def test_an_encoder_that_does_not_go_with_the_network():
    settings = NetworkSettings("deeplabv3plus", "vgg11", "random")
    with pytest.raises(BadValue, match=r"'deeplabv3plus' does not go with .*'vgg11'"):
        build(settings, 2)


def test_state_and_metadata_make_the_same_network_again(tiny_network):
    network = build(RANDOM, 2, seed=4).eval()
    again = from_metadata(json.loads(json.dumps(metadata(network))), classes=2).eval()
    load(again, state(network))
    images = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(again(images), network(images))
    assert again.settings == network.settings
    assert again.weights_source == "random"


def test_metadata_remembers_where_the_weights_came_from():
    written = metadata(build(RANDOM, 2)) | {
        "weights": "imagenet",
        "weights_source": "x.pth",
    }
    network = from_metadata(written)
    assert network.weights_source == "x.pth"
    assert network.settings.weights == "imagenet"


def test_metadata_of_another_project():
    written = metadata(build(RANDOM, 2))
    with pytest.raises(WeightsMismatch, match="2 classes apart, the project has 3"):
        from_metadata(written, classes=3)
    del written["encoder"]
    with pytest.raises(WeightsMismatch, match="lacks encoder"):
        from_metadata(written)


def test_the_difficulty_branch_is_there_if_wished_for_and_changes_nothing_else():
    plain, learning = build(RANDOM, 3), build(LEARNING, 3)
    assert plain.difficulty is None
    added = {"difficulty.gamma", "difficulty.score.weight", "difficulty.score.bias"}
    first, second = state(plain), state(learning)
    assert set(second) - set(first) == added
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_difficulty_branch_learns_as_fast_as_the_decoder():
    network = build(LEARNING, 3)
    decoder = {id(each) for each in decoder_parameters(network)}
    assert {id(each) for each in network.difficulty.parameters()} <= decoder


def test_the_difficulty_branch_is_stored_and_read_again():
    network = build(LEARNING, 2)
    network.difficulty.gamma.data.fill_(0.25)
    again = from_metadata(json.loads(json.dumps(metadata(network))))
    load(again, state(network))
    assert again.settings == LEARNING
    assert again.difficulty.gamma.item() == 0.25


def test_metadata_from_before_the_difficulty_branch_means_none():
    network = build(RANDOM, 2)
    written = metadata(network)
    del written["difficulty"]
    again = from_metadata(written)
    load(again, state(network))
    assert again.difficulty is None
    assert not again.settings.difficulty


def test_state_is_a_copy(tiny_network):
    before = state(tiny_network)
    before["body.encoder.0.weight"][:] = 7
    assert not (state(tiny_network)["body.encoder.0.weight"] == 7).any()


def test_weights_that_do_not_fit_change_nothing(tiny_network):
    before = state(tiny_network)
    wrong = {name: value + 1 for name, value in before.items()}
    del wrong["body.encoder.0.bias"]
    wrong["body.head.1.bias"] = np.zeros(4, np.float32)
    wrong["more"] = np.zeros(1, np.float32)
    text = (
        "body.encoder.0.bias is missing, more is unknown, "
        "body.head.1.bias is (4,) instead of (3,); use the weights of this project"
    )
    with pytest.raises(WeightsMismatch, match=re.escape(text)):
        load(tiny_network, wrong)
    after = state(tiny_network)
    assert all(np.array_equal(before[name], after[name]) for name in before)
