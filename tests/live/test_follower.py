"""What the task that follows a person does, told by a script and not by a window."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import TINY_LIVE, TINY_PREDICTION, TINY_REGIONS, TINY_TRAINING
from follower_by_hand import QUERY, QUICK, Script, begin, request, told

from napari_alseg.arrays import Bounds, Progress, finish
from napari_alseg.live import follower as module
from napari_alseg.live.follower import Follower
from napari_alseg.live.messages import LiveUpdate
from napari_alseg.settings import QuerySettings
from napari_alseg.tasks.retrain import retrain


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Nothing is left out for lack of time, unless a test says so."""
    for name in ("RANK_SECONDS", "READ_SECONDS", "SLOW_SECONDS"):
        monkeypatch.setattr(module, name, np.inf)


def news_of(said, kind=None):
    return [
        each
        for each in said
        if isinstance(each, LiveUpdate) and kind in (None, each.kind)
    ]


def follower(project):
    return Follower(project, TINY_LIVE, QUICK, TINY_PREDICTION)


# --- requests -------------------------------------------------------------------------


# --- at once --------------------------------------------------------------------------


def test_before_two_classes_are_known_it_says_which_are(asked):
    said = told(
        asked,
        request(1),
        lambda: asked.labels.answer(1, 0, 3),
        request(2, similar_to=None),
    )
    assert [each.kind for each in news_of(said)] == ["waiting", "waiting"]
    assert [each.classes for each in news_of(said)] == [(), (2,)]
    assert news_of(said)[1].sequence == asked.labels.sequence
    assert asked.outputs.read_prediction("scene-00") is None
    assert asked.weights.checkpoint_metadata("live") is None


def test_the_second_class_draws_the_prediction_and_the_maps(asked):
    asked.labels.answer(1, 0, 1)

    def second():
        asked.labels.answer(1, 1, 2)

    maps = ("entropy", "margin")
    said = told(asked, request(1, maps=maps), second, request(2, "scene-02", maps=maps))
    (looked, *_) = news_of(said, "looked")
    assert (looked.number, looked.image) == (2, "scene-02")
    assert looked.sequence == asked.labels.sequence
    assert set(looked.seconds) == {"labels", "learn", "look"}
    assert asked.outputs.read_prediction("scene-02").min() >= 1
    assert asked.outputs.read_prediction("scene-00") is None
    for name in maps:
        scores = asked.outputs.read_map("scene-02", name)
        assert scores.shape == (48, 64)
        assert scores.std() > 0


def test_an_answer_changes_the_maps(answered):
    drawn = []

    def remember():
        drawn.append(answered.outputs.read_map("scene-00", "entropy"))

    told(
        answered,
        request(1),
        remember,
        lambda: answered.labels.answer(1, 6, 2),
        request(2),
        remember,
    )
    assert not np.array_equal(*drawn)


def test_nothing_is_drawn_again_that_is_drawn(answered, monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "draw_maps", lambda *of, **_: drawn.append(of[2]))
    keeper = follower(answered)
    for number in (1, 2):
        list(keeper.at_once(request(number)))
    assert drawn == ["scene-00"]
    list(keeper.at_once(request(3, "scene-01")))
    list(keeper.at_once(request(4, maps=("entropy", "margin"))))
    assert drawn == ["scene-00", "scene-01", "scene-00"]


def test_other_parameters_of_a_map_draw_it_again(answered):
    keeper, drawn = follower(answered), []
    for radius in (1, 9):
        query = replace(QUERY, acquisition="impurity", radius=radius)
        list(keeper.at_once(request(1, maps=("impurity",), query=query)))
        drawn.append(answered.outputs.read_map("scene-00", "impurity"))
    assert not np.array_equal(*drawn)


def test_live_maps_are_not_taken_for_those_of_a_whole_network(answered, truth):
    training = retrain(answered, TINY_LIVE, TINY_TRAINING, TINY_PREDICTION)
    finish(training)
    told(answered, request(1))
    assert not answered.outputs.has_fresh_map("scene-00", "entropy")


