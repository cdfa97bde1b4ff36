"""A training run: step by step, to be stopped and resumed."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, astuple, replace
from math import isfinite
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
from napari_alseg.segmentation.networks.network import Network
from napari_alseg.segmentation.prediction.evaluate import evaluate
from napari_alseg.settings import PredictionSettings, TrainingSettings, check

from .batches import Example
from .checkpoint import to_arrays, to_tensors
from .kept_weights import AverageWeights, BestWeights, copy_of, moved
from .memory import MemoryLimits
from .objectives import B, Objective
from .optimiser import load_moments, moments_of, optimiser_of, set_rates

PAUSE = 0.1
"""Seconds between two reports of the loss."""

ROUNDING = 1e-9
"""A time that is so little short of an end has come to it."""

DONE = 1 - ROUNDING
"""A run whose time is beyond this has ended."""


class TrainingRun:
    """One training run, which can be stopped and resumed exactly.

    While `learn` runs the network has the newest weights. When it ends or is closed,
    the network is in evaluation mode with the weights that were best on the validation
    images. Without these it has the running mean of the weights if the settings ask for
    one, else the newest.

    Parameters
    ----------
    network : Network
        Changed in place.
    settings : TrainingSettings
    seed : int
        Of dropout. Same seed, same objective, same CPU and threads: same weights, also
        when the run is stopped and resumed in between.

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
    >>> TrainingRun(network, TrainingSettings(device="cpu")).ended
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
        self._due: CurvePoint | None = None  # which is still to be measured
        self._seconds = 0.0
        self._limits = MemoryLimits()
        self._best = BestWeights(settings.patience)
        self._average = AverageWeights(settings.average)
        self._newest: dict[str, Tensor] | None = None  # while the network has others
        device = choose_device(settings.device)
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if settings.compile and device.type == "cuda":
            network.body.compile()
        self._optimiser = optimiser_of(network, settings)

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
        self._use_newest()
        self._limits.apply_to(objective)
        try:
            if not self.curve:
                yield from self._measure_first(objective, validation)
            self.network.train()
            while self._due is not None or self.time < min(until, DONE):
                yield from self._learn_within_memory(objective, validation, until)
        finally:
            self._use_chosen()

    def _use_newest(self) -> None:
        """Give the network its newest weights again."""
        if self._newest is not None:
            self.network.load_state_dict(self._newest)
            self._newest = None

    def _use_chosen(self) -> None:
        """Give the network the weights it is to be used with."""
        chosen = self._best.weights or self._average.weights
        if chosen is not None:
            self._newest = copy_of(self.network)
            self.network.load_state_dict(chosen)
        self.network.eval()

    def _learn_within_memory(
        self, objective: Objective[B], validation: Sequence[Example], until: float
    ) -> Task[None]:
        """Learn until the time has come or graphics memory is full."""
        try:
            if self._due is not None:
                yield from self._measure(objective, validation, until)
            else:
                yield from self._steps(objective, validation, until)
            return
        except torch.OutOfMemoryError:
            pass  # the handler would keep the tensors alive
        message = NOTE + self._retreat(objective)
        yield Progress(self.step, self._expected(objective), message)

    # Steps

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
                pause = self.time >= min(until, DONE)
                due = self._is_measured_now(objective)
                if not (due or pause) and monotonic() - reported < PAUSE:
                    continue
                epoch = self.step // objective.steps
                point = CurvePoint(self.step, epoch, _mean(losses, self.step), None)
                if due:
                    self._due = point
                    yield from self._measure(objective, validation, until)
                else:
                    yield self._noted(point, objective)
                if pause or self.time > DONE:
                    return
                losses.clear()
                reported = monotonic()

    def _step(self, objective: Objective[B], batch: B) -> Tensor:
        """Learn from one batch; return its loss before that."""
        network, device = self.network, self.network.device
        set_rates(self._optimiser, self.time)
        self._optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=device)
        # Dropout draws from torch's global generators, which are lent for this pass.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed * 1_000_003 + self.step)
            for part, share in self._limits.split(batch):
                loss = objective.loss(network, part) * share
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.detach()
        clip_grad_norm_(network.parameters(), self.settings.gradient_norm)
        self._optimiser.step()
        self._average.offer(network)
        return total

    def _advance(self, objective: Objective[B], until: float) -> None:
        """Move the time by one step, not beyond an end."""
        self.step += 1
        self.time += 1 / (self.settings.epochs * objective.steps)
        if self.settings.minutes:
            self.time = max(self.time, self._seconds / (60 * self.settings.minutes))
        if self.time > until - ROUNDING:
            self.time = until

    def _expected(self, objective: Objective[B]) -> int:
        """Return the steps of the whole run, as expected now."""
        left = (1 - self.time) * self.settings.epochs * objective.steps
        if self.settings.minutes and self.step:
            seconds = 60 * self.settings.minutes - self._seconds
            left = min(left, max(0.0, seconds) * self.step / max(self._seconds, 1e-9))
        return self.step + round(left)

    # Measurements

    def _is_measured_now(self, objective: Objective[B]) -> bool:
        """Whether this step is followed by a measurement."""
        epoch, rest = divmod(self.step, objective.steps)
        regular = rest == 0 and epoch % self.settings.validate_every == 0
        return regular or self.time > DONE

    def _measure_first(
        self, objective: Objective[B], validation: Sequence[Example]
    ) -> Task[None]:
        """Measure before any step."""
        total = self._expected(objective)
        miou = yield from _mean_iou(self.network, validation, 0, total)
        self.curve.append(CurvePoint(0, 0, None, miou))
        if miou is not None:
            yield Progress(0, total, "learning", {"miou": miou})

    def _measure(
        self, objective: Objective[B], validation: Sequence[Example], until: float
    ) -> Task[None]:
        """Measure, keep the best weights, and end if patience does.

        A measurement that is stopped is made when the run is resumed.
        """
        assert self._due is not None
        total = self._expected(objective)
        miou = yield from _mean_iou(self.network, validation, self.step, total)
        self.network.train()
        if self._best.offer(miou, self.network, last=until > DONE):
            self.time = 1.0
        point, self._due = replace(self._due, miou=miou), None
        yield self._noted(point, objective)

    def _noted(self, point: CurvePoint, objective: Objective[B]) -> Progress:
        """Add a point to the curve, and return it as progress."""
        self.curve.append(point)
        metrics = {"loss": point.loss, "miou": point.miou}
        return Progress(
            self.step,
            self._expected(objective),
            "learning",
            {name: value for name, value in metrics.items() if value is not None},
        )

    # Memory

    def _retreat(self, objective: Objective[B]) -> str:
        """Need less memory from now on; say how."""
        for parameter in self.network.parameters():
            parameter.grad = None
        if self.step == 0:  # it may have made some of its moments, not all
            self._optimiser = optimiser_of(self.network, self.settings)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        message = self._limits.reduce(objective.settings)
        if message is not None:
            self._limits.apply_to(objective)
            return f"the graphics memory is full: {message}"
        self._move(torch.device("cpu"))
        return (
            "the graphics memory is full even so: learning goes on, slowly, on the CPU"
        )

    def _move(self, device: torch.device) -> None:
        """Continue with the same weights and moments elsewhere."""
        kept = self._optimiser.state_dict()
        self.network.to(device)
        self._best.weights = moved(self._best.weights, device)
        self._average.weights = moved(self._average.weights, device)
        self._optimiser = optimiser_of(self.network, self.settings)
        self._optimiser.load_state_dict(kept)

    # Checkpoints

    def checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All that resuming needs: arrays, and metadata for JSON."""
        arrays = to_arrays(
            {
                "newest": self._newest or self.network.state_dict(),
                "best": self._best.weights or {},
                "average": self._average.weights or {},
                "optimiser": moments_of(self._optimiser),
            }
        )
        metadata = {
            "time": self.time,
            "step": self.step,
            "seconds": self._seconds,
            "seed": self.seed,
            **asdict(self._limits),
            "best": self._best.miou,
            "looks": self._best.since,
            "steps_averaged": self._average.steps,
            "curve": [astuple(point) for point in self.curve],
            "due": astuple(self._due) if self._due else None,
        }
        return arrays, metadata

    def load_checkpoint(
        self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> None:
        """Continue where another run of this network and these settings was.

        Raises
        ------
        WeightsMismatch
            If the checkpoint is not of this network.
        """
        groups = to_tensors(arrays)
        try:
            self.network.load_state_dict(groups["newest"])
        except RuntimeError as error:
            raise WeightsMismatch(
                "this checkpoint is of another network; learn anew"
            ) from error
        device = self.network.device
        load_moments(self._optimiser, groups["optimiser"])
        self._best.weights = moved(groups["best"], device)
        self._average.weights = moved(groups["average"], device)
        self._load_metadata(metadata)
        self._use_chosen()

    def _load_metadata(self, given: Mapping[str, Any]) -> None:
        self.time, self.step, self.seed = given["time"], given["step"], given["seed"]
        self._seconds = given["seconds"]
        self._limits = MemoryLimits(given["parts"], given.get("crop"))
        self._best.miou, self._best.since = given["best"], given["looks"]
        self._average.steps = given["steps_averaged"]
        self.curve = [CurvePoint(*point) for point in given["curve"]]
        self._due = CurvePoint(*given["due"]) if given.get("due") else None


def _mean(losses: list[Tensor], step: int) -> float:
    """Return the mean loss, which must be a number."""
    loss = float(torch.stack(losses).mean())
    if not isfinite(loss):
        raise BadValue(
            f"the loss became {loss} at step {step}; take a lower learning rate"
        )
    return loss


def _mean_iou(
    network: Network, validation: Sequence[Example], step: int, steps: int
) -> Generator[Progress, None, float | None]:
    """Mean IoU on the validation images; None without ground truth."""
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
