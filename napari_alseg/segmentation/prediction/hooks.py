"""Hooks on networks: dropout, features, one encoding.

Gal & Ghahramani, ICML 2016: dropout that also acts at prediction draws networks from
what the network might as well have learnt.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from napari_alseg.errors import BadValue
from napari_alseg.segmentation.networks.network import Network


def dropout_layers(module: nn.Module) -> list[_DropoutNd]:
    """Return the layers that drop out in training.

    One with a rate of 0 is turned off.
    """
    layers = [each for each in module.modules() if isinstance(each, _DropoutNd)]
    return [layer for layer in layers if layer.p > 0]


def last_convolution(network: Network) -> nn.Conv2d:
    """Convolution that turns the decoder's features into classes.

    Raises
    ------
    BadValue
        If no convolution of the network gives as many channels as there are classes.
    """
    found = [
        each
        for each in network.body.modules()
        if isinstance(each, nn.Conv2d) and each.out_channels == network.classes
    ]
    if not found:
        raise BadValue(
            f"no convolution of this network gives its {network.classes} classes, so "
            "that it has neither features nor passes with dropout; take a network of "
            "`napari_alseg.segmentation.networks()`"
        )
    return found[-1]


def channel_mask(channels: int, rate: float, seed: tuple[int, ...]) -> Tensor:
    """Factor of each channel: 0 or 1 / (1 - rate).

    Examples
    --------
    >>> channel_mask(4, rate=0.5, seed=(0, 0, 0))
    tensor([0., 2., 0., 0.])
    """
    generator = torch.Generator()
    generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    kept = torch.rand(channels, generator=generator) >= rate
    return kept / (1 - rate)


@contextmanager
def line_by_line(network: Network) -> Iterator[None]:
    """Within, a compiled network runs uncompiled.

    Compiled, it would pass over new hooks.
    """
    if network.body._compiled_call_impl is None:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def thinned(network: Network, rate: float, seed: tuple[int, ...]) -> Iterator[None]:
    """Within, the network lacks some channels, always the same.

    All its dropout layers act with this rate, also in evaluation mode, and one more
    before the last convolution, so that networks without dropout have one. A channel
    is dropped as a whole: what is dropped does not depend on how the image is tiled
    or on which way up it is. Where there are no rows and columns, the last axis counts
    channels. Dropout without a layer of its own (attention in vision transformers)
    does not act.

    Parameters
    ----------
    network : Network
    rate : float
        Share of channels that are dropped, from 0 to below 1.
    seed : tuple of int
        Same seed, same channels, on any device.
    """
    layers = dropout_layers(network.body)
    newest: Tensor | None = None

    def thin(values: Tensor, index: int) -> Tensor:
        nonlocal newest
        axis = 1 if values.ndim == 4 else values.ndim - 1
        mask = channel_mask(values.shape[axis], rate, (*seed, index)).to(values)
        shape = [-1 if each == axis else 1 for each in range(values.ndim)]
        newest = values * mask.view(shape)
        return newest

    def thin_last(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        # Some networks have a layer there already; a second one would thin twice.
        return inputs[0] if inputs[0] is newest else thin(inputs[0], len(layers))

    with ExitStack() as hooks:
        hooks.enter_context(line_by_line(network))
        for index, layer in enumerate(layers):
            handle = layer.register_forward_hook(
                lambda _, inputs, output, index=index: thin(output, index)
            )
            hooks.enter_context(handle)
        last = last_convolution(network)
        hooks.enter_context(last.register_forward_pre_hook(thin_last))
        yield


@contextmanager
def features_of(network: Network, kept: list[Tensor]) -> Iterator[None]:
    """Within, each pass keeps the decoder's features; (B, D, h, w)."""

    def keep(_: nn.Module, inputs: tuple[Tensor]) -> None:
        kept.append(inputs[0])

    hook = last_convolution(network).register_forward_pre_hook(keep)
    with hook, line_by_line(network):
        yield


@contextmanager
def encoded_once(network: Network) -> Iterator[None]:
    """Within, the encoder works in the first pass only.

    All passes are of one batch.

    An encoder with dropout of its own works in each.
    """
    encoder = network.encoder
    if dropout_layers(encoder):
        yield
        return
    encode = encoder.forward
    kept: list[Any] = []

    def once(*images: Tensor) -> Any:
        if not kept:
            kept.append(encode(*images))
        return kept[0]

    encoder.forward = once
    try:
        with line_by_line(network):
            yield
    finally:
        del encoder.forward  # the method of its class is seen again
