"""Runs as data, and their JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from runs_by_hand import made
from simulated import Killed, simulated

from napari_alseg.errors import BadValue
from napari_alseg.simulation.run import (
    FORMAT,
    Beginning,
    Files,
    differences,
    flat,
    read_run,
    write_run,
)

RESULTS = Path(__file__).parents[2] / "docs" / "results"
AFTER = {"system": "random", "seed": 0, "round": 2}
FILES = {"dataset": "1f", "source": ""}


def entries_of(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_run_comes_back_from_its_json(tmp_path):
    run = read_run(made(tmp_path / "a", after=AFTER, files=FILES, live={"depth": 2}))
    write_run(run, tmp_path / "b")
    assert read_run(tmp_path / "b") == run
    assert run.settings.after == Beginning("random", seed=0, round=2)
    assert run.settings.files == Files("1f", "")
    assert run.last.seconds.total == 6
    assert entries_of(tmp_path / "b")["format"] == FORMAT


def test_a_run_of_format_2_is_read(tmp_path):
    now = read_run(made(tmp_path / "now"))
    old = read_run(made(tmp_path / "old", format=2, published=True))
    assert old == now


def test_nothing_of_the_runs_of_the_results_is_lost():
    files = list(RESULTS.rglob("run.json"))
    assert files
    for file in files:
        written = json.loads(file.read_text())
        kept = json.loads(json.dumps(read_run(file.parent).to_json()))
        known = {name: each for name, each in kept.items() if name in written}
        assert known | {"format": written["format"]} == {
            name: each for name, each in written.items() if name != "published"
        }


def test_a_run_that_lacks_a_setting_or_result_is_refused(tmp_path):
    folder = made(tmp_path / "a")
    whole = entries_of(folder)
    for name in ("system", "asking", "rounds", "versions"):
        entries = {key: each for key, each in whole.items() if key != name}
        (folder / "run.json").write_text(json.dumps(entries))
        with pytest.raises(BadValue, match=f"lacks {name}; simulate again"):
            read_run(folder)
    del whole["rounds"][0]["miou"]
    (folder / "run.json").write_text(json.dumps(whole))
    with pytest.raises(BadValue, match="lacks miou; simulate again"):
        read_run(folder)


@pytest.mark.parametrize("changes", [{"classes": 5}, {"pool": []}, {"after": "random"}])
def test_a_run_that_makes_no_sense_is_damaged(tmp_path, changes):
    with pytest.raises(BadValue, match="is damaged"):
        read_run(made(tmp_path / "a", **changes))


def test_settings_are_named_flat(tmp_path):
    settings = read_run(made(tmp_path / "a", seed=1)).settings.flat()
    assert settings["seed"] == 1
    assert settings["training.epochs"] == 20
    assert settings["asking.partition"] == "superpixels"
    assert not {"rounds", "finished", "weights", "after", "files"} & set(settings)
    assert list(flat({"a": {"b": {"c": 0}}})) == [("a.b.c", 0)]


def test_an_interrupted_writing_leaves_the_run_before(tmp_path, monkeypatch):
    folder = made(tmp_path / "a")
    run = read_run(folder)

    def killed(*_):
        raise Killed

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(Killed):
        write_run(replace(run, finished=False), folder)
    assert read_run(folder) == run


def test_a_run_that_is_older_than_a_setting_is_resumed_while_that_is_off(
    dataset, tmp_path
):
    run = simulated(dataset, tmp_path / "run", rounds=1)
    younger = {**run.settings.terms, "never": "sky"}
    older = {name: each for name, each in younger.items() if name != "never"}
    known = replace(run, settings=replace(run.settings, terms=older))
    now = run.settings.flat()
    assert differences(known.settings.flat(), now) == {}
    now = replace(run.settings, terms=younger).flat()
    told = {"terms.never": (None, "sky")}
    assert differences(known.settings.flat(), now) == told
    known = replace(known, settings=replace(known.settings, files=None))
    assert differences(known.settings.flat(), run.settings.flat()) == {}
    write_run(known, tmp_path / "run")
    assert simulated(dataset, tmp_path / "run", rounds=1, resume=True) == known
