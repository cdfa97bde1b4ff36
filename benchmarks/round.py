"""Speed of a round: scoring and learning beside bare torch, and how soon it opens.

``python benchmarks/round.py [--quick]``. Images are drawn scenes of 360 x 480 pixels;
every ratio is taken within this run.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from harness import Row, at_least, at_most, flags, once, report, seconds

from napari_alseg import regions, segmentation, systems
from napari_alseg.arrays import Bounds, finish
from napari_alseg.sample_data import CLASSES, scenes
from napari_alseg.segmentation import Example, Network, Objective, TrainingRun
from napari_alseg.selection.candidates import survey
from napari_alseg.selection.maps import trained_network
from napari_alseg.selection.measure import by_network
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    TrainingSettings,
)
from napari_alseg.store import Project
from napari_alseg.training.examples import Examples
from napari_alseg.worker.client import PATIENT_THREADS

SHAPE = (360, 480)
RANDOM = NetworkSettings(weights="random")
PREDICTION = PredictionSettings(device="cpu")
BATCH = 4


def make_project(path: Path, images: int) -> Project:
    """Make a project of drawn scenes with regions and a network, to be scored."""
    project = Project.create(path, CLASSES)
    version = project.outputs.partition_version({"partition": "superpixels"})
    for scene in scenes(images, shape=SHAPE):
        image = project.images.add(scene.name, scene.image)
        project.outputs.write_regions(image, version, regions.superpixels(scene.image))
        project.labels.stroke(image, Bounds(0, 0, 60, 480), scene.labels[:60])
    network = segmentation.build(RANDOM, len(CLASSES))
    project.weights.commit(
        0, segmentation.state(network), segmentation.metadata(network)
    )
    return project


def scoring(project: Project, repeats: int) -> Row:
    """Compare scoring, pooling and keeping a pool with the forward of its tiles."""
    network = trained_network(project, PREDICTION)
    assert network is not None
    query = systems.resolve(QuerySettings("entropy"))
    rng = np.random.default_rng(0)
    measure = by_network(project, network, query, PREDICTION, rng)
    images = project.images.names()
    everyone = range(len(images))
    tensors = [
        segmentation.to_tensor(project.images.read(image), network.device)
        for image in images
    ]

    def bare() -> None:
        with torch.inference_mode():
            for tensor in tensors:
                network(tensor)

    def score() -> None:
        finish(survey(project, images, everyone, 1, measure))

    score()
    bare_time, score_time = seconds(bare, score, repeats=repeats)
    return at_most(
        "score a pool, against its bare forward", score_time / bare_time, "x", 1.25
    )


def learning(
    project: Project, steps: int, repeats: int, names: Sequence[str] = ()
) -> Iterator[Row]:
    """Compare steps a second of each recipe with a loop over batches in memory.

    `names` are those of some objectives, all if there are none. The loop has the same
    loss and nothing else: no reading, jitter, curve or reports.
    Networks are built before the clock starts.
    """
    epochs = max(1, steps * BATCH // len(project.images.names()))
    training = TrainingSettings(epochs=epochs, batch_size=BATCH, device="cpu")
    examples = Examples(project, project.images.names(), project.labels.sequence)
    whole = [Example(each.image, each.targets) for each in examples]
    objectives: dict[str, Objective[Any]] = {
        "partial": segmentation.Partial(examples, training),
        "consistency": segmentation.Consistency(examples, training),
        "difficulty": segmentation.Difficulty(examples, training),
        "adaptation": segmentation.Adaptation(examples, training, source=whole),
        "rectified 1": segmentation.Pairwise(examples, training),
        "rectified 2": segmentation.Rectified(
            examples, whole, fresh_network(), training
        ),
    }
    for name in names or objectives:
        objective = objectives[name]
        with closing(objective.batches(0, torch.device("cpu"))) as stream:
            ready = [next(stream) for _ in range(2)]
        kind = RANDOM if name != "difficulty" else replace(RANDOM, difficulty=True)
        count = epochs * objective.steps
        bare_loop(objective, fresh_network(kind), ready, 1)
        ratios = []
        for _ in range(repeats):  # neighbours in time share the machine's noise
            bare = partial(bare_loop, objective, fresh_network(kind), ready, count)
            train = partial(ours, objective, fresh_network(kind), training)
            ratios.append(once(bare) / once(train))
        work = f"learn ({name}), steps a second against a bare loop"
        yield at_least(work, median(ratios), "x", 0.9)


def ours(objective: Objective[Any], network: Network, how: TrainingSettings) -> None:
    """Train as a round does."""
    finish(TrainingRun(network, how).learn(objective))


def fresh_network(settings: NetworkSettings = RANDOM) -> Network:
    """Return an untrained network in the layout that learning uses."""
    network = segmentation.build(settings, len(CLASSES))
    return network.to(memory_format=torch.channels_last)


def bare_loop(
    objective: Objective[Any], network: Network, batches: list[Any], steps: int
) -> None:
    """Train in the plainest way: forward, loss, backward, clip, step."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    for step in range(steps):
        loss = objective.loss(network, batches[step % len(batches)])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def importing() -> Row:
    """Measure what importing the package costs, by Python's own account."""
    times = []
    for _ in range(5):
        ended = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "import napari_alseg"],
            capture_output=True,
            text=True,
            check=True,
        )
        line = ended.stderr.splitlines()[-1]
        times.append(int(re.findall(r"\|\s*(\d+)\s*\|", line)[0]) / 1000)
    return at_most("import napari_alseg", min(times), "ms", 50)


DOCK = """
import time, napari
viewer = napari.Viewer()
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
start = time.perf_counter()
viewer.window.add_plugin_dock_widget("napari-alseg", "Active learning")
QApplication.processEvents()
import sys
print("measured", time.perf_counter() - start, "torch" in sys.modules)
viewer.close()
"""


def opening(repeats: int) -> list[Row]:
    """Measure how soon the dock appears in a napari that is up."""
    command = [sys.executable, "-c", DOCK]
    if not os.environ.get("DISPLAY"):
        command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", *command]
    times, torch_loaded = [], False
    for _ in range(repeats):
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"measured (\S+) (\S+)", ended.stdout)
        assert found is not None, ended.stdout
        times.append(float(found[1]))
        torch_loaded |= found[2] == "True"
    return [
        at_most("open the dock", min(times), "s", 1.0),
        at_most("torch loaded by opening the dock", float(torch_loaded), "", 0),
    ]


def main() -> None:
    """Measure everything, or a little of everything, with the child's threads."""
    if not PATIENT_THREADS.items() <= os.environ.items():
        patient = os.environ | PATIENT_THREADS  # torch reads it when it is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], patient)
    quick = flags(__doc__ or "").parse_args().quick
    names = ("partial",) if quick else ()
    with tempfile.TemporaryDirectory() as folder:
        with make_project(Path(folder) / "pool.alseg", 4 if quick else 16) as project:
            rows = [
                scoring(project, repeats=2 if quick else 8),
                *learning(project, 1 if quick else 8, 1 if quick else 3, names),
            ]
    rows += [importing(), *opening(1 if quick else 3)]
    report("round", rows, quick=quick)


if __name__ == "__main__":
    main()
