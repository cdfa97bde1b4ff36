"""The command line: make, ask, learn, simulate; answering needs the window.

Errors a user can put right are printed in one line and exit with code 2.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text
from tyro.conf import OmitArgPrefixes, Positional

from napari_alseg.worker.client import PATIENT_THREADS

from .arrays import Selection, Task
from .errors import AlsegError, printable
from .settings import (
    Device,
    ImportSettings,
    LiveSettings,
    NetworkSettings,
    PredictionSettings,
    QuerySettings,
    RecipeSettings,
    SimulationSettings,
    TrainingSettings,
)

Result = TypeVar("Result")


@contextmanager
def _interruptions(console: Console) -> Iterator[Event]:
    """Note the first Ctrl-C, for the next pause of a task; a second ends at once.

    Where Ctrl-C is ignored, or belongs to another thread, it is left as it is.
    """
    asked, usual = Event(), signal.getsignal(signal.SIGINT)
    if not callable(usual) or current_thread() is not main_thread():
        yield asked
        return

    def note(*_: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, usual)
        # Who was interrupted may hold what printing waits for.
        text = "stopping after this step; Ctrl-C again ends at once"
        Thread(target=console.print, args=(text,)).start()

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, usual)


def drive(task: Task[Result], console: Console) -> Result:
    """Run a task with a progress bar; Ctrl-C stops it and keeps what it has."""
    text = TextColumn("{task.description:<24}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn())
    bar_of = Bar(*columns, TimeElapsedColumn(), console=console)
    with bar_of as bar, _interruptions(console) as interrupted:
        line, message = None, None
        try:
            while True:
                progress = next(task)
                if interrupted.is_set():
                    raise KeyboardInterrupt
                if line is None or progress.message != message:
                    message = progress.message
                    line = bar.add_task(message)
                metrics = [f"{k} {v:.3f}" for k, v in progress.metrics.items()]
                bar.update(
                    line,
                    completed=progress.done,
                    total=progress.total,
                    description=printable("  ".join([message, *metrics])),
                )
        except StopIteration as end:
            if interrupted.is_set():  # who drives may have more tasks
                raise KeyboardInterrupt from None
            return end.value  # type: ignore[no-any-return]
        finally:
            task.close()


class _Terminal:
    """Where results are printed (standard output) and progress is shown (error)."""

    def __init__(self) -> None:
        self.out = Console()
        self.progress = Console(stderr=True)

    def drive(self, task: Task[Result]) -> Result:
        """Run a task with a progress bar."""
        return drive(task, self.progress)

    def say(self, text: str) -> None:
        """Print a text as it is, without breaking its lines."""
        self.out.print(printable(text), soft_wrap=True, markup=False, highlight=False)


TERMINAL = _Terminal()


def new(
    project: Positional[Path],
    images: Path,
    settings: OmitArgPrefixes[ImportSettings],
    labels: Path | None = None,
    classes: Path | None = None,
    class_names: tuple[str, ...] = (),
    validation: Path | None = None,
    source: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Make a project from a folder of images; first say what was found.

    Parameters
    ----------
    project
        Folder to make, for example street.alseg.
    images
        Folder of images (PNG, JPEG, TIFF, BMP, WebP, GIF), one image, or an OME-Zarr.
    labels
        Folder of masks that are there already, same file names as the images.
    classes
        classes.csv with value,name and perhaps red,green,blue and key.
    class_names
        Names of the classes, instead of a classes.csv.
    validation
        Folder with images/ and masks/ that measures the network; never asked.
    source
        Labelled images of another domain (a data set, or images/ and masks/), to learn
        from; never asked.
    dry_run
        Only say what was found, after reading every image; write nothing.
    """
    from .store import (
        Project,
        class_table,
        create,
        domain,
        plan_folders,
        plural,
        refuse_taken,
        try_entries,
    )

    table = class_table(classes, class_names)
    refuse_taken(project)
    other = None if source is None else domain(source, table)
    plan = TERMINAL.drive(
        plan_folders(table, images, labels, validation, other, settings)
    )
    TERMINAL.say(str(plan.report))
    if dry_run:
        TERMINAL.drive(try_entries(plan))
        TERMINAL.say(f"nothing was written; without --dry-run this makes {project}")
        return
    TERMINAL.drive(create(project, plan))
    with Project.open(project, "read") as made:
        TERMINAL.say(
            f"{project}: {plural(len(made.images.names()), 'image')}, "
            f"{len(made.classes)} classes, "
            f"{plural(len(made.images.names('validation')), 'validation image')}, "
            f"{plural(len(made.images.names('source')), 'source image')}"
        )
    TERMINAL.say(f"next: napari-alseg query {project}")


