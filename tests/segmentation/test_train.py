from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_alseg.arrays import IGNORE, finish
from napari_alseg.errors import BadValue, NothingToLearn
from napari_alseg.metrics import CurvePoint, scores
from napari_alseg.segmentation import (
    Example,
    build,
    difficulty_loss,
    evaluate,
    partial_cross_entropy,
    predict,
    state,
    train,
)
from napari_alseg.segmentation.train import _optimiser, _set_rates, _step
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    TrainingSettings,
    check,
)


def start(network, examples, validation, settings, curve=None):
    return train(
        network,
        examples,
        validation,
        settings,
        generator=torch.Generator().manual_seed(0),
        curve=[] if curve is None else curve,
    )


def miou(network, examples) -> float:
    return scores(finish(evaluate(network, examples, PredictionSettings()))).mean


def same(first: dict, second: dict) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_it_learns(tiny_network, examples, quick):
    curve: list[CurvePoint] = []
    finish(start(tiny_network, examples, examples, quick, curve))
    assert curve[0].step == 0
    assert curve[0].loss is None
    assert curve[-1].step == 30
    assert curve[-1].epoch == 10
    best = max(point.miou for point in curve if point.miou is not None)
    assert best > curve[0].miou + 0.2
    assert abs(miou(tiny_network, examples) - best) < 1e-9
    assert not tiny_network.training


def test_progress_counts_steps_and_ends_with_the_last(tiny_network, examples, quick):
    found = list(start(tiny_network, examples, examples, quick))
    assert [each.done for each in found] == sorted(each.done for each in found)
    assert (found[-1].done, found[-1].total) == (30, 30)
    assert set(found[-1].metrics) == {"loss", "miou"}


def test_the_same_seed_gives_the_same_weights(tiny_network, examples, quick):
    before = state(tiny_network)
    finish(start(tiny_network, examples, [], quick))
    first = state(tiny_network)
    tiny_network.load_state_dict({k: torch.tensor(v) for k, v in before.items()})
    torch.rand(3)  # the global generator is elsewhere now
    finish(start(tiny_network, examples, [], quick))
    assert same(first, state(tiny_network))


def test_the_global_generator_is_left_alone(tiny_network, examples, quick):
    before = torch.random.get_rng_state()
    finish(start(tiny_network, examples, [], quick))
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_best_measured_weights_stay_when_closed(tiny_network, examples, quick):
    """The truth turns round, so that learning on makes it worse."""
    finish(start(tiny_network, examples, examples, quick))
    wrong = [
        Example(each.image, np.where(each.targets == IGNORE, IGNORE, 2 - each.targets))
        for each in examples
    ]
    task = start(tiny_network, wrong, examples, replace(quick, validate_every=1))
    measured = []
    for progress in task:
        if "miou" in progress.metrics and progress.done > 0:
            measured.append((progress.metrics["miou"], state(tiny_network)))
        if progress.done == 12:
            break
    task.close()
    best, good = max(measured, key=lambda pair: pair[0])
    assert best > measured[-1][0]
    assert same(good, state(tiny_network))
    assert miou(tiny_network, examples) == best
    assert not tiny_network.training


def test_stopped_before_any_measurement_the_last_weights_stay(
    tiny_network, examples, quick
):
    before = state(tiny_network)
    slow = replace(quick, validate_every=100, epochs=200)
    task = start(tiny_network, examples, examples, slow)
    while next(task).done == 0:
        pass
    task.close()
    assert not same(before, state(tiny_network))


def test_without_validation_the_last_weights_stay(tiny_network, examples, quick):
    before = state(tiny_network)
    curve: list[CurvePoint] = []
    finish(start(tiny_network, examples, [], quick, curve))
    assert not same(before, state(tiny_network))
    assert {point.miou for point in curve} == {None}
    assert not tiny_network.training


def test_validation_without_truth_measures_nothing(tiny_network, examples, quick):
    blind = [
        Example(each.image, np.full_like(each.targets, IGNORE)) for each in examples
    ]
    curve: list[CurvePoint] = []
    finish(start(tiny_network, examples, blind, quick, curve))
    assert {point.miou for point in curve} == {None}


def test_a_frozen_encoder_keeps_its_weights(tiny_network, examples, quick):
    before = tiny_network.encoder[0].weight.detach().clone()
    finish(start(tiny_network, examples, [], replace(quick, encoder_factor=0.0)))
    assert torch.equal(before, tiny_network.encoder[0].weight)


