from contextlib import closing
from itertools import islice

import numpy as np
import pytest
import torch
from coloured import CPU, blocks, colours, held, of_class, some
from torch import nn
from torch.nn import functional

from napari_alseg.arrays import IGNORE, finish
from napari_alseg.errors import NothingToLearn
from napari_alseg.segmentation import (
    Example,
    Network,
    Partial,
    build,
    partial_cross_entropy,
    predict,
)
from napari_alseg.segmentation.cisc_r import objectives as module
from napari_alseg.segmentation.cisc_r.objectives import Pairwise, Rectified
from napari_alseg.segmentation.cisc_r.pairs import NO_CLASS, PairBatch
from napari_alseg.segmentation.cisc_r.pseudo import (
    class_anchors,
    class_losses,
    rectification,
)
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    RecipeSettings,
    TrainingSettings,
)

PREDICTION = PredictionSettings(device="cpu")
TRAINING = TrainingSettings(batch_size=2, crop=64, device="cpu")


def tiny(like: Network) -> Network:
    """A network with the weights that all begin with."""
    network = Network(type(like.body)(3), NetworkSettings(), 3)
    network.load_state_dict(like.state_dict())
    return network


def labelled_where(example: Example, mask: np.ndarray) -> Example:
    targets = np.where(mask, example.targets, IGNORE).astype(np.uint8)
    return Example(example.image, targets)


def learn(network: Network, objective, steps: int) -> Network:
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.03)
    network.train()
    with torch.random.fork_rng(), closing(objective.batches(0, CPU)) as stream:
        torch.manual_seed(0)
        for batch in islice(stream, steps):
            optimiser.zero_grad()
            objective.loss(network, batch).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
    return network.eval()


def pair_of(first, second, shared, images=None):
    """A batch of one pair: two crops with targets and the class that they share."""
    first, second = (torch.tensor(each, dtype=torch.uint8) for each in (first, second))
    if images is None:
        images = torch.rand(
            2, 1, 3, *first.shape, generator=torch.Generator().manual_seed(1)
        )
    ones = torch.ones(1, 3)
    number = torch.tensor([shared], dtype=torch.uint8)
    return PairBatch(
        images[0], first[None], images[1], second[None], number, ones, ones
    )


def pure(*rows: list[int]) -> torch.Tensor:
    """Images of pure red, green and blue pixels; (2, 1, 3, 1, W)."""
    return torch.eye(3)[torch.tensor(rows)].permute(0, 2, 1)[:, None, :, None]


def test_pairwise_loss_by_hand(examples):
    """The prototype of class 1 is red in the second crop, red and green in the first.

    First crop: red, green, blue against red, the third is not labelled.
    Second crop: red, blue, green against (1, 1, 0), cosines .7071, 0 and .7071.
    """
    batch = pair_of([[1, 1, IGNORE]], [[1, 0, 0]], 1, pure([0, 1, 2], [0, 2, 1]))
    network = colours()
    objective = Pairwise(examples, TRAINING, recipe=RecipeSettings(similarity=2.0))
    with torch.no_grad():
        cross_entropy = partial_cross_entropy(
            network(batch.images), batch.targets
        ) + partial_cross_entropy(network(batch.partners), batch.partner_targets)
    half = 0.5**0.5
    first = -np.log([1 - 1e-4, 1e-4]).mean()
    second = -np.log([half, 1 - 1e-4, 1 - half]).mean()
    expected = float(cross_entropy) + 2 * (first + second)
    assert objective.loss(network, batch).item() == pytest.approx(expected, rel=1e-4)


def test_without_a_shared_class_only_cross_entropy_teaches(examples):
    batch = pair_of([[1, 0, 2]], [[2, 1, 0]], NO_CLASS)
    network = colours()
    pairwise = Pairwise(examples, TRAINING).loss(network, batch)
    alone = Pairwise(examples, TRAINING, recipe=RecipeSettings(similarity=0.0))
    weight = network.body.head.weight
    first, second = (
        torch.autograd.grad(loss, weight)[0]
        for loss in (pairwise, alone.loss(network, batch))
    )
    torch.testing.assert_close(first, second)


