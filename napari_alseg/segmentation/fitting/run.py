"""How a network learns an objective: step by step, to be stopped and gone on with."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, replace
from itertools import pairwise
from math import ceil, isfinite
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from napari_alseg.arrays import NOTE, Progress, Task
from napari_alseg.errors import BadValue, WeightsMismatch
from napari_alseg.metrics import CurvePoint, scores
from napari_alseg.segmentation.networks.device import choose_device
from napari_alseg.segmentation.networks.network import (
    Network,
    decoder_parameters,
    encoder_parameters,
)
from napari_alseg.segmentation.prediction.evaluate import evaluate
from napari_alseg.settings import PredictionSettings, TrainingSettings, check

from .batches import Example
from .objectives import B, Objective

POWER = 0.9
"""The learning rate falls as (1 - t) to this power."""

BRANCH_FACTOR = 10.0
"""The difficulty branch learns so much faster than the decoder: it has a single weight
a class, each of which must grow large, and Adam moves none by more than its rate."""

PAUSE = 0.1
"""Seconds between two reports of the loss."""

SMALLEST_PART = 2
"""Crops that pass the network at once, at least: batch normalisation needs two."""

SMALLEST_CROP = 128
"""Crops become no smaller than this, in pixels, when memory is short."""

ROUNDING = 1e-9
"""A time that is so little short of an end has come to it."""

DONE = 1 - ROUNDING
"""A run whose time is beyond this has ended."""


class Run:
    """One training run: it can be stopped, kept, and gone on with exactly.

    While `learn` runs the network has the newest weights. When it ends or is closed,
    the network is in evaluation mode with the weights that were best on the validation
    images; without these with the running mean of the weights if the settings ask for
    one, else with the newest.

    Parameters
    ----------
    network : Network
        Changed in place.
    settings : TrainingSettings
    seed : int
        Of dropout. Same seed, same objective, same CPU and threads: same weights, also
        when the run is stopped and gone on with in between.

    Attributes
    ----------
    time : float
        How far the run is, 0..1.
    step : int
        Steps so far.
    curve : list of CurvePoint
        Grows; its first point is the mean IoU before any step.

    Raises
    ------
    BadValue
        If a setting is out of its limits.

    Examples
    --------
    >>> from napari_alseg.segmentation import build
    >>> from napari_alseg.settings import NetworkSettings
    >>> network = build(NetworkSettings(weights="random"), classes=2)
    >>> Run(network, TrainingSettings(device="cpu")).ended
    False
    """

    def __init__(
        self, network: Network, settings: TrainingSettings, seed: int = 0
    ) -> None:
        self.network = network
        self.settings = check(settings)
        self.seed = seed
        self.time = 0.0
        self.step = 0
        self.curve: list[CurvePoint] = []
        self._due: CurvePoint | None = None  # which is to be measured still
        self._seconds = 0.0
        self._parts = 1
        self._crop: int | None = None  # what fits into memory, if less than is set
        self._best = _Best(settings.patience)
        self._average = _Average(settings.average)
        self._newest: dict[str, Tensor] | None = None  # while the network has others
        device = choose_device(settings.device)
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.compile and device.type == "cuda":
            network.body.compile()
        self._optimiser = _optimiser(network, settings)

    @property
    def ended(self) -> bool:
        """Whether all has been learnt."""
        return self.time > DONE

    def learn(
        self,
        objective: Objective[B],
        validation: Sequence[Example] = (),
        *,
        until: float = 1.0,
    ) -> Task[None]:
        """Learn, from where the run is, until a time.

        Parameters
        ----------
        objective : Objective
            May be another than before, for example after new answers.
        validation : sequence of Example
        until : float
            Time at which to pause, 0..1. Patience waits for the part that ends at 1.

        Raises
        ------
        BadValue
            If the loss is no longer finite.
        """
        self._take_up()
        if self._crop is not None:
            _crop_at_most(objective, self._crop)
        try:
            if not self.curve:
                yield from self._look_first(validation, objective)
            self.network.train()
            while self._due is not None or self.time < min(until, DONE):
                full = False
                try:
                    if self._due is not None:
                        yield from self._look(validation, objective, until)
                    else:
                        yield from self._steps(objective, validation, until)
                except torch.OutOfMemoryError:
                    full = True
                if full:  # outside of the handler, which keeps the tensors alive
                    message = self._retreat(objective)
                    yield Progress(self.step, self._expected(objective), NOTE + message)
        finally:
            self._lay_down()

    def _take_up(self) -> None:
        """Give the network its newest weights again."""
        if self._newest is not None:
            self.network.load_state_dict(self._newest)
            self._newest = None

    def _lay_down(self) -> None:
        """Give the network the weights it is to be used with."""
        chosen = self._best.weights or self._average.weights
        if chosen is not None:
            self._newest = _copy(self.network)
            self.network.load_state_dict(chosen)
        self.network.eval()

    def _look_first(
        self, validation: Sequence[Example], objective: Objective[B]
    ) -> Task[None]:
        """Measure before any step."""
        total = self._expected(objective)
        miou = yield from _measure(self.network, validation, 0, total)
        self.curve.append(CurvePoint(0, 0, None, miou))
        if miou is not None:
            yield Progress(0, total, "learning", {"miou": miou})

    def _steps(
        self, objective: Objective[B], validation: Sequence[Example], until: float
    ) -> Task[None]:
        """Take steps until the time has come."""
        losses: list[Tensor] = []
        reported = begun = monotonic()
        before = self._seconds
        with closing(objective.batches(self.step, self.network.device)) as stream:
            for batch in stream:
                losses.append(self._step(objective, batch))
                self._seconds = before + monotonic() - begun
                self._advance(objective, until)
                epoch, rest = divmod(self.step, objective.steps)
                looks = rest == 0 and epoch % self.settings.validate_every == 0
                due = looks or self.time > DONE
                pause = self.time >= min(until, DONE)
                if not (due or pause) and monotonic() - reported < PAUSE:
                    continue
                point = CurvePoint(self.step, epoch, _mean(losses, self.step), None)
                if due:
                    self._due = point
                    yield from self._look(validation, objective, until)
                else:
                    yield self._told(point, objective)
                losses.clear()
                reported = monotonic()
                if pause or self.time > DONE:
                    return

    def _look(
        self, validation: Sequence[Example], objective: Objective[B], until: float
    ) -> Task[None]:
        """Measure, and see whether these weights are the best and patience has run out.

        A look that is stopped is made up for when the run goes on.
        """
        assert self._due is not None
        total = self._expected(objective)
        miou = yield from _measure(self.network, validation, self.step, total)
        self.network.train()
        if self._best.offer(miou, self.network, last=until > DONE):
            self.time = 1.0
        point, self._due = replace(self._due, miou=miou), None
        yield self._told(point, objective)

    def _told(self, point: CurvePoint, objective: Objective[B]) -> Progress:
        """Add a point to the curve, and say it."""
        self.curve.append(point)
        metrics = {"loss": point.loss, "miou": point.miou}
        return Progress(
            self.step,
            self._expected(objective),
            "learning",
            {name: value for name, value in metrics.items() if value is not None},
        )

    def _step(self, objective: Objective[B], batch: B) -> Tensor:
        """Learn from one batch, in parts if memory is short; its loss before that."""
        network, settings = self.network, self.settings
        _set_rates(self._optimiser, self.time)
        self._optimiser.zero_grad(set_to_none=True)
        device = network.device
        crops = max(len(each) for each in batch)
        ends = [crops * part // self._parts for part in range(self._parts + 1)]
        total = torch.zeros((), device=device)
        # Dropout draws from torch's global generators, which are lent for this pass.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed * 1_000_003 + self.step)
            for first, last in pairwise(ends):
                part = batch if last - first == crops else _part(batch, first, last)
                loss = objective.loss(network, part) * ((last - first) / crops)
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
        clip_grad_norm_(network.parameters(), settings.gradient_norm)
        self._optimiser.step()
        self._average.offer(network)
        return total

    def _advance(self, objective: Objective[B], until: float) -> None:
        """Move the time on by one step, not beyond the end of the part."""
        self.step += 1
        self.time += 1 / (self.settings.epochs * objective.steps)
        if self.settings.minutes:
            self.time = max(self.time, self._seconds / (60 * self.settings.minutes))
        if self.time > until - ROUNDING:
            self.time = until

    def _expected(self, objective: Objective[B]) -> int:
        """Return the steps of the whole run, as far as that can be told."""
        left = (1 - self.time) * self.settings.epochs * objective.steps
        if self.settings.minutes and self.step:
            seconds = 60 * self.settings.minutes - self._seconds
            left = min(left, max(0.0, seconds) * self.step / max(self._seconds, 1e-9))
        return self.step + round(left)

    def _retreat(self, objective: Objective[B]) -> str:
        """Need less memory from now on; say how."""
        for parameter in self.network.parameters():
            parameter.grad = None
        if self.step == 0:  # it may have made some of its moments, not all
            self._optimiser = _optimiser(self.network, self.settings)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size = objective.settings.batch_size
        if size // (2 * self._parts) >= SMALLEST_PART:
            self._parts *= 2
            return (
                f"the graphics memory is full: {ceil(size / self._parts)} crops at a "
                f"time now, {size} still make a step"
            )
        crop = objective.settings.crop // 2
        if crop >= SMALLEST_CROP:
            self._crop = crop
            _crop_at_most(objective, crop)
            return f"the graphics memory is full: crops are at most {crop} pixels now"
        self._move(torch.device("cpu"))
        return (
            "the graphics memory is full even so: learning goes on, slowly, on the CPU"
        )

    def _move(self, device: torch.device) -> None:
        """Go on with the same weights and the same optimiser elsewhere."""
        kept = self._optimiser.state_dict()
        self.network.to(device)
        for keeper in (self._best, self._average):
            keeper.weights = _moved(keeper.weights, device)  # type: ignore[attr-defined]
        self._optimiser = _optimiser(self.network, self.settings)
        self._optimiser.load_state_dict(kept)

    # Keeping a run

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return all that is needed to go on: arrays, and metadata for JSON."""
        newest = self._newest or self.network.state_dict()
        groups = {
            "newest": newest,
            "best": self._best.weights or {},
            "average": self._average.weights or {},
            "optimiser": {
                f"{index}.{name}": value
                for index, entry in self._optimiser.state_dict()["state"].items()
                for name, value in entry.items()
            },
        }
        arrays = {
            f"{group}/{name}": value.detach().cpu().contiguous().numpy().copy()
            for group, tensors in groups.items()
            for name, value in tensors.items()
        }
        metadata = {
            "time": self.time,
            "step": self.step,
            "seconds": self._seconds,
            "seed": self.seed,
            "parts": self._parts,
            "crop": self._crop,
            "best": self._best.miou,
            "looks": self._best.looks,
            "steps_averaged": self._average.steps,
            "curve": [astuple(point) for point in self.curve],
            "due": astuple(self._due) if self._due else None,
        }
        return arrays, metadata

    def load_checkpoint(
        self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        """Take up the state of another run of the same network and settings.

        Raises
        ------
        WeightsMismatch
            If it is not of this network.
        """
        groups: dict[str, dict[str, Tensor]] = {
            "newest": {},
            "best": {},
            "average": {},
            "optimiser": {},
        }
        for key, value in arrays.items():
            group, _, name = key.partition("/")
            groups[group][name] = torch.from_numpy(np.array(value))
        try:
            self.network.load_state_dict(groups["newest"])
        except RuntimeError as error:
            raise WeightsMismatch(
                "the unfinished training is of another network; learn anew"
            ) from error
        kept = self._optimiser.state_dict()
        parameters = [
            each for group in self._optimiser.param_groups for each in group["params"]
        ]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["optimiser"].items():
            index, _, entry = name.partition(".")
            if tensor.ndim:  # a fused step takes for granted that layouts are the same
                tensor = torch.empty_like(parameters[int(index)].data).copy_(tensor)
            moments.setdefault(int(index), {})[entry] = tensor
        kept["state"] = moments
        self._optimiser.load_state_dict(kept)
        device = self.network.device
        self._best.weights = _moved(groups["best"], device)
        self._average.weights = _moved(groups["average"], device)
        self.time, self.step = metadata["time"], metadata["step"]
        self._seconds, self._parts, self.seed = (
            metadata["seconds"],
            metadata["parts"],
            metadata["seed"],
        )
        self._crop = metadata.get("crop")
        self._best.miou, self._best.looks = metadata["best"], metadata["looks"]
        self._average.steps = metadata["steps_averaged"]
        self.curve = [CurvePoint(*point) for point in metadata["curve"]]
        self._due = CurvePoint(*metadata["due"]) if metadata.get("due") else None
        self._lay_down()


def _crop_at_most(objective: Objective[Any], side: int) -> None:
    """Let the crops of an objective be no larger than this."""
    crop = min(objective.settings.crop, side)
    objective.settings = replace(objective.settings, crop=crop)


def _part(batch: B, first: int, last: int) -> B:
    """Return some of the crops of a batch."""
    of: Callable[..., B] = type(batch)
    return of(*(each[first:last] for each in batch))


def _optimiser(network: Network, settings: TrainingSettings) -> torch.optim.AdamW:
    """Return AdamW with a group for encoder, decoder and difficulty branch each."""
    rate = settings.learning_rate
    branch = list(network.difficulty.parameters()) if network.difficulty else []
    apart = set(branch)
    decoder = [each for each in decoder_parameters(network) if each not in apart]
    parts = [
        (encoder_parameters(network), rate * settings.encoder_factor),
        (decoder, rate),
        (branch, rate * BRANCH_FACTOR),
    ]
    groups = [{"params": params, "first": first} for params, first in parts if params]
    fused = network.device.type in ("cpu", "cuda")
    return torch.optim.AdamW(
        groups, lr=rate, weight_decay=settings.weight_decay, fused=fused
    )


def _set_rates(optimiser: torch.optim.Optimizer, time: float) -> None:
    """Let the learning rates fall; time runs from 0 to 1."""
    for group in optimiser.param_groups:
        group["lr"] = group["first"] * (1 - time) ** POWER


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
) -> Generator[Progress, None, float | None]:
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


