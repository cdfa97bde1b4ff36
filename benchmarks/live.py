"""Live in a real window: how soon maps follow an answer, and what that costs.

``python benchmarks/live.py [--quick] [--data DIR] [--json FILE]`` needs a display (or
``xvfb-run``). ``DIR`` is a data set like CamVid, with ``train/images`` and
``train/masks``; without it, scenes are drawn. Each level begins with so many labelled
regions, and a perfect annotator goes on from there in the window.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from harness import Row, at_most, flags, report

from napari_alseg.arrays import LabelMap, Selection, finish
from napari_alseg.live.messages import LiveRequest, LiveUpdate
from napari_alseg.sample_data import CLASSES, scenes
from napari_alseg.settings import LiveSettings, NetworkSettings, QuerySettings
from napari_alseg.simulation.dataset import create_simulation, truth_of
from napari_alseg.simulation.oracle import Oracle, dominant
from napari_alseg.store import Project
from napari_alseg.tasks.query import query

SHAPE = (360, 480)
PATIENCE = 300.0
"""Seconds that anything may take before the benchmark gives up."""
ASKING = QuerySettings("live", "100 regions")
QUICK = {"images": 8, "levels": "20,60", "answers": 8, "endurance": 0}
QUICK_ALLOWANCE = 4.0
"""Times a target that a hurried run may take: others may work beside it."""
RANKED, QUICK_RANKED = 40.0, 10.0
"""Seconds to rank a pool of 367 images, and one of a few."""

Truth = Callable[[str], LabelMap]


@dataclass
class Measured:
    """What was measured at one level."""

    labelled: int
    """Regions that had a label at the beginning."""
    start: float = 0.0
    """Seconds from opening the project to the first map."""
    maps: list[float] = field(default_factory=list)
    """Seconds from each answer to the maps of the image that is then shown."""
    painted: list[float] = field(default_factory=list)
    """Seconds until each answer was on disk and on screen."""
    ranking: list[float] = field(default_factory=list)
    """Seconds until all of the pool was ranked, for the first and the second time."""
    gaps: list[float] = field(default_factory=list)
    """Seconds between two turns of the window's event loop while the pool is ranked."""
    memory: float = 0.0
    """Bytes of the child process at the end."""
    steps: dict[str, float] = field(default_factory=dict)
    """Median seconds of each step in the child."""


# --- a project ------------------------------------------------------------------------


def make_project(path: Path, data: Path | None, images: int) -> Truth:
    """Make a project of a pool, and return what is true of its images."""
    if data is not None:
        finish(create_simulation(path, data))
        with Project.open(path) as project:
            return truth_of(project, data, None)
    drawn: dict[str, LabelMap] = {}
    with Project.create(path, CLASSES) as project:
        for scene in scenes(images, shape=SHAPE):
            drawn[project.images.add(scene.name, scene.image)] = scene.labels
    return drawn.__getitem__


def label(project: Project, truth: Truth, count: int, seed: int) -> None:
    """Have so many regions answered, drawn by chance, and ask the next."""
    oracle = Oracle(truth, "dominant")
    if count:
        asking = QuerySettings("random", f"{count} regions", seed, region_size=200)
        selection = finish(query(project, asking))
        project.labels.answer_all(
            selection.round, oracle.answers(project, selection).patches
        )
    finish(
        query(project, QuerySettings("random", "100 regions", seed, region_size=200))
    )


def true_label(project: Project, truth: Truth, selection: Selection, at: int) -> int:
    """Return the label that a perfect annotator gives a region; 0 if there is none."""
    region = selection.regions[at]
    here = project.outputs.read_regions(region.image, region.partition) == region.region
    return int(dominant(truth(region.image)[here]))


# --- the window -----------------------------------------------------------------------


class Session:
    """A window with the dock, driven like a person drives it."""

    def __init__(self, path: Path) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        from napari_alseg.ui.commands import open_dock

        self.viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(1500, 900)
        self.dock = open_dock(self.viewer)
        self.application = QApplication.instance()
        self.updates: list[tuple[float, LiveUpdate]] = []
        self.begun = time.perf_counter()
        self.dock.live.background.progressed.connect(self._hear)
        self.dock.open_project(path)
        assert self.dock.annotator is not None
        self.annotator = self.dock.annotator
        self.annotator.view.set(shown=self.annotator.screen.shown)

    def _hear(self, update: Any) -> None:
        if isinstance(update, LiveUpdate):
            self.updates.append((time.perf_counter(), update))

    def wait(self, until: Callable[[LiveUpdate], bool]) -> tuple[float, LiveUpdate]:
        """Let the window live until there is such an update."""
        end = time.perf_counter() + PATIENCE
        heard = 0
        while time.perf_counter() < end:
            self.application.processEvents()
            for at, update in self.updates[heard:]:
                if until(update):
                    self.application.processEvents()  # it is drawn now
                    return max(at, time.perf_counter()), update
            heard = len(self.updates)
            time.sleep(0.001)
        raise TimeoutError("the live child has not answered in time")

    def do(self, action: Callable[[], object]) -> tuple[float, LiveUpdate]:
        """Do something, and wait until the map of what is shown knows it."""
        self.updates.clear()
        number = self.dock.live._number
        action()
        return self.wait(
            lambda update: (
                update.number > number and update.kind in ("looked", "waiting")
            )
        )

    def close(self) -> None:
        """Close the window."""
        self.dock.shut_down()
        self.viewer.close()


