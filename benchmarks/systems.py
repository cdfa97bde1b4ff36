"""The published systems on CamVid, as simulations that may be stopped and resumed.

``python benchmarks/systems.py [--quick] [--out DIR] [--groups ...] [--seeds 0,1]``

Runs are simulations like those of ``napari-alseg simulate``: a finished one is left
alone, a stopped one goes on, so the same command is given again until nothing is left
to do. ``DIR/<group>`` then holds the run of each system and seed, and the page that
``napari-alseg compare`` makes of them. ``--full`` takes images of full size and more
epochs, for a computer with a graphics card.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from harness import (
    Row,
    at_least,
    at_most,
    data_folder,
    few_images,
    flags,
    once,
    report,
)
from rich.console import Console

from napari_alseg.arrays import IGNORE, LabelMap, to_targets
from napari_alseg.cli import drive
from napari_alseg.report.compare import compare
from napari_alseg.report.page import write_pages
from napari_alseg.segmentation import predict
from napari_alseg.segmentation.fitting.losses import borders
from napari_alseg.selection.maps import trained_network
from napari_alseg.settings import (
    PredictionSettings,
    SimulationSettings,
    TrainingSettings,
)
from napari_alseg.simulation.dataset import parse_size, truth_of
from napari_alseg.simulation.run import read_run
from napari_alseg.simulation.simulate import simulate
from napari_alseg.store import Project

TERMINAL = Console()


@dataclass(frozen=True)
class Scale:
    """How large images are, and how long networks learn."""

    size: str
    region_size: int
    """Mean pixels of a superpixel."""
    start_epochs: int
    epochs: int
    few_epochs: int
    """Where only some images are labelled, so that an epoch has fewer steps."""


HALF = Scale("180x240", 100, start_epochs=10, epochs=6, few_epochs=8)
FULL = Scale("360x480", 400, start_epochs=30, epochs=60, few_epochs=80)
TINY = Scale("90x120", 50, start_epochs=2, epochs=2, few_epochs=2)
FEW = 12, 6
"""Images that learn and images that measure, in a hurry."""
SHARE, QUICK_SHARE = 0.8, 0.5
"""Least mIoU against chance; two epochs on a few images decide between no systems."""


@dataclass(frozen=True)
class Piece:
    """One run: a name within its group, and what it differs in from the others."""

    name: str
    system: str
    budget: str
    asking: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    after: str = ""
    """Run of the same group and seed that this one goes on from."""


SUPERPIXELS = (
    "random",
    "bvsb",
    "class-sp-crf",
    "sp",
    "entropy-edge",
    "sp-crf",
    "clasp-pe",
    "entropy",
    "coreset",
    "bald",
)


def budget(scale: Scale) -> Iterator[Piece]:
    """12 % of the pixels: 2 % drawn by chance, then 10 % at once by each system.

    All learn alike (the recipe 'partial'), so that only what was asked differs; the
    runs called 'own' learn by the recipe of their system instead.
    """
    superpixels = {"region_size": scale.region_size}
    start = {"epochs": scale.start_epochs, "recipe": "partial"}
    yield Piece("start", "random", "2%", superpixels, start)
    alike = {"epochs": scale.epochs, "recipe": "partial"}
    own = {"epochs": scale.epochs}
    for system in ("random", "bvsb", "class-sp-crf"):
        yield Piece(system, system, "10%", superpixels, alike, "start")
    yield Piece("full", "full", "100%", superpixels, alike, "start")
    grid = {"partition": "grid"}
    yield Piece("random-grid", "random", "10%", grid, alike, "start")
    yield Piece("equal", "equal", "10%", {}, alike, "start")
    windows = {"partition": "windows", "choice": "per-image"}
    yield Piece("random-windows", "random", "10%", windows, alike, "start")
    yield Piece("ripu-ra", "ripu-ra", "10%", {}, alike, "start")
    yield Piece("equal-own", "equal", "10%", {}, own, "start")
    for system in SUPERPIXELS:
        if system not in ("random", "bvsb", "class-sp-crf"):
            yield Piece(system, system, "10%", superpixels, alike, "start")


def answers(scale: Scale) -> Iterator[Piece]:
    """From 1 to 20 answers an image, one class and one click for each."""
    asking = {"region_size": scale.region_size, "answers": "dominant"}
    training = {"epochs": scale.epochs, "recipe": "partial"}
    yield Piece("full", "full", "100%", {"region_size": scale.region_size}, training)
    every, some = (1, 2, 5, 10, 20), (1, 5, 20)
    for system, totals in (
        ("random", every),
        ("bvsb", every),
        ("class-sp-crf", some),
        ("clasp-pe", some),
    ):
        before, spent = "", 0
        for total in totals:
            more = f"{(total - spent) * 367} regions"
            yield Piece(f"{system}-{total}", system, more, asking, training, before)
            before, spent = f"{system}-{total}", total


def images(scale: Scale) -> Iterator[Piece]:
    """10 to 40 % of the images, each labelled in full (DEAL)."""
    for system in ("random", "entropy", "deal-ds", "deal-de"):
        asking = {"partition": "image", "initial_images": 37, "rounds": 3}
        if system == "entropy":  # as DEAL has it, which draws half of the pool first
            asking["pool_share"] = 0.5
        training = {"epochs": scale.few_epochs}
        yield Piece(system, system, "110 images", asking, training)


def domains(scale: Scale) -> Iterator[Piece]:
    """From day to dusk: 2.2 and 5 % of the dusk's pixels (RIPU)."""
    adapt = {"epochs": scale.few_epochs, "recipe": "adaptation"}
    first = {"epochs": scale.epochs, "recipe": "partial"}
    windows = {"partition": "windows", "choice": "per-image"}
    nothing = windows | {"rounds": 0}
    yield Piece("source-only", "random", "1%", nothing, first)
    for name, system, asking in (
        ("random", "random", windows),
        ("ripu-ra", "ripu-ra", {}),
        ("ripu-pa", "ripu-pa", {"exclusion": 4}),
    ):
        yield Piece(f"{name}-2.2", system, "2.2%", asking, adapt, "source-only")
        yield Piece(f"{name}-5", system, "2.8%", asking, adapt, f"{name}-2.2")
    yield Piece("full", "full", "100%", {}, adapt, "source-only")


