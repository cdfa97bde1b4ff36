"""Every benchmark has a quick form, and one harness gives the verdict."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(file for file in FOLDER.glob("*.py") if file.stem != "harness")
REPORT = """
from harness import at_least, at_most, report
rows = [at_least("speed", {speed}, "x", 2), at_most("time", 1, "s", 3)]
report("some", rows, quick=True)
"""
FEW = """
import sys
from pathlib import Path
from harness import few_images
folder = Path(sys.argv[1])
few_images(folder / "all", folder / "few", 2, 5)
"""


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder of the benchmarks."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=FOLDER,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


def name(script: Path) -> str:
    return script.stem


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_help_names_the_quick_form(script: Path) -> None:
    done = run(str(script), "--help")
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_every_benchmark_reports_by_the_harness(script: Path) -> None:
    imported = {
        alias.name
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "harness"
        for alias in node.names
    }
    assert {"flags", "report"} <= imported


@pytest.mark.parametrize(
    ("speed", "missed"), [(2.0, []), (1.9, ["speed"])], ids=["met", "missed"]
)
def test_a_missed_target_is_the_exit_status(speed: float, missed: list[str]) -> None:
    done = run("-c", REPORT.format(speed=speed))
    *table, last = done.stdout.splitlines()
    verdict = json.loads(last)
    assert done.returncode == bool(missed), done.stderr
    assert (verdict["name"], verdict["quick"]) == ("some", True)
    assert [row["work"] for row in verdict["rows"]] == ["speed", "time"]
    assert verdict["missed"] == missed
    assert sum("MISSED" in line for line in table) == len(missed)


def test_without_data_one_sentence_and_exit_status_2(tmp_path: Path) -> None:
    done = run("-c", "import harness; harness.data_folder()", ALSEG_DATA=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout.count("\n") == 1
    assert str(tmp_path) in done.stdout


def test_a_few_images_are_spread_over_the_data_set(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            folder = tmp_path / "all" / "camvid" / split / kind
            folder.mkdir(parents=True)
            for number in range(10):
                (folder / f"{number}.png").touch()
    (tmp_path / "all" / "camvid" / "classes.csv").touch()
    done = run("-c", FEW, str(tmp_path))
    assert done.returncode == 0, done.stderr
    few = tmp_path / "few" / "camvid"
    for kind in ("images", "masks"):
        found = {file.name for file in (few / "train" / kind).iterdir()}
        assert found == {"0.png", "5.png"}
        assert len(list((few / "val" / kind).iterdir())) == 5
    assert (few / "classes.csv").exists()
