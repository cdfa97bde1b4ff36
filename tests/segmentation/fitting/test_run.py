import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_alseg.arrays import IGNORE, finish
from napari_alseg.errors import BadValue, NothingToLearn, WeightsMismatch
from napari_alseg.metrics import CurvePoint, scores
from napari_alseg.segmentation import (
    Batch,
    Difficulty,
    Example,
    Partial,
    TrainingRun,
    build,
    difficulty_loss,
    evaluate,
    partial_cross_entropy,
    predict,
    state,
)
from napari_alseg.segmentation.fitting import run as module
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    RecipeSettings,
    TrainingSettings,
    check,
)


def start(network, examples, validation, settings, curve=None):
    run = TrainingRun(network, settings)
    run.curve = run.curve if curve is None else curve
    return run.learn(objective_of(network, examples, settings), validation)


def objective_of(network, examples, settings):
    kind = Difficulty if network.difficulty else Partial
    return kind(examples, settings, recipe=RecipeSettings())


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


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_it_learns_where_it_errs(learns_where_it_errs, quick, weight):
    """On images that it has not seen; about half of the right pixels are sure."""
    network, others = learns_where_it_errs, half_of_it_cannot_be_learnt(1)
    settings = replace(quick, epochs=40)
    recipe = RecipeSettings(difficulty=weight)
    objective = Difficulty(half_of_it_cannot_be_learnt(0), settings, recipe=recipe)
    finish(TrainingRun(network, settings).learn(objective))
    found = difficulty_of_wrong_less_right(network, others)
    assert found > 0.2 if weight else found < 0.1


def test_where_it_errs_teaches_the_network_as_well(
    learns_where_it_errs, examples, quick
):
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
    objective = Difficulty(examples, quick)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        found = objective.loss(network, Batch(images, targets))
    network.zero_grad()
    found.backward()
    torch.testing.assert_close(found, loss)
    direction = functional.normalize(weight.grad.flatten(), dim=0)
    torch.testing.assert_close(direction, both)
    assert direction @ alone < 0.999


# --- stopping and resuming ------------------------------------------------------------


def stopped_at(network, examples, validation, settings, step) -> TrainingRun:
    """A run that is closed at a step."""
    run = TrainingRun(network, settings)
    task = run.learn(objective_of(network, examples, settings), validation)
    while run.step < step:
        next(task)
    task.close()
    return run


@pytest.fixture
def always_reporting(monkeypatch):
    monkeypatch.setattr("napari_alseg.segmentation.fitting.run.PAUSE", 0.0)


@pytest.mark.usefixtures("always_reporting")
@pytest.mark.parametrize("step", [1, 3, 7, 29])
@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("measured", [False, True])
def test_a_stopped_run_is_resumed_exactly(
    tiny_network, examples, quick, step, average, measured
):
    """In another process: a new network, and only the checkpoint."""
    settings = replace(quick, average=average)
    validation = examples[:2] if measured else []
    whole = deepcopy(tiny_network)
    uninterrupted = TrainingRun(whole, settings)
    finish(uninterrupted.learn(objective_of(whole, examples, settings), validation))
    first = deepcopy(tiny_network)
    run = stopped_at(first, examples, validation, settings, step)
    assert not run.ended
    arrays, metadata = run.checkpoint()
    metadata = json.loads(json.dumps(metadata))
    other = deepcopy(tiny_network)
    again = TrainingRun(other, settings)
    again.load_checkpoint(arrays, metadata)
    assert same(state(first), state(other))  # what a stopped run is used with
    finish(again.learn(objective_of(other, examples, settings), validation))
    assert same(state(whole), state(other))
    points = [(p.step, p.miou) for p in uninterrupted.curve]
    assert [(p.step, p.miou) for p in again.curve] == points