def unlabelled(scale: Scale) -> Iterator[Piece]:
    """1/8 of the images labelled: these alone, and with all others (CISC-R).

    Each of the three networks of CISC-R takes about as many steps as the one alone.
    """
    asking = {"partition": "image"}
    alone = {"epochs": 8 * scale.few_epochs // 2, "recipe": "partial"}
    rectified = {"epochs": scale.few_epochs // 2, "recipe": "rectified"}
    yield Piece("supervised-only", "random", "46 images", asking, alone)
    yield Piece("cisc-r", "cisc-r", "46 images", {}, rectified)


def little(scale: Scale) -> Iterator[Piece]:
    """Two ways to ask and all labels, on a few small images."""
    asking = {"region_size": scale.region_size}
    training = {"epochs": scale.epochs, "recipe": "partial"}
    for system in ("random", "bvsb"):
        yield Piece(system, system, "40%", asking, training)
    yield Piece("full", "full", "100%", asking, training)


GROUPS = {
    "little": little,
    "budget": budget,
    "domains": domains,
    "unlabelled": unlabelled,
    "images": images,
    "answers": answers,
}


def run(piece: Piece, scale: Scale, data: Path, folder: Path, seed: int) -> None:
    """Begin a run, or go on with it."""
    asking = {"rounds": 1, "size": scale.size} | piece.asking
    simulation = SimulationSettings(piece.system, piece.budget, seed, **asking)
    after = folder / piece.after / f"seed-{seed}" if piece.after else None
    drive(
        simulate(
            data / "dusk" if folder.name == "domains" else data / "camvid",
            folder / piece.name / f"seed-{seed}",
            simulation,
            training=TrainingSettings(**piece.training),
            source=data / "day" if folder.name == "domains" else None,
            after=after,
            resume=True,
        ),
        TERMINAL,
    )


def split_domains(camvid: Path, out: Path) -> None:
    """Link CamVid's day as the source, its dusk as a data set of its own.

    The last third of the dusk's only sequence measures, the first two are the pool.
    """
    for kind in ("images", "masks"):
        files = sorted((camvid / "train" / kind).iterdir())
        dusk = [file for file in files if file.name.startswith("0001TP")]
        day = [file for file in files if not file.name.startswith("0001TP")]
        pool = 2 * len(dusk) // 3
        for name, chosen in (
            ("day/train", day),
            ("dusk/train", dusk[:pool]),
            ("dusk/val", dusk[pool:]),
        ):
            folder = out / name / kind
            folder.mkdir(parents=True, exist_ok=True)
            for file in chosen:
                link = folder / file.name
                if not link.exists():
                    link.symlink_to(file.resolve())
    for name in ("day", "dusk"):
        shutil.copy(camvid / "classes.csv", out / name / "classes.csv")


def main() -> None:
    """Run what is left of some groups, write their pages, and hold them to targets."""
    parser = flags(__doc__ or "")
    parser.add_argument("--data", type=Path, help="holds camvid/")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--groups", default=",".join(each for each in GROUPS if each != "little")
    )
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--only", default="", help="names of runs, all if empty")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--pages-only", action="store_true")
    parser.add_argument("--keep", type=Path, help="for every run.json and the pages")
    given = parser.parse_args()
    source = data_folder(given=given.data)
    with TemporaryDirectory() as folder:
        out = given.out or Path(folder)
        if given.quick:
            given.groups, given.seeds = "little", "0"
            source = few_images(source, out / "few", *FEW)
        scale = TINY if given.quick else FULL if given.full else HALF
        data = linked(source, out / "data")
        rows: list[Row] = []
        share = QUICK_SHARE if given.quick else SHARE
        for group in given.groups.split(","):
            run_group(group, given, scale, data, out / group)
            rows += verdicts(group, out / group, share)
        again = once(lambda: run_group(group, given, scale, data, out / group))
        rows.append(at_most("the same command again", again, "s", 20))
    report("systems", rows, quick=given.quick)


