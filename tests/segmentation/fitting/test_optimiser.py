from copy import deepcopy
from dataclasses import replace

import torch

from napari_alseg.segmentation.fitting.optimiser import (
    load_moments,
    moments_of,
    optimiser_of,
    set_rates,
)


def test_the_rates_fall_to_zero_from_their_two_starts(tiny_network, quick):
    optimiser = optimiser_of(tiny_network, replace(quick, encoder_factor=0.5))
    rates = []
    for time in (0.0, 0.5, 1.0):
        set_rates(optimiser, time)
        rates.append([group["lr"] for group in optimiser.param_groups])
    assert rates[0] == [0.015, 0.03]
    assert rates[1] == [0.015 * 0.5**0.9, 0.03 * 0.5**0.9]
    assert rates[2] == [0.0, 0.0]


def test_the_difficulty_branch_learns_ten_times_as_fast(learns_where_it_errs, quick):
    """Every parameter stands in one group, the branch in one of its own."""
    network = learns_where_it_errs
    groups = optimiser_of(network, quick).param_groups
    assert sum(len(group["params"]) for group in groups) == len(
        list(network.parameters())
    )
    branch = set(network.difficulty.parameters())
    (own,) = [group for group in groups if set(group["params"]) == branch]
    assert own["first"] == 10 * quick.learning_rate


def take_a_step(network, optimiser, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = network.eval()(torch.rand(2, 3, 8, 8, generator=generator))
    logits.square().sum().backward()
    optimiser.step()
    optimiser.zero_grad()


def test_an_optimiser_with_the_moments_of_another_goes_the_same_way(
    tiny_network, quick
):
    """Also where the weights lie otherwise in memory."""
    first = optimiser_of(tiny_network, quick)
    take_a_step(tiny_network, first, 0)
    other = deepcopy(tiny_network).to(memory_format=torch.channels_last)
    second = optimiser_of(other, quick)
    assert moments_of(second) == {}
    given = {name: each.contiguous() for name, each in moments_of(first).items()}
    assert {name.split(".")[1] for name in given} == {"step", "exp_avg", "exp_avg_sq"}
    load_moments(second, given)
    take_a_step(tiny_network, first, 1)
    take_a_step(other, second, 1)
    for one, two in zip(tiny_network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)