@pytest.fixture
def many(answered, monkeypatch):
    """The project with labels in more images than can be read at once."""
    monkeypatch.setattr(module, "READ_SECONDS", 0.0)
    monkeypatch.setattr(module, "CATCH_UP_SECONDS", 0.0)
    for image in answered.images.names():
        labels = np.repeat(np.uint8([[1, 2]]), [2, 2], axis=1).repeat(4, 0)
        answered.labels.stroke(image, Bounds(0, 0, 4, 4), labels)
    return answered


def test_a_first_map_does_not_wait_for_all_labels(many):
    count = len(many.images.names())
    said = news_of(told(many, request(1)), "looked")
    left = [each.left for each in said]
    assert left[:count] == list(range(count - 1, -1, -1))
    assert set(left[count:]) == {0}


def test_an_answer_is_learnt_before_labels_that_were_left_for_later(many, monkeypatch):
    keeper = follower(many)
    list(keeper.at_once(request(1)))
    monkeypatch.setattr(module, "READ_SECONDS", np.inf)
    waiting = tuple(keeper.live.unread)
    many.labels.stroke(waiting[0], Bounds(8, 8, 9, 9), np.uint8([[3]]))
    list(keeper.at_once(request(2)))
    assert tuple(keeper.live.unread) == waiting[1:]
    assert 2 in keeper.live.classes


def test_what_others_have_written_over_is_drawn_again(answered):
    label = np.full((48, 64), 3, np.uint8)

    def overwrite():
        answered.outputs.write_prediction("scene-00", label, 0)

    told(answered, request(1), overwrite, request(2))
    assert np.array_equal(answered.outputs.read_prediction("scene-00"), label)
    told(answered, request(1), overwrite, request(2, others=1))
    assert not np.array_equal(answered.outputs.read_prediction("scene-00"), label)


def test_while_another_task_is_at_work_nothing_is_done(answered):
    said = told(answered, request(1, rest=True, rank=True))
    assert said == []
    inbox = Script(request(1, rank=True))
    said = begin(answered, inbox)
    while not isinstance(next(said), LiveUpdate):
        pass
    inbox.urgent = [request(2, rest=True)]
    assert list(said) == []


# --- meanwhile ------------------------------------------------------------------------


def test_a_request_interrupts_the_reading_and_what_was_read_is_learnt(many):
    keeper = follower(many)
    list(keeper.at_once(request(1)))
    for progress in keeper.meanwhile(request(1)):
        if isinstance(progress, Progress) and not keeper.live.unread:
            break
    assert progress.message == "reading the labels"
    assert keeper.live.behind
    list(keeper.at_once(request(2)))
    assert not keeper.live.behind


def test_images_to_come_are_drawn_before_they_are_shown(answered):
    coming = ("scene-02", "scene-02", "scene-03")
    said = told(answered, request(1, coming=coming))
    assert [each.image for each in news_of(said, "looked")] == [
        "scene-00",
        "scene-00",
        "scene-02",
        "scene-03",
    ]
    for image in ("scene-02", "scene-03"):
        assert answered.outputs.read_map(image, "entropy") is not None
    assert answered.outputs.read_map("scene-01", "entropy") is None


def test_a_new_head_learns_all_labels_while_nothing_happens(answered):
    keeper = follower(answered)
    list(keeper.at_once(request(1)))
    head = keeper._live.network.body.head
    list(keeper.meanwhile(request(1)))
    assert keeper._live.network.body.head is not head
    settled = keeper._live.network.body.head
    assert not [
        each for each in keeper.meanwhile(request(2)) if isinstance(each, Progress)
    ]
    assert keeper._live.network.body.head is settled


