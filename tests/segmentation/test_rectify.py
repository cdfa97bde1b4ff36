import threading
from contextlib import closing
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from napari_alseg.arrays import IGNORE, finish
from napari_alseg.errors import NothingToLearn
from napari_alseg.segmentation import (
    Example,
    Network,
    Partial,
    batches,
    build,
    partial_cross_entropy,
    predict,
    rectify,
)
from napari_alseg.segmentation.rectify import (
    LEAST_SHARE,
    NO_CLASS,
    SCALES,
    Anchors,
    PairBatch,
    Pairing,
    Pairwise,
    Rectified,
    class_anchors,
    class_losses,
    classes_held,
    pair_batches,
    partner,
    pseudo_labels,
    query_half,
    rectification,
    reliable_half,
    shared_class,
    shares,
    strong_factors,
    unreliability,
)
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    RecipeSettings,
    TrainingSettings,
)

CPU = torch.device("cpu")
PREDICTION = PredictionSettings(device="cpu")
TRAINING = TrainingSettings(batch_size=2, crop=64, device="cpu")
SEEDS = st.integers(0, 2**31 - 1)
NUMBERS = st.floats(0, 1, exclude_max=True)


class Colours(nn.Module):
    """A teacher whose features are the colours, and whose class is the strongest."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.encoder = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.head = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.dirac_(self.head.weight)

    def forward(self, images):
        logits = self.head(self.encoder(images))
        return functional.interpolate(logits, images.shape[-2:])


def colours(stride: int = 1, span: int = 1) -> Network:
    network = Network(Colours(stride), NetworkSettings(), 3, stride=span)
    network.mean.zero_()
    network.deviation.fill_(1.0)
    return network.eval()


def tiny(like: Network) -> Network:
    """A network with the weights that all begin with."""
    network = Network(type(like.body)(3), NetworkSettings(), 3)
    network.load_state_dict(like.state_dict())
    return network


def blocks(count: int, seed: int, noise: int = 0) -> list[Example]:
    """Images whose class is their strongest colour, labelled as a whole."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        truth = rng.integers(0, 3, (4, 5)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        image = np.eye(3)[truth] * (255 - noise)
        image = image + rng.integers(0, noise + 1, (32, 40, 3))
        found.append(Example(image.astype(np.uint8), truth))
    return found


def labelled_where(example: Example, mask: np.ndarray) -> Example:
    targets = np.where(mask, example.targets, IGNORE).astype(np.uint8)
    return Example(example.image, targets)


def of_class(*classes: int) -> Example:
    """An image of columns, each of one class and its colour."""
    truth = np.repeat(np.array(classes, np.uint8), 8)[None].repeat(32, 0)
    return Example((np.eye(3)[truth] * 255).astype(np.uint8), truth)


def held(*classes: tuple[int, ...]) -> np.ndarray:
    found = np.zeros((len(classes), 254), bool)
    for row, each in zip(found, classes, strict=True):
        row[list(each)] = True
    return found


def some(lesson, count=1, start=0):
    with closing(lesson.batches(start, CPU)) as stream:
        return list(islice(stream, count))


def learn(network: Network, lesson, steps: int) -> Network:
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.03)
    network.train()
    with torch.random.fork_rng(), closing(lesson.batches(0, CPU)) as stream:
        torch.manual_seed(0)
        for batch in islice(stream, steps):
            optimiser.zero_grad()
            lesson.loss(network, batch).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
    return network.eval()


# --- which images go together ---------------------------------------------------------


def test_a_class_of_three_percent_is_held():
    """96 of 10,000 pixels are too few, 300 are enough."""
    targets = np.zeros(10_000, np.uint8)
    targets[:96], targets[96:396] = 1, 2
    example = Example(np.zeros((100, 100, 3), np.uint8), targets.reshape(100, 100))
    found = finish(classes_held([example]))
    assert np.flatnonzero(found[0]).tolist() == [0, 2]


