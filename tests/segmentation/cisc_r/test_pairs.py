import threading
from contextlib import closing
from itertools import islice

import numpy as np
import torch
from coloured import CPU, equal, held, of_class, some
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import IGNORE, finish
from napari_alseg.segmentation import Example, batches
from napari_alseg.segmentation.cisc_r.objectives import Pairwise
from napari_alseg.segmentation.cisc_r.pairs import (
    LEAST_SHARE,
    NO_CLASS,
    Pairing,
    classes_held,
    pair_batches,
    partner,
    shared_class,
    shares,
    strong_factors,
)
from napari_alseg.segmentation.fitting.batches import jitter
from napari_alseg.settings import TrainingSettings

TRAINING = TrainingSettings(batch_size=2, crop=64, device="cpu")
SEEDS = st.integers(0, 2**31 - 1)
NUMBERS = st.floats(0, 1, exclude_max=True)


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


@settings(max_examples=200)
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
            changed = jitter(pair.images, pair.factors)
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


@settings(max_examples=30)
@given(SEEDS, st.floats(0, 1))
def test_no_factor_is_negative(seed, jitter):
    numbers, chances = torch.rand(
        2, 20, 3, generator=torch.Generator().manual_seed(seed)
    )
    found = strong_factors(numbers, chances[:, :2], jitter)
    assert found.min() >= 0
    assert found.max() <= 2
