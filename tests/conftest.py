"""Small projects, networks and data sets that the tests share."""

import os
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from napari_alseg.arrays import Prediction, finish
from napari_alseg.sample_data import CLASSES, Scene, scenes
from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    TrainingSettings,
)
from napari_alseg.store import Project
from napari_alseg.worker.client import PATIENT_THREADS

for name, value in PATIENT_THREADS.items():  # before torch is loaded
    os.environ.setdefault(name, value)

import torch  # noqa: E402

settings.register_profile(  # a machine may have much to do
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

SHAPE = (48, 64)
TINY_NETWORK = NetworkSettings(weights="random")
TINY_LIVE = NetworkSettings("unet", "tu-test_efficientnet", "random")
"""For a lightweight head: an encoder of few channels, which are soon on one scale."""
TINY_REGIONS = {"region_size": 64}
TINY_TRAINING = TrainingSettings(epochs=2, batch_size=2, device="cpu")
TINY_PREDICTION = PredictionSettings(device="cpu")


def prediction_of(probability):
    """All that a network may say, each made pixel by pixel of one probability.

    Where it is certain, passes with dropout agree; elsewhere they favour other classes.
    """
    classes = len(probability)
    favour = torch.rand(3, classes, generator=torch.Generator().manual_seed(1)) + 0.1
    samples = probability * favour[:, :, None, None]
    return Prediction(
        probability,
        mirrored=probability,
        samples=samples * (probability.sum(0) / samples.sum(1, keepdim=True)),
        features=torch.zeros(2, 3, 3),
        difficulty=1 - probability.amax(0),
        refined=probability,
        edges=torch.ones(probability.shape[1:], dtype=torch.bool),
    )


@pytest.fixture
def drawn() -> list[Scene]:
    """Six small scenes, always the same."""
    return list(scenes(6, shape=SHAPE))


@pytest.fixture
def project_path(tmp_path: Path, drawn: list[Scene]) -> Path:
    """A project of four scenes to label and two for validation, closed."""
    path = tmp_path / "scenes.alseg"
    with Project.create(path, CLASSES) as project:
        for scene in drawn[:4]:
            project.images.add(scene.name, scene.image)
        for scene in drawn[4:]:
            project.images.add(
                scene.name, scene.image, split="validation", labels=scene.labels
            )
    return path


@pytest.fixture
def project(project_path: Path):
    """The same project, open for writing."""
    with Project.open(project_path) as opened:
        yield opened


@pytest.fixture
def truth(drawn: list[Scene]):
    """The labels of each scene by name."""
    return {scene.name: scene.labels for scene in drawn}


@pytest.fixture
def asked(project):
    """The project with twelve regions asked, none answered."""
    from napari_alseg.tasks.query import query

    random = QuerySettings("random", "12 regions", **TINY_REGIONS)
    finish(query(project, random, TINY_PREDICTION))
    return project


@pytest.fixture
def answered(asked, truth):
    """The project with the first six of them answered."""
    from napari_alseg.simulation.oracle import Oracle

    answers = Oracle(truth.__getitem__).answers(asked, asked.rounds.selection())
    asked.labels.answer_all(1, {at: answers.patches[at] for at in range(6)})
    return asked


@pytest.fixture
def dataset(tmp_path: Path, drawn: list[Scene]) -> Path:
    """A data set of scenes as files: train 4, val 2, classes.csv with ignore."""
    root = tmp_path / "data"
    for scene, split in zip(drawn, ["train"] * 4 + ["val"] * 2, strict=True):
        for kind, array in (("images", scene.image), ("masks", scene.labels - 1)):
            folder = root / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            imageio.imwrite(folder / f"{scene.name}.png", array)
    rows = [
        f"{value},{entry.name},{','.join(map(str, entry.colour))}"
        for value, entry in enumerate(CLASSES)
    ]
    table = ["value,name,red,green,blue", *rows, "255,ignore,0,0,0"]
    (root / "classes.csv").write_text("\n".join(table) + "\n")
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The optional folder of real images; tests that need it skip without it."""
    folder = Path(os.environ.get("ALSEG_DATA", "../shared/data"))
    if not (folder / "camvid").is_dir():
        pytest.skip(f"no real images in {folder}; set ALSEG_DATA to their folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture
def learnt(project, truth, monkeypatch):
    """A project whose first round is answered and whose network is pointwise."""
    from pointwise import network_of

    from napari_alseg.simulation.oracle import Oracle
    from napari_alseg.tasks.query import query

    settings = QuerySettings("random", "6 regions", **TINY_REGIONS)
    selection = finish(query(project, settings))
    answers = Oracle(truth.__getitem__).answers(project, selection)
    project.labels.answer_all(1, answers.patches)
    for task in ("query", "look"):
        name = f"napari_alseg.tasks.{task}.trained_network"
        monkeypatch.setattr(name, network_of)
    return project