def test_similarity_teaches_the_features(tiny_network, examples):
    """Through both images: that of the pixels and that of the prototype."""
    batch = some(Pairwise(examples, TRAINING), 1)[0]
    assert (batch.shared != NO_CLASS).any()
    weight = tiny_network.encoder[0].weight
    grads = []
    for similarity in (0.0, 1.0):
        recipe = RecipeSettings(similarity=similarity)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loss = Pairwise(examples, TRAINING, recipe=recipe).loss(tiny_network, batch)
        grads.append(torch.autograd.grad(loss, weight)[0])
    assert (grads[0] - grads[1]).norm() > 0.05 * grads[0].norm()


@pytest.mark.parametrize("shared", [1, NO_CLASS])
def test_a_pair_without_labels_costs_and_teaches_nothing(
    tiny_network, examples, shared
):
    nothing = np.full((8, 8), IGNORE)
    batch = pair_of(nothing, nothing, shared)
    loss = Pairwise(examples, TRAINING).loss(tiny_network, batch)
    loss.backward()
    assert loss.item() == 0
    for parameter in tiny_network.parameters():
        assert not parameter.grad.any()


def test_a_batch_may_be_taken_in_parts(examples):
    network = colours()
    for objective in (
        Pairwise(examples, TRAINING),
        Rectified(examples, examples, colours(), TRAINING),
    ):
        batch = some(objective)[0]
        parts = [type(batch)(*(each[i : i + 1] for each in batch)) for i in range(2)]
        assert all(objective.loss(network, part).isfinite() for part in parts)


@pytest.mark.parametrize("name", ["deeplabv3plus", "unet", "pan"])
def test_real_networks_learn_pairs_of_a_few_labelled_pixels(name, examples):
    """The decoder of PAN pads crops of 32 x 64 pixels to 128."""
    network = build(NetworkSettings(name, "mobilenet_v2", "random"), 3).train()
    few = [
        labelled_where(each, np.arange(each.targets.size).reshape(32, 40) % 97 == 0)
        for each in blocks(3, 0, 100)
    ]
    for objective in (
        Pairwise(few, TRAINING),
        Rectified(few, few, network, TRAINING, own=(0, 1, 2)),
    ):
        network.train()
        objective.loss(network, some(objective)[0]).backward()
        grads = [each.grad for each in network.parameters() if each.grad is not None]
        assert grads
        assert all(each.isfinite().all() for each in grads)


def test_a_compiled_network_still_shows_its_features(examples):
    network = colours()
    batch = some(Pairwise(examples, TRAINING))[0]
    expected = Pairwise(examples, TRAINING).loss(network, batch)
    network.body.compile(backend="eager")
    network(torch.cat([batch.images, batch.partners]))  # compiled without a hook
    assert torch.equal(Pairwise(examples, TRAINING).loss(network, batch), expected)


def test_likeness_is_learnt_from_a_few_labelled_pixels(tiny_network):
    """On images that it has not seen; without the term it is four times as far off."""
    rng = np.random.default_rng(0)
    few = [labelled_where(e, rng.random((32, 40)) < 0.05) for e in blocks(4, 7, 100)]
    others = blocks(4, 100, 100)
    found = []
    for similarity in (0.0, 1.0):
        recipe = RecipeSettings(similarity=similarity)
        objective = Pairwise(few, TRAINING, recipe=recipe)
        network = learn(tiny(tiny_network), objective, 60)
        anchors = finish(class_anchors(network, few, PREDICTION))
        losses = [class_losses(network, each, anchors, PREDICTION) for each in others]
        found.append(np.nanmean(losses))
    assert found[1] < found[0] / 3


# --- rectified pseudo labels ----------------------------------------------------------


def test_rectified_loss_by_hand(examples):
    """Weights .6 (red and some green, labelled red), 0 (red, not so), 1 and 1."""
    images = pure([0, 0, 2, 1], [2, 0, 1, 1])
    images[0, 0, :, 0, 0] = torch.tensor([0.6, 0.8, 0.0])
    batch = pair_of([[0, 1, 2, IGNORE]], [[IGNORE, 0, 1, 1]], 0, images)
    teacher, network = colours(), colours()
    with torch.no_grad():
        network.body.head.weight.mul_(3.0)
    objective = Rectified(examples, examples, teacher, TRAINING)
    torch.testing.assert_close(
        objective.weight(batch), torch.tensor([[[0.6, 0.0, 1.0, 1.0]]])
    )
    each = functional.cross_entropy(
        network(batch.images),
        batch.targets.long(),
        ignore_index=IGNORE,
        reduction="none",
    )[0, 0]
    pseudo = (0.6 * each[0] + each[2]) / 4
    labelled = partial_cross_entropy(network(batch.partners), batch.partner_targets)
    torch.testing.assert_close(objective.loss(network, batch), labelled + pseudo)


