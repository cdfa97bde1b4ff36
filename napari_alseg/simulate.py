"""Rounds with an oracle instead of a person: rehearse a budget before it is spent.

A data set is a folder with ``train/``, ``val/`` and perhaps ``test/``, each with
``images/`` and ``masks/``, and a ``classes.csv``. The training images become the pool
of a project; the masks answer what is asked. mIoU is measured on ``test/`` if it is
there, and then ``val/`` chooses the best weights while learning; without ``test/`` it
is measured on ``val/``, and learning never looks at it.
"""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from skimage.transform import resize

from . import __version__, session, systems
from .arrays import LabelMap, Progress, Selection, Task
from .errors import BadValue, MaskMismatch
from .metrics import Scores
from .oracle import Oracle
from .settings import (
    Budget,
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    SimulationSettings,
    TrainingSettings,
    check,
)
from .store import (
    ClassTable,
    Project,
    Split,
    paired,
    read_classes,
    read_image,
    read_mask,
    stem,
    swept_on_failure,
)

PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "numpy", "zarr")


def parse_size(text: str) -> tuple[int, int] | None:
    """Read ``ROWSxCOLUMNS``; an empty text is no size.

    Raises
    ------
    BadValue
        If the text is neither.

    Examples
    --------
    >>> parse_size("180x240")
    (180, 240)
    """
    if not text:
        return None
    rows, _, columns = text.partition("x")
    if not (rows.isdigit() and columns.isdigit() and int(rows) and int(columns)):
        raise BadValue(f"a size is ROWSxCOLUMNS, for example 180x240; got {text!r}")
    return int(rows), int(columns)


def simulate(
    dataset: Path,
    out: Path,
    simulation: SimulationSettings | None = None,
    *,
    network: NetworkSettings | None = None,
    training: TrainingSettings | None = None,
    prediction: PredictionSettings | None = None,
) -> Task[dict[str, Any]]:
    """Ask, answer and learn for some rounds; write ``run.json``, a curve and a table.

    Returns
    -------
    dict
        What ``run.json`` holds.

    Raises
    ------
    EmptyFolder, BadClasses, MaskMismatch
        If the data set is not laid out as this module says.
    """
    simulation = check(simulation or SimulationSettings())
    network = network or NetworkSettings()
    budget = Budget.parse(simulation.budget)
    asking = QuerySettings(simulation.system, **simulation.parameters())
    asking = systems.completed(asking)
    full = asking.choice == "everything"
    rounds = 1 if full else simulation.rounds
    table = read_classes(dataset / "classes.csv")
    size = parse_size(simulation.size)
    run: dict[str, Any] = {
        "system": simulation.system,
        "dataset": dataset.resolve().name,
        "seed": simulation.seed,
        "budget": "100%" if full else str(budget),
        "size": simulation.size,
        "network": network.network,
        "encoder": network.encoder,
        "weights": "",
        "asking": asking.parameters(),
        "training": asdict(training or TrainingSettings()),
        "rounds": [],
        "versions": versions(),
    }
    path = out / "project.alseg"
    with swept_on_failure(path), Project.create(path, table.classes) as project:
        truth = yield from _import(project, dataset, table, size)
    with Project.open(path) as project:
        oracle = Oracle(truth)
        for number in range(1, rounds + 1):
            query = QuerySettings(
                simulation.system,
                str(budget.share(rounds)),
                simulation.seed,
                **simulation.parameters(),
            )
            selection = yield from session.query(project, query, prediction)
            project.answer_all(number, oracle.answers(project, selection))
            report = yield from session.retrain(
                project, network, training, prediction, seed=simulation.seed
            )
            run["weights"] = report.weights_source
            scores = yield from _final_scores(project, prediction, report.scores)
            run["rounds"].append(_row(project, selection, oracle, scores))
            write(run, out)
    return run


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "napari-alseg": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


# --- the data set ---------------------------------------------------------------------


