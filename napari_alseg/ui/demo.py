"""The demonstration: a sample project with round 1 asked, in a real window.

``python -m napari_alseg.ui.demo OUT [--headless]``. Headless, it answers the round
through the same window code with the sample's ground truth, learns, asks round 2,
takes screenshots and prints what happened.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_alseg.arrays import LabelMap, Selection
from napari_alseg.sample_data import CLASSES, scenes
from napari_alseg.settings import QuerySettings, TrainingSettings
from napari_alseg.store import Project

from .commands import open_dock
from .dock import ActiveLearningDock

POOL, VALIDATION = 12, 6
SHAPE = (144, 192)
QUERY = QuerySettings("entropy", "60 regions", region_size=150)
TRAINING = TrainingSettings(epochs=30, validate_every=5)
SIZE = (1500, 950)


def sample_project(path: Path) -> dict[str, LabelMap]:
    """Make the sample project anew; return the truth of its pool by image name."""
    if path.exists():
        shutil.rmtree(path)
    drawn = list(scenes(POOL + VALIDATION, shape=SHAPE))
    with Project.create(path, CLASSES) as project:
        for scene in drawn[POOL:]:
            project.images.add(
                scene.name, scene.image, split="validation", labels=scene.labels
            )
        return {
            project.images.add(scene.name, scene.image): scene.labels
            for scene in drawn[:POOL]
        }


class Demonstration:
    """Drives the dock like a person; takes pictures.

    Parameters
    ----------
    dock : ActiveLearningDock
        With the sample project open.
    truth : dict
        Labels of each image of the pool.
    out : Path
        Folder for the pictures.
    """

    def __init__(
        self, dock: ActiveLearningDock, truth: dict[str, LabelMap], out: Path
    ) -> None:
        assert dock.annotator is not None
        self.dock = dock
        self.annotator = dock.annotator
        self.truth = truth
        self.out = out
        self.error: Exception | None = None
        dock.background.failed.connect(self._on_failed)

    def run(self) -> None:
        """Answer round 1, learn, look, ask round 2 and say what happened."""
        self.picture("1-asked")
        self.answer_round("2-labelling")
        self.dock.tasks.learn()
        mious = self.dock.round_panel.curve.mious
        self.wait(until=lambda: len(mious) > 3)
        self.picture("3-learning")
        self.wait()
        self.picture("4-heat-map")
        first = self._selection()
        self.ask()
        self.picture("5-asked-again")
        second = self._selection()
        assert first is not None and second is not None
        self.report(first, second)

    def ask(self) -> None:
        """Ask the next round and wait for it."""
        self.dock.tasks.ask()
        self.wait()

    def answer_round(self, picture_half_way: str) -> None:
        """Answer open regions with their most frequent class."""
        while (states := self._states()).count("open"):
            self.annotator.answer(self._dominant_class())
            QApplication.processEvents()
            if states.count("open") == len(states) // 2:
                self.picture(picture_half_way)

    def _selection(self) -> Selection | None:
        return self.annotator.source.selection(self.annotator.screen.round)

    def _states(self) -> tuple[str, ...]:
        return self.annotator.source.states(self.annotator.screen)

    def _dominant_class(self) -> int:
        region = self.annotator.region
        assert region is not None
        region_map = self.annotator.project.outputs.read_regions(
            region.image, region.partition
        )
        inside = self.truth[region.image][region_map == region.region]
        return int(np.bincount(inside).argmax())

    def wait(self, until: Callable[[], bool] = lambda: False) -> None:
        """Let the window live until no task runs, or until something is so."""
        while self.dock.background.busy and not until():
            QApplication.processEvents()
        QApplication.processEvents()
        if self.error is not None:
            raise self.error

    def picture(self, name: str) -> None:
        """Keep what the window shows, without napari's own notes."""
        QApplication.processEvents()
        for widget in QApplication.allWidgets():
            if widget.metaObject().className() == "NapariQtNotification":
                widget.close()
        self.dock.viewer.screenshot(
            str(self.out / f"{name}.png"), canvas_only=False, flash=False
        )

    def report(self, first: Selection, second: Selection) -> None:
        """Print regions, pixels and mIoU before and after learning."""
        recorded = self.annotator.project.rounds.metrics(first.round)
        curve = recorded.curve
        cost = self.annotator.project.rounds.cost()
        print(f"round {first.round}: asked {len(first.regions)} regions", end=" ")
        print(f"in {len(first.images)} images, typical of what the encoder sees")
        print(f"answered {cost.regions} regions, {cost.pixels} pixels")
        print(f"mIoU on {VALIDATION} validation images: ", end="")
        print(f"{curve[0][3]:.1%} before learning, {recorded.miou:.1%} after")
        print(f"round {second.round}: asked {len(second.regions)} regions", end=" ")
        print(f"in {len(second.images)} images by {second.system}")
        print(f"screenshots: {self.out}")

    def _on_failed(self, _: str, error: Exception) -> None:
        self.error = error


def main() -> None:
    """Open the window on the sample project; drive it if there is nobody to do so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--headless", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "scenes.alseg"
    truth = sample_project(path)
    viewer = napari.Viewer(title="napari-alseg demonstration")
    viewer.window.resize(*SIZE)
    dock = open_dock(viewer)
    dock.round_panel.set_value(QUERY)
    dock.round_panel.training.set_value(TRAINING)
    dock.open_project(path)
    demonstration = Demonstration(dock, truth, arguments.out)
    demonstration.ask()
    if arguments.headless:
        demonstration.run()
        viewer.close()
        sys.exit(0)
    napari.run()


if __name__ == "__main__":
    main()
