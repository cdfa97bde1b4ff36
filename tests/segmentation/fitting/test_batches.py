import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from time import sleep

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import IGNORE
from napari_alseg.segmentation import Batch, Example, batches
from napari_alseg.segmentation.fitting.batches import (
    Draw,
    crop,
    crop_shape,
    jitter,
    steps_per_epoch,
)
from napari_alseg.settings import TrainingSettings

CPU = torch.device("cpu")
PLAIN = TrainingSettings(scale=1.0, flip=False, jitter=0.0, batch_size=2, epochs=1)
MIDDLE = Draw(*[0.5] * 8)
uniform = st.floats(0, 1, exclude_max=True)


def example_of(
    rows: int, columns: int, pixel: tuple[int, int] | None = None
) -> Example:
    """Red counts rows, green counts columns; one pixel is labelled."""
    row, column = np.mgrid[:rows, :columns]
    image = np.stack([row, column, 0 * row], -1).astype(np.uint8)
    targets = np.full((rows, columns), IGNORE, np.uint8)
    if pixel:
        targets[pixel] = 1
    return Example(image, targets)


def test_an_image_smaller_than_the_crop_is_taken_whole_and_reflected():
    colours, targets = crop(example_of(5, 6, (2, 2)), (8, 7), PLAIN, MIDDLE)
    assert colours[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 3, 2]
    assert colours[0, :, 1].tolist() == [0, 1, 2, 3, 4, 5, 5]
    assert targets[2, 2] == 1
    assert (targets != IGNORE).sum() == 1


def test_half_of_the_crops_are_mirrored_with_their_targets():
    settings = replace(PLAIN, flip=True)
    draw = MIDDLE._replace(flip=0.2)
    colours, targets = crop(example_of(4, 4, (1, 0)), (4, 4), settings, draw)
    assert colours[0, :, 1].tolist() == [3, 2, 1, 0]
    assert targets[1, 3] == 1
    unchanged, _ = crop(example_of(4, 4), (4, 4), settings, MIDDLE)
    assert unchanged[0, :, 1].tolist() == [0, 1, 2, 3]


def test_zoom_moves_colours_and_targets_together():
    row = np.arange(40)[:, None] // 20 * np.ones(40, int)
    image = (row[..., None] * np.full(3, 200)).astype(np.uint8)
    example = Example(image, row.astype(np.uint8))
    settings = replace(PLAIN, scale=2.0)
    for zoom in (0.0, 1.0):
        colours, targets = crop(example, (32, 32), settings, Draw(zoom, *[0.5] * 7))
        known = targets != IGNORE
        assert ((colours[known][:, 0] > 100) == (targets[known] == 1)).mean() > 0.9
    assert known.all()
    small, _ = crop(example_of(40, 40), (40, 40), settings, Draw(0.0, *[0.5] * 7))
    assert small[:20, 0, 0].max() >= 37  # half the size: 40 rows in 20


@settings(max_examples=60)
@given(st.integers(0, 59), st.integers(0, 89), st.builds(Draw, *[uniform] * 8))
def test_a_crop_holds_the_labelled_pixel(row, column, draw):
    _, targets = crop(example_of(60, 90, (row, column)), (32, 32), PLAIN, draw)
    assert (targets == 1).sum() == 1


def test_without_a_label_any_crop_will_do():
    _, targets = crop(example_of(60, 90), (32, 32), PLAIN, MIDDLE)
    assert (targets == IGNORE).all()


def test_the_crop_is_the_largest_image_up_to_the_limit():
    pool = [example_of(20, 100), example_of(70, 50)]
    assert crop_shape(pool, replace(PLAIN, crop=512)) == (96, 128)
    assert crop_shape(pool, replace(PLAIN, crop=64)) == (64, 64)


def test_only_a_few_images_are_read_for_the_crop():
    class Counted(Sequence):
        reads = 0

        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> Example:
            self.reads += 1
            return example_of(10, 10)

    pool = Counted()
    crop_shape(pool, PLAIN)
    assert pool.reads == 16


def first(count, stream) -> list[Batch]:
    """The first batches of an endless stream, which is then closed."""
    with closing(stream):
        return list(islice(stream, count))