def test_answers_that_come_while_a_new_head_learns_are_learnt_on_top(answered):
    keeper = follower(answered)
    list(keeper.at_once(request(1)))
    first = next(keeper.meanwhile(request(1)))
    assert (first.done, first.total) == (20, QUICK.first_steps)
    answered.labels.answer(1, 6, 2)
    list(keeper.at_once(request(2)))
    resumed = [
        (each.done, each.total)
        for each in keeper.meanwhile(request(2))
        if isinstance(each, Progress)
    ]
    assert resumed == [(40, QUICK.first_steps), (20, QUICK.steps)]


def test_learning_on_top_that_is_interrupted_is_made_good(answered):
    keeper = follower(answered)
    list(keeper.at_once(request(1)))
    next(keeper.meanwhile(request(1)))
    answered.labels.answer(1, 6, 2)
    list(keeper.at_once(request(2)))
    for progress in keeper.meanwhile(request(2)):
        if progress.total == QUICK.steps:  # the new head learns the answer
            break
    list(keeper.at_once(request(3, "scene-01")))
    again = [
        each for each in keeper.meanwhile(request(3)) if isinstance(each, Progress)
    ]
    assert again[-1].done == again[-1].total


def test_the_pool_is_ranked_and_only_what_is_open_is_told(answered):
    said = told(answered, request(1, rank=True))
    ranked = news_of(said, "ranked")[-1]
    assert ranked.fresh == 1
    assert ranked.number == 1
    closed = {(r.image, r.region) for r in answered.rounds.selection(1).regions[:6]}
    assert len(ranked.regions) >= 6
    assert closed.isdisjoint((r.image, r.region) for r in ranked.regions)


def test_the_queue_is_put_in_order_while_the_pool_is_ranked(answered, monkeypatch):
    monkeypatch.setattr(module, "RANK_SECONDS", 0.0)
    coming = ("scene-03", "scene-01")
    ranked = news_of(told(answered, request(1, rank=True, coming=coming)), "ranked")
    assert [each.fresh for each in ranked] == 2 * [0.25, 0.5, 0.75, 1, 1]
    assert {region.image for region in ranked[0].regions} == {"scene-03"}
    assert {region.image for region in ranked[1].regions} <= set(coming)


def test_without_a_request_for_it_nothing_is_ranked(answered):
    assert news_of(told(answered, request(1)), "ranked") == []


def test_before_two_classes_are_known_the_pool_is_only_described(asked):
    said = told(asked, request(1, rank=True))
    assert [each.kind for each in news_of(said)] == ["waiting"]
    messages = [each.message for each in said if isinstance(each, Progress)]
    assert messages.count("looking through the pool") == 4
    assert "ranking the pool" not in messages


def test_a_request_interrupts_what_is_done_meanwhile(answered, monkeypatch):
    inbox = Script(request(1, rank=True, coming=("scene-03",)))
    said = []
    for each in begin(answered, inbox):
        said.append(each)
        if isinstance(each, Progress) and each.total == QUICK.first_steps:
            if len(news_of(said)) == 2 and not inbox.urgent:
                inbox.urgent = [request(2), request(3, "scene-02", rank=True)]
    numbers = [each.number for each in news_of(said)]
    assert numbers[:2] == [1, 1]
    assert set(numbers[2:]) == {3}
    assert news_of(said)[2].image == "scene-02"
    assert news_of(said)[-1].fresh == 1


# --- similar regions ------------------------------------------------------------------


def test_similar_regions_are_told_with_one_class_and_with_two(asked):
    region = asked.rounds.selection(1).regions[8]
    wanted = request(1, region.image, similar_to=region.region)

    def answer():
        asked.labels.answer(1, 0, 1)
        asked.labels.answer(1, 1, 2)

    first, second = news_of(
        told(asked, wanted, answer, replace(wanted, number=2)), "similar"
    )
    assert [first.number, second.number] == [1, 2]
    assert first.regions == second.regions  # the encoder says so, not the head
    assert (region.image, region.region) not in {
        (each.image, each.region) for each in first.regions
    }


