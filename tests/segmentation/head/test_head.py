from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_alseg.arrays import finish
from napari_alseg.errors import WeightsMismatch
from napari_alseg.segmentation import (
    build,
    from_metadata,
    learn_head,
    load,
    load_encoder,
    metadata,
    predict,
    state,
)
from napari_alseg.segmentation.head.frozen import FEATURES
from napari_alseg.segmentation.head.head import CHUNK, DROPOUT, Head
from napari_alseg.segmentation.head.samples import Samples
from napari_alseg.settings import LiveSettings, NetworkSettings, PredictionSettings

LIVE_UNET = NetworkSettings("live/unet", weights="random")
FULL_UNET = NetworkSettings("unet", weights="random")
WHOLE = PredictionSettings(device="cpu")


@pytest.fixture
def network():
    return build(LIVE_UNET, 3).eval()


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def head_of(*channels, classes=2, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Head(channels, classes).eval()


def clusters(counts, apart=2.0, depth=4):
    """Samples of classes that lie at the corners of a simplex."""
    generator = torch.Generator().manual_seed(3)
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    features = torch.randn(len(targets), depth, generator=generator)
    features += apart * torch.eye(depth)[targets]
    return Samples(
        features.half(), targets.to(torch.uint8), torch.zeros(len(targets)).long()
    )


def right(head, samples):
    """Share of the samples of each class that the head tells right."""
    with torch.no_grad():
        said = head.of_pixels(samples.features.float()).argmax(1)
    return [
        (said[samples.targets == each] == each).float().mean().item()
        for each in samples.targets.unique()
    ]


# --- the head -------------------------------------------------------------------------


def test_single_pixels_and_maps_are_told_the_same():
    head = head_of(5, 3, classes=4)
    pixel = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    maps = [
        pixel[:, :5, None, None].expand(-1, -1, 8, 6),
        pixel[:, 5:, None, None].expand(-1, -1, 2, 3),
    ]
    with torch.no_grad():
        logits, wanted = head(maps), head.of_pixels(pixel)
    assert logits.shape == (1, 4, 8, 6)
    torch.testing.assert_close(logits[..., 3, 4], wanted)
    torch.testing.assert_close(logits, wanted[..., None, None].expand(-1, -1, 8, 6))


def test_single_pixels_drop_out_in_training_alone():
    head, features = head_of(4), torch.ones(1, 4)
    assert torch.equal(head.of_pixels(features), head.of_pixels(features))
    head.train()
    assert not torch.equal(head.of_pixels(features), head.of_pixels(features))


# --- learning -------------------------------------------------------------------------


def test_clusters_that_lie_apart_are_learnt_in_a_few_steps():
    head, samples = head_of(4, classes=3), clusters([80, 80, 80], apart=6)
    loss = finish(learn_head(head, samples, LiveSettings(), steps=60))
    assert loss < 0.1
    assert min(right(head, samples)) > 0.97
    assert not head.training


def test_the_same_seed_learns_the_same_head():
    heads = [head_of(4) for _ in range(3)]
    for head, seed in zip(heads, (1, 1, 2), strict=True):
        torch.rand(1)  # the global generator plays no part
        finish(learn_head(head, clusters([30, 30]), LiveSettings(), steps=5, seed=seed))
    first, again, other = (head.classify.weight for head in heads)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_global_generator_stays_as_it_is():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    finish(learn_head(head_of(4), clusters([9, 9]), LiveSettings(), steps=3))
    assert torch.equal(torch.get_rng_state(), before)


def test_balance_draws_rare_classes_more_often():
    samples, found = clusters([600, 12], apart=1.0), []
    for balance in (0.0, 0.5, 1.0):
        head = head_of(4)
        given = LiveSettings(class_balance=balance, batch_size=64)
        finish(learn_head(head, samples, given, steps=150))
        found.append(right(head, samples)[1])
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.6


def test_few_samples_and_one_class_are_learnt_too():
    head = head_of(4)
    loss = finish(learn_head(head, clusters([1]), LiveSettings(), steps=2))
    assert np.isfinite(loss)


def test_progress_tells_the_steps_and_the_loss():
    told = list(learn_head(head_of(4), clusters([9, 9]), LiveSettings(), steps=50))
    assert [(each.done, each.total) for each in told] == [(CHUNK, 50), (2 * CHUNK, 50)]
    assert all(each.metrics["loss"] > 0 for each in told)


def test_the_rate_falls_to_nothing(monkeypatch):
    rates = []

    class Recording(torch.optim.AdamW):
        def step(self):
            rates.append(self.param_groups[0]["lr"])
            return super().step()

    monkeypatch.setattr(torch.optim, "AdamW", Recording)
    given = LiveSettings(learning_rate=0.01)
    finish(learn_head(head_of(4), clusters([9, 9]), given, steps=10))
    assert rates[0] == 0.01
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.0015


def test_a_new_head_knows_nothing_of_the_old_one(network):
    body = network.body
    before = body.head.classify.weight.clone()
    first, again, other = (body.new_head(seed) for seed in (1, 1, 2))
    assert torch.equal(first.classify.weight, again.classify.weight)
    assert not torch.equal(first.classify.weight, other.classify.weight)
    assert torch.equal(body.head.classify.weight, before)


# --- as the body of a network ---------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 56), (64, 64), (7, 90)])
def test_logits_are_of_the_image_s_size(network, shape):
    with torch.no_grad():
        assert network(torch.rand(2, 3, *shape)).shape == (2, 3, *shape)


def test_only_the_head_learns(network):
    network.train()
    network(torch.rand(1, 3, 32, 32)).sum().backward()
    learning = {name for name, each in network.named_parameters() if each.requires_grad}
    assert learning == {
        f"body.head.{name}" for name, _ in network.body.head.named_parameters()
    }
    assert not network.body.features.encoder.training


def test_passes_with_dropout_differ_and_look_at_the_image_once(
    network, image, monkeypatch
):
    FEATURES.clear()
    seen, features = [], network.body.features
    encode = features._encode
    monkeypatch.setattr(
        features, "_encode", lambda given: seen.append(1) or encode(given)
    )
    given = {"needs": {"samples"}, "passes": 4, "dropout": 0.5}
    found = predict(network, image, WHOLE, **given)
    assert found.samples.shape == (4, 3, 40, 56)
    assert found.samples.std(0).mean() > 1e-4
    assert torch.equal(predict(network, image, WHOLE, **given).samples, found.samples)
    assert len(seen) == 1


def test_without_dropout_all_passes_are_the_prediction(network, image):
    found = predict(network, image, WHOLE, needs={"samples"}, passes=2, dropout=0.0)
    torch.testing.assert_close(found.samples[0], found.probability)
    torch.testing.assert_close(found.samples[1], found.probability)


def test_decoder_features_are_the_hidden_layer(network, image):
    found = predict(network, image, WHOLE, needs={"features", "mirrored"})
    assert found.features.shape == (128, 10, 14)
    assert (found.features >= 0).all()
    assert found.mirrored.shape == found.probability.shape == (3, 40, 56)


def test_training_leaves_out_hidden_units_and_no_more():
    assert 0 < DROPOUT < 1
    head = head_of(4)
    assert [
        each.p for each in head.modules() if isinstance(each, torch.nn.Dropout)
    ] == [DROPOUT]


# --- weights --------------------------------------------------------------------------


def test_state_and_metadata_make_the_same_network_again(network, image):
    body = network.body
    finish(body.features.calibrate([torch.rand(1, 3, 64, 64)], 1))
    before = predict(network, image, WHOLE).probability
    again = from_metadata(metadata(network), classes=3)
    assert again.settings == LIVE_UNET
    load(again, state(network))
    torch.testing.assert_close(predict(again, image, WHOLE).probability, before)


def test_the_encoder_of_a_network_that_learnt_is_taken_over(network):
    full = build(FULL_UNET, 3, seed=5)
    head = network.body.head.classify.weight.clone()
    load_encoder(network, state(full))
    taken, wanted = network.encoder.state_dict(), full.encoder.state_dict()
    assert all(torch.equal(taken[name], wanted[name]) for name in wanted)
    assert torch.equal(network.body.head.classify.weight, head)


def test_the_encoder_of_a_torchvision_network_is_taken_over():
    name = "torchvision/lraspp_mobilenet_v3_large"
    full = build(replace(FULL_UNET, network=name), 3, seed=5)
    live = build(replace(FULL_UNET, network="live/" + name), 3)
    load_encoder(live, state(full))
    taken, wanted = live.encoder.state_dict(), full.encoder.state_dict()
    assert all(torch.equal(taken[name], wanted[name]) for name in wanted)


def test_features_are_of_the_encoder_that_was_taken_over(network):
    images = torch.rand(1, 3, 32, 32)
    before = network.body.features(images)
    load_encoder(network, state(build(FULL_UNET, 3, seed=5)))
    assert not torch.equal(network.body.features(images)[1], before[1])


def test_another_encoder_is_refused_and_changes_nothing(network):
    before = state(network)
    other = state(build(replace(FULL_UNET, encoder="resnet18"), 3))
    with pytest.raises(WeightsMismatch, match=r"features.* is missing.*learn anew"):
        load_encoder(network, other)
    assert all(
        np.array_equal(each, before[name]) for name, each in state(network).items()
    )


def test_weights_without_any_encoder_are_refused(network):
    with pytest.raises(WeightsMismatch, match="is missing"):
        load_encoder(network, {"head": np.zeros(3)})
