"""A simulation on disk: ``run.json``, and a table and a curve made of it for people.

``run.json`` says everything that the run depends on (`FOUND` names the rest),
and then one row a round. All costs are counted from the first round on: ``pixels``,
``regions`` and ``images`` that were asked, ``clicks`` by the rule of `oracle`; a row's
``seconds`` are those of its own round. IoU and mIoU are 0..1, null for an absent class.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from napari_alseg.errors import BadValue, NewerFormat
from napari_alseg.store import writing

FORMAT = 3
FOUND = ("finished", "weights", "classes", "pool", "device", "rounds", "versions")
"""Entries that say what was found; all others say what was wanted."""

NEEDED = ("system", "dataset", "seed", "asking", "training", *FOUND)
"""Entries without which there is no run."""

Run: TypeAlias = dict[str, Any]
"""What a run.json holds."""


def read_run(folder: Path) -> Run:
    """Read the run of a folder.

    Raises
    ------
    BadValue
        If the folder holds no run that can be read.
    NewerFormat
        If a newer version wrote it.
    """
    file = folder / "run.json"
    wanted = "give a folder that 'napari-alseg simulate --out' wrote"
    try:
        run = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BadValue(f"{folder} holds no run.json; {wanted}") from None
    except ValueError as error:
        raise BadValue(f"{file} is damaged ({error}); simulate again") from error
    if not isinstance(run, dict) or not isinstance(run.get("format"), int):
        raise BadValue(
            f"{file} is no run, or one of a version before format 2; {wanted}"
        )
    if run["format"] > FORMAT:
        raise NewerFormat(
            f"{file} has format {run['format']}, this napari-alseg reads formats up to "
            f"{FORMAT}; update napari-alseg"
        )
    missing = [name for name in NEEDED if name not in run]
    if missing:
        raise BadValue(f"{file} lacks {', '.join(missing)}; simulate again")
    run.pop("published", None)  # of format 2
    return run


def write_run(run: Run, out: Path) -> None:
    """Write ``run.json``, wholly or not at all; with a round also table and curve."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        partial = out / "run.json.tmp"
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(run, indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(out / "run.json")
        if run["rounds"]:
            (out / "table.md").write_text(table(run), encoding="utf-8")
            _draw(run, out / "curve.png")


def flat(entries: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield entries by name, those of an inner table as ``table.name``.

    Examples
    --------
    >>> dict(flat({"seed": 0, "training": {"epochs": 2}}))
    {'seed': 0, 'training.epochs': 2}
    """
    for name, value in entries.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def wanted(run: Run) -> dict[str, Any]:
    """Return all that a run depends on, by flat name."""
    return dict(flat({name: run[name] for name in run if name not in FOUND}))


def differences(first: Run, second: Run) -> dict[str, tuple[Any, Any]]:
    """Return settings that two runs do not share, by flat name; None for a missing one.

    A setting that only one of them has, as it is younger than the other, is no
    difference while it is off (`is_off`); nor are files that one of them does not know.

    Examples
    --------
    >>> differences({"seed": 0, "rounds": []}, {"seed": 1, "rounds": [{}]})
    {'seed': (0, 1)}
    """
    here, there = wanted(first), wanted(second)
    different = {}
    for name in dict.fromkeys([*here, *there]):
        pair = here.get(name), there.get(name)
        both = name in here and name in there
        unknown = not both and (all(map(is_off, pair)) or name.startswith("files."))
        if pair[0] != pair[1] and not unknown:
            different[name] = pair
    return different


def is_off(value: Any) -> bool:
    """Whether a setting is as if it were not there: none, an empty text, or False.

    Examples
    --------
    >>> [is_off(value) for value in (None, "", False, 0)]
    [True, True, True, False]
    """
    return value is False or value in (None, "")


def table(run: Run) -> str:
    """Return the rounds of a run as a Markdown table, with the IoU of each class."""
    rounds: Sequence[dict[str, Any]] = run["rounds"]
    names = list(rounds[0]["iou"])
    head = ["round", "pixels", "share", "regions", "images", "clicks", "mIoU", *names]
    lines = [
        f"# {run['system']} on {run['dataset']}, {run['budget']}, seed {run['seed']}",
        "",
        f"{run['network']} with {run['encoder']} from {run['weights']}; IoU in %.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " ---: |" * len(head),
    ]
    for row in rounds:
        cells = [f"{row[key]}" for key in ("regions", "images", "clicks")]
        ious = [percent(value) for value in [row["miou"], *row["iou"].values()]]
        first = [f"{row['round']}", f"{row['pixels']}", f"{row['fraction']:.2%}"]
        lines.append("| " + " | ".join([*first, *cells, *ious]) + " |")
    return "\n".join(lines) + "\n"


def percent(value: float | None) -> str:
    """Write a number of 0..1 in per cent; None is a class that does not occur."""
    return "absent" if value is None else f"{100 * value:.1f}"


def or_none(value: Any) -> str:
    """Write a setting; what is empty is none."""
    return "none" if value in (None, "") else str(value)


def _draw(run: Run, path: Path) -> None:
    """Draw mIoU against the share of labelled pixels."""
    from matplotlib.figure import Figure  # slow to import, needed once a round

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    share = [100 * row["fraction"] for row in run["rounds"]]
    miou = [100 * row["miou"] for row in run["rounds"]]
    axes.plot(share, miou, marker="o", color="#0072B2")
    for x, y in zip(share, miou, strict=True):
        axes.annotate(f"{y:.1f}", (x, y), (0, 7), textcoords="offset points")
    axes.set(
        xlabel="labelled pixels (%)",
        ylabel="mIoU (%)",
        title=f"{run['system']} on {run['dataset']}, seed {run['seed']}",
    )
    axes.grid(alpha=0.3)
    axes.margins(0.08, 0.15)
    figure.savefig(path, dpi=150)
