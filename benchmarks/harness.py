"""What the benchmarks share: flags, data, targets, the table, the verdict."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
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


def flags(about: str) -> argparse.ArgumentParser:
    """Return a parser that knows `--quick`."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a little of it, within a minute"
    )
    return parser


def data_folder(name: str = "camvid", given: Path | None = None) -> Path:
    """Return the folder of real images; without it, say so and exit with 2.

    Parameters
    ----------
    name : str
        What it must hold.
    given : Path, optional
        Instead of the folder that `ALSEG_DATA` names.
    """
    folder = given or Path(os.environ.get("ALSEG_DATA", "../shared/data"))
    if not (folder / name).is_dir():
        print(f"{folder} holds no {name}/: name its folder in ALSEG_DATA")
        sys.exit(2)
    return folder


def few_images(data: Path, out: Path, train: int, val: int) -> Path:
    """Return a data set of a few images of CamVid, spread over its films."""
    for split, count in (("train", train), ("val", val)):
        files = sorted((data / "camvid" / split / "images").iterdir())
        for file in files[:: max(len(files) // count, 1)][:count]:
            for kind in ("images", "masks"):
                folder = out / "camvid" / split / kind
                folder.mkdir(parents=True, exist_ok=True)
                (there,) = (data / "camvid" / split / kind).glob(f"{file.stem}.*")
                shutil.copy(there, folder)
    shutil.copy(data / "camvid" / "classes.csv", out / "camvid")
    return out


def report(name: str, rows: Sequence[Row], *, quick: bool) -> None:
    """Print the table and one line of JSON; exit with 1 if a target is missed."""
    print(f"{'work':<56} {'measured':>10} {'unit':<10} {'target':>9}")
    for row in rows:
        verdict = "" if row.met else "  MISSED"
        print(
            f"{row.work:<56} {row.measured:>10.3g} {row.unit:<10} "
            f"{row.target:>9}{verdict}"
        )
    missed = [row.work for row in rows if not row.met]
    kept = [asdict(row) for row in rows]
    print(json.dumps({"name": name, "quick": quick, "rows": kept, "missed": missed}))
    sys.exit(bool(missed))