@pytest.mark.usefixtures("always_reporting")
@pytest.mark.parametrize("epochs", [3, 10])
def test_a_measurement_that_is_stopped_is_made_later(
    tiny_network, examples, quick, epochs
):
    """Stopped within a measurement, after the last step, too."""
    whole = TrainingRun(deepcopy(tiny_network), quick)
    objective = objective_of(whole.network, examples, quick)
    finish(whole.learn(objective, examples[:2]))
    first = TrainingRun(deepcopy(tiny_network), quick)
    task = first.learn(objective, examples[:2])
    while next(task).message != "measuring" or first.step < 3 * epochs:
        pass
    task.close()
    arrays, metadata = first.checkpoint()
    again = TrainingRun(deepcopy(tiny_network), quick)
    again.load_checkpoint(arrays, json.loads(json.dumps(metadata)))
    finish(again.learn(objective, examples[:2]))
    assert same(state(whole.network), state(again.network))
    points = [(p.step, p.miou) for p in whole.curve]
    assert [(p.step, p.miou) for p in again.curve] == points


def test_a_run_may_pause_for_new_answers(tiny_network, examples, quick):
    """RIPU's schedule: the rates fall on, though the objective is another."""
    run = TrainingRun(tiny_network, quick)
    finish(run.learn(objective_of(tiny_network, examples[:2], quick), until=0.5))
    assert (run.step, run.time) == (5, pytest.approx(0.5))
    finish(run.learn(objective_of(tiny_network, examples, quick)))
    assert run.step == 5 + 15
    assert run.ended


def test_the_checkpoint_of_another_network_is_refused(tiny_network, examples, quick):
    run = TrainingRun(tiny_network, quick)
    arrays, metadata = run.checkpoint()
    arrays["newest/encoder.0.bias"] = arrays.pop("newest/body.encoder.0.bias")
    with pytest.raises(WeightsMismatch, match="checkpoint is of another network"):
        TrainingRun(deepcopy(tiny_network), quick).load_checkpoint(arrays, metadata)


# --- options --------------------------------------------------------------------------


def test_the_time_budget_ends_a_run_with_a_falling_rate(
    tiny_network, examples, quick, monkeypatch
):
    clock = iter(np.arange(0, 1000, 0.5))
    monkeypatch.setattr(
        "napari_alseg.segmentation.fitting.run.monotonic", lambda: float(next(clock))
    )
    run = TrainingRun(tiny_network, replace(quick, epochs=10_000, minutes=0.2))
    found = list(run.learn(objective_of(tiny_network, examples, quick)))
    assert run.ended
    assert run.step < 30
    assert found[-1].done == found[-1].total == run.step
    assert run._optimiser.param_groups[0]["lr"] < 0.2 * quick.learning_rate


def test_a_time_budget_that_is_not_reached_changes_nothing(
    tiny_network, examples, quick
):
    other = deepcopy(tiny_network)
    finish(start(tiny_network, examples, [], quick))
    finish(start(other, examples, [], replace(quick, minutes=60)))
    assert same(state(tiny_network), state(other))


def test_patience_ends_a_run_that_no_longer_gets_better(tiny_network, examples, quick):
    finish(start(tiny_network, examples, examples, quick))
    wrong = [
        Example(each.image, np.where(each.targets == IGNORE, IGNORE, 2 - each.targets))
        for each in examples
    ]
    settings = replace(quick, epochs=100, validate_every=1, patience=3)
    run = TrainingRun(tiny_network, settings)
    finish(run.learn(objective_of(tiny_network, wrong, settings), examples))
    looks = [point.miou for point in run.curve if point.miou is not None][1:]
    assert run.ended
    assert len(looks) < 100
    best = len(looks) - 1 - int(np.argmax(looks[::-1]))
    assert len(looks) - 1 - best == 3


def test_patience_waits_for_the_last_part_of_a_run(tiny_network, examples, quick):
    """More labels are to come: what no longer gets better may do so yet."""
    settings = replace(quick, validate_every=1, patience=1)
    run = TrainingRun(tiny_network, settings)
    scores = iter([0.9, *[0.1] * 20])
    offer = run._best.offer
    run._best.offer = lambda _, network, **more: offer(next(scores), network, **more)
    objective = objective_of(tiny_network, examples, settings)
    finish(run.learn(objective, until=0.5))
    assert (run.step, run.time) == (15, 0.5)
    finish(run.learn(objective))
    assert (run.step, run.time) == (18, 1.0)  # at the first look