def _copy(network: Network) -> dict[str, Tensor]:
    return {
        name: value.detach().clone() for name, value in network.state_dict().items()
    }


def _moved(
    weights: Mapping[str, Tensor] | None, device: torch.device
) -> dict[str, Tensor] | None:
    """Return weights elsewhere; None if there are none."""
    if not weights:
        return None
    return {name: tensor.to(device) for name, tensor in weights.items()}


class _Best:
    """The weights with the highest mean IoU so far."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.miou = -1.0
        self.looks = 0
        """Looks since the best one, in the last part of the run."""
        self.weights: dict[str, Tensor] | None = None

    def offer(self, miou: float | None, network: Network, *, last: bool) -> bool:
        """Keep the weights if none were better; whether patience has run out.

        Before the last part of a run it never does: more labels are to come.
        """
        if miou is None:
            return False
        if miou >= self.miou:
            self.miou, self.looks, self.weights = miou, 0, _copy(network)
        elif last:
            self.looks += 1
        return 0 < self.patience <= self.looks


class _Average:
    """The running mean of the weights, or none if the decay is 0."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.weights: dict[str, Tensor] | None = None

    @torch.no_grad()
    def offer(self, network: Network) -> None:
        """Add the weights of one more step."""
        if not self.decay:
            return
        self.steps += 1
        if self.weights is None:
            self.weights = _copy(network)
            return
        # The first steps are forgotten soon, however slow the decay.
        decay = min(self.decay, self.steps / (self.steps + 9))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)
