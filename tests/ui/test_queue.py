"""Which regions are asked when live knows better ones."""

from dataclasses import replace

import numpy as np
from windowless import ids, others

from napari_alseg.ui.canvas import layers


def test_the_queue_keeps_what_is_current_answered_skipped_or_undone(queue):
    before = ids(queue)
    queue.answer(1)
    queue.skip()
    queue.answer(2)
    queue.undo()  # open again, but somebody has touched it
    queue.step(1)
    assert queue.screen.position == 3
    queue.requeue(others(queue, 9))
    after = ids(queue)
    assert after[:4] == before[:4]
    assert not set(after[4:]) & set(before)


def test_no_region_is_asked_twice(queue):
    asked = queue.queue.selection.regions
    twice = [asked[0], asked[3], asked[1], *others(queue, 9)]
    queue.requeue(twice)
    assert len(set(ids(queue))) == 6
    assert ids(queue)[1:3] == [(r.image, r.region) for r in (asked[3], asked[1])]


def test_the_best_is_asked_next_wherever_the_person_is(queue):
    queue.step(1)
    queue.step(1)
    best = others(queue, 9)
    queue.requeue(best)
    after = ids(queue)
    coming = [after[at] for at in (3, 4, 5, 0, 1)]
    assert coming == [(each.image, each.region) for each in best[:5]]


def test_too_few_regions_or_those_of_another_kind_change_nothing(queue):
    before = queue.queue.selection.regions
    best = others(queue, 9)
    queue.requeue(best[:4])
    queue.requeue([replace(each, partition=99) for each in best])
    assert queue.queue.selection.regions == before


def test_a_round_that_is_answered_is_left_alone(queue):
    for _ in range(6):
        queue.answer(1)
    before = ids(queue)
    queue.requeue(())
    queue.requeue(others(queue, 9))
    assert ids(queue) == before


def test_a_new_order_leaves_the_chosen_layer_alone(queue):
    chosen = layers.find(queue.view.viewer, "image")
    queue.view.viewer.layers.selection.active = chosen
    new = others(queue, 9, queue.screen.image)
    queue.requeue(new)
    assert queue.view.viewer.layers.selection.active is chosen
    shown = set(np.unique(layers.find(queue.view.viewer, "regions").data))
    assert {each.region for each in new[:5]} <= shown


def test_what_comes_is_told_from_the_current_region_on(queue):
    asked = queue.queue.selection.regions
    queue.step(1)
    queue.skip()
    assert queue.screen.position == 2
    assert queue.coming() == [asked[at] for at in (3, 4, 5, 0)]