def test_the_rates_fall_to_zero_from_their_two_starts(tiny_network, quick):
    optimiser = _optimiser(tiny_network, replace(quick, encoder_factor=0.5))
    rates = []
    for time in (0.0, 0.5, 1.0):
        _set_rates(optimiser, time)
        rates.append([group["lr"] for group in optimiser.param_groups])
    assert rates[0] == [0.015, 0.03]
    assert rates[1] == [0.015 * 0.5**0.9, 0.03 * 0.5**0.9]
    assert rates[2] == [0.0, 0.0]


def test_nothing_to_learn(tiny_network, quick):
    with pytest.raises(NothingToLearn, match="no image has a label yet"):
        finish(start(tiny_network, [], [], quick))


def test_a_loss_that_is_no_number_names_the_remedy(tiny_network, examples, quick):
    with torch.no_grad():
        tiny_network.encoder[0].weight.fill_(float("inf"))
    with pytest.raises(
        BadValue, match=r"loss became nan at step .* lower learning rate"
    ):
        finish(start(tiny_network, examples, [], quick))


def test_batches_of_one_are_refused():
    with pytest.raises(BadValue, match="batch_size must be from 2"):
        check(TrainingSettings(batch_size=1))


@pytest.mark.parametrize("difficulty", [False, True])
def test_the_default_network_learns_one_small_image_of_a_single_label(difficulty):
    """The pooling branch of DeepLab sees 1 x 1 maps; one example makes the batch."""
    network = build(NetworkSettings(weights="random", difficulty=difficulty), 3)
    targets = np.full((30, 41), IGNORE, np.uint8)
    targets[3, 4] = 2
    example = Example(np.zeros((30, 41, 3), np.uint8), targets)
    curve: list[CurvePoint] = []
    settings = TrainingSettings(epochs=2, device="cpu")
    finish(start(network, [example], [example], settings, curve))
    assert all(np.isfinite(value).all() for value in state(network).values())
    assert curve[-1].step == 2


# --- a network that learns where it errs ----------------------------------------------


def half_of_it_cannot_be_learnt(seed: int) -> list[Example]:
    """Blocks that are red are class 0; the class of others is tossed for each pixel."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(6):
        red = rng.random((4, 5)).repeat(8, 0).repeat(8, 1) < 0.5  # (32, 40)
        colours = np.where(red[..., None], (200, 40, 40), (40, 120, 160))
        image = (colours + rng.integers(0, 50, (32, 40, 3))).astype(np.uint8)
        tossed = rng.integers(1, 3, (32, 40))
        found.append(Example(image, np.where(red, 0, tossed).astype(np.uint8)))
    return found


def difficulty_of_wrong_less_right(network, examples) -> float:
    """Difference of the mean difficulty of pixels that are wrong and right."""
    wrong, difficulty = [], []
    for example in examples:
        found = predict(
            network, example.image, PredictionSettings(), needs={"difficulty"}
        )
        wrong.append(found.probability.argmax(0).numpy() != example.targets)
        difficulty.append(found.difficulty.numpy())
    mask, values = np.stack(wrong), np.stack(difficulty)
    assert 0.2 < mask.mean() < 0.8
    return values[mask].mean() - values[~mask].mean()


def test_it_learns_where_it_errs(learns_where_it_errs, quick):
    """On images that it has not seen; about half of the right pixels are sure."""
    network, others = learns_where_it_errs, half_of_it_cannot_be_learnt(1)
    settings = replace(quick, epochs=40)
    finish(start(network, half_of_it_cannot_be_learnt(0), [], settings))
    assert difficulty_of_wrong_less_right(network, others) > 0.2


def test_where_it_errs_teaches_the_network_as_well(learns_where_it_errs):
    """The gradient is that of the sum of both losses, also in the encoder."""
    network = learns_where_it_errs
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 16, 16, generator=generator)
    targets = torch.randint(0, 3, (2, 16, 16), generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        logits = network.train()(images)
    cross_entropy = partial_cross_entropy(logits, targets)
    loss = cross_entropy + difficulty_loss(network.difficulty(logits), logits, targets)
    weight = network.encoder[0].weight
    alone, both = (
        functional.normalize(
            torch.autograd.grad(each, weight, retain_graph=True)[0].flatten(), dim=0
        )
        for each in (cross_entropy, loss)
    )
    standing = torch.optim.SGD(network.parameters(), lr=0.0)
    found = _step(network, standing, images, targets, seed=5)
    torch.testing.assert_close(found, loss.detach())
    direction = functional.normalize(weight.grad.flatten(), dim=0)
    torch.testing.assert_close(direction, both)
    assert direction @ alone < 0.999
