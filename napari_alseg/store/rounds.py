"""The rounds of a project: what was asked, what it cost, what came of it."""

import json
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from napari_alseg.arrays import Bounds, Ranking, Region, Selection
from napari_alseg.errors import BadValue

from . import rankings
from .handle import Handle
from .ledger_rounds import Cost, State

Row = tuple[int, int, float | None, float | None]
"""A point of the learning curve: step, epoch, loss and mIoU."""


@dataclass(frozen=True)
class RoundRecord:
    """What a round leaves, beside regions and answers.

    A round that has not come so far, or is of an older version, lacks some of it.
    """

    query: dict[str, Any] = field(default_factory=dict)
    """The whole resolved query, with its seed and budget."""
    score_seconds: float | None = None
    choose_seconds: float | None = None
    train_seconds: float | None = None
    curve: tuple[Row, ...] = ()
    """Of the training."""
    miou: float | None = None
    """On the validation images, 0..1."""
    iou: tuple[float | None, ...] = ()
    """Of each class.

    None for one that does not occur.
    """
    learnt: str | None = None
    """Where the weights come from that learnt in it."""

    @property
    def seed(self) -> int | None:
        """Seed of the query; None if not kept."""
        return self.query.get("seed")


def to_json(round: int, values: Mapping[str, Any]) -> dict[str, str]:
    """Values of a record as JSON, by name.

    Raises
    ------
    BadValue
        If one is not a JSON value, NaN included.
    TypeError
        If a name is none of a record's.
    """
    RoundRecord(**values)
    return {name: _json(round, name, value) for name, value in values.items()}


def from_json(texts: Mapping[str, str]) -> RoundRecord:
    """Return a record of values as JSON.

    Names that it does not know are passed over.

    Examples
    --------
    >>> from_json({"miou": "0.5", "curve": "[[0, 0, null, 0.1]]"}).curve
    ((0, 0, None, 0.1),)
    """
    known = [each.name for each in fields(RoundRecord)]
    values = {name: json.loads(texts[name]) for name in known if name in texts}
    if "curve" in values:
        values["curve"] = tuple(map(tuple, values["curve"]))
    if "iou" in values:
        values["iou"] = tuple(values["iou"])
    return RoundRecord(**values)


def _json(round: int, name: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadValue(
            f"the metric {name!r} of round {round} is not JSON: {error}"
        ) from error


class Rounds:
    """The rounds of a project, numbered from 1."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @property
    def numbers(self) -> tuple[int, ...]:
        """Rounds that were asked, in order."""
        return self._handle.rounds.rounds()

    @property
    def latest(self) -> int:
        """Number of the latest round, 0 before any."""
        return self.numbers[-1] if self.numbers else 0

    def ask(self, selection: Selection, query: Mapping[str, Any] | None = None) -> None:
        """Open a round, whose regions are asked.

        Parameters
        ----------
        selection : Selection
        query : mapping, optional
            The whole resolved query as JSON values, kept as `RoundRecord.query`.

        Raises
        ------
        BadValue
            If its number does not follow the latest round's, or a region lies in an
            image that is not of the pool.
        UnknownName
            If a region lies in an unknown image.
        """
        expected = self.latest + 1
        if selection.round != expected:
            raise BadValue(f"the next round is {expected}, got {selection.round}")
        for name in selection.images:
            split = self._handle.ledger.info(name).split
            if split != "pool":
                raise BadValue(f"{name} is a {split} image; only the pool is asked")
        about = to_json(selection.round, {} if query is None else {"query": query})
        with self._handle.writing():
            self._handle.rounds.ask(selection, about)

    def selection(self, round: int | None = None) -> Selection | None:
        """Return what a round asked.

        The latest for None, and None before the first.

        Raises
        ------
        UnknownName
            If there was no such round.
        """
        if round is None and not self.numbers:
            return None
        number = self.latest if round is None else round
        return self._handle.rounds.selection(number)

    def states(self, round: int) -> tuple[State, ...]:
        """``"open"``, ``"answered"`` or ``"skipped"`` for each region."""
        return self._handle.rounds.states(round)

    def replaceable(self, round: int) -> tuple[int, ...]:
        """Positions of a round that nobody has touched.

        One that was answered and undone may be answered again by redo, and stays.
        """
        return self._handle.rounds.replaceable(round)

    def reask(self, round: int, regions: Mapping[int, Region]) -> None:
        """Ask other regions in place of open ones.

        Positions that are not `replaceable` (any more) keep the region they have.

        Parameters
        ----------
        round : int
        regions : mapping
            The new region of each position.
        """
        free = set(self.replaceable(round))
        with self._handle.writing():
            self._handle.rounds.reask(
                round, {at: each for at, each in regions.items() if at in free}
            )

    def asked_regions(self, version: int) -> dict[str, set[int]]:
        """Regions by image that must not be asked again.

        Those that were answered or skipped in any round; what an older round left
        open returns to the pool.
        """
        asked = defaultdict(set)
        for name, region in self._handle.rounds.asked_regions(version):
            asked[name].add(region)
        return dict(asked)

    def closed_regions(
        self, partitions: Container[str]
    ) -> dict[str, list[tuple[Bounds, dict[str, Any]]]]:
        """Return the closed regions of these partitions.

        Parameters
        ----------
        partitions
            Values of ``settings["partition"]`` that count.

        Returns
        -------
        dict
            By image: the bounds of each region that was answered or skipped in any
            round, and the settings of its partition.
        """
        found = defaultdict(list)
        for version in self._handle.ledger.partitions():
            settings = self._handle.ledger.partition_settings(version)
            if settings.get("partition") in partitions:
                for name, bounds in self._handle.rounds.closed_bounds(version):
                    found[name].append((bounds, settings))
        return dict(found)

    def write_ranking(self, round: int, ranking: Ranking) -> None:
        """Keep what a round measured of each region."""
        with self._handle.writing():
            rankings.write_ranking(self._handle.path / "rankings", round, ranking)

    def read_ranking(self, round: int) -> Ranking | None:
        """Return what a round measured, None without it."""
        return rankings.read_ranking(self._handle.path / "rankings", round)

    def cost(self, round: int | None = None) -> Cost:
        """Return what answers cost, perhaps up to `round`.

        Pixels are those an answer left labelled inside its region. A whole-region
        answer, or one accepted as it was painted, is one click; an answer with exact
        pixels is one click for each connected piece of a class in it, and at least
        one. A region that was answered twice counts its clicks and seconds twice, the
        rest once. Strokes outside of answers and imported masks cost nothing here.
        """
        return self._handle.rounds.cost(round)

    def record(self, round: int, **values: Any) -> None:
        """Keep values of a round's record, in one transaction.

        Parameters
        ----------
        round : int
        values
            Any of the fields of `RoundRecord`; what was kept under a name is replaced.

        Raises
        ------
        BadValue
            If one is not a JSON value, NaN included.
        """
        texts = to_json(round, values)
        with self._handle.writing():
            self._handle.rounds.record(round, texts)

    def metrics(self, round: int) -> RoundRecord:
        """Return what a round left."""
        return from_json(self._handle.rounds.metrics(round))
