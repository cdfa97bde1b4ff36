"""What a CRF does to real predictions, and to labels that it spreads.

``python benchmarks/crf.py [--quick] [PROJECT] [--split test] [--images N]``. The
project needs trained weights and a split whose images are labelled; it is opened for
reading only. Without one, a network first learns images of CamVid. Parameters are
chosen on the first half of the images and reported on the second. The halves are not
mixed: neighbours in a film look alike.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from harness import Row, at_least, at_most, data_folder, few_images, flags, report
from scipy import ndimage

from napari_alseg import regions, segmentation
from napari_alseg.arrays import IGNORE, Bounds, finish, to_targets
from napari_alseg.metrics import confusion_matrix, scores
from napari_alseg.segmentation import Example, Network
from napari_alseg.selection.maps import trained_network
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    TrainingSettings,
)
from napari_alseg.simulation.dataset import (
    create_simulation,
    parse_size,
    truth_of,
)
from napari_alseg.store import Project
from napari_alseg.tasks.retrain import retrain

Parameters = dict[str, Any]

TOLERANCE = 2
"""Pixels that a boundary may lie beside the true one."""
BOUGHT = 20
"""Superpixels of an image whose labels are bought."""
ACCURACY = 0.99
"""Least share of right pixels among those that get a label."""
TINY = 1e-6
"""Least probability in the log loss."""


def grid(**choices: Iterable[Any]) -> list[Parameters]:
    """Return every combination of the choices."""
    return [
        dict(zip(choices, values, strict=True)) for values in product(*choices.values())
    ]


REFINING = grid(
    iterations=[5], radius=[8, 16, 24], colour=[6.0, 9.0, 13.0], weight=[3.0, 5.0, 10.0]
)
SPREADING = grid(
    iterations=[20],
    radius=[8, 16],
    colour=[6.0, 9.0, 13.0],
    weight=[7.0, 10.0, 15.0],
    confidence=[0.9],
)


def disk(radius: int) -> np.ndarray:
    """Return the pixels no further than the radius from a centre."""
    row, column = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return row**2 + column**2 <= radius**2


def boundary(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask with a neighbour in row or column outside of it."""
    return mask & ~ndimage.binary_erosion(mask, border_value=1)


def f_measure(counts: np.ndarray) -> np.ndarray:
    """Return the F-measure of each class from its rows of `Refined.boundaries`."""
    hits, found, met, true = counts.T.astype(float)
    precision, recall = hits / np.maximum(found, 1), met / np.maximum(true, 1)
    return 2 * precision * recall / np.maximum(precision + recall, TINY)