def test_without_a_shared_class_pseudo_labels_count_in_full(examples):
    batch = pair_of([[0, 1, 2]], [[1, 1, 1]], NO_CLASS)
    objective = Rectified(examples, examples, colours(), TRAINING)
    assert torch.equal(objective.weight(batch), torch.ones(1, 1, 3))


def test_rare_classes_count_more_in_pseudo_labels_too(examples):
    batch = pair_of([[0, 1, 2]], [[IGNORE] * 3], NO_CLASS)
    network = colours()
    balanced = torch.tensor([1.0, 0.0, 0.0])
    objective = Rectified(
        examples, examples, colours(), TRAINING, class_weight=balanced
    )
    loss = objective.loss(network, batch)
    alone = functional.cross_entropy(network(batch.images)[..., 0], torch.tensor([[0]]))
    torch.testing.assert_close(loss, alone / 3)


def test_the_teacher_stays_as_it_is(tiny_network, examples):
    teacher = tiny(tiny_network).train()
    before = {name: each.clone() for name, each in teacher.state_dict().items()}
    objective = Rectified(examples, examples, teacher, TRAINING)
    learn(tiny_network, objective, 3)
    assert not teacher.training
    assert all(each.grad is None for each in teacher.parameters())
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_teacher_sees_plain_colours_and_the_network_changed_ones(examples):
    seen = []

    def keep(_, inputs):
        seen.append(inputs[0])

    teacher, network = colours(), colours()
    for each in (teacher, network):
        each.register_forward_pre_hook(keep)
    objective = Rectified(examples, examples, teacher, TRAINING)
    batch = some(objective)[0]
    objective.loss(network, batch)
    both = torch.cat([batch.images, batch.partners])
    assert torch.equal(seen[0], both)
    factors = torch.cat([batch.factors, batch.partner_factors])
    torch.testing.assert_close(seen[1], module.jitter(both, factors))


def test_only_images_without_labels_change_much(examples):
    settings = TrainingSettings(batch_size=64, crop=32, device="cpu", jitter=0.2)
    batch = some(Rectified(examples, examples, colours(), settings))[0]
    first, second = (batch.factors - 1).abs(), (batch.partner_factors - 1).abs()
    assert 0.4 < first[:, :2].max() <= 0.5
    assert 0.15 < second.max() <= 0.2
    unchanged = (first[:, :2].sum(1) == 0).float().mean()
    assert 0.05 < unchanged < 0.4
    grey = (batch.factors[:, 2] == 0).float().mean()
    assert 0.05 < grey < 0.4


def test_an_image_is_not_its_own_partner():
    pictures = [of_class(0, 1), of_class(0, 1)]
    objective = Rectified(pictures, pictures, colours(), TRAINING, own=(0, 1))
    assert {objective.pairing.partner(0, n / 9)[0] for n in range(9)} == {1}
    free = Rectified(pictures, pictures, colours(), TRAINING)
    assert {free.pairing.partner(0, n / 9)[0] for n in range(9)} == {0, 1}


def test_only_queried_images_are_partners():
    pictures = [of_class(0, 1), of_class(0, 1), of_class(1, 1)]
    objective = Rectified(
        pictures, pictures, colours(), TRAINING, queried=held((), (0,), (1,))
    )
    found = [objective.pairing.partner(0, n / 9) for n in range(9)]
    assert set(found) == {(1, True), (2, True)}