def test_of_an_image_labelled_in_part_the_labelled_pixels_count():
    targets = np.full((100, 100), IGNORE, np.uint8)
    targets[0, :4] = 1, 1, 7, 1
    assert shares(targets)[[1, 7]].tolist() == [0.75, 0.25]
    assert not shares(np.full((2, 2), IGNORE, np.uint8)).any()


def test_class_0_makes_pairs_unless_it_is_said_never_to():
    pictures = [of_class(0, 1), of_class(0, 1)]
    assert np.array_equal(finish(classes_held(pictures)), held((0, 1), (0, 1)))
    never = finish(classes_held(pictures, never=(0,)))
    assert np.array_equal(never, held((1,), (1,)))
    pairing = Pairing(pictures, pictures, never, never, (0, 1))
    with closing(pair_batches(pairing, TRAINING, CPU, seed=0)) as stream:
        shared = torch.cat([batch.shared for batch in islice(stream, 10)])
    assert 1 in shared
    assert set(shared.tolist()) <= {1, NO_CLASS}


@settings(max_examples=200, deadline=None)
@given(SEEDS, NUMBERS, st.integers(1, 6))
def test_a_partner_shares_a_class_and_is_another(seed, number, count):
    rng = np.random.default_rng(seed)
    classes = rng.random((count, 254)) < 0.004
    own = int(rng.integers(count))
    index, shares = partner(classes[own], classes, number, own)
    common = (classes & classes[own]).any(1)
    common[own] = False
    assert shares == common.any()
    assert not shares or common[index]
    assert index != own or count == 1


def test_the_more_classes_a_partner_shares_the_likelier_it_is():
    queried = held((0,), (0, 1, 2), (5,), (1,))
    numbers = (np.arange(500) + 0.5) / 500
    found = [partner(held((0, 1, 2))[0], queried, number)[0] for number in numbers]
    assert np.bincount(found).tolist() == [100, 300, 0, 100]


def test_where_none_shares_a_class_all_others_are_as_likely():
    queried = held((0,), (0,), (0,), (0,))
    found = [partner(held((3,))[0], queried, number, 1) for number in (0.0, 0.4, 0.99)]
    assert found == [(0, False), (2, False), (3, False)]


def test_a_crop_shares_what_both_hold_and_the_partner_is_taken_for():
    first, second = np.zeros(254), np.zeros(254)
    first[[0, 3, 4, 9]] = 0.5, 0.4, LEAST_SHARE, 0.02
    second[[0, 3, 4, 9]] = 0.02, 0.3, 0.3, 0.3
    every, one = held((0, 3, 4, 9), (4,))
    numbers = [0.0, 0.49, 0.5, 0.99]
    found = [shared_class(first, second, every, number) for number in numbers]
    assert found == [3, 3, 4, 4]
    assert shared_class(first, second, one, 0.0) == 4
    assert shared_class(first, second, held(())[0], 0.0) == NO_CLASS


# --- batches of pairs -----------------------------------------------------------------


def equal(first: PairBatch, second: PairBatch) -> bool:
    return all(
        torch.equal(one, other) for one, other in zip(first, second, strict=True)
    )


def test_the_same_seed_gives_the_same_pairs_from_any_step(examples, quick):
    whole = some(Pairwise(examples, quick, 3), 8)
    later = some(Pairwise(examples, quick, 3), 4, start=4)
    assert all(equal(*both) for both in zip(whole[4:], later, strict=True))
    assert not equal(whole[0], some(Pairwise(examples, quick, 4))[0])


def test_the_first_crops_are_those_of_other_recipes(examples, quick):
    with closing(batches(examples, quick, CPU, seed=3)) as stream:
        for pair in some(Pairwise(examples, quick, 3), 4):
            batch = next(stream)
            assert torch.equal(pair.targets, batch.targets)
            changed = rectify.jitter(pair.images, pair.factors)
            torch.testing.assert_close(changed, batch.images)


