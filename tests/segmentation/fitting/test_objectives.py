"""Each recipe is tried on planted data that its own term makes easy."""

from contextlib import closing
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_alseg.arrays import IGNORE, finish
from napari_alseg.errors import NothingToLearn
from napari_alseg.segmentation import (
    Adaptation,
    Batch,
    Consistency,
    Difficulty,
    Example,
    Partial,
    TrainingRun,
    class_weights,
    local_consistency_loss,
    predict,
)
from napari_alseg.segmentation.fitting.objectives import DomainBatch
from napari_alseg.settings import PredictionSettings, RecipeSettings

CPU = torch.device("cpu")
OBJECTIVES = [Partial, Consistency, Adaptation]


def learnt(network, objective, settings):
    """Return a copy of the network that has learnt the objective."""
    network = deepcopy(network)
    finish(TrainingRun(network, settings).learn(objective))
    return network


def blank(example: Example) -> Example:
    return Example(example.image, np.full_like(example.targets, IGNORE))


@pytest.mark.parametrize("kind", [*OBJECTIVES, Difficulty])
def test_a_batch_without_labels_gives_no_nan(
    kind, learns_where_it_errs, examples, quick
):
    network = learns_where_it_errs.train()
    objective = kind([blank(each) for each in examples], quick)
    with closing(objective.batches(0, CPU)) as stream:
        loss = objective.loss(network, next(stream))
    loss.backward()
    assert loss.isfinite()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_without_examples_there_is_nothing_to_learn(kind, quick):
    with pytest.raises(NothingToLearn, match="answer the asked regions"):
        kind([], quick)


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_an_objective_may_begin_at_any_batch(kind, examples, quick):
    objective = kind(examples, quick, seed=5)
    with closing(objective.batches(0, CPU)) as stream:
        whole = [next(stream) for _ in range(5)]
    with closing(objective.batches(4, CPU)) as stream:
        later = next(stream)
    assert all(map(torch.equal, whole[4], later))


# --- EquAL ----------------------------------------------------------------------------


class LooksAtTheLeft(torch.nn.Module):
    """A network whose logits say how bright the left neighbour is."""

    device = CPU

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        left = images[:, :1].roll(1, -1)
        return torch.cat([self.weight * left, 0 * left], 1)


def test_the_loss_is_that_of_both_views_and_their_disagreement(quick):
    """One row of two pixels, worked by hand; the logits see the left neighbour."""
    images = torch.zeros(1, 3, 1, 2)
    images[0, 0, 0] = torch.tensor([2.0, 0.0])
    targets = torch.tensor([[[0, IGNORE]]], dtype=torch.uint8)
    objective = Consistency([Example(*2 * [np.zeros((1, 1), np.uint8)])], quick)
    found = objective.loss(LooksAtTheLeft(), Batch(images, targets)).item()
    # z1 = (0, 2); the mirror image is (0, 2), z = (2, 0), mirrored back (0, 2).
    views = 2 * np.log(2)
    assert abs(found - views) < 1e-6
    images[0, 0, 0] = torch.tensor([2.0, 1.0])
    # z1 = (1, 2); the mirror image (1, 2) gives (2, 1), mirrored back (1, 2).
    assert objective.loss(LooksAtTheLeft(), Batch(images, targets)).item() == (
        pytest.approx(2 * np.log1p(np.exp(-1)))
    )
    wide = torch.zeros(1, 3, 1, 3)
    wide[0, 0, 0] = torch.tensor([3.0, 0.0, 0.0])
    targets = torch.full((1, 1, 3), IGNORE, dtype=torch.uint8)
    # z1 = (0, 3, 0); mirrored (0, 0, 3) gives (3, 0, 0), mirrored back (0, 0, 3).
    # Squares 9 + 9 over two classes and three pixels, twice.
    found = objective.loss(LooksAtTheLeft(), Batch(wide, targets)).item()
    assert found == pytest.approx(2 * 18 / 6)


def disagreement(network, examples) -> float:
    """Mean difference between the views of images."""
    differences = []
    for example in examples:
        found = predict(
            network, example.image, PredictionSettings(), needs={"mirrored"}
        )
        differences.append((found.probability - found.mirrored).abs().mean())
    return float(torch.stack(differences).mean())


def test_consistency_makes_the_views_agree(tiny_network, examples, quick):
    """The labels are tossed: what is learnt of them by heart is no mirror image."""
    rng = np.random.default_rng(0)
    tossed = [
        Example(each.image, rng.integers(0, 3, (32, 40), np.uint8)) for each in examples
    ]
    settings = replace(quick, flip=False, scale=1.0, epochs=20)
    with_term, without = (
        learnt(
            tiny_network,
            Consistency(tossed, settings, recipe=RecipeSettings(consistency=weight)),
            settings,
        )
        for weight in (1.0, 0.0)
    )
    assert disagreement(with_term, examples) < 0.7 * disagreement(without, examples)


# --- RIPU -----------------------------------------------------------------------------