def test_a_part_ends_where_the_next_begins_however_long_its_steps(
    tiny_network, examples, quick
):
    settings = replace(quick, epochs=1, batch_size=6)  # a single step
    run = TrainingRun(tiny_network, settings)
    for part, until in enumerate((0.25, 0.45, 1.0), 1):
        finish(run.learn(objective_of(tiny_network, examples, settings), until=until))
        assert (run.step, run.time) == (part, until)


def test_without_validation_the_running_mean_stays(tiny_network, examples, quick):
    settings = replace(quick, average=0.5, epochs=1)
    name = "body.encoder.0.bias"
    run = TrainingRun(tiny_network, settings)
    seen, offer = [], run._average.offer
    run._average.offer = lambda network: (
        offer(network),
        seen.append(state(network)[name]),
    )
    finish(run.learn(objective_of(tiny_network, examples, settings)))
    mean = seen[0]
    for number, value in enumerate(seen[1:], start=2):
        decay = min(0.5, number / (number + 9))
        mean = decay * mean + (1 - decay) * value
    np.testing.assert_allclose(state(tiny_network)[name], mean, rtol=1e-5)
    assert not np.allclose(mean, seen[-1])


def test_rare_classes_count_more_when_balanced(tiny_network, examples, quick):
    objective = Partial(examples, quick, class_weight=torch.tensor([1.0, 0.0, 0.0]))
    images = torch.rand(2, 3, 8, 8)
    targets = torch.ones(2, 8, 8, dtype=torch.uint8)
    assert objective.loss(tiny_network, Batch(images, targets)) == 0


def test_a_long_gradient_is_shortened(tiny_network, examples, quick):
    other = deepcopy(tiny_network)
    finish(start(tiny_network, examples, [], replace(quick, epochs=1)))
    finish(start(other, examples, [], replace(quick, epochs=1, gradient_norm=1e-3)))
    assert not same(state(tiny_network), state(other))


# --- when memory is short -------------------------------------------------------------


class FullAbove:
    """An objective that memory holds only up to so many crops of so many pixels."""

    def __init__(self, objective, crops, pixels=10**9) -> None:
        self.objective, self.crops, self.pixels = objective, crops, pixels

    @property
    def settings(self):
        return self.objective.settings

    @settings.setter
    def settings(self, value):
        self.objective.settings = value

    @property
    def steps(self):
        return self.objective.steps

    def batches(self, start, device):
        return self.objective.batches(start, device)

    def loss(self, network, batch):
        if len(batch[0]) > self.crops or batch[0][0, 0].numel() > self.pixels:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.objective.loss(network, batch)


def test_a_full_memory_takes_the_batch_in_parts(tiny_network, examples, quick):
    """Each step still learns from the whole batch."""
    settings = replace(quick, batch_size=4, epochs=2)
    objective = FullAbove(objective_of(tiny_network, examples, settings), crops=2)
    run = TrainingRun(tiny_network, settings)
    messages = [each.message for each in run.learn(objective)]
    notes = [each for each in messages if each.startswith("note: ")]
    assert notes == [
        "note: the graphics memory is full: 2 crops at a time now, 4 still make a step"
    ]
    assert run.ended
    assert run.step == 2 * 2


def test_parts_add_up_to_the_gradient_of_the_batch(tiny_network, examples, quick):
    """Without batch statistics and with as many labels a crop."""
    labelled = [Example(e.image, np.zeros_like(e.targets)) for e in examples]
    settings = replace(quick, batch_size=4, epochs=1, gradient_norm=1e6, scale=1.0)
    gradients = []
    for parts in (1, 2, 3):  # of 2, 2 and of 1, 1, 2 crops
        network = deepcopy(tiny_network)
        network.encoder[1] = torch.nn.Identity()
        network.body.head[0] = torch.nn.Identity()
        objective = objective_of(network, labelled, settings)
        run = TrainingRun(network, settings)
        run._limits.parts = parts
        batch = next(objective.batches(0, torch.device("cpu")))
        run._step(objective, batch)
        gradients.append(network.body.head[1].weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])
    torch.testing.assert_close(gradients[0], gradients[2])


