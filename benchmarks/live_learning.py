"""What live learns from how many answers, beside other ways; runs that can be cut.

``python benchmarks/live_learning.py [--quick] [--out DIR] [--parts ...] [--seeds 0,1]``

Runs are simulations like those of ``napari-alseg simulate``, one after the other on the
same project: a finished one is left alone, so the same command is given again until
nothing is left to do. The folder of the data holds ``camvid/`` and, for microscopy,
``dsb2018/`` and ``vnc_em/``. The random forest on filters needs scikit-learn:
``pip install -c constraints.txt --group benchmark``.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from harness import Row, at_least, at_most, data_folder, few_images, flags, once, report
from rich.console import Console
from systems import finished, keep

from napari_alseg.arrays import IGNORE, to_targets
from napari_alseg.cli import drive
from napari_alseg.metrics import confusion_matrix, scores
from napari_alseg.report.compare import compare
from napari_alseg.report.page import write_pages
from napari_alseg.segmentation import FEATURES, choose_pixels
from napari_alseg.settings import SimulationSettings, TrainingSettings
from napari_alseg.simulation.run import SimulationRun, read_run
from napari_alseg.simulation.simulate import simulate
from napari_alseg.store import Project

TERMINAL = Console()
TOTALS = (20, 50, 100, 200, 367, 734, 1835, 3670, 7340)
"""Answers in all; CamVid has 367 images, so the last five are 1, 2, 5, 10, 20 each."""
CACHE = 3_000_000_000
"""Bytes of features that a simulation may keep; the window has much less."""
DEEP_EPOCHS = 4
EACH = (1, 5, 20)
"""Answers an image in microscopy."""
FEW = 12, 6
"""Images that learn and images that measure, in a hurry."""
FOREST_EVERY = 4
"""The forest is measured on every fourth image: its filters take a second an image."""


@dataclass(frozen=True)
class Piece:
    """One run: a name within its part, what is asked, how it learns, after which."""

    name: str
    system: str
    budget: str
    recipe: str = "live"
    after: str = ""
    asking: dict[str, Any] = field(default_factory=dict)


def chain(system: str, totals: Sequence[int]) -> Iterator[Piece]:
    """Yield rounds that go on from one another."""
    asking = {"answers": "dominant"}
    if system == "random":
        asking["region_size"] = 200
    before, spent = "", 0
    for total in totals:
        name = f"{system}-{total}"
        budget = f"{total - spent} regions"
        yield Piece(name, system, budget, "live", before, asking)
        before, spent = name, total


def answers(_: int) -> Iterator[Piece]:
    """Yield informed and random asking, from the first answers to 20 an image."""
    for system in ("live", "random"):
        yield from chain(system, TOTALS)


def deep(_: int) -> Iterator[Piece]:
    """Yield a full network, live on its encoder, and both with 100 pixels an image."""
    dominant = {"answers": "dominant"}
    pixels = {"partition": "pixels"}
    yield Piece("deep-1836", "live", "1 regions", "partial", "live-1835", dominant)
    yield Piece("both-1837", "live", "1 regions", "live", "deep-1836", dominant)
    yield Piece("pixels-live", "random", "100 px/image", "live", "", pixels)
    yield Piece("pixels-deep", "random", "100 px/image", "partial", "", pixels)


def half(images: int) -> Iterator[Piece]:
    """Yield the three ways to learn from the labels that live asked, at half size."""
    asking = {"answers": "dominant", "size": "180x240", "region_size": 100}
    for piece in microscopy(images):
        yield replace(piece, asking=asking)
    for total in (each * images for each in EACH):
        before, deep = f"live-{total}", f"deep-{total}"
        yield Piece(deep, "live", "1 regions", "partial", before, asking)
        yield Piece(f"both-{total}", "live", "1 regions", "live", deep, asking)


def microscopy(images: int) -> Iterator[Piece]:
    """Yield informed and random asking where pretrained features may be weak."""
    for system in ("live", "random"):
        yield from chain(system, [each * images for each in EACH])


def tiny(images: int) -> Iterator[Piece]:
    """Yield informed and random asking on a few small images."""
    asking = {"answers": "dominant", "size": "90x120", "region_size": 50}
    for system in ("live", "random"):
        for piece in chain(system, [each * images for each in (1, 5)]):
            yield replace(piece, asking=asking)


PARTS = {
    "camvid-tiny": tiny,
    "camvid": answers,
    "deep": deep,
    "camvid-half": half,
    "dsb2018": microscopy,
    "vnc_em": microscopy,
}


def run(piece: Piece, data: Path, folder: Path, seed: int) -> None:
    """Begin a run, or go on with it."""
    simulation = SimulationSettings(
        piece.system, piece.budget, seed, rounds=1, **piece.asking
    )
    after = folder / piece.after / f"seed-{seed}" if piece.after else None
    training = TrainingSettings(recipe=piece.recipe, epochs=DEEP_EPOCHS)  # type: ignore[arg-type]
    drive(
        simulate(
            data,
            folder / piece.name / f"seed-{seed}",
            simulation,
            training=training,
            after=after,
            resume=True,
        ),
        TERMINAL,
    )


# --- data -----------------------------------------------------------------------------


def split(name: str, given: Path, out: Path) -> Path:
    """Return a data set with a train and a val folder, made of links if need be.

    Of the nuclei every eighth image is taken, of the sections all; of these every third
    measures.
    """
    if (given / name / "train").is_dir():
        return given / name
    files = sorted((given / name / "images").iterdir())
    if name == "dsb2018":
        files = files[::8]
    for index, file in enumerate(files):
        part = "val" if index % 3 == 2 else "train"
        for kind, source in (
            ("images", file),
            ("masks", given / name / "masks" / f"{file.stem}.png"),
        ):
            link = out / name / part / kind / source.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(source.resolve())
    table = out / name / "classes.csv"
    table.write_text((given / name / "classes.csv").read_text())
    return out / name


# --- a random forest on filters -------------------------------------------------------


def forest(run: Path, seed: int) -> dict[str, Any]:
    """Teach a random forest the labels of a run, and measure it.

    It is what interactive pixel classifiers learn: 100 trees on the filters of
    `skimage.feature.multiscale_basic_features`, from the same pixels that live takes.
    """
    from skimage.feature import multiscale_basic_features
    from sklearn.ensemble import RandomForestClassifier

    def filtered(image: np.ndarray) -> np.ndarray:
        return multiscale_basic_features(image, channel_axis=-1)

    found, targets = [], []
    begun = perf_counter()
    with Project.open(run / "project.alseg", "read") as project:
        classes = len(project.classes)
        selection = project.rounds.selection()
        assert selection is not None and selection.partition is not None
        version = selection.partition
        for image in project.labels.labelled():
            truth = to_targets(project.labels.read(image))
            region_map = project.outputs.read_regions(image, version)
            rows, columns, _ = choose_pixels(truth, region_map, 8)
            found.append(filtered(project.images.read(image))[rows, columns])
            targets.append(truth[rows, columns])
        filters = perf_counter() - begun
        begun = perf_counter()
        trees = RandomForestClassifier(100, random_state=seed, n_jobs=-1)
        trees.fit(np.concatenate(found), np.concatenate(targets))
        fit = perf_counter() - begun
        confusion = np.zeros((classes, classes), np.int64)
        for image in project.images.names("test")[::FOREST_EVERY]:
            truth = to_targets(project.labels.read(image))
            rows, columns = np.nonzero(truth != IGNORE)
            seen = trees.predict(filtered(project.images.read(image))[rows, columns])
            confusion += confusion_matrix(truth[rows, columns], seen, classes)
    return {
        "run": f"{run.parent.name}/{run.name}",
        "miou": scores(confusion).mean,
        "live": read_run(run).last.miou,
        "seconds": {"filters": filters, "fit": fit},
    }


def forests(folder: Path, names: Sequence[str]) -> None:
    """Measure the forest on the labels of some runs, unless that is done."""
    file = folder / "forest.json"
    known = json.loads(file.read_text()) if file.exists() else []
    done = {each["run"] for each in known}
    for name in names:
        for path in sorted((folder / name).glob("seed-*")):
            if f"{name}/{path.name}" not in done and read_run(path).finished:
                known.append(forest(path, int(path.name.removeprefix("seed-"))))
                TERMINAL.print(known[-1])
                file.write_text(json.dumps(known, indent=1) + "\n")


# --- all of it ------------------------------------------------------------------------


def verdicts(part: str, folder: Path) -> Iterator[Row]:
    """Hold the mIoU of each run of live against chance with as many answers."""
    last = {
        (run.parent.name, run.name): read_run(run).last.miou for run in finished(folder)
    }
    for (name, seed), miou in last.items():
        chance = last.get((name.replace("live-", "random-"), seed))
        if chance and name.startswith("live-"):
            work = f"{part}: {name}, {seed}, against random"
            yield at_least(work, miou / chance, "x mIoU", 0.8)


def run_part(part: str, given: Any, source: Path, out: Path) -> Path:
    """Do what is left of a part, write its pages, and return their folder."""
    name = "camvid" if part == "deep" else part
    data = split(name.split("-")[0], source, out / "data")
    folder = out / name
    images = len(list((data / "train" / "images").iterdir()))
    for seed in map(int, given.seeds.split(",")):
        for piece in PARTS[part](images):
            wanted = not given.only or piece.name in given.only.split(",")
            if wanted and not given.pages_only:
                TERMINAL.print(f"{name}: {piece.name}, seed {seed}")
                run(piece, data, folder, seed)
    forests(folder, [each for each in given.forest.split(",") if each])
    runs = {path: read_run(path) for path in finished(folder)}
    ends = [
        path for path, run in runs.items() if not _gone_on_from(run, [*runs.values()])
    ]
    write_pages(compare(ends), folder)
    if given.keep:
        keep(ends, folder, given.keep / name)
    return folder


def main() -> None:
    """Run what is left of some parts, write their pages, and hold them to targets."""
    parser = flags(__doc__ or "")
    parser.add_argument("--data", type=Path, help="holds a folder a data set")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--parts", default=",".join(each for each in PARTS if each != "camvid-tiny")
    )
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="", help="names of runs, all if empty")
    parser.add_argument("--forest", default="", help="runs whose labels a forest gets")
    parser.add_argument("--pages-only", action="store_true")
    parser.add_argument("--keep", type=Path, help="for every run.json and the pages")
    given = parser.parse_args()
    if given.quick:
        given.parts, given.seeds = "camvid-tiny", "0"
    parts = given.parts.split(",")
    for part in parts:
        name = "camvid" if part == "deep" else part.split("-")[0]
        source = data_folder(name, given.data)
    FEATURES.limit = CACHE
    with TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        if given.quick:
            source = few_images(source, out / "few", *FEW)
        rows: list[Row] = []
        for part in parts:
            rows += verdicts(part, run_part(part, given, source, out))
        again = once(lambda: run_part(parts[-1], given, source, out))
        rows.append(at_most("the same command again", again, "s", 20))
    report("live_learning", rows, quick=given.quick)


def _gone_on_from(run: SimulationRun, others: Sequence[SimulationRun]) -> bool:
    """Whether another run by the same recipe has all its rounds, and more."""
    rounds = run.rounds
    return any(
        len(other.rounds) > len(rounds)
        and other.rounds[: len(rounds)] == rounds
        and other.settings.recipe == run.settings.recipe
        for other in others
    )


if __name__ == "__main__":
    main()