def test_batches_have_one_shape_and_the_last_is_filled(examples):
    found = first(3, batches(examples[:5], PLAIN, CPU, seed=0))
    assert len(found) == steps_per_epoch(5, PLAIN) == 3
    for images, targets in found:
        assert images.shape == (2, 3, 32, 64)
        assert targets.shape == (2, 32, 64)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_each_example_comes_up_in_each_epoch():
    pool = [example_of(8, 8, (0, index)) for index in range(5)]
    for number, (_, targets) in enumerate(first(9, batches(pool, PLAIN, CPU, seed=0))):
        if number % 3 == 0:
            seen = set()
        seen |= set(np.argwhere(targets.numpy() == 1)[:, 2].tolist())
        if number % 3 == 2:
            assert seen == {0, 1, 2, 3, 4}


def test_a_stream_may_begin_anywhere(examples):
    whole = first(8, batches(examples, PLAIN, CPU, seed=3))
    for start in (1, 3, 7):
        (later,) = first(1, batches(examples, PLAIN, CPU, seed=3, start=start))
        assert torch.equal(later.images, whole[start].images)
        assert torch.equal(later.targets, whole[start].targets)


def test_an_image_without_labels_is_cut_anywhere():
    blank = Example(
        np.zeros((100, 100, 3), np.uint8), np.full((100, 100), IGNORE, np.uint8)
    )
    ramp = np.arange(100, dtype=np.uint8)
    blank.image[..., 0], blank.image[..., 1] = ramp[:, None], ramp
    settings = replace(PLAIN, crop=32, scale=1.0, jitter=0.0, flip=False)
    corners = {
        tuple((255 * images[0, :2, 0, 0]).round().int().tolist())
        for images, _ in first(20, batches([blank], settings, CPU, seed=0))
    }
    assert len(corners) > 10
    assert max(corners)[0] > 32


def test_one_example_fills_a_batch():
    ((images, _),) = first(1, batches([example_of(8, 8)], PLAIN, CPU, seed=0))
    assert images.shape[0] == 2


def test_the_same_seed_gives_the_same_batches_whatever_the_threads_do(examples):
    class Slow(list):
        def __getitem__(self, index):
            if threading.current_thread() is not threading.main_thread():
                sleep(0.001 * (index % 3))
            return super().__getitem__(index)

    settings = TrainingSettings(batch_size=2)
    for (images, targets), (others, other_targets) in zip(
        first(6, batches(examples, settings, CPU, seed=0)),
        first(6, batches(Slow(examples), settings, CPU, seed=0)),
        strict=True,
    ):
        assert torch.equal(images, others)
        assert torch.equal(targets, other_targets)


def test_closing_early_ends_the_threads(examples):
    before = threading.active_count()
    stream = batches(examples, PLAIN, CPU, seed=0)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_factors_of_one_change_no_colour():
    images = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(jitter(images, torch.ones(2, 3)), images)


def test_jitter_follows_its_three_definitions():
    images = 0.25 + 0.25 * torch.rand(1, 3, 4, 5)
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    grey = (images * luma).sum(1, keepdim=True)
    expected = {
        (1.5, 1.0, 1.0): images * 1.5,
        (1.0, 1.5, 1.0): grey.mean() + (images - grey.mean()) * 1.5,
        (1.0, 1.0, 0.0): grey.expand(1, 3, 4, 5),
    }
    for factors, image in expected.items():
        torch.testing.assert_close(jitter(images, torch.tensor([factors])), image)


def test_the_three_changes_follow_one_another():
    images = 0.25 + 0.25 * torch.rand(1, 3, 4, 5)
    stepwise = images
    for factors in ([1.2, 1.0, 1.0], [1.0, 1.0, 0.7], [1.0, 1.3, 1.0]):
        stepwise = jitter(stepwise, torch.tensor([factors]))
    at_once = jitter(images, torch.tensor([[1.2, 1.3, 0.7]]))
    torch.testing.assert_close(at_once, stepwise)


def test_colours_stay_in_range():
    images = jitter(torch.rand(1, 3, 4, 5), torch.tensor([[3.0, 3.0, 3.0]]))
    assert images.min() >= 0
    assert images.max() <= 1