def info(project: Positional[Path], json: bool = False) -> None:
    """Say what is in a project; somebody may be writing to it meanwhile.

    Parameters
    ----------
    project
        The project's folder.
    json
        Print one object instead: images of each split, classes with their pixels,
        rounds, asked, answered, skipped and open regions, seconds, weights.
    """
    from .store import Project, summarise

    with Project.open(project, "read") as opened:
        summary = TERMINAL.drive(summarise(opened))
    if json:
        print(dumps(summary.to_json(), indent=1))
        return
    for line in summary.lines():
        TERMINAL.say(line)


def query(
    project: Positional[Path],
    settings: OmitArgPrefixes[QuerySettings],
    device: Device = "auto",
) -> None:
    """Ask the next regions of a project.

    Parameters
    ----------
    project
        The project's folder.
    device
        Where to compute; 'auto' takes CUDA, then MPS, then the CPU.
    """
    from napari_alseg.tasks.query import query

    from .store import Project

    with Project.open(project) as opened:
        selection: Selection = TERMINAL.drive(
            query(opened, settings, PredictionSettings(device=device))
        )
        share = selection.pixels / sum(
            rows * columns
            for rows, columns in (
                opened.images.info(i).shape for i in opened.images.names()
            )
        )
    TERMINAL.say(
        f"round {selection.round}: {len(selection.regions)} regions in "
        f"{len(selection.images)} images, {selection.pixels} pixels ({share:.2%})"
    )
    TERMINAL.say(f"next: napari-alseg open {project}")


def retrain(
    project: Positional[Path],
    network: OmitArgPrefixes[NetworkSettings],
    training: OmitArgPrefixes[TrainingSettings],
    terms: RecipeSettings,
    live: LiveSettings,
    resume: bool = False,
) -> None:
    """Train a network on all labels of a project; Ctrl-C keeps the best so far.

    Parameters
    ----------
    project
        The project's folder.
    terms
        How much the special terms of the recipes count.
    live
        How the lightweight head of the recipe 'live' learns.
    resume
        Go on with a training that was stopped, with its own labels and settings.
    """
    from napari_alseg.tasks.retrain import retrain

    from .store import Project

    prediction = PredictionSettings(device=training.device)
    with Project.open(project) as opened:
        report = TERMINAL.drive(
            retrain(
                opened,
                network,
                training,
                prediction,
                recipe=terms,
                live=live,
                resume=resume,
            )
        )
        names = [entry.name for entry in opened.classes]
    TERMINAL.say(f"round {report.round}: encoder started from {report.weights_source}")
    if report.scores is None:
        TERMINAL.say("no validation images, so no mIoU")
    else:
        table = Table("class", "IoU (%)")
        for name, value in zip(names, report.scores.iou, strict=True):
            iou = "absent" if value is None else f"{100 * value:.1f}"
            table.add_row(Text(name), iou)
        table.add_row("mean", f"{100 * report.scores.mean:.1f}")
        TERMINAL.out.print(table)
    TERMINAL.say(f"next: napari-alseg query {project}")


def simulate(
    dataset: Positional[Path],
    out: Path,
    simulation: OmitArgPrefixes[SimulationSettings],
    network: OmitArgPrefixes[NetworkSettings],
    training: OmitArgPrefixes[TrainingSettings],
    terms: RecipeSettings,
    live: LiveSettings,
    seeds: str = "",
    source: Path | None = None,
    after: Path | None = None,
    resume: bool = False,
) -> None:
    """Simulate rounds on a data set with known masks.

    Parameters
    ----------
    dataset
        Folder with train/, val/ and perhaps test/, each images/ and masks/, and
        classes.csv.
    out
        Folder for run.json, curve.png, table.md and the project.
    terms
        How much the special terms of the recipes count.
    live
        How the lightweight head of the recipe 'live' learns.
    seeds
        For example 0,1,2: one run after the other, each in OUT/seed-N. Without it,
        one run with --seed, in OUT itself.
    source
        Labelled images of another domain (a data set, or images/ and masks/), never
        asked: without initial images they teach the first network; the recipe
        'adaptation' (RIPU) goes on learning from them, the others do not.
    after
        Begin with a copy of this finished run on the same data with the same network:
        its labels, rounds and costs.
    resume
        Go on with what is in OUT, as if it had never been stopped; begin where
        nothing is there.
    """
    from napari_alseg.simulation.simulate import parse_seeds, simulate, simulate_seeds
    from napari_alseg.simulation.summary import table

    given: dict[str, Any] = {
        "network": network,
        "training": training,
        "recipe": terms,
        "live": live,
        "prediction": PredictionSettings(device=training.device),
        "source": source,
        "after": after,
        "resume": resume,
    }
    numbers = parse_seeds(seeds)
    if numbers:
        runs = TERMINAL.drive(
            simulate_seeds(dataset, out, numbers, simulation, **given)
        )
    else:
        runs = [TERMINAL.drive(simulate(dataset, out, simulation, **given))]
    for run in runs:
        TERMINAL.say(table(run))
    folders = f"{out}/seed-N" if numbers else f"{out}"
    TERMINAL.say(f"{folders}: run.json, table.md, curve.png")
    TERMINAL.say(f"next: napari-alseg compare {out} ... --out PAGE")


