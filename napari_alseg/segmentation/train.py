"""How a network learns from images that are labelled in part."""

from collections.abc import Sequence
from math import isfinite
from time import monotonic

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from napari_alseg.arrays import ImageTensor, Progress, TargetTensor, Task
from napari_alseg.errors import BadValue, NothingToLearn
from napari_alseg.metrics import CurvePoint, scores
from napari_alseg.settings import PredictionSettings, TrainingSettings, check

from .batches import Example, batches, steps_per_epoch
from .device import choose_device, half_precision
from .evaluate import evaluate
from .losses import difficulty_loss, partial_cross_entropy
from .network import Network, decoder_parameters, encoder_parameters

POWER = 0.9
"""The learning rate falls as (1 - t) to this power."""

LARGEST_GRADIENT = 1.0
"""Norm to which a larger gradient is shortened."""

PAUSE = 0.1
"""Seconds between two reports of the loss."""


def train(
    network: Network,
    examples: Sequence[Example],
    validation: Sequence[Example],
    settings: TrainingSettings,
    *,
    generator: torch.Generator,
    curve: list[CurvePoint],
) -> Task[None]:
    """Learn from partly labelled examples.

    A network with a difficulty branch also learns where it errs, as in DEAL.

    The network ends, also when the task is closed early, in evaluation mode with the
    weights that were best on the validation images, or the last if there are none.

    Parameters
    ----------
    network : Network
        Changed in place.
    examples : sequence of Example
        Each with at least one labelled pixel.
    validation : sequence of Example
        May be empty.
    settings : TrainingSettings
    generator : torch.Generator
        Same state, same CPU: same weights.
    curve : list of CurvePoint
        Grows while the task runs; its first point is the mean IoU before any step.

    Raises
    ------
    NothingToLearn
        If there are no examples.
    BadValue
        If a setting is out of its limits, or the loss is no longer finite.
    """
    check(settings)
    if not len(examples):
        raise NothingToLearn("no image has a label yet; answer the asked regions first")
    device = choose_device(settings.device)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = _optimiser(network, settings)
    per_epoch = steps_per_epoch(len(examples), settings)
    steps = settings.epochs * per_epoch
    seeds = torch.randint(2**31, (steps,), generator=generator).tolist()
    best = _Best(network)
    stream = batches(examples, settings, generator, device)
    try:
        miou = yield from _measure(network, validation, 0, steps)
        curve.append(CurvePoint(0, 0, None, miou))
        if miou is not None:
            yield Progress(0, steps, "learning", {"miou": miou})
        network.train()
        losses: list[Tensor] = []
        reported = monotonic()
        for step, (images, targets) in enumerate(stream, start=1):
            # images (B, 3, h, w), targets (B, h, w)
            _set_rates(optimiser, (step - 1) / steps)
            losses.append(_step(network, optimiser, images, targets, seeds[step - 1]))
            epoch, rest = divmod(step, per_epoch)
            due = step == steps or (rest == 0 and epoch % settings.validate_every == 0)
            if not due and monotonic() - reported < PAUSE:
                continue
            loss = _mean(losses, step)
            miou = (
                (yield from _measure(network, validation, step, steps)) if due else None
            )
            best.offer(miou)
            curve.append(CurvePoint(step, epoch, loss, miou))
            metrics = {"loss": loss} | ({} if miou is None else {"miou": miou})
            yield Progress(step, steps, "learning", metrics)
            losses.clear()
            reported = monotonic()
    finally:
        stream.close()
        best.restore()
        network.eval()


def _optimiser(network: Network, settings: TrainingSettings) -> torch.optim.AdamW:
    """Return AdamW with one group for the encoder and one for the rest."""
    rate = settings.learning_rate
    groups = [
        {
            "params": encoder_parameters(network),
            "first": rate * settings.encoder_factor,
        },
        {"params": decoder_parameters(network), "first": rate},
    ]
    fused = network.device.type in ("cpu", "cuda")
    return torch.optim.AdamW(
        groups, lr=rate, weight_decay=settings.weight_decay, fused=fused
    )


def _set_rates(optimiser: torch.optim.Optimizer, time: float) -> None:
    """Let the learning rates fall; time runs from 0 to 1."""
    for group in optimiser.param_groups:
        group["lr"] = group["first"] * (1 - time) ** POWER


def _step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    images: ImageTensor,
    targets: TargetTensor,
    seed: int,
) -> Tensor:
    """Learn from one batch; its loss before that."""
    device = network.device
    # Dropout draws from torch's global generators, which are lent for this pass.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        with half_precision(device):
            logits = network(images)  # (B, C, h, w)
    loss = partial_cross_entropy(logits, targets)
    if network.difficulty is not None:
        difficulty = network.difficulty(logits)  # (B, h, w)
        loss = loss + difficulty_loss(difficulty, logits, targets)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
    optimiser.step()
    return loss.detach()


def _mean(losses: list[Tensor], step: int) -> float:
    """Return the mean loss, which must be a number."""
    loss = float(torch.stack(losses).mean())
    if not isfinite(loss):
        raise BadValue(
            f"the loss became {loss} at step {step}; take a lower learning rate"
        )
    return loss


def _measure(
    network: Network, validation: Sequence[Example], step: int, steps: int
) -> Task[float | None]:
    """Mean IoU on the validation images; None if they have no ground truth."""
    task = evaluate(network, validation, PredictionSettings())
    reported = monotonic()
    while True:
        try:
            next(task)
        except StopIteration as end:
            mean = scores(end.value).mean
            return mean if isfinite(mean) else None
        if monotonic() - reported >= PAUSE:
            yield Progress(step, steps, "measuring")
            reported = monotonic()


class _Best:
    """The weights with the highest mean IoU so far."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.miou = -1.0
        self.weights: dict[str, Tensor] | None = None

    def offer(self, miou: float | None) -> None:
        """Keep the present weights if they are as good as any before."""
        if miou is not None and miou >= self.miou:
            self.miou = miou
            self.weights = {
                name: value.detach().clone()
                for name, value in self.network.state_dict().items()
            }

    def restore(self) -> None:
        """Go back to the best weights; stay with the last if none was measured."""
        if self.weights is not None:
            self.network.load_state_dict(self.weights)