def test_when_parts_do_not_help_crops_get_smaller_then_the_cpu_learns(
    tiny_network, examples, quick
):
    settings = replace(quick, epochs=1, crop=512)
    large = [
        Example(
            e.image.repeat(10, 0).repeat(10, 1), e.targets.repeat(10, 0).repeat(10, 1)
        )
        for e in examples[:2]
    ]
    run = TrainingRun(tiny_network, settings)
    objective = FullAbove(
        objective_of(tiny_network, large, settings), 2, pixels=160 * 160
    )
    messages = [each.message for each in run.learn(objective)]
    assert [each for each in messages if "note" in each] == [
        "note: the graphics memory is full: crops are at most 256 pixels now",
        "note: the graphics memory is full: crops are at most 128 pixels now",
    ]
    assert run.ended
    objective = FullAbove(objective_of(tiny_network, large, settings), 2, pixels=1)
    objective.settings = replace(settings, crop=128)
    task = TrainingRun(tiny_network, settings).learn(objective)
    assert "on the CPU" in next(each.message for each in task if each.message[0] == "n")
    task.close()


def test_a_run_that_moves_takes_all_its_weights_along(tiny_network, examples, quick):
    """Those that it keeps as well: the next step adds to the running mean."""
    settings = replace(quick, average=0.9, epochs=1)
    run = TrainingRun(tiny_network, settings)
    finish(run.learn(objective_of(tiny_network, examples, settings), examples))
    run._move(torch.device("meta"))
    kept = [
        tiny_network.state_dict(),
        run._best.weights,
        run._average.weights,
        *run._optimiser.state_dict()["state"].values(),
    ]
    devices = {tensor.device.type for each in kept for tensor in each.values()}
    assert devices == {"meta"}
    run._average.offer(tiny_network)


def test_a_run_that_was_stopped_remembers_which_crops_fit(
    tiny_network, examples, quick
):
    settings = replace(quick, crop=512)
    other = deepcopy(tiny_network)
    run = TrainingRun(tiny_network, settings)
    finish(run.learn(objective_of(tiny_network, examples, settings), until=0.1))
    run._retreat(objective_of(tiny_network, examples, settings))
    arrays, metadata = run.checkpoint()
    again = TrainingRun(other, settings)
    again.load_checkpoint(arrays, json.loads(json.dumps(metadata)))
    objective = objective_of(other, examples, settings)
    finish(again.learn(objective, until=0.2))
    assert objective.settings.crop == 256


def test_a_full_memory_while_measuring_repeats_the_measurement(
    tiny_network, examples, quick, monkeypatch
):
    """No measurement is lost, and no step is taken twice."""
    settings = replace(quick, batch_size=4, epochs=2, validate_every=1)
    expected = TrainingRun(deepcopy(tiny_network), settings)
    finish(expected.learn(objective_of(tiny_network, examples, settings), examples[:1]))
    whole, full = module._mean_iou, iter((False, True, False, False))

    def measure(*arguments):
        if next(full):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return (yield from whole(*arguments))

    monkeypatch.setattr(module, "_mean_iou", measure)
    run = TrainingRun(tiny_network, settings)
    objective = objective_of(tiny_network, examples, settings)
    messages = [each.message for each in run.learn(objective, examples[:1])]
    assert sum("memory is full" in each for each in messages) == 1
    looked = [point.step for point in run.curve if point.miou is not None]
    assert looked == [p.step for p in expected.curve if p.miou is not None]
    assert run.step == expected.step


def test_a_memory_that_is_full_in_the_first_step_leaves_no_half_moments(
    tiny_network, examples, quick, monkeypatch
):
    settings = replace(quick, batch_size=4, epochs=1)
    run = TrainingRun(tiny_network, settings)
    steps, whole = iter((True, False)), torch.optim.AdamW.step

    def step(self, *arguments):
        if next(steps, False):
            parameter = self.param_groups[0]["params"][0]
            self.state[parameter]["step"] = torch.zeros(())  # and no moments
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    finish(run.learn(objective_of(tiny_network, examples, settings)))
    assert run.ended
