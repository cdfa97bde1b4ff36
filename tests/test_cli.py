import json
import os
import signal
import subprocess
import sys
import threading
from io import StringIO
from shutil import rmtree
from threading import Lock

import numpy as np
import pytest
from rich.console import Console

from napari_alseg import cli
from napari_alseg.arrays import Bounds, Progress
from napari_alseg.store import Project

TINY = [
    "--weights", "random", "--epochs", "1", "--batch-size", "2", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command in this process; return its exit code and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["napari-alseg", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        return code, printed.out, " ".join(printed.err.split())

    return run


@pytest.fixture
def made(run, dataset, tmp_path):
    """A project made by the command line from the data set's training images."""
    path = tmp_path / "made.alseg"
    code, out, err = run(
        "new", path, "--images", dataset / "train" / "images",
        "--classes", dataset / "classes.csv", "--validation", dataset / "val",
    )  # fmt: skip
    assert code == 0, err
    assert "4 images, 6 classes, 2 validation images" in out
    return path


def test_a_round_from_the_shell(run, made, dataset):
    code, out, _ = run(
        "query", made, "--budget", "6 regions", "--region-size", 64, "--device", "cpu"
    )
    assert code == 0
    assert "round 1: 6 regions" in out
    with Project.open(made) as project:
        for position in range(6):
            project.labels.answer(1, position, 1 + position % 3)
    code, out, _ = run("retrain", made, *TINY)
    assert code == 0
    assert "encoder started from random" in out
    assert "balloon" in out
    code, out, _ = run("query", made, "--budget", "4%", "--region-size", 64)
    assert code == 0
    assert "round 2:" in out


def test_masks_that_are_there_become_labels(run, dataset, tmp_path):
    path = tmp_path / "masks.alseg"
    code, _, err = run(
        "new", path, "--images", dataset / "train" / "images",
        "--labels", dataset / "train" / "masks", "--classes", dataset / "classes.csv",
    )  # fmt: skip
    assert code == 0, err
    with Project.open(path) as project:
        assert len(project.labels.labelled()) == 4
    assert run("retrain", path, *TINY)[0] == 0


def test_simulate_writes_its_run(run, dataset, tmp_path):
    out = tmp_path / "run"
    code, printed, err = run(
        "simulate", dataset, "--system", "margin", "--budget", "10%", "--rounds", 2,
        "--seed", 3, "--size", "32x48", "--region-size", 40, "--out", out, *TINY,
    )  # fmt: skip
    assert code == 0, err
    assert "margin on data, 10%, seed 3" in printed
    assert len(json.loads((out / "run.json").read_text())["rounds"]) == 2


def test_seeds_are_simulated_resumed_and_compared(run, dataset, tmp_path):
    runs, page = tmp_path / "runs", tmp_path / "page"
    start = (
        "simulate", dataset, "--budget", "10%", "--rounds", 1, "--seeds", "0,1",
        "--size", "32x48", "--region-size", 40, "--answers", "dominant", *TINY,
    )  # fmt: skip
    code, printed, err = run(*start, "--out", runs)
    assert code == 0, err
    assert "seed 0" in printed
    assert "seed 1" in printed
    assert "holds a run already" in fails(run, *start, "--out", runs)
    assert run(*start, "--out", runs, "--resume")[0] == 0
    assert "other settings: training.epochs was 1, is 2" in fails(
        run, *start, "--epochs", 2, "--out", runs, "--resume"
    )
    known = json.loads((runs / "seed-1" / "run.json").read_text())
    assert known["size"] == "32x48"
    assert known["answers"] == "dominant"
    assert known["training"]["epochs"] == 1
    assert known["encoder"] == "mobilenet_v2"
    code, printed, err = run("compare", runs, "--out", page)
    assert code == 0, err
    assert "note: no finished run of 'full'" in printed
    assert "entropy" in (page / "compare.html").read_text()
    assert "no run.json" in fails(run, "compare", dataset, "--out", page)


def test_systems_lists_every_name(run):
    from napari_alseg.systems.table import SYSTEMS

    _, out, _ = run("systems")
    assert all(name in out for name in SYSTEMS)


def test_verify_finds_and_repairs_what_differs_from_the_ledger(run, made):
    import zarr

    with Project.open(made) as project:
        project.labels.stroke("scene-00", Bounds(0, 0, 1, 1), np.array([[2]], np.uint8))
    assert run("verify", made)[0] == 0
    level = made / "images" / "scene-00" / "labels" / "annotation" / "0"
    zarr.open_array(level, mode="r+")[3, 3] = 5
    code, out, _ = run("verify", made)
    assert code == 1
    assert "scene-00" in out
    assert run("verify", made, "--repair")[0] == 0
    assert run("verify", made)[0] == 0
    with Project.open(made) as project:
        assert project.labels.read("scene-00")[3, 3] == 0
        assert project.labels.read("scene-00")[0, 0] == 2


def test_verify_says_what_it_cannot_repair(run, made):
    import zarr

    folder = made / "images" / "scene-00" / "labels" / "annotation" / "0"
    zarr.open_array(folder, mode="r+")[3, 3] = 5
    rmtree(made / "images" / "scene-01" / "0")
    code, out, _ = run("verify", made, "--repair")
    assert code == 1
    assert "2 problems found, 1 repaired" in out


def fails(run, *arguments):
    """The text of an error that exits with 2 and shows no traceback."""
    code, out, err = run(*arguments)
    assert code == 2, (out, err)
    assert "Traceback" not in out + err
    assert "error: " in err
    return err


def test_not_a_project(run, tmp_path):
    assert "project" in fails(run, "query", tmp_path)
    assert "project" in fails(run, "retrain", tmp_path / "nowhere")


def test_a_newer_format(run, made):
    path = made / "zarr.json"
    described = json.loads(path.read_text())
    described["attributes"]["version"] = 999
    path.write_text(json.dumps(described))
    assert "newer" in fails(run, "query", made)


def test_a_project_somebody_writes_to(run, made):
    with Project.open(made):
        err = fails(run, "query", made)
    assert f"process {os.getpid()}) has been writing" in err


def test_an_image_that_cannot_be_read(run, dataset, tmp_path):
    (dataset / "train" / "images" / "broken.png").write_bytes(b"no image")
    err = fails(
        run, "new", tmp_path / "x.alseg", "--images", dataset / "train" / "images",
        "--class-names", "a", "b",
    )  # fmt: skip
    assert "broken.png" in err
    assert not (tmp_path / "x.alseg").exists()


def test_a_mask_of_another_size_or_value(run, dataset, tmp_path):
    import imageio.v3 as imageio

    masks = dataset / "train" / "masks"
    arguments = (
        "new", tmp_path / "x.alseg", "--images", dataset / "train" / "images",
        "--labels", masks, "--classes", dataset / "classes.csv",
    )  # fmt: skip
    imageio.imwrite(masks / "scene-01.png", np.zeros((10, 10), np.uint8))
    assert "scene-01" in fails(run, *arguments)
    imageio.imwrite(masks / "scene-01.png", np.full((48, 64), 77, np.uint8))
    assert "77" in fails(run, *arguments)
    assert not (tmp_path / "x.alseg").exists()


def test_a_classes_csv_with_a_value_twice(run, dataset, tmp_path):
    with (dataset / "classes.csv").open("a") as table:
        table.write("0,again,1,2,3\n")
    err = fails(
        run, "new", tmp_path / "x.alseg", "--images", dataset / "train" / "images",
        "--classes", dataset / "classes.csv",
    )  # fmt: skip
    assert "same value 0" in err


def test_classes_given_twice_or_not_at_all(run, dataset, tmp_path):
    images = dataset / "train" / "images"
    start = ("new", tmp_path / "x.alseg", "--images", images)
    assert "classes once" in fails(run, *start)
    both = ("--class-names", "a", "--classes", dataset / "classes.csv")
    assert "classes once" in fails(run, *start, *both)


def test_an_empty_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    err = fails(
        run, "new", tmp_path / "x.alseg", "--images", tmp_path / "empty",
        "--class-names", "a", "b",
    )  # fmt: skip
    assert "no image" in err


def test_no_labels_yet(run, made):
    assert "has a label yet" in fails(run, "retrain", made, *TINY)


def test_an_exhausted_pool(run, made):
    run("query", made, "--system", "full", "--region-size", 400)
    with Project.open(made) as project:
        for position in range(len(project.rounds.selection().regions)):
            project.labels.answer(1, position, 1)
    assert "every region of the pool" in fails(run, "query", made, "--region-size", 400)


def test_weights_of_another_network(run, made, tmp_path):
    run("query", made, "--budget", "2 regions", "--region-size", 64)
    with Project.open(made) as project:
        project.labels.answer(1, 0, 1)
        project.labels.answer(1, 1, 2)
    run("retrain", made, *TINY)
    err = fails(
        run, "retrain", made, *TINY[2:], "--network", "unet",
        "--weights", made / "weights" / "round-001.safetensors",
    )  # fmt: skip
    assert "round-001.safetensors" in err


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
def test_no_room_on_the_disk(run, dataset, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "x", disk])
    if mounted.returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        err = fails(
            run, "new", disk / "x.alseg", "--images", dataset / "train" / "images",
            "--class-names", "a", "b",
        )  # fmt: skip
        assert "room" in err or "space" in err
        assert not (disk / "x.alseg").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_unknown_names_and_units(run, made):
    assert "did you mean 'entropy'" in fails(run, "query", made, "--system", "entropi")
    assert "amount and a unit" in fails(run, "query", made, "--budget", "lots")


@pytest.mark.parametrize("arguments", [["simulate", "--help"], ["compare", "x"]])
def test_help_and_compare_load_no_torch(arguments):
    code = (
        "import sys\n"
        "from napari_alseg.cli import main\n"
        f"sys.argv = ['napari-alseg', *{arguments}, '--out', 'page']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    assert ended.returncode == 0


@pytest.fixture
def interruptible():
    """Ctrl-C interrupts, also where whoever runs the tests has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_waits_for_the_end_of_a_step_and_a_second_does_not():
    done = []

    def task(presses):
        try:
            for step in range(3):
                for _ in range(presses):
                    signal.raise_signal(signal.SIGINT)
                done.append(step)  # a step is never left half done
                yield Progress(step, 3, "working")
        except GeneratorExit:
            done.append("closed")
            raise

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        cli.drive(task(1), Console(quiet=True))
    assert done == [0, "closed"]
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        cli.drive(task(2), Console(quiet=True))
    assert done == []
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_does_not_wait_for_what_it_interrupted():
    """The terminal may be locked by the very step that Ctrl-C came into."""
    locked = Lock()

    class Terminal(StringIO):
        waited_in_vain = False

        def write(self, text):
            if not locked.acquire(timeout=5):
                self.waited_in_vain = True
                return 0
            try:
                return super().write(text)
            finally:
                locked.release()

    def task():
        with locked:
            signal.raise_signal(signal.SIGINT)
        yield Progress(0, 1, "working")

    terminal = Terminal()
    with pytest.raises(KeyboardInterrupt):
        cli.drive(task(), Console(file=terminal))
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(timeout=5)
    assert not terminal.waited_in_vain
    assert "stopping after this step" in terminal.getvalue()


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_at_the_very_end_is_not_lost():
    def task():
        signal.raise_signal(signal.SIGINT)
        return 5
        yield

    with pytest.raises(KeyboardInterrupt):
        cli.drive(task(), Console(quiet=True))


def test_where_interruptions_are_ignored_they_stay_so():
    """As in a job that a script has put into the background."""

    def task():
        signal.raise_signal(signal.SIGINT)
        yield Progress(0, 1, "working")
        return 5

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert cli.drive(task(), Console(quiet=True)) == 5
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_reader_who_has_seen_enough_is_no_error():
    command = [sys.executable, "-m", "napari_alseg.cli", "query", "--help"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


# --- what is found, before and after --------------------------------------------------


def test_a_dry_run_says_what_was_found_and_writes_nothing(run, dataset, tmp_path):
    code, out, err = run(
        "new", tmp_path / "x.alseg", "--images", dataset / "train" / "images",
        "--labels", dataset / "train" / "masks", "--classes", dataset / "classes.csv",
        "--dry-run",
    )  # fmt: skip
    assert code == 0, err
    assert "4 images, 4 with a mask, 0 without" in out
    assert "255 = unlabelled" in out
    assert "nothing was written" in out
    assert not list(tmp_path.glob("*alseg*"))


def test_masks_that_can_be_read_in_two_ways_name_the_flag(run, dataset, tmp_path):
    command = [
        "new", tmp_path / "x.alseg", "--images", dataset / "train" / "images",
        "--labels", dataset / "train" / "masks", "--class-names", *"abcdef",
    ]  # fmt: skip
    code, _, err = run(*command)
    assert code == 2
    assert "--mask-values from-0: 0 = a" in err
    assert "--mask-values from-1: 0 = unlabelled" in err
    code, out, err = run(*command, "--mask-values", "from-0")
    assert code == 0, err
    assert "masks: 0 = a, 1 = b" in out


def test_info_says_what_is_in_a_project_while_somebody_writes(run, made):
    run("query", made, "--budget", "6 regions", "--region-size", 64, "--device", "cpu")
    with Project.open(made) as writer:
        writer.labels.answer(1, 0, 2, seconds=3.5)
        writer.labels.skip(1, 1)
        region = writer.rounds.selection(1).regions[0]
        code, out, err = run("info", made, "--json")
        assert code == 0, err
        found = json.loads(out)
        code, text, err = run("info", made)
    assert found["images"] == {"pool": 4, "source": 0, "validation": 2, "test": 0}
    counts = [found[name] for name in ("asked", "answered", "skipped", "open")]
    assert counts == [6, 1, 1, 4]
    assert found["labelled_pixels"] == region.pixels
    assert [entry["pixels"] for entry in found["classes"]] == [
        *(0, region.pixels),
        *(0, 0, 0, 0),
    ]
    assert found["seconds"] == 3.5
    assert found["rounds"][0]["system"] == "entropy"
    assert found["weights"] == []
    assert "asked 6, answered 1, skipped 1, open 4" in text
    assert "masks: 0 = sky" in text


def test_info_knows_the_weights_and_what_they_reach(run, made):
    run("query", made, "--budget", "6 regions", "--region-size", 64, "--device", "cpu")
    with Project.open(made) as project:
        for position in range(6):
            project.labels.answer(1, position, 1 + position % 2)
    assert run("retrain", made, *TINY)[0] == 0
    found = json.loads(run("info", made, "--json")[1])
    (weights,) = found["weights"]
    assert weights["name"] == "round 1"
    assert 0 <= weights["miou"] <= 1
    assert found["rounds"][0]["miou"] == weights["miou"]


def test_names_with_brackets_are_printed_as_they_are(run, dataset, tmp_path):
    table = (dataset / "classes.csv").read_text()
    first, second, third, *rest = table.splitlines()
    second = second.replace(second.split(",")[1], "cell [dead]")
    third = third.replace(third.split(",")[1], "cell [/live]")
    table = "\n".join([first, second, third, *rest])
    (dataset / "classes.csv").write_text(table)
    path = tmp_path / "x.alseg"
    code, out, err = run(
        "new", path, "--images", dataset / "train" / "images", "--labels",
        dataset / "train" / "masks", "--classes", dataset / "classes.csv",
        "--validation", dataset / "val",
    )  # fmt: skip
    assert code == 0, err
    assert "0 = cell [dead], 1 = cell [/live]" in out
    code, out, err = run("retrain", path, *TINY)
    assert code == 0, err
    assert "cell [/live]" in out
    assert "cell [/live]" in run("info", path)[1]


def test_file_names_that_are_no_unicode_are_an_error_that_can_be_printed(run, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    with open(os.path.join(os.fsencode(folder), b"caf\xe9.png"), "wb") as stream:
        stream.write(b"junk")
    code, _, err = run(
        "new", tmp_path / "x.alseg", "--images", folder, "--class-names", "a", "b"
    )
    assert code == 2
    assert r"caf\udce9.png has a name that is not UTF-8" in err