class _Masks:
    """The truth of the pool's images, read from mask files when asked for."""

    def __init__(self, table: ClassTable, size: tuple[int, int] | None) -> None:
        self._table, self._size = table, size
        self.paths: dict[str, Path] = {}

    def __call__(self, image: str) -> LabelMap:
        return resized(read_mask(self.paths[image], self._table), self._size, order=0)


def _import(
    project: Project, dataset: Path, table: ClassTable, size: tuple[int, int] | None
) -> Task[_Masks]:
    """Add the images: train as pool, val and test with their masks."""
    measured_on_test = (dataset / "test").is_dir()
    splits: dict[str, Split] = {"train": "pool", "val": "test"}
    if measured_on_test:
        splits |= {"val": "validation", "test": "test"}
    truth = _Masks(table, size)
    for folder, split in splits.items():
        pairs = list(paired(dataset / folder))
        for done, (image, mask) in enumerate(pairs, 1):
            pixels, labels = read_image(image), read_mask(mask, table)
            if pixels.shape[:2] != labels.shape:
                raise MaskMismatch(
                    f"{mask} has {labels.shape} rows and columns, its image "
                    f"{pixels.shape[:2]}; give a mask of the image's size"
                )
            added = project.add_image(
                stem(image),
                resized(pixels, size, order=1),
                split=split,
                labels=None if split == "pool" else resized(labels, size, order=0),
            )
            truth.paths[added] = mask
            yield Progress(done, len(pairs), f"importing {folder}")
    return truth


def resized(array: np.ndarray, size: tuple[int, int] | None, order: int) -> np.ndarray:
    """Return an image (order 1) or mask (order 0) with so many rows and columns."""
    if size is None or array.shape[:2] == size:
        return array
    smooth = order > 0
    scaled: np.ndarray = resize(
        array, size, order=order, preserve_range=True, anti_aliasing=smooth
    )
    return np.asarray(scaled, array.dtype)


# --- results --------------------------------------------------------------------------


def _final_scores(
    project: Project,
    prediction: PredictionSettings | None,
    validation: Scores | None,
) -> Task[Scores]:
    """Measure the latest network on the test split."""
    network = session.trained_network(project, prediction or PredictionSettings())
    assert network is not None
    scores = yield from session.measure_scores(project, network, "test", prediction)
    assert scores is not None
    return scores


def _row(
    project: Project, selection: Selection, oracle: Oracle, scores: Scores
) -> dict[str, Any]:
    """Return one round's entry of ``run.json``, costs counted from the first round."""
    pool = sum(int(np.prod(project.info(i).shape)) for i in project.images())
    names = [entry.name for entry in project.classes]
    recorded = project.metrics(selection.round)
    cost = project.cost()
    return {
        "round": selection.round,
        "pixels": oracle.pixels,
        "fraction": oracle.pixels / pool,
        "regions": cost.regions,
        "images": cost.images,
        "clicks": cost.clicks,
        "miou": scores.mean,
        "iou": dict(zip(names, scores.iou, strict=True)),
        "seconds": {
            part: recorded[f"{part}_seconds"] for part in ("score", "choose", "train")
        },
    }


def write(run: dict[str, Any], out: Path) -> None:
    """Write ``run.json``, ``table.md`` and ``curve.png`` of a run so far."""
    (out / "run.json").write_text(json.dumps(run, indent=1) + "\n")
    (out / "table.md").write_text(table(run))
    _draw(run, out / "curve.png")


def table(run: dict[str, Any]) -> str:
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
        ious = [_percent(value) for value in [row["miou"], *row["iou"].values()]]
        first = [f"{row['round']}", f"{row['pixels']}", f"{row['fraction']:.2%}"]
        lines.append("| " + " | ".join([*first, *cells, *ious]) + " |")
    return "\n".join(lines) + "\n"


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.1f}"


def _draw(run: dict[str, Any], path: Path) -> None:
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
