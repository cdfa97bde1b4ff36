import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from conftest import TINY_REGIONS, TINY_TRAINING
from PIL import Image
from simulated import TINY, Killed, begin, costs, results, simulated, weights

from napari_alseg.arrays import finish
from napari_alseg.errors import (
    BadClasses,
    BadValue,
    CannotWrite,
    EmptyFolder,
    MaskMismatch,
    UnknownName,
)
from napari_alseg.settings import QuerySettings, SimulationSettings
from napari_alseg.simulation import simulate as simulation_module
from napari_alseg.simulation import stage
from napari_alseg.simulation.oracle import Oracle
from napari_alseg.simulation.run import (
    FORMAT,
    Beginning,
    Pool,
    SimulationRun,
    differences,
    read_run,
    write_run,
)
from napari_alseg.simulation.simulate import parse_seeds, simulate_seeds
from napari_alseg.store import Project
from napari_alseg.store.labels import Labels
from napari_alseg.store.rounds import Rounds
from napari_alseg.systems import resolve


def test_a_run_is_written_as_promised(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run")
    entries = json.loads((tmp_path / "run" / "run.json").read_text())
    assert SimulationRun.from_json(entries) == read_run(tmp_path / "run") == run
    assert {"system", "dataset", "seed", "budget", "network", "encoder", "weights",
            "rounds", "versions"} <= set(entries)  # fmt: skip
    assert entries["format"] == FORMAT
    assert run.finished is True
    assert run.settings.training["epochs"] == 2
    assert run.pool == Pool(images=4, pixels=4 * 48 * 64)
    assert [row.round for row in run.rounds] == [1, 2]
    for row, written in zip(run.rounds, entries["rounds"], strict=True):
        assert set(written) == {
            "round", "stage", "part", "pixels", "fraction", "regions", "images",
            "clicks", "miou", "iou", "seconds",
        }  # fmt: skip
        assert set(written["seconds"]) == {"score", "choose", "train"}
        present = [value for value in row.iou.values() if value is not None]
        assert row.miou == pytest.approx(np.mean(present))
    first, second = run.rounds
    assert 0.05 < first.fraction <= 0.1 < second.fraction <= 0.2
    assert first.fraction == first.pixels / (4 * 48 * 64)


def test_the_same_seed_gives_the_same_run(dataset, tmp_path):
    def found(name, seed):
        return results(simulated(dataset, tmp_path / name, seed=seed))

    assert found("a", 0) == found("b", 0) != found("c", 1)


def test_full_labels_everything_in_one_round(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run", system="full")
    (row,) = run.rounds
    assert row.fraction == 1
    assert row.images == 4
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert all(project.labels.read(image).all() for image in project.images.names())


def test_with_a_test_split_val_chooses_and_test_measures(dataset, tmp_path):
    shutil.copytree(dataset / "val", dataset / "test")
    simulated(dataset, tmp_path / "run", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert (
            len(project.images.names("validation"))
            == len(project.images.names("test"))
            == 2
        )
        assert project.rounds.metrics(1).miou is not None


def test_without_a_test_split_learning_never_sees_val(dataset, tmp_path):
    simulated(dataset, tmp_path / "run", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert project.images.names("validation") == ()
        assert len(project.images.names("test")) == 2


def test_bad_input_is_refused(dataset, tmp_path):
    with pytest.raises(UnknownName):
        simulated(dataset, tmp_path / "a", system="nonsense")
    with pytest.raises(BadValue, match="rounds"):
        simulated(dataset, tmp_path / "b", rounds=0)
    (dataset / "train" / "masks" / "scene-00.png").unlink()
    with pytest.raises(MaskMismatch, match="scene-00"):
        simulated(dataset, tmp_path / "c")
    shutil.rmtree(dataset / "train" / "images")
    with pytest.raises(EmptyFolder, match="images"):
        simulated(dataset, tmp_path / "d")
    (dataset / "classes.csv").unlink()
    with pytest.raises(BadClasses):
        simulated(dataset, tmp_path / "e")


@pytest.mark.parametrize(
    ("system", "budget", "parameters"),
    [
        ("deal-de", "4 images", {}),
        ("ripu-ra", "31 regions", {}),
        ("class-sp-crf", "10%", TINY_REGIONS),
        ("sp-crf", "10%", TINY_REGIONS),
        ("entropy-edge", "10%", TINY_REGIONS),
        ("equal", "10%", {}),
        ("ripu-pa", "4 px/image", {}),
        ("cisc-r", "2 images", {}),
    ],
)
def test_a_published_system_runs_from_end_to_end(
    dataset, tmp_path, system, budget, parameters
):
    out = tmp_path / "run"
    asking = {"region_size": None} | parameters
    run = simulated(dataset, out, system=system, budget=budget, **asking)
    assert [row.round for row in run.rounds] == [1, 2]
    first, second = run.rounds
    assert 0 < first.pixels < second.pixels
    if budget.endswith("regions"):
        assert (first.regions, second.regions) == (15, 31)
    query = resolve(QuerySettings(system, **parameters))
    assert run.settings.asking == query.parts | query.values
    with Project.open(out / "project.alseg", "read") as project:
        revealed = sum(
            selection.pixels for selection in map(project.rounds.selection, (1, 2))
        )
        assert second.pixels == revealed
        assert project.weights.read()[1]["difficulty"] == system.startswith("deal")


def until(task, message):
    """Drive a task to its second step with this message; None if it has none."""
    seen = 0
    for progress in task:
        seen += progress.message == message
        if seen == 2 or (seen and progress.total == 1):
            return task
    return None


def messages(task):
    """The messages of a task, one a group of steps."""
    groups = []
    for progress in task:
        if not groups or groups[-1] != progress.message:
            groups.append(progress.message)
    return groups


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_run_that_is_ended_in_each_of_its_steps_comes_to_the_same(
    dataset, tmp_path, end
):
    groups = messages(begin(dataset, tmp_path / "whole"))
    expected = read_run(tmp_path / "whole")
    assert len(groups) > 8
    out, ends = tmp_path / "cut", 0
    for message in groups:
        task = until(begin(dataset, out, resume=True), message)
        if task is None:
            break
        ends += 1
        if end == "stopped":
            task.close()
        else:
            with pytest.raises(Killed):
                task.throw(Killed)
    assert ends > 6
    run = simulated(dataset, out, resume=True)
    assert results(run) == results(expected)
    assert costs(out) == costs(tmp_path / "whole")
    whole, cut = weights(tmp_path / "whole"), weights(out)
    assert set(whole) == set(cut) == {1, 2}
    for number, arrays in whole.items():
        for name, array in arrays.items():
            assert (array == cut[number][name]).all(), name


def test_a_run_that_is_killed_between_its_steps_comes_to_the_same(
    dataset, tmp_path, monkeypatch
):
    expected = simulated(dataset, tmp_path / "whole", answers="dominant")
    out = tmp_path / "cut"

    def attempt():
        with pytest.raises(Killed):
            simulated(dataset, out, answers="dominant", resume=True)

    def killed(*_, **__):
        raise Killed

    def half(self, number, answers):
        whole_answer(self, number, dict(list(answers.items())[: len(answers) // 2]))
        raise Killed

    def before(name):
        def record(self, round, **values):
            if name in values:
                raise Killed
            whole_record(self, round, **values)

        return record

    def once(run, folder):
        if len(run.rounds) == 1:
            raise Killed
        whole_write(run, folder)

    whole_answer, whole_record = Labels.answer_all, Rounds.record
    whole_write = simulation_module.write_run
    for place, name, replacement in [
        (simulation_module, "create_simulation", killed),  # nothing is imported
        (Rounds, "record", before("score_seconds")),  # asked
        (Oracle, "answers", killed),
        (Labels, "answer_all", half),
        (Rounds, "record", before("learnt")),  # learnt, but nothing says so
        (stage, "measure_scores", killed),
        (simulation_module, "write_run", once),  # measured, but not written
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, replacement)
            attempt()
    run = simulated(dataset, out, answers="dominant", resume=True)
    assert results(run) == results(expected)
    assert costs(out) == costs(tmp_path / "whole")
    again = simulated(dataset, out, answers="dominant", resume=True)
    assert again == run


def test_a_half_made_import_is_swept(dataset, tmp_path):
    left = tmp_path / "run" / ".project.alseg.partial"
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    assert simulated(dataset, tmp_path / "run", rounds=1).finished
    assert not left.exists()


def test_a_run_that_is_there_is_not_touched_unless_resumed(dataset, tmp_path):
    simulated(dataset, tmp_path / "run", rounds=1)
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(BadValue, match="--resume"):
        simulated(dataset, tmp_path / "run", rounds=1)
    with pytest.raises(BadValue, match="seed was 0, is 7"):
        simulated(dataset, tmp_path / "run", rounds=1, seed=7, resume=True)
    longer = replace(TINY_TRAINING, epochs=9)
    with pytest.raises(BadValue, match=r"training\.epochs was 2, is 9"):
        simulated(
            dataset,
            tmp_path / "run",
            rounds=1,
            resume=True,
            training=longer,
        )
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_another_data_set_of_the_same_name_is_not_resumed(dataset, tmp_path):
    simulated(dataset, tmp_path / "run", rounds=1)
    other = shutil.copytree(dataset, tmp_path / "elsewhere" / dataset.name)
    assert simulated(other, tmp_path / "run", rounds=1, resume=True).finished
    (other / "train" / "masks" / "Thumbs.db").write_bytes(b"seen")
    assert simulated(other, tmp_path / "run", rounds=1, resume=True).finished
    next((other / "train" / "masks").glob("*.png")).write_bytes(b"something else")
    with pytest.raises(BadValue, match="are not those that the run in"):
        simulated(other, tmp_path / "run", rounds=1, resume=True)
    with pytest.raises(BadValue, match="was made of other images, masks or classes"):
        simulated(other, tmp_path / "second", rounds=1, after=tmp_path / "run")
    renamed = other.rename(other.with_name("other"))
    with pytest.raises(BadValue, match=r"settings: dataset was 'data', is 'other';"):
        simulated(renamed, tmp_path / "run", rounds=1, resume=True)


def test_what_is_checked_at_first_is_checked_by_who_resumes(
    dataset, tmp_path, monkeypatch
):
    """It died when the project was made, and before that was looked at."""

    def died(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(simulation_module, "refuse_masks_without_class", died)
        simulated(dataset, tmp_path / "run", rounds=1)
    made = tmp_path / "run" / "project.alseg"
    for file in (dataset / "train/masks").iterdir():
        mask = np.array(Image.open(file))
        Image.fromarray(np.full_like(mask, 255)).save(file)
    resume = partial(simulated, dataset, tmp_path / "run", rounds=1, resume=True)
    with monkeypatch.context() as patch, pytest.raises(BadValue, match="learnt from"):
        patch.setattr(simulation_module, "differences", lambda *_: {})
        resume()
    assert made.exists()


def test_a_run_where_no_folder_can_be_is_refused(dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="choose a folder"):
        simulated(dataset, tmp_path / "file", rounds=1)


def test_seeds_do_not_lie_within_a_single_run(dataset, tmp_path):
    settings = SimulationSettings(budget="10%", rounds=1, **TINY_REGIONS)
    simulated(dataset, tmp_path / "run", rounds=1)
    with pytest.raises(BadValue, match="holds a single run"):
        finish(simulate_seeds(dataset, tmp_path / "run", (0, 1), settings, **TINY))


def test_a_run_begins_after_one_that_does_not_know_its_files(dataset, tmp_path):
    older = simulated(dataset, tmp_path / "first", rounds=1)
    older = replace(older, settings=replace(older.settings, files=None))
    write_run(older, tmp_path / "first")
    run = simulated(dataset, tmp_path / "second", rounds=1, after=tmp_path / "first")
    assert [row.round for row in run.rounds] == [1, 2]


def test_each_seed_has_its_folder(dataset, tmp_path):
    settings = SimulationSettings(budget="10%", rounds=1, **TINY_REGIONS)
    runs = finish(simulate_seeds(dataset, tmp_path / "runs", (0, 1), settings, **TINY))
    assert [run.settings.seed for run in runs] == [0, 1]
    for run in runs:
        assert read_run(tmp_path / "runs" / f"seed-{run.settings.seed}") == run
    assert set(differences(*(run.settings.flat() for run in runs))) == {"seed"}
    assert results(runs[0]) != results(runs[1])


def test_seeds_are_read():
    assert parse_seeds("2, 0,1") == (2, 0, 1)
    assert parse_seeds(" ") == ()


@pytest.mark.parametrize("text", ["0,,1", "-1", "a", "1,1", "1,01", "²", "0 1"])
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(BadValue, match="0,1,2"):
        parse_seeds(text)


def test_a_run_begins_after_another(dataset, tmp_path):
    first = simulated(
        dataset, tmp_path / "first", system="random", rounds=1, budget="10%"
    )
    after = {"after": tmp_path / "first", "budget": "10%", "rounds": 1}
    run = simulated(dataset, tmp_path / "second", **after)
    assert [row.round for row in run.rounds] == [1, 2]
    assert run.rounds[0] == first.rounds[0]
    assert run.settings.after == Beginning("random", seed=0, round=1)
    start, end = run.rounds
    assert start.pixels < end.pixels
    assert start.clicks < end.clicks
    with Project.open(tmp_path / "second" / "project.alseg", "read") as project:
        assert [project.rounds.selection(n).system for n in (1, 2)] == [
            "random",
            "entropy",
        ]
    assert weights(tmp_path / "first").keys() == {1}
    assert simulated(dataset, tmp_path / "second", resume=True, **after) == run