def compare(runs: Positional[tuple[Path, ...]], out: Path) -> None:
    """Compare simulated runs on a page: curves, classes, spread over seeds.

    Parameters
    ----------
    runs
        Folders that 'simulate' wrote, or folders that hold such folders. Runs that
        differ by nothing but the seed count as one.
    out
        Folder for compare.html, compare.md and the figures.
    """
    from napari_alseg.report.compare import compare as compared
    from napari_alseg.report.page import write_pages

    comparison = compared(runs)
    write_pages(comparison, out)
    for warning in comparison.warnings:
        TERMINAL.say(f"note: {warning}")
    TERMINAL.say(f"{out}: compare.html, compare.md, compare-*.svg")


def systems(json: bool = False) -> None:
    """List the systems by name, and what each is made of.

    Parameters
    ----------
    json
        Print an object keyed by name, with every part, parameter and cost.
    """
    from napari_alseg.systems.describe import described
    from napari_alseg.systems.table import SYSTEMS

    if json:
        made_of = {row.name: described(row) for row in SYSTEMS.values()}
        print(dumps(made_of, indent=1))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 1, 0))
    table.add_column(no_wrap=True)
    for row in SYSTEMS.values():
        about = described(row)
        parts = ", ".join(
            about[part] for part in ("partition", "acquisition", "choice")
        )
        lines = [row.sentence, f"made of {parts}; to score: {about['cost']}"]
        text = "\n".join([*lines, *([row.source] if row.source else [])])
        table.add_row(row.name, Text(text))
    TERMINAL.out.print(table)


def verify(project: Positional[Path], repair: bool = False) -> None:
    """Compare a project's annotation with its ledger.

    Parameters
    ----------
    project
        The project's folder.
    repair
        Rebuild annotations that differ from the ledger.
    """
    from .store import Project, plural

    with Project.open(project, "write" if repair else "read") as opened:
        found = opened.verify(repair=repair)
        left = opened.verify() if repair and found else found
    for problem in found:
        TERMINAL.say(problem)
    done = f"{plural(len(found), 'problem')} found"
    if repair:
        done += f", {len(found) - len(left)} repaired"
    TERMINAL.say(f"{project}: {done}")
    if left:
        raise SystemExit(1)


def open_(project: Positional[Path | None] = None) -> None:
    """Open napari with the dock, and a project if one is named.

    Parameters
    ----------
    project
        The project's folder.
    """
    _window("napari_alseg.ui", *([str(project)] if project else []))


def demo(out: Path = Path("demo"), headless: bool = False) -> None:
    """Open a sample project with its first round asked.

    Parameters
    ----------
    out
        Folder for the sample project and the screenshots.
    headless
        Answer, learn and ask again by itself, take screenshots and end.
    """
    flags = ["--headless"] if headless else []
    _window("napari_alseg.ui.demo", str(out), *flags)


def _window(module: str, *arguments: str) -> None:
    """Run one of our windows in a process of its own."""
    ended = subprocess.run([sys.executable, "-m", module, *arguments], check=False)
    if ended.returncode:
        raise SystemExit(ended.returncode)


COMMANDS: dict[str, Callable[..., None]] = {
    "open": open_,
    "new": new,
    "info": info,
    "query": query,
    "retrain": retrain,
    "simulate": simulate,
    "compare": compare,
    "systems": systems,
    "verify": verify,
    "demo": demo,
}


def main() -> None:
    """Run one command; exit with 2 on an error the user can put right."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name, value in PATIENT_THREADS.items():  # before torch is loaded
        os.environ.setdefault(name, value)
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,  # type: ignore[arg-type]
            prog="napari-alseg",
            description=__doc__,
        )
    except AlsegError as error:
        TERMINAL.progress.print(
            printable(f"error: {error}"), style="red", markup=False, soft_wrap=True
        )
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        TERMINAL.progress.print("stopped")
        raise SystemExit(130) from None
    except BrokenPipeError:  # whoever read our output, a page of help, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