def test_what_a_pair_shares_is_in_both_crops_and_images_differ():
    """Each image has a brightness of its own."""
    rng = np.random.default_rng(0)
    pictures = [
        Example(np.full((32, 64, 3), 40 * index, np.uint8), targets)
        for index, targets in enumerate(rng.integers(0, 4, (6, 32, 64)).astype("u1"))
    ]
    for batch in some(Pairwise(pictures, TRAINING), 12):
        for first, second, shared in zip(*batch[1:4:2], batch.shared, strict=True):
            assert shared != NO_CLASS
            assert (first == shared).any()
            assert (second == shared).any()
        assert (batch.images.amax((1, 2, 3)) != batch.partners.amax((1, 2, 3))).all()


def test_pairs_without_a_class_in_common_say_so():
    pictures = [of_class(0, 0), of_class(1, 1), of_class(2, 2)]
    shared = torch.cat(
        [batch.shared for batch in some(Pairwise(pictures, TRAINING), 6)]
    )
    assert (shared == NO_CLASS).all()


def test_the_only_image_is_its_own_partner_and_shares_nothing():
    batch = some(Pairwise([of_class(0, 1)], TRAINING))[0]
    assert (batch.shared == NO_CLASS).all()
    assert not torch.equal(batch.images, batch.partners)


def test_partners_change_from_step_to_step():
    """Each of four images has a brightness of its own; any goes with any."""
    targets = np.zeros((32, 64), np.uint8)
    pictures = [
        Example(np.full((32, 64, 3), 60 * i, np.uint8), targets) for i in range(4)
    ]
    pairs = {
        (round(float(one.max()) * 255), round(float(other.max()) * 255))
        for batch in some(Pairwise(pictures, TRAINING), 40)
        for one, other in zip(batch.images, batch.partners, strict=True)
    }
    assert len(pairs) == 12


def test_closed_the_threads_end(examples, quick):
    before = threading.active_count()
    stream = Pairwise(examples, quick).batches(0, CPU)
    next(stream)
    assert threading.active_count() > before
    stream.close()
    assert threading.active_count() == before


def test_a_jitter_of_zero_leaves_all_colours_as_they_are():
    numbers = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    found = strong_factors(numbers, torch.zeros(50, 2), 0.0)
    assert torch.equal(found, torch.ones(50, 3))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(0, 1))
def test_no_factor_is_negative(seed, jitter):
    numbers, chances = torch.rand(
        2, 20, 3, generator=torch.Generator().manual_seed(seed)
    )
    found = strong_factors(numbers, chances[:, :2], jitter)
    assert found.min() >= 0
    assert found.max() <= 2


# --- pairwise likeness ----------------------------------------------------------------


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
    lesson = Pairwise(examples, TRAINING, recipe=RecipeSettings(similarity=2.0))
    with torch.no_grad():
        cross_entropy = partial_cross_entropy(
            network(batch.images), batch.targets
        ) + partial_cross_entropy(network(batch.partners), batch.partner_targets)
    half = 0.5**0.5
    first = -np.log([1 - 1e-4, 1e-4]).mean()
    second = -np.log([half, 1 - 1e-4, 1 - half]).mean()
    expected = float(cross_entropy) + 2 * (first + second)
    assert lesson.loss(network, batch).item() == pytest.approx(expected, rel=1e-4)


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
    for lesson in (
        Pairwise(examples, TRAINING),
        Rectified(examples, examples, colours(), TRAINING),
    ):
        batch = some(lesson)[0]
        parts = [type(batch)(*(each[i : i + 1] for each in batch)) for i in range(2)]
        assert all(lesson.loss(network, part).isfinite() for part in parts)


