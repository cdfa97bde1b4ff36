"""What the benchmarks share: a promise, its measurement, the table, the verdict."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter


@dataclass(frozen=True)
class Row:
    """One promise: what was measured, and what was to be reached."""

    work: str
    measured: float
    unit: str
    target: str
    met: bool


def at_least(work: str, value: float, unit: str, target: float) -> Row:
    """Return the row of a value that should be high."""
    return Row(work, value, unit, f">= {target:g}", value >= target)


def at_most(work: str, value: float, unit: str, target: float) -> Row:
    """Return the row of a value that should be low."""
    return Row(work, value, unit, f"<= {target:g}", value <= target)


def once(work: Callable[[], object]) -> float:
    """Return the seconds of one run."""
    start = perf_counter()
    work()
    return perf_counter() - start


def seconds(*works: Callable[[], object], repeats: int = 5) -> list[float]:
    """Return the shortest time of each work, taking turns so that noise hits all."""
    times = [[once(work) for work in works] for _ in range(repeats)]
    return [min(column) for column in zip(*times, strict=True)]


def report(rows: Sequence[Row]) -> None:
    """Print the table and one line of JSON; exit with 1 if a target is missed."""
    print(f"{'work':<56} {'measured':>10} {'unit':<10} {'target':>9}")
    for row in rows:
        verdict = "" if row.met else "  MISSED"
        print(
            f"{row.work:<56} {row.measured:>10.3g} {row.unit:<10} "
            f"{row.target:>9}{verdict}"
        )
    print(json.dumps([asdict(row) for row in rows]))
    sys.exit(not all(row.met for row in rows))