def test_padding_changes_no_weight():
    """A network that takes multiples of 48 only: 32 x 32 pixels are padded by 16."""
    example, other = of_class(0, 1, 2, 0), of_class(1, 0, 0, 2)
    objective = Rectified([example], [other], colours(), TRAINING)
    padded = Rectified([example], [other], colours(4, span=48), TRAINING)
    images = torch.stack(
        [torch.tensor(each.image / 255).permute(2, 0, 1) for each in (example, other)]
    )
    batch = pair_of(example.targets, other.targets, 0, images[:, None].float())
    inner = torch.arange(32) % 8
    inner = (inner >= 2) & (inner < 6)  # features of 4 pixels blur the borders
    torch.testing.assert_close(
        padded.weight(batch)[..., inner], objective.weight(batch)[..., inner]
    )


def test_planted_noise_counts_less():
    rng = np.random.default_rng(0)
    truth = blocks(4, 0, 100)
    wrong = [(e.targets == 1) & (rng.random((32, 40)) < 0.2) for e in truth]
    noisy = [
        Example(e.image, np.where(mask, 0, e.targets).astype(np.uint8))
        for e, mask in zip(truth, wrong, strict=True)
    ]
    for example, mask, right in zip(noisy, wrong, truth, strict=True):
        weight = rectification(colours(), example, blocks(1, 9, 100)[0], PREDICTION)
        clean = (right.targets == 1) & ~mask
        assert weight[mask].mean() < weight[clean].mean() - 0.1


def clicked(example: Example, rng: np.random.Generator) -> Example:
    """One pixel of each class is labelled."""
    mask = np.zeros(example.targets.size, bool)
    for each in range(3):
        mask[rng.choice(np.flatnonzero(example.targets == each))] = True
    return labelled_where(example, mask.reshape(example.targets.shape))


def accuracy(network: Network, truth: list[Example]) -> float:
    """Mean share of right pixels over the classes."""
    found = []
    for each in truth:
        seen = predict(network, each.image, PREDICTION).probability.argmax(0).numpy()
        found += [(seen == each.targets)[each.targets == c].mean() for c in range(3)]
    return float(np.mean(found))


def test_images_without_labels_teach_though_many_pseudo_labels_are_wrong(
    tiny_network, monkeypatch
):
    """One image has three labelled pixels; in six, 45 % of class 1 are called 0."""
    rng, others = np.random.default_rng(1), blocks(4, 101, 199)
    few = [clicked(each, rng) for each in blocks(1, 1, 199)]
    noisy = []
    for each in blocks(6, 51, 199):
        wrong = (each.targets == 1) & (rng.random((32, 40)) < 0.45)
        targets = np.where(wrong, 0, each.targets).astype(np.uint8)
        noisy.append(Example(each.image, targets))
    pairwise = Pairwise(blocks(4, 7, 199), TRAINING)
    teacher = learn(tiny(tiny_network), pairwise, 40)

    def taught_by(objective) -> float:
        return accuracy(learn(tiny(tiny_network), objective, 40), others)

    alone = taught_by(Partial(few, TRAINING))
    rectified = taught_by(Rectified(noisy, few, teacher, TRAINING))
    monkeypatch.setattr(
        module, "rectified_weight", lambda near, mask: torch.ones_like(near)
    )
    plain = taught_by(Rectified(noisy, few, teacher, TRAINING))
    assert rectified > alone + 0.05
    assert rectified > plain + 0.05


def test_nothing_to_learn_names_what_is_missing(examples):
    with pytest.raises(NothingToLearn, match="no image has a label yet"):
        Pairwise([], TRAINING)
    with pytest.raises(NothingToLearn, match="no image has a label yet"):
        Rectified(examples, [], colours(), TRAINING)
    with pytest.raises(NothingToLearn, match="no image is without labels"):
        Rectified([], examples, colours(), TRAINING)
    with pytest.raises(NothingToLearn, match="no image has a label yet"):
        finish(class_anchors(colours(), [], PREDICTION))


def test_rectification_is_what_training_takes():
    example, other = of_class(0, 1, 2, 0), of_class(0, 0, 0, 0)
    example = Example(blocks(1, 3, 150)[0].image[:, :32], example.targets)
    images = torch.stack(
        [torch.tensor(each.image / 255).permute(2, 0, 1) for each in (example, other)]
    )
    batch = pair_of(example.targets, other.targets, 0, images[:, None].float())
    objective = Rectified([example], [other], colours(), TRAINING)
    np.testing.assert_allclose(
        rectification(colours(), example, other, PREDICTION),
        objective.weight(batch)[0].numpy(),
        atol=1e-6,
    )