@pytest.mark.parametrize("name", ["deeplabv3plus", "unet", "pan"])
def test_real_networks_learn_pairs_of_a_few_labelled_pixels(name, examples):
    """The decoder of PAN pads crops of 32 x 64 pixels to 128."""
    network = build(NetworkSettings(name, "mobilenet_v2", "random"), 3).train()
    few = [
        labelled_where(each, np.arange(each.targets.size).reshape(32, 40) % 97 == 0)
        for each in blocks(3, 0, 100)
    ]
    for lesson in (
        Pairwise(few, TRAINING),
        Rectified(few, few, network, TRAINING, own=(0, 1, 2)),
    ):
        network.train()
        lesson.loss(network, some(lesson)[0]).backward()
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
        lesson = Pairwise(few, TRAINING, recipe=recipe)
        network = learn(tiny(tiny_network), lesson, 60)
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
    lesson = Rectified(examples, examples, teacher, TRAINING)
    torch.testing.assert_close(
        lesson.weight(batch), torch.tensor([[[0.6, 0.0, 1.0, 1.0]]])
    )
    each = functional.cross_entropy(
        network(batch.images),
        batch.targets.long(),
        ignore_index=IGNORE,
        reduction="none",
    )[0, 0]
    pseudo = (0.6 * each[0] + each[2]) / 4
    labelled = partial_cross_entropy(network(batch.partners), batch.partner_targets)
    torch.testing.assert_close(lesson.loss(network, batch), labelled + pseudo)


def test_without_a_shared_class_pseudo_labels_count_in_full(examples):
    batch = pair_of([[0, 1, 2]], [[1, 1, 1]], NO_CLASS)
    lesson = Rectified(examples, examples, colours(), TRAINING)
    assert torch.equal(lesson.weight(batch), torch.ones(1, 1, 3))


def test_rare_classes_count_more_in_pseudo_labels_too(examples):
    batch = pair_of([[0, 1, 2]], [[IGNORE] * 3], NO_CLASS)
    network = colours()
    balanced = torch.tensor([1.0, 0.0, 0.0])
    lesson = Rectified(examples, examples, colours(), TRAINING, class_weight=balanced)
    loss = lesson.loss(network, batch)
    alone = functional.cross_entropy(network(batch.images)[..., 0], torch.tensor([[0]]))
    torch.testing.assert_close(loss, alone / 3)


def test_the_teacher_stays_as_it_is(tiny_network, examples):
    teacher = tiny(tiny_network).train()
    before = {name: each.clone() for name, each in teacher.state_dict().items()}
    lesson = Rectified(examples, examples, teacher, TRAINING)
    learn(tiny_network, lesson, 3)
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
    lesson = Rectified(examples, examples, teacher, TRAINING)
    batch = some(lesson)[0]
    lesson.loss(network, batch)
    both = torch.cat([batch.images, batch.partners])
    assert torch.equal(seen[0], both)
    factors = torch.cat([batch.factors, batch.partner_factors])
    torch.testing.assert_close(seen[1], rectify.jitter(both, factors))


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
    lesson = Rectified(pictures, pictures, colours(), TRAINING, own=(0, 1))
    assert {lesson.pairing.partner(0, n / 9)[0] for n in range(9)} == {1}
    free = Rectified(pictures, pictures, colours(), TRAINING)
    assert {free.pairing.partner(0, n / 9)[0] for n in range(9)} == {0, 1}


def test_only_queried_images_are_partners():
    pictures = [of_class(0, 1), of_class(0, 1), of_class(1, 1)]
    lesson = Rectified(
        pictures, pictures, colours(), TRAINING, queried=held((), (0,), (1,))
    )
    found = [lesson.pairing.partner(0, n / 9) for n in range(9)]
    assert set(found) == {(1, True), (2, True)}


