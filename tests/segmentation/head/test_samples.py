import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import IGNORE
from napari_alseg.segmentation.head.samples import Samples, choose_pixels, thin

QUARTERS = np.kron([[1, 2], [3, 4]], np.ones((16, 16))).astype(np.int32)


def painted(seed):
    """Targets of 32 x 32 pixels in three classes, a third of them unlabelled."""
    return (
        np.random.default_rng(seed).choice([0, 1, 2, IGNORE], (32, 32)).astype(np.uint8)
    )


def samples_of(targets, order=None):
    """Samples whose one feature is their place in the list."""
    targets = torch.tensor(targets, dtype=torch.uint8)
    order = torch.arange(len(targets)) if order is None else torch.tensor(order)
    return Samples(torch.arange(len(targets)).half()[:, None], targets, order.float())


# --- choosing pixels ------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 100))
def test_each_class_in_each_region_gives_the_same_number_if_it_has_it(seed, count):
    targets = painted(seed)
    rows, columns, rank = choose_pixels(targets, QUARTERS, count, seed)
    assert len(set(zip(rows, columns, strict=True))) == len(rows)
    assert (targets[rows, columns] != IGNORE).all()
    for region in range(1, 5):
        for label in range(3):
            has = np.sum((QUARTERS == region) & (targets == label))
            of_it = (QUARTERS[rows, columns] == region) & (
                targets[rows, columns] == label
            )
            assert of_it.sum() == min(has, count)
            assert sorted(rank[of_it]) == list(range(of_it.sum()))


def test_what_is_drawn_in_a_region_does_not_depend_on_the_others():
    targets = painted(0)
    alone = np.where(QUARTERS == 3, targets, IGNORE).astype(np.uint8)
    rows, columns, rank = choose_pixels(targets, QUARTERS, 5)
    here = QUARTERS[rows, columns] == 3
    for one, all_ in zip(
        choose_pixels(alone, QUARTERS, 5), (rows, columns, rank), strict=True
    ):
        assert one.tolist() == all_[here].tolist()


def test_a_larger_count_draws_the_same_and_more():
    targets = painted(1)
    fewer, more = (choose_pixels(targets, QUARTERS, count) for count in (3, 9))
    earliest = more[2] < 3
    for few, many in zip(fewer, more, strict=True):
        assert few.tolist() == many[earliest].tolist()


def test_the_same_seed_draws_the_same_pixels_and_another_others():
    first, again, other = (
        np.stack(choose_pixels(painted(2), QUARTERS, 4, seed)) for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pixels_are_drawn_from_all_over_a_region():
    rows, columns, _ = choose_pixels(np.zeros((32, 32), np.uint8), None, 60)
    assert rows.min() < 8 < 24 < rows.max()
    assert columns.min() < 8 < 24 < columns.max()


def test_without_regions_squares_of_32_pixels_take_their_place():
    targets = np.zeros((64, 70), np.uint8)
    rows, columns, _ = choose_pixels(targets, None, 2)
    squares = zip(rows // 32, columns // 32, strict=True)
    wanted = [(row, column) for row in range(2) for column in range(3)]
    assert sorted(squares) == sorted(wanted * 2)


def test_labels_outside_of_all_regions_are_squares_too():
    targets = np.zeros((64, 64), np.uint8)
    windows = np.zeros((64, 64), np.int32)
    windows[:3, :3] = 1  # of the newest round; those of earlier rounds are 0 now
    rows, columns, _ = choose_pixels(targets, windows, 2)
    assert len(rows) == 2 + 4 * 2
    assert sum((rows < 3) & (columns < 3)) >= 2


def test_no_labels_no_pixels():
    nothing = np.full((8, 8), IGNORE, np.uint8)
    for region_map in (None, QUARTERS[:8, :8]):
        assert [len(each) for each in choose_pixels(nothing, region_map, 4)] == [0] * 3


# --- thinning -------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4), max_size=60), st.integers(0, 70), st.randoms())
def test_thinning_is_fair_to_classes_and_keeps_the_first_ones(targets, most, random):
    samples = samples_of(targets, [random.randrange(9) for _ in targets])
    kept = thin(samples, np.arange(len(samples)), most)
    assert len(kept) <= most
    assert kept.tolist() == sorted(set(kept.tolist()))
    before, after = (
        torch.bincount(each, minlength=5)
        for each in (samples.targets.long(), samples.targets[kept].long())
    )
    lost = after < before
    # Whoever lost a sample has as many as any other, so no class could give more.
    assert (after[lost] == after.max()).all() or not lost.any()
    # And what is left over is too little for one more of each that lost some.
    assert not lost.any() or most - len(kept) < lost.sum()
    for label in range(5):
        own = samples.targets == label
        is_kept = torch.zeros(len(own), dtype=torch.bool)
        is_kept[kept] = True
        stays, goes = samples.order[own & is_kept], samples.order[own & ~is_kept]
        assert not len(goes) or not len(stays) or stays.max() <= goes.min()


def test_a_rare_class_keeps_all_of_its_samples():
    samples = samples_of([0] * 50 + [1] * 3 + [2] * 50)
    kept = samples.targets[thin(samples, np.arange(103), 33)]
    assert torch.bincount(kept).tolist() == [15, 3, 15]


def test_those_that_there_is_no_choice_of_stay_out():
    samples = samples_of([0, 1, 0, 0, 1], [0, 0, 3, 2, 1])
    assert thin(samples, np.array([1, 2, 3, 4]), 2).tolist() == [1, 3]
    assert thin(samples, np.array([1, 3]), 2).tolist() == [1, 3]


# --- samples --------------------------------------------------------------------------


def test_samples_are_picked_and_joined_column_by_column():
    first, second = samples_of([0, 1, 2]), samples_of([2, 1])
    joined = Samples.joined([first, second])
    assert len(joined) == 5
    picked = joined.of(np.array([4, 1]))
    assert picked.features.tolist() == [[1], [1]]
    assert picked.targets.tolist() == [1, 1]
    assert picked.order.tolist() == [1, 1]