def domain(seed: int, shift: int, share: float) -> list[Example]:
    """Blocks whose class is their strongest colour, on a background of some grey."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(4):
        truth = rng.integers(0, 3, (4, 5)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        image = np.eye(3)[truth] * 60 + rng.integers(0, 100, (32, 40, 3)) + shift
        targets = np.where(rng.random((32, 40)) < share, truth, IGNORE)
        found.append(Example(image.astype(np.uint8), targets.astype(np.uint8)))
    return found


def test_half_of_a_step_is_of_the_source(examples, quick):
    settings = replace(quick, batch_size=4)
    objective = Adaptation(examples, settings, source=domain(0, 90, 1.0))
    assert objective.steps == 3
    with closing(objective.batches(0, CPU)) as stream:
        batch = next(stream)
    assert [len(each) for each in batch] == [2, 2, 2, 2]
    assert (batch.source_targets != IGNORE).float().mean() > 0.5
    assert (batch.targets != IGNORE).float().mean() < 0.2


def test_without_a_source_the_terms_of_the_target_are_left(
    tiny_network, examples, quick
):
    objective = Adaptation(examples, quick)
    with closing(objective.batches(0, CPU)) as stream:
        batch = next(stream)
    assert [len(each) for each in batch] == [0, 0, 2, 2]
    assert objective.loss(tiny_network, batch).isfinite()


def test_the_four_terms_add_up(tiny_network, quick):
    source, target = domain(0, 90, 1.0), domain(1, 0, 0.1)
    images = [torch.rand(2, 3, 8, 8) for _ in range(2)]
    targets = [torch.randint(0, 3, (2, 8, 8)).to(torch.uint8) for _ in range(2)]
    batch = DomainBatch(images[0], targets[0], images[1], targets[1])
    values = []
    for local, negative in ((0, 0), (1, 0), (0, 1), (1, 1)):
        recipe = RecipeSettings(
            local_consistency=local, negative=negative, threshold=0.4
        )
        objective = Adaptation(target, quick, source=source, recipe=recipe)
        tiny_network.eval()
        values.append(float(objective.loss(tiny_network, batch).detach()))
    none, with_local, with_negative, both = values
    assert with_local > none
    assert with_negative > none
    assert both == pytest.approx(with_local + with_negative - none, rel=1e-5)


def test_a_labelled_source_teaches_the_target(tiny_network, quick):
    """The target alone has no label at all."""
    settings = replace(quick, epochs=20)
    source, target = domain(0, 40, 1.0), domain(1, 0, 1.0)
    hidden = [blank(each) for each in target]
    accuracy = []
    for known in (source, [blank(each) for each in source]):
        network = learnt(
            tiny_network, Adaptation(hidden, settings, source=known), settings
        )
        right = [
            predict(network, each.image, PredictionSettings()).probability.argmax(0)
            == torch.from_numpy(each.targets)
            for each in target
        ]
        accuracy.append(float(torch.stack(right).float().mean()))
    assert accuracy[0] > 0.8
    assert accuracy[1] < 0.6


def test_negative_learning_lowers_what_is_improbable(tiny_network, quick):
    settings = replace(quick, epochs=20)
    target = domain(1, 0, 0.05)
    lowest = []
    for weight in (5.0, 0.0):
        objective = Adaptation(
            target,
            settings,
            recipe=RecipeSettings(negative=weight, threshold=0.3),
        )
        network = learnt(tiny_network, objective, settings)
        found = [
            predict(network, each.image, PredictionSettings()).probability.amin(0)
            for each in target
        ]
        lowest.append(float(torch.stack(found).mean()))
    assert lowest[0] < 0.7 * lowest[1]


def roughness(network, examples) -> float:
    """How much pixels on label borders differ from those around them."""
    found = [
        predict(network, each.image, PredictionSettings()).probability
        for each in examples
    ]
    targets = torch.from_numpy(np.stack([each.targets for each in examples]))
    return float(local_consistency_loss(torch.stack(found), targets))


def test_local_consistency_smooths_across_label_borders(tiny_network, quick):
    settings = replace(quick, epochs=20)
    source, target = domain(0, 0, 1.0), domain(1, 0, 0.1)
    smooth, rough = (
        roughness(
            learnt(
                tiny_network,
                Adaptation(
                    target,
                    settings,
                    source=source,
                    recipe=RecipeSettings(local_consistency=weight),
                ),
                settings,
            ),
            source,
        )
        for weight in (5.0, 0.0)
    )
    assert smooth < 0.8 * rough


# --- class balance --------------------------------------------------------------------


def test_weights_follow_the_share_of_labelled_pixels():
    targets = np.array([[0] * 9 + [1, 255, 255]], np.uint8)
    example = Example(np.zeros((1, 12, 3), np.uint8), targets)
    weights = class_weights([example], 3, 0.5)
    # 0.9 ** -.5 = 1.0541, 0.1 ** -.5 = 3.1623; their mean over pixels is 1.2649
    torch.testing.assert_close(
        weights, torch.tensor([1.0541, 3.1623, 0.0]) / 1.2649, rtol=1e-4, atol=1e-4
    )
    assert class_weights([example], 3, 0.0) is None


def test_without_labels_no_class_weighs_anything():
    example = Example(np.zeros((1, 2, 3), np.uint8), np.full((1, 2), IGNORE, np.uint8))
    assert class_weights([example], 2, 1.0).tolist() == [0.0, 0.0]


def test_balanced_learning_finds_the_rare_class(tiny_network, quick):
    """Class 1 is 4 % of the labels and looks nearly like class 0."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(4):
        truth = (rng.random((32, 40)) < 0.04).astype(np.uint8)
        level = 100 + 40 * truth[..., None] + rng.normal(0, 25, (32, 40, 3))
        found.append(Example(level.clip(0, 255).astype(np.uint8), truth))
    settings = replace(quick, epochs=10)
    shares = []
    for balance in (0.0, 1.0):
        objective = Partial(
            found, settings, class_weight=class_weights(found, 3, balance)
        )
        network = learnt(tiny_network, objective, settings)
        hits = [
            predict(network, each.image, PredictionSettings()).probability.argmax(0)[
                torch.from_numpy(each.targets == 1)
            ]
            == 1
            for each in found
        ]
        shares.append(float(torch.cat(hits).float().mean()))
    assert shares[1] > shares[0] + 0.2