def test_padding_changes_no_weight():
    """A network that takes multiples of 48 only: 32 x 32 pixels are padded by 16."""
    example, other = of_class(0, 1, 2, 0), of_class(1, 0, 0, 2)
    lesson = Rectified([example], [other], colours(), TRAINING)
    padded = Rectified([example], [other], colours(4, span=48), TRAINING)
    images = torch.stack(
        [torch.tensor(each.image / 255).permute(2, 0, 1) for each in (example, other)]
    )
    batch = pair_of(example.targets, other.targets, 0, images[:, None].float())
    inner = torch.arange(32) % 8
    inner = (inner >= 2) & (inner < 6)  # features of 4 pixels blur the borders
    torch.testing.assert_close(
        padded.weight(batch)[..., inner], lesson.weight(batch)[..., inner]
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

    def taught_by(lesson) -> float:
        return accuracy(learn(tiny(tiny_network), lesson, 40), others)

    alone = taught_by(Partial(few, TRAINING))
    rectified = taught_by(Rectified(noisy, few, teacher, TRAINING))
    monkeypatch.setattr(
        rectify, "rectified_weight", lambda near, mask: torch.ones_like(near)
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


# --- between the stages ---------------------------------------------------------------


def test_pseudo_labels_are_the_mean_over_sizes_and_mirror_images(tiny_network):
    image = blocks(1, 0, 100)[0].image[:31, :37]
    targets, confidence = pseudo_labels(tiny_network, image, PREDICTION)
    total = np.zeros((3, 31, 37))
    for scale in SCALES:
        small = rectify._resized(image, scale)
        assert small.shape[:2] == (round(31 * scale), round(37 * scale))
        for flip in (1, -1):
            seen = predict(
                tiny_network, np.ascontiguousarray(small[:, ::flip]), PREDICTION
            ).probability
            large = functional.interpolate(seen[None], (31, 37), mode="bilinear")[0]
            total += large.numpy()[:, :, ::flip] / 10
    assert targets.dtype == np.uint8
    assert np.array_equal(targets, total.argmax(0))
    np.testing.assert_allclose(confidence, total.max(0), atol=1e-5)
    assert confidence.max() <= 1


def test_a_picture_of_one_pixel_has_pseudo_labels(tiny_network):
    targets, confidence = pseudo_labels(
        tiny_network, np.zeros((1, 1, 3), np.uint8), PREDICTION
    )
    assert targets.shape == confidence.shape == (1, 1)


def test_anchors_are_mean_prototypes_of_the_images_that_show_a_class():
    """Class 0 is red in the one image and, by its labels, green in the other."""
    first, second = of_class(0, 1), of_class(1, 1)
    second = Example(second.image, np.where(np.arange(16) < 3, 0, IGNORE)[None])
    second = Example(second.image, second.targets.repeat(32, 0).astype(np.uint8))
    found = finish(class_anchors(colours(), [first, second], PREDICTION))
    assert found.seen.tolist() == [True, True, False]
    expected = [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    torch.testing.assert_close(found.vectors, torch.tensor(expected))


def test_a_class_without_an_anchor_is_not_compared():
    anchors = Anchors(torch.eye(3), np.array([True, True, False]))
    losses = class_losses(colours(), of_class(0, 2), anchors, PREDICTION)
    assert np.isnan(losses).tolist() == [False, True, True]
    unseen = Anchors(torch.eye(3), np.zeros(3, bool))
    assert unreliability(colours(), of_class(0, 2), unseen, PREDICTION) == np.inf


def test_class_losses_are_means_over_the_labelled_pixels():
    """Class 0 against red: two red pixels are right, a green one is wrong."""
    image = (np.eye(3)[[0, 0, 1, 1]][None] * 255).astype(np.uint8)
    targets = np.array([[0, 0, 0, IGNORE]], np.uint8)
    anchors = Anchors(torch.eye(3), np.ones(3, bool))
    losses = class_losses(colours(), Example(image, targets), anchors, PREDICTION)
    expected = -np.log([1 - 1e-4, 1 - 1e-4, 1e-4]).mean()
    assert losses[0] == pytest.approx(expected, rel=1e-3)


def test_unreliability_is_the_mean_over_classes_or_their_sum():
    """The more classes, the larger a sum; a mean stays the same."""
    anchors = Anchors(torch.eye(3) + 0.5, np.ones(3, bool))
    one, three = of_class(0, 0, 0), of_class(0, 1, 2)
    found = {
        mimic: [
            unreliability(colours(), each, anchors, PREDICTION, mimic=mimic)
            for each in (one, three)
        ]
        for mimic in (False, True)
    }
    losses = class_losses(colours(), three, anchors, PREDICTION)
    assert found[False][1] == pytest.approx(losses.mean())
    assert found[True][1] == pytest.approx(losses.sum())
    assert found[True][0] == found[False][0]


def test_wrong_pseudo_labels_are_unreliable():
    right = blocks(1, 0, 100)[0]
    wrong = Example(right.image, (2 - right.targets).astype(np.uint8))
    anchors = finish(class_anchors(colours(), blocks(3, 5, 100), PREDICTION))
    scores = [
        unreliability(colours(), each, anchors, PREDICTION) for each in (wrong, right)
    ]
    assert reliable_half(scores) == [1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, np.inf]), max_size=9))