def linked(source: Path, data: Path) -> Path:
    """Return a folder with CamVid and its two domains."""
    data.mkdir(parents=True, exist_ok=True)
    split_domains(source / "camvid", data)
    if not (data / "camvid").exists():
        (data / "camvid").symlink_to((source / "camvid").resolve())
    return data


def run_group(group: str, given: Any, scale: Scale, data: Path, folder: Path) -> None:
    """Do what is left of a group, and write its pages."""
    for seed in map(int, given.seeds.split(",")):
        for piece in GROUPS[group](scale):
            wanted = not given.only or piece.name in given.only.split(",")
            if wanted and not given.pages_only:
                TERMINAL.print(f"{group}: {piece.name}, seed {seed}")
                run(piece, scale, data, folder, seed)
    done = finished(folder)
    if group == "images":
        found = [
            {"run": f"{path.parent.name}/{path.name}", **mean_difficulty(path)}
            for path in done
            if path.parent.name.startswith("deal")
        ]
        (folder / "difficulty.json").write_text(json.dumps(found, indent=1) + "\n")
    if not done:
        return
    asked = data / ("dusk" if group == "domains" else "camvid")
    found = [labels_of(path, asked, scale) for path in done]
    (folder / "labels.json").write_text(json.dumps(found, indent=1) + "\n")
    write_pages(compare(ends(done, group, scale)), folder)
    if given.keep:
        keep(done, folder, given.keep / group)


def finished(folder: Path) -> list[Path]:
    """Return the runs of a group that have come to their end."""
    found = sorted(folder.glob("*/seed-*/run.json"))
    return [each.parent for each in found if read_run(each.parent).finished]


def verdicts(group: str, folder: Path, share: float) -> Iterator[Row]:
    """Hold the last mIoU of each run against that of chance, of the same seed."""
    last = {
        (run.parent.name, run.name): read_run(run).last.miou for run in finished(folder)
    }
    for (name, seed), miou in last.items():
        chance = last.get(("random", seed))
        if chance and name != "random":
            work = f"{group}: {name}, {seed}, against random"
            yield at_least(work, miou / chance, "x mIoU", share)