def test_without_a_round_nothing_is_similar_or_ranked(project):
    labels = np.array([[1, 1], [2, 2]], np.uint8)
    project.labels.stroke("scene-00", Bounds(0, 0, 2, 2), labels)
    said = told(project, request(1, similar_to=3, rank=True))
    assert {each.kind for each in news_of(said)} == {"looked", "similar"}
    assert news_of(said, "similar")[0].regions == ()


def test_what_a_lightweight_head_cannot_say_is_not_ranked(answered):
    deal = QuerySettings(
        "entropy", "12 regions", acquisition="difficulty", **TINY_REGIONS
    )
    said = told(answered, request(1, rank=True, query=deal))
    assert news_of(said, "ranked") == []
    assert news_of(said, "looked")


def test_the_queue_follows_an_answer_before_a_new_head_has_settled(answered):
    coming = ("scene-03", "scene-01")
    keeper = follower(answered)
    list(keeper.at_once(request(1)))
    said = []
    for each in keeper.meanwhile(request(1, rank=True, coming=coming)):
        said.append(each)
        if isinstance(each, Progress) and each.total == QUICK.first_steps:
            break
    (ranked,) = news_of(said, "ranked")
    assert ranked.regions
    assert ranked.number == 1


def test_a_map_that_was_drawn_over_is_drawn_again(answered):
    keeper = follower(answered)
    near, far = (QuerySettings("ripu-ra", "5%", radius=radius) for radius in (1, 3))
    drawn = []
    for number, query in enumerate((near, far, near)):
        list(keeper.at_once(request(number, maps=("ripu",), query=query)))
        drawn.append(answered.outputs.read_map("scene-00", "ripu"))
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], drawn[1])


def test_what_takes_long_to_draw_is_not_drawn_ahead(answered, monkeypatch):
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.0)
    told(answered, request(1, coming=("scene-02",)))
    assert answered.outputs.read_map("scene-00", "entropy") is not None
    assert answered.outputs.read_map("scene-02", "entropy") is None


# --- the end, and the next beginning --------------------------------------------------


def test_the_end_keeps_the_head_and_the_next_start_takes_it_up(answered):
    said = told(answered, request(1))
    assert (
        answered.weights.checkpoint_metadata("live")["sequence"]
        == answered.labels.sequence
    )
    messages = {each.message for each in said if isinstance(each, Progress)}
    assert "looking at the pool" in messages
    again = told(answered, request(1))
    messages = {each.message for each in again if isinstance(each, Progress)}
    assert "looking at the pool" not in messages
    assert news_of(again, "looked")


def test_a_task_that_is_stopped_keeps_the_head(answered):
    task = begin(answered, Script(request(1, rank=True)))
    for each in task:
        if isinstance(each, LiveUpdate):
            break
    task.close()
    assert (
        answered.weights.checkpoint_metadata("live")["sequence"]
        == answered.labels.sequence
    )


def test_a_task_that_is_ended_before_any_request_keeps_nothing(answered):
    assert told(answered) == []
    assert answered.weights.checkpoint_metadata("live") is None


def test_a_whole_network_that_learns_is_a_new_beginning(answered):
    kept = []

    def learn():
        finish(retrain(answered, TINY_LIVE, TINY_TRAINING, TINY_PREDICTION))

    said = told(
        answered,
        request(1, rank=True),
        lambda: kept.append(answered.weights.checkpoint_metadata("live")["base"]),
        learn,
        request(2, rank=True),
    )
    assert kept == [None]
    assert answered.weights.checkpoint_metadata("live")["base"][0] == 1
    assert {each.number for each in news_of(said, "looked")} == {1, 2}
    fresh = [each.fresh for each in news_of(said, "ranked")]
    assert fresh == [1, 1, 1, 1]  # by the head of each request, and by its settled one
    loads = [
        each for each in said if getattr(each, "message", "").startswith("loading")
    ]
    assert len(loads) == 2
