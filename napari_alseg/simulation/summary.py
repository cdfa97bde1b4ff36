"""A table and a curve of a simulation, for people."""

from pathlib import Path
from typing import Any

from napari_alseg.files import writing
from napari_alseg.simulation.run import SimulationRound, SimulationRun

COLUMNS = ("round", "pixels", "share", "regions", "images", "clicks", "mIoU")


def write_summary(run: SimulationRun, out: Path) -> None:
    """Write ``table.md`` and ``curve.png`` of a run that has a round."""
    with writing(out):
        (out / "table.md").write_text(table(run), encoding="utf-8")
        _draw(run, out / "curve.png")


def table(run: SimulationRun) -> str:
    """Return the rounds of a run as a Markdown table."""
    settings = run.settings
    head = [*COLUMNS, *run.rounds[0].iou]
    lines = [
        f"# {settings.system} on {settings.dataset}, {settings.budget}, "
        f"seed {settings.seed}",
        "",
        f"{settings.network} with {settings.encoder} from {run.weights}; IoU in %.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " ---: |" * len(head),
        *("| " + " | ".join(_cells(row)) + " |" for row in run.rounds),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: SimulationRound) -> list[str]:
    counts = (row.regions, row.images, row.clicks)
    ious = map(percent, (row.miou, *row.iou.values()))
    first = (row.round, row.pixels, f"{row.fraction:.2%}")
    return [*map(str, first), *map(str, counts), *ious]


def percent(value: float | None) -> str:
    """Write a number of 0..1 in per cent.

    None is a class that does not occur.

    Examples
    --------
    >>> percent(0.1234), percent(None)
    ('12.3', 'absent')
    """
    return "absent" if value is None else f"{100 * value:.1f}"


def or_none(value: Any) -> str:
    """Write a setting; what is empty is none.

    Examples
    --------
    >>> or_none(""), or_none(0)
    ('none', '0')
    """
    return "none" if value in (None, "") else str(value)


def _draw(run: SimulationRun, path: Path) -> None:
    """Draw mIoU against the share of labelled pixels."""
    from matplotlib.figure import Figure  # slow to import, needed once a round

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    share = [100 * row.fraction for row in run.rounds]
    miou = [100 * row.miou for row in run.rounds]
    axes.plot(share, miou, marker="o", color="#0072B2")
    for x, y in zip(share, miou, strict=True):
        axes.annotate(f"{y:.1f}", (x, y), (0, 7), textcoords="offset points")
    settings = run.settings
    axes.set(
        xlabel="labelled pixels (%)",
        ylabel="mIoU (%)",
        title=f"{settings.system} on {settings.dataset}, seed {settings.seed}",
    )
    axes.grid(alpha=0.3)
    axes.margins(0.08, 0.15)
    figure.savefig(path, dpi=150)