def test_the_reliable_half_is_the_lower_one(scores):
    reliable = reliable_half(scores)
    others = [index for index in range(len(scores)) if index not in reliable]
    assert len(reliable) == len(scores) // 2
    assert reliable == sorted(set(reliable))
    for index in reliable:  # ties go to the first
        assert all((scores[index], index) < (scores[each], each) for each in others)


def test_the_better_half_of_each_class_is_queried():
    classes = held((0,), (0, 1), (0, 1), (0, 1), (2,))
    losses = np.full((5, 3), np.nan)
    losses[:4, 0] = 0.4, 0.1, 0.3, 0.2
    losses[1:4, 1] = 0.1, np.nan, 0.1
    losses[0, 1] = 0.0  # of a class that it hardly shows
    expected = held((), (0, 1), (), (0, 1), (2,))
    assert np.array_equal(query_half(classes, losses), expected)


def test_rectification_is_the_mean_over_shared_classes():
    """Red against red (m = 1, s = 1) and against green (m = 0, s = 0) count in full."""
    example, other = of_class(0, 1), of_class(1, 0, 2)
    weight = rectification(colours(), example, other, PREDICTION)
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, 1.0)
    turned = Example(example.image, 1 - example.targets)
    weight = rectification(colours(), turned, other, PREDICTION)
    np.testing.assert_allclose(weight, 0.0)


def test_a_pixel_that_suits_one_of_two_shared_classes_counts_half():
    """Beside red (class 0) and blue (class 1) green suits the class it is not."""
    example = Example(of_class(0, 1, 1).image, of_class(0, 0, 1).targets)
    other = Example(of_class(0, 2).image, of_class(0, 1).targets)
    weight = rectification(colours(), example, other, PREDICTION)
    expected = np.repeat([1.0, 0.5, 0.5], 8)[None].repeat(32, 0)
    np.testing.assert_allclose(weight, expected)


def test_rectification_without_a_shared_class_or_a_pseudo_label():
    example = of_class(0, 0)
    example.targets[:, :3] = IGNORE
    weight = rectification(colours(), example, of_class(1, 2, 2), PREDICTION)
    assert (weight[:, :3] == 0).all()
    assert (weight[:, 3:] == 1).all()


def test_rectification_is_what_training_takes():
    example, other = of_class(0, 1, 2, 0), of_class(0, 0, 0, 0)
    example = Example(blocks(1, 3, 150)[0].image[:, :32], example.targets)
    images = torch.stack(
        [torch.tensor(each.image / 255).permute(2, 0, 1) for each in (example, other)]
    )
    batch = pair_of(example.targets, other.targets, 0, images[:, None].float())
    lesson = Rectified([example], [other], colours(), TRAINING)
    np.testing.assert_allclose(
        rectification(colours(), example, other, PREDICTION),
        lesson.weight(batch)[0].numpy(),
        atol=1e-6,
    )
