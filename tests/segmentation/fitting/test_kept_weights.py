import torch

from napari_alseg.segmentation.fitting.kept_weights import (
    AverageWeights,
    BestWeights,
    copy_of,
    moved,
)

BIAS = "body.encoder.0.bias"


def set_bias(network, value):
    with torch.no_grad():
        network.encoder[0].bias.fill_(value)


def test_the_best_weights_are_those_of_the_latest_highest_score(tiny_network):
    best = BestWeights(patience=0)
    for value, miou in enumerate([0.3, 0.5, None, 0.5, 0.4]):
        set_bias(tiny_network, value)
        assert not best.offer(miou, tiny_network, last=True)
    assert best.miou == 0.5
    assert (best.weights[BIAS] == 3).all()


def test_patience_counts_measurements_in_the_last_part_only(tiny_network):
    best = BestWeights(patience=2)
    found = [
        best.offer(miou, tiny_network, last=last)
        for miou, last in [(0.5, False), (0.4, False), (0.4, True), (None, True)]
    ]
    assert found == [False] * 4
    assert best.since == 1
    assert best.offer(0.4, tiny_network, last=True)
    assert not best.offer(0.6, tiny_network, last=True)
    assert best.since == 0


def test_the_mean_begins_with_the_first_weights_and_follows_soon(tiny_network):
    """The second step keeps 2 / (2 + 9) of the first, below the decay."""
    average = AverageWeights(decay=0.9)
    for value in (1.0, 3.0):
        set_bias(tiny_network, value)
        average.offer(tiny_network)
    expected = torch.full((8,), 2 / 11 * 1 + 9 / 11 * 3)
    torch.testing.assert_close(average.weights[BIAS], expected)


def test_counters_are_copied_and_not_averaged(tiny_network):
    average = AverageWeights(decay=0.9)
    average.offer(tiny_network)
    tiny_network.encoder[1].num_batches_tracked.fill_(7)
    average.offer(tiny_network)
    assert average.weights["body.encoder.1.num_batches_tracked"] == 7


def test_without_a_decay_there_is_no_mean(tiny_network):
    average = AverageWeights(decay=0.0)
    average.offer(tiny_network)
    assert average.weights is None


def test_a_copy_does_not_follow_the_network(tiny_network):
    set_bias(tiny_network, 1)
    kept = copy_of(tiny_network)
    set_bias(tiny_network, 2)
    assert (kept[BIAS] == 1).all()


def test_weights_move_and_none_stay_none(tiny_network):
    elsewhere = moved(copy_of(tiny_network), torch.device("meta"))
    assert {each.device.type for each in elsewhere.values()} == {"meta"}
    assert moved(None, torch.device("meta")) is None