@contextmanager
def measured_gaps() -> Iterator[list[float]]:
    """Within, note how long the event loop was away between two turns."""
    from qtpy.QtCore import QTimer

    gaps: list[float] = []
    before = time.perf_counter()

    def turn() -> None:
        nonlocal before
        now = time.perf_counter()
        gaps.append(now - before)
        before = now

    timer = QTimer(interval=5)
    timer.timeout.connect(turn)
    timer.start()
    yield gaps
    timer.stop()


def measure(path: Path, truth: Truth, labelled: int, answers: int) -> Measured:
    """Answer regions in a window, and measure what follows."""
    found = Measured(labelled)
    session = Session(path)
    dock, annotator = session.dock, session.annotator
    painted: list[float] = []
    annotator.view.changed.connect(lambda *_: painted.append(time.perf_counter()))
    at, _ = session.wait(lambda update: update.kind in ("looked", "waiting"))
    found.start = at - session.begun
    steps: dict[str, list[float]] = {}
    for _ in range(answers):
        assert annotator.queue is not None and annotator.screen.position is not None
        value = true_label(
            annotator.project,
            truth,
            annotator.queue.selection,
            annotator.screen.position,
        )
        painted.clear()
        begun = time.perf_counter()
        at, update = session.do(
            partial(annotator.answer, value) if value else annotator.skip
        )
        if value and update.kind == "looked":
            found.maps.append(at - begun)
            found.painted.append(painted[0] - begun)
            for name, spent in update.seconds.items():
                steps.setdefault(name, []).append(spent)
    for _ in range(2):
        begun = time.perf_counter()
        with measured_gaps() as gaps:
            at, _ = session.wait(
                lambda update: update.kind == "ranked" and update.fresh == 1
            )
        found.ranking.append(at - begun)
        found.gaps += gaps
        session.updates.clear()
        annotator.undo()
        annotator.redo()
    found.steps = {name: float(np.median(values)) for name, values in steps.items()}
    child = psutil.Process(dock.live.background.worker.pid)
    found.memory = child.memory_info().rss
    session.close()
    return found


# --- a film strip ---------------------------------------------------------------------


def film(path: Path, truth: Truth, moments: Sequence[int], file: Path) -> None:
    """Keep what the map of one image looks like after so many answers."""
    import matplotlib.pyplot as plt

    session = Session(path)
    dock, annotator = session.dock, session.annotator
    session.wait(lambda update: update.kind in ("looked", "waiting"))
    shown = annotator.project.images.names()[-1]
    figure, axes = plt.subplots(1, len(moments), figsize=(4 * len(moments), 3.3))
    answered = 0
    for axis, moment in zip(axes, moments, strict=True):
        while answered < moment:
            assert annotator.queue is not None and annotator.screen.position is not None
            value = true_label(
                annotator.project,
                truth,
                annotator.queue.selection,
                annotator.screen.position,
            )
            session.do(partial(annotator.answer, value) if value else annotator.skip)
            answered += bool(value)
        position = annotator.screen.position
        session.do(lambda: dock.show_image(shown))
        if moment > 1:  # until the head has settled, a moment later
            session.updates.clear()
            session.wait(
                lambda update: update.kind == "looked" and update.image == shown
            )
        layer_names = ("prediction",)
        for layer in session.viewer.layers:
            layer.visible = layer.name in (shown, *layer_names)
        session.application.processEvents()
        picture = session.viewer.screenshot(canvas_only=True, flash=False)[..., :3]
        rows, columns = np.nonzero(picture.any(-1))  # the canvas is black around it
        axis.imshow(picture[rows.min() : rows.max(), columns.min() : columns.max()])
        axis.set_axis_off()
        axis.set_title(f"{moment} answer{'s' * (moment > 1)}")
        assert position is not None
        annotator.go_to(position)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    session.close()


# --- for a long time ------------------------------------------------------------------