@dataclass
class Refined:
    """What was counted of probabilities, over images."""

    classes: int
    seconds: float = 0.0
    loss: float = 0.0
    images: int = 0
    confusion: np.ndarray = field(init=False)
    boundaries: np.ndarray = field(init=False)
    """One row a class: boundary pixels found near a true one, found, true near a found
    one, true."""

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.classes, self.classes), np.int64)
        self.boundaries = np.zeros((self.classes, 4), np.int64)

    def count(self, truth: np.ndarray, probability: torch.Tensor) -> np.ndarray:
        """Count an image; return its most probable classes."""
        prediction = probability.max(0).indices.cpu().numpy().astype(np.uint8)
        self.confusion += confusion_matrix(truth, prediction, self.classes)
        known = truth != IGNORE
        own = np.take_along_axis(
            probability.cpu().numpy(), np.where(known, truth, 0)[None].astype(int), 0
        )[0]
        self.loss -= float(np.log(np.maximum(own[known], TINY)).sum(dtype=float))
        self.images += 1
        return prediction

    def count_boundaries(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Count the boundaries of each class, away from pixels without truth."""
        clear = ~ndimage.binary_dilation(truth == IGNORE)
        for index in range(self.classes):
            true = boundary(truth == index) & clear
            found = boundary(prediction == index) & clear
            near_true = ndimage.binary_dilation(true, disk(TOLERANCE))
            near_found = ndimage.binary_dilation(found, disk(TOLERANCE))
            self.boundaries[index] += (
                (found & near_true).sum(),
                found.sum(),
                (true & near_found).sum(),
                true.sum(),
            )

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the report; shares are 0..1."""
        iou = scores(self.confusion)
        occurs = self.boundaries[:, 3] > 0
        f = f_measure(self.boundaries)
        return {
            "miou": iou.mean,
            "iou": iou.iou,
            "accuracy": float(np.trace(self.confusion) / self.confusion.sum()),
            "boundary_f": float(f[occurs].mean()) if occurs.any() else None,
            "log_loss": self.loss / int(self.confusion.sum()),
            "seconds_an_image": self.seconds / self.images,
        }


@dataclass
class Spread:
    """What was counted of labels that were spread, over images."""

    seconds: float = 0.0
    images: int = 0
    bought: int = 0
    added: int = 0
    """Pixels that got a label, as far as their truth is known."""
    right: int = 0

    def count(self, truth: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Count an image."""
        new = (before == IGNORE) & (after != IGNORE) & (truth != IGNORE)
        self.bought += int((before != IGNORE).sum())
        self.added += int(new.sum())
        self.right += int((after[new] == truth[new]).sum())
        self.images += 1

    def summary(self) -> dict[str, Any]:
        """Return the numbers of the report; shares are 0..1."""
        return {
            "bought_pixels": self.bought,
            "added_pixels": self.added,
            "times_as_many": (self.bought + self.added) / self.bought,
            "accuracy_of_added": self.right / self.added if self.added else None,
            "seconds_an_image": self.seconds / self.images,
        }


class Images:
    """Labelled images of a split with the network's prediction, read when needed."""

    def __init__(self, project: Project, network: Network, names: list[str]) -> None:
        self.names = names
        self.classes = len(project.classes)
        self._project = project
        self._network = network

    def __iter__(self) -> Iterator[Example]:
        for name in self.names:
            labels = self._project.labels.read(name)
            yield Example(self._project.images.read(name), to_targets(labels))

    def predicted(self) -> Iterator[tuple[Example, torch.Tensor]]:
        """Yield each image with its probability."""
        for example in self:
            settings = PredictionSettings()
            predicted = segmentation.predict(self._network, example.image, settings)
            yield example, predicted.probability


def measure_refine(
    images: Images, choices: list[Parameters], boundaries: bool
) -> list[Refined]:
    """Refine every image with every choice; the first result is without."""
    results = [Refined(images.classes) for _ in range(len(choices) + 1)]
    for example, probability in images.predicted():
        for result, parameters in zip(results, [None, *choices], strict=True):
            start = perf_counter()
            refined = probability
            if parameters is not None:
                refined = segmentation.refine(probability, example.image, **parameters)
                result.seconds += perf_counter() - start
            prediction = result.count(example.targets, refined)
            if boundaries:
                result.count_boundaries(example.targets, prediction)
    return results


def bought(example: Example, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return targets of a few superpixels, drawn among those with any truth."""
    region_map = regions.superpixels(example.image, size=size)
    known = np.unique(region_map[example.targets != IGNORE])
    drawn = rng.choice(known, min(BOUGHT, len(known)), replace=False)
    return np.where(np.isin(region_map, drawn), example.targets, IGNORE).astype(
        np.uint8
    )


def measure_spread(
    images: Images, choices: list[Parameters], size: int
) -> list[Spread]:
    """Spread the same labels of every image with every choice."""
    results = [Spread() for _ in choices]
    for index, example in enumerate(images):
        before = bought(example, size, np.random.default_rng([0, index]))
        for result, parameters in zip(results, choices, strict=True):
            start = perf_counter()
            after = segmentation.spread(
                before, example.image, images.classes, **parameters
            )
            result.seconds += perf_counter() - start
            result.count(example.targets, before, after)
    return results


def best_refining(results: list[Refined]) -> int:
    """Index of the lowest log loss: acquisitions read probabilities, not classes."""
    return min(range(len(results)), key=lambda index: results[index].loss)


def best_spreading(results: list[Spread]) -> int:
    """Index of the most added labels among those that are accurate enough."""

    def accuracy(index: int) -> float:
        return results[index].right / max(results[index].added, 1)

    everything = range(len(results))
    sound = [index for index in everything if accuracy(index) >= ACCURACY]
    if not sound:
        return max(everything, key=accuracy)
    return max(sound, key=lambda index: results[index].added)


def searched(choices: list[Parameters], results: list[Any]) -> list[dict[str, Any]]:
    """Return each choice with what it led to."""
    return [
        parameters | {"result": result.summary()}
        for parameters, result in zip(choices, results, strict=True)
    ]


def table(run: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = [
        "| | mIoU | pixels right | boundary F | log loss | seconds an image |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in ("before", "refined"):
        row = run["refine"][name]
        lines.append(
            f"| {name} | {100 * row['miou']:.1f} % | {100 * row['accuracy']:.1f} % | "
            f"{100 * row['boundary_f']:.1f} % | {row['log_loss']:.3f} | "
            f"{row['seconds_an_image']:.2f} |"
        )
    row = run["spread"]["result"]
    right = row["accuracy_of_added"]
    lines += [
        "",
        "| bought pixels | labelled by spreading | times as many | of these right "
        "| seconds an image |",
        "| ---: | ---: | ---: | ---: | ---: |",
        f"| {row['bought_pixels']} | {row['added_pixels']} | "
        f"{row['times_as_many']:.1f} | "
        f"{'-' if right is None else f'{100 * right:.1f} %'} | "
        f"{row['seconds_an_image']:.2f} |",
    ]
    return "\n".join(lines) + "\n"


def measure(
    search: Images,
    report: Images,
    size: int,
    refining_choices: list[Parameters],
    spreading_choices: list[Parameters],
) -> dict[str, Any]:
    """Choose parameters on some images, and measure them on the others."""
    refined = measure_refine(search, refining_choices, boundaries=False)
    refining = refining_choices[best_refining(refined[1:])]
    spreads = measure_spread(search, spreading_choices, size)
    spreading = spreading_choices[best_spreading(spreads)]
    before, after = measure_refine(report, [refining], boundaries=True)
    (result,) = measure_spread(report, [spreading], size)
    return {
        "images": {"search": search.names, "report": report.names},
        "region_size": size,
        "refine": {
            "chosen": refining,
            "before": before.summary(),
            "refined": after.summary(),
            "search": {
                "before": refined[0].summary(),
                "choices": searched(refining_choices, refined[1:]),
            },
        },
        "spread": {
            "chosen": spreading,
            "result": result.summary(),
            "search": searched(spreading_choices, spreads),
        },
    }


def labelled(project: Project, split: str) -> list[str]:
    """Return the images of a split that have a label."""
    counts = project.labels.pixels()
    return [name for name in project.images.names(split) if counts.get(name, 0)]


def rows(run: dict[str, Any]) -> list[Row]:
    """Return what a CRF promises: better probabilities, and labels that are right."""
    before, after = run["refine"]["before"], run["refine"]["refined"]
    spread = run["spread"]["result"]
    right = spread["accuracy_of_added"] or 0.0
    loss = after["log_loss"] / before["log_loss"]
    return [
        at_most("log loss after refining, against before", loss, "x", 1.0),
        at_most("refine an image", after["seconds_an_image"], "s", 2.0),
        at_least("labels that spread to the right class", right, "share", 0.9),
        at_least("labels for each that was bought", spread["times_as_many"], "x", 1.1),
    ]


def learnt_project(path: Path, images: int, size: str) -> Path:
    """Make a project of CamVid whose network has learnt all labels of its pool."""
    data = few_images(data_folder(), path / "data", images, max(images // 3, 4))
    made, shape = path / "crf.alseg", parse_size(size)
    finish(create_simulation(made, data / "camvid", shape))
    training = TrainingSettings(epochs=max(4, 60 // images), device="cpu")
    with Project.open(made) as project:
        truth = truth_of(project, data / "camvid", shape)
        for image in project.images.names():
            labels = truth(image)
            project.labels.stroke(image, Bounds(0, 0, *labels.shape), labels)
        finish(retrain(project, NetworkSettings(), training))
    return made


def measured(path: Path, given: Any) -> dict[str, Any]:
    """Measure the images of a project."""
    with Project.open(path, mode="read") as project:
        network = trained_network(project, PredictionSettings())
        names = labelled(project, given.split)
        if network is None or len(names) < 2:
            raise SystemExit(
                f"{path} has no trained weights, or fewer than two labelled "
                f"images in its {given.split} split; train it or name another split"
            )
        if given.images and given.images < len(names):
            places = np.linspace(0, len(names) - 1, max(given.images, 2)).astype(int)
            names = [names[place] for place in places]
        middle = len(names) // 2
        return measure(
            Images(project, network, names[:middle]),
            Images(project, network, names[middle:]),
            given.region_size,
            REFINING[::9] if given.quick else REFINING,
            SPREADING[::6] if given.quick else SPREADING,
        )


def main() -> None:
    """Measure, write ``crf.json`` and ``crf.md``, print the table."""
    parser = flags(__doc__ or "")
    parser.add_argument("project", type=Path, nargs="?")
    parser.add_argument("--split", default="test", help="pool, validation or test")
    parser.add_argument("--images", type=int, help="at most so many, spread evenly")
    parser.add_argument("--region-size", type=int, default=100, help="in pixels")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        path, out = given.project, given.out or Path(folder) / "out"
        if path is None:
            size = "90x120" if given.quick else "180x240"
            path = learnt_project(Path(folder), 8 if given.quick else 60, size)
        run = measured(path, given)
        out.mkdir(parents=True, exist_ok=True)
        (out / "crf.json").write_text(json.dumps(run, indent=1) + "\n")
        (out / "crf.md").write_text(table(run))
    print(f"refine: {run['refine']['chosen']}\nspread: {run['spread']['chosen']}\n")
    print(table(run))
    report("crf", rows(run), quick=given.quick)


if __name__ == "__main__":
    main()