def ends(runs: list[Path], group: str, scale: Scale) -> list[Path]:
    """Leave out runs that others have gone on from: their rounds are in those."""
    there = {(run.parent.name, run.name) for run in runs}
    gone_on = {
        (piece.after, seed)
        for piece in GROUPS[group](scale)
        for name, seed in there
        if name == piece.name
    }
    return [run for run in runs if (run.parent.name, run.name) not in gone_on]


def keep(runs: list[Path], folder: Path, out: Path) -> None:
    """Copy what is worth keeping of some runs: their JSON, and the page of all."""
    for run in runs:
        kept = out / run.relative_to(folder)
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(run / "run.json", kept)
    for file in folder.glob("*.*"):
        if file.is_file():
            shutil.copy(file, out)


def labels_of(run: Path, dataset: Path, scale: Scale) -> dict[str, Any]:
    """Hold what the answers of a run have labelled against the truth.

    In % of the labelled pixels: those of each class, those at a border between two
    classes of the truth, and those of another class in the truth. Ignored pixels count
    for nothing. Below ``"all"``, the same of all true labels.
    """
    with Project.open(run / "project.alseg", "read") as project:
        truth_at = truth_of(project, dataset, parse_size(scale.size))
        names = [entry.name for entry in project.classes]
        answered, everything = Counter[str](), Counter[str]()
        for image in project.images.names():
            truth = truth_at(image)
            answered += _counts(project.labels.read(image), truth, names)
            everything += _counts(truth, truth, names)
    return {
        "run": f"{run.parent.name}/{run.name}",
        **_shares(answered, names),
        "all": _shares(everything, names),
    }


def _counts(labels: LabelMap, truth: LabelMap, names: list[str]) -> Counter[str]:
    """Count the labelled pixels of an image that are not ignored, by what they are."""
    here = (labels > 0) & (truth > 0)
    border = borders(torch.from_numpy(to_targets(truth))[None])[0].numpy()
    pixels = np.bincount(labels[here], minlength=len(names) + 1)[1:].tolist()
    return Counter(
        dict(zip(names, pixels, strict=True)),
        labelled=int(here.sum()),
        border=int(border[here].sum()),
        wrong=int((labels != truth)[here].sum()),
    )


def _shares(counts: Counter[str], names: list[str]) -> dict[str, float]:
    """Return counts in % of what is labelled."""
    whole = max(counts["labelled"], 1)
    return {
        name: round(100 * counts[name] / whole, 2)
        for name in (*names, "border", "wrong")
    }


def mean_difficulty(run: Path) -> dict[str, float]:
    """Mean difficulty of the pixels that a network has wrong, and of those right.

    On the images that measure, which it never saw; and how often a wrong pixel is held
    for more difficult than a right one, 0.5 by chance (area under the ROC curve).
    """
    settings = PredictionSettings()
    counts = np.zeros((2, 1000))  # of right and wrong pixels, by difficulty
    with Project.open(run / "project.alseg", "read") as project:
        network = trained_network(project, settings)
        assert network is not None
        for image in project.images.names("test"):
            seen = predict(
                network, project.images.read(image), settings, needs={"difficulty"}
            )
            assert seen.difficulty is not None
            truth = to_targets(project.labels.read(image))
            wrong = seen.probability.argmax(0).cpu().numpy() != truth
            bins = (seen.difficulty.cpu().numpy() * 999).round().astype(int)
            for kind in (0, 1):
                here = (truth != IGNORE) & (wrong == kind)
                counts[kind] += np.bincount(bins[here], minlength=1000)
    means = counts @ np.arange(1000) / 999 / counts.sum(1)
    right, wrong_ones = counts / counts.sum(1, keepdims=True)
    below = right.cumsum() - right / 2
    return {
        "wrong": float(means[1]),
        "right": float(means[0]),
        "area": float((wrong_ones * below).sum()),
    }


if __name__ == "__main__":
    main()