def endure(path: Path, truth: Truth, answers: int) -> list[tuple[int, float]]:
    """Follow so many answers in this process; answers so far and bytes of memory.

    The head learns in few steps, to save time: what is kept does not depend on them.
    """
    from napari_alseg.tasks.follow import follow

    process, inbox, sizes = psutil.Process(), SimpleQueue[Any](), []
    with Project.open(path) as project:
        asking = QuerySettings("random", f"{answers} regions", 1, region_size=200)
        selection = finish(query(project, asking))
        following = follow(project, inbox, settings=LiveSettings(steps=5))
        for at, region in enumerate(selection.regions):
            value = true_label(project, truth, selection, at)
            if not value:
                continue
            project.labels.answer(selection.round, at, value)
            inbox.put(LiveRequest(at, region.image, (), ("bvsb",), ASKING, rank=False))
            for update in following:
                if isinstance(update, LiveUpdate) and update.kind in (
                    "looked",
                    "waiting",
                ):
                    break
            if at % max(answers // 20, 1) == 0:
                sizes.append((at, process.memory_info().rss))
        following.close()
    return sizes


# --- the table ------------------------------------------------------------------------


def rows(
    levels: list[Measured], sizes: list[tuple[int, float]], *, quick: bool
) -> Iterator[Row]:
    """Yield what was promised and what was measured."""
    allowance = QUICK_ALLOWANCE if quick else 1.0
    ranked = QUICK_RANKED if quick else RANKED

    def soon(work: str, value: float, target: float) -> Row:
        return at_most(work, value, "s", target * allowance)

    for level in levels:
        at = f"{level.labelled:,} regions"
        maps, late = np.array(level.maps), float(np.quantile(level.painted, 0.95))
        yield soon(f"{at}: maps, median", float(np.median(maps)), 1.0)
        yield soon(f"{at}: maps, 95 %", float(np.quantile(maps, 0.95)), 2.0)
        yield soon(f"{at}: answer painted and durable, 95 %", late, 0.05)
        yield at_most(f"{at}: pool ranked, first time", level.ranking[0], "s", ranked)
        yield at_most(f"{at}: pool ranked, again", level.ranking[1], "s", ranked)
        stall = float(np.quantile(level.gaps, 0.99))
        yield soon(f"{at}: stall while ranking, 99 %", stall, 0.05)
        yield at_most(f"{at}: memory of the child", level.memory / 1e9, "GB", 1.0)
    if sizes:
        half = [size for at, size in sizes if at >= sizes[-1][0] / 2]
        growth = (max(half) - half[0]) / 1e6
        yield at_most(f"growth in the later half of {sizes[-1][0]}", growth, "MB", 50.0)


def need_display() -> None:
    """Exit with 2 where no window can open."""
    shown = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in shown):
        print("there is no display: run it under xvfb-run")
        sys.exit(2)


def make_film(given: Any, folder: Path) -> None:
    """Keep a picture of the first answers in a new project."""
    path = folder / "live.alseg"
    truth = make_project(path, given.data, given.images)
    with Project.open(path) as project:
        finish(query(project, ASKING, live=NetworkSettings()))
    film(path, truth, (1, 5, 20, 60), given.film)


def measure_levels(
    given: Any, folder: Path
) -> tuple[list[Measured], list[tuple[int, float]]]:
    """Measure every level, and what many answers do to the memory."""
    base = folder / "base.alseg"
    truth = make_project(base, given.data, given.images)
    with Project.open(base) as project:  # all levels have the same superpixels
        finish(query(project, QuerySettings("random", "1 region", region_size=200)))
    levels = []
    counts = [int(count) for count in given.levels.split(",") if count]
    for count in counts:
        path = folder / f"{count}.alseg"
        shutil.copytree(base, path)
        with Project.open(path) as project:
            label(project, truth, count, seed=count)
        levels.append(measure(path, truth, count, given.answers // len(counts)))
        print(json.dumps(asdict(levels[-1]) | {"gaps": []}), flush=True)
    return levels, endure(base, truth, given.endurance) if given.endurance else []


def main() -> None:
    """Measure every level, print the table, keep the numbers."""
    parser = flags(__doc__ or "")
    parser.add_argument("--data", type=Path, help="drawn scenes if not given")
    parser.add_argument("--images", type=int, default=367)
    parser.add_argument("--levels", default="20,2000,20000")
    parser.add_argument("--answers", type=int, default=200, help="at all levels")
    parser.add_argument("--endurance", type=int, default=5000)
    parser.add_argument("--film", type=Path, help="a picture of the first answers")
    parser.add_argument("--json", type=Path, help="keep all numbers here")
    given = parser.parse_args()
    need_display()
    if given.quick:
        vars(given).update(QUICK)
    with TemporaryDirectory() as folder:
        if given.film:
            make_film(given, Path(folder))
            return
        levels, sizes = measure_levels(given, Path(folder))
    if given.json:
        kept = {"levels": [asdict(level) for level in levels], "memory": sizes}
        given.json.write_text(json.dumps(kept, indent=1) + "\n")
    report("live", [*rows(levels, sizes, quick=given.quick)], quick=given.quick)


if __name__ == "__main__":
    main()
