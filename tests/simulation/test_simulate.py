import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_PREDICTION, TINY_REGIONS, TINY_TRAINING

from napari_alseg.arrays import finish
from napari_alseg.errors import (
    AlsegError,
    BadClasses,
    BadValue,
    Busy,
    CannotWrite,
    EmptyFolder,
    MaskMismatch,
    UnknownName,
)
from napari_alseg.settings import QuerySettings, RecipeSettings, SimulationSettings
from napari_alseg.simulation import simulate as simulation_module
from napari_alseg.simulation.dataset import fingerprints, parse_size, resized
from napari_alseg.simulation.oracle import Oracle, clicks
from napari_alseg.simulation.run import FORMAT, differences, read_run
from napari_alseg.simulation.simulate import parse_seeds, simulate, simulate_seeds
from napari_alseg.store import Project
from napari_alseg.systems.resolve import completed
from napari_alseg.training import job as learning

TINY = {
    "network": TINY_NETWORK,
    "training": TINY_TRAINING,
    "prediction": TINY_PREDICTION,
}
ARGUMENTS = ("network", "training", "recipe", "source", "after", "resume")


@pytest.fixture
def source(dataset, tmp_path):
    """The data set again, as another domain."""
    return shutil.copytree(dataset, tmp_path / "other-domain")


def begin(dataset, out, **changes):
    """The task of a tiny run; some changes are arguments, the others settings."""
    given = {name: changes.pop(name) for name in ARGUMENTS if name in changes}
    settings = {"budget": "20%", "rounds": 2} | TINY_REGIONS | changes
    return simulate(dataset, out, SimulationSettings(**settings), **TINY | given)


def simulated(dataset, out, **changes):
    return finish(begin(dataset, out, **changes))


def results(run):
    """All of a run that must not depend on when and where it was made."""
    rows = [dict(row) for row in run["rounds"]]
    for row in rows:
        del row["seconds"]
    return rows


def weights(out):
    """The weights of every round of a run."""
    with Project.open(out / "project.alseg", "read") as project:
        rounds = (0, *project.rounds)
        kept = {number: project.weights.read(number) for number in rounds}
    return {number: arrays[0] for number, arrays in kept.items() if arrays}


def costs(out):
    """What the ledger of a run counts."""
    with Project.open(out / "project.alseg", "read") as project:
        return project.cost()


def test_a_run_is_written_as_promised(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run")
    assert run == json.loads((tmp_path / "run" / "run.json").read_text())
    assert {"system", "dataset", "seed", "budget", "network", "encoder", "weights",
            "rounds", "versions"} <= set(run)  # fmt: skip
    assert run["format"] == FORMAT
    assert run["finished"] is True
    assert run["training"]["epochs"] == 2
    assert run["pool"] == {"images": 4, "pixels": 4 * 48 * 64}
    assert [row["round"] for row in run["rounds"]] == [1, 2]
    for row in run["rounds"]:
        assert set(row) == {
            "round", "stage", "part", "pixels", "fraction", "regions", "images",
            "clicks", "miou", "iou", "seconds",
        }  # fmt: skip
        assert set(row["seconds"]) == {"score", "choose", "train"}
        present = [value for value in row["iou"].values() if value is not None]
        assert row["miou"] == pytest.approx(np.mean(present))
    first, second = run["rounds"]
    assert 0.05 < first["fraction"] <= 0.1 < second["fraction"] <= 0.2
    assert first["fraction"] == first["pixels"] / (4 * 48 * 64)


def test_the_table_and_the_curve_show_every_round(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run")
    table = (tmp_path / "run" / "table.md").read_text()
    for row in run["rounds"]:
        assert f"| {row['round']} | {row['pixels']} | {row['fraction']:.2%} |" in table
        assert f"{100 * row['miou']:.1f}" in table
    assert (tmp_path / "run" / "curve.png").stat().st_size > 5_000


def test_the_same_seed_gives_the_same_run(dataset, tmp_path):
    def found(name, seed):
        return results(simulated(dataset, tmp_path / name, seed=seed))

    assert found("a", 0) == found("b", 0) != found("c", 1)


def test_full_labels_everything_in_one_round(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run", system="full")
    (row,) = run["rounds"]
    assert row["fraction"] == 1
    assert row["images"] == 4
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert all(project.read_labels(image).all() for image in project.images())


def test_with_a_test_split_val_chooses_and_test_measures(dataset, tmp_path):
    shutil.copytree(dataset / "val", dataset / "test")
    simulated(dataset, tmp_path / "run", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert len(project.images("validation")) == len(project.images("test")) == 2
        assert "miou" in project.metrics(1)


def test_without_a_test_split_learning_never_sees_val(dataset, tmp_path):
    simulated(dataset, tmp_path / "run", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert project.images("validation") == ()
        assert len(project.images("test")) == 2


def test_images_and_masks_are_resized_alike(dataset, tmp_path):
    simulated(dataset, tmp_path / "run", size="32x48", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert {project.info(image).shape for image in project.images()} == {(32, 48)}


def test_resizing_makes_an_image_neither_darker_nor_brighter(rng):
    image = rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)
    assert abs(resized(image, (48, 64), 1).mean() - image.mean()) < 0.1


def test_a_resized_mask_has_no_new_values(rng):
    mask = rng.choice([1, 5], (40, 60)).astype(np.uint8)
    small = resized(mask, (13, 17), order=0)
    assert small.shape == (13, 17)
    assert set(np.unique(small)) == {1, 5}
    assert resized(mask, None, order=0) is mask


@pytest.mark.parametrize("text", ["180", "ax3", "0x5", "10x", "1x2x3"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(BadValue, match="ROWSxCOLUMNS"):
        parse_size(text)


def test_a_mask_of_another_size_is_refused_and_leaves_nothing(dataset, tmp_path):
    path = dataset / "train" / "masks" / "scene-02.png"
    imageio.imwrite(path, np.zeros((47, 64), np.uint8))
    for size in ("", "24x32"):
        with pytest.raises(MaskMismatch, match="scene-02"):
            simulated(dataset, tmp_path / "run", size=size)
        assert not (tmp_path / "run" / "project.alseg").exists()


def test_a_data_set_that_was_mended_may_use_the_same_folder(dataset, tmp_path):
    path = dataset / "train" / "masks" / "scene-02.png"
    whole = path.read_bytes()
    imageio.imwrite(path, np.zeros((47, 64), np.uint8))
    with pytest.raises(MaskMismatch):
        simulated(dataset, tmp_path / "run", rounds=1)
    path.write_bytes(whole)
    assert simulated(dataset, tmp_path / "run", rounds=1)["finished"]


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
    assert [row["round"] for row in run["rounds"]] == [1, 2]
    first, second = run["rounds"]
    assert 0 < first["pixels"] < second["pixels"]
    if budget.endswith("regions"):
        assert (first["regions"], second["regions"]) == (15, 31)
    assert run["asking"] == completed(QuerySettings(system, **parameters)).parameters()
    with Project.open(out / "project.alseg", "read") as project:
        revealed = sum(selection.pixels for selection in map(project.selection, (1, 2)))
        assert second["pixels"] == revealed
        assert project.weights.read()[1]["difficulty"] == system.startswith("deal")


# --- answers --------------------------------------------------------------------------


def test_one_class_a_region_is_one_click_a_region(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run", rounds=1, answers="dominant")
    (row,) = run["rounds"]
    assert row["clicks"] == row["regions"] > 0
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        for region in project.selection(1).regions:
            regions = project.read_regions(region.image, region.partition)
            labels = project.read_labels(region.image)[regions == region.region]
            assert len(set(labels.tolist())) == 1


def test_exact_pixels_cost_a_click_a_piece(dataset, tmp_path):
    run = simulated(dataset, tmp_path / "run")
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        spent = 0
        for row in run["rounds"]:
            for region in project.selection(row["round"]).regions:
                own = project.read_regions(region.image, region.partition)
                labels = project.read_labels(region.image)
                labels[own != region.region] = 0
                spent += clicks(labels[region.bounds.slices])
            assert row["clicks"] == spent


def test_a_region_without_truth_is_skipped_and_costs_all_the_same(dataset, tmp_path):
    for mask in (dataset / "train" / "masks").iterdir():
        labels = imageio.imread(mask)
        labels[:24] = 255
        imageio.imwrite(mask, labels)
    run = simulated(
        dataset, tmp_path / "run", rounds=1, answers="dominant", budget="40%"
    )
    (row,) = run["rounds"]
    assert row["clicks"] == row["regions"]
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        states = project.states(1)
        assert {"answered", "skipped"} == set(states)
        assert project.cost().regions == states.count("answered") < row["regions"]


# --- stopped and resumed --------------------------------------------------------------


class Killed(BaseException):
    """Ends a run without its knowing, as a power cut does."""


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
        def record(self, round, metric, value):
            if metric == name:
                raise Killed
            whole_record(self, round, metric, value)

        return record

    def once(run, folder):
        if len(run["rounds"]) == 1:
            raise Killed
        whole_write(run, folder)

    whole_answer, whole_record = Project.answer_all, Project.record
    whole_write = simulation_module.write_run
    for place, name, replacement in [
        (simulation_module, "create_simulation", killed),  # nothing is imported
        (Project, "record", before("query")),  # asked
        (Oracle, "answers", killed),
        (Project, "answer_all", half),
        (Project, "record", before("learnt")),  # learnt, but nothing says so
        (simulation_module, "_final_scores", killed),
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
    assert simulated(dataset, tmp_path / "run", rounds=1)["finished"]
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


def test_a_run_that_is_older_than_a_setting_is_resumed_while_that_is_off(
    dataset, tmp_path
):
    run = simulated(dataset, tmp_path / "run", rounds=1)
    known = json.loads((tmp_path / "run" / "run.json").read_text())
    del known["terms"]["never"]
    assert differences(known, run) == {}
    run["terms"]["never"] = "sky"
    assert differences(known, run) == {"terms.never": (None, "sky")}
    del run["terms"]["never"], known["files"]
    assert differences(known, run) == {}
    (tmp_path / "run" / "run.json").write_text(json.dumps(known))
    assert simulated(dataset, tmp_path / "run", rounds=1, resume=True) == known


def test_another_data_set_of_the_same_name_is_not_gone_on_with(dataset, tmp_path):
    simulated(dataset, tmp_path / "run", rounds=1)
    other = shutil.copytree(dataset, tmp_path / "elsewhere" / dataset.name)
    assert simulated(other, tmp_path / "run", rounds=1, resume=True)["finished"]
    (other / "train" / "masks" / "Thumbs.db").write_bytes(b"seen")
    assert simulated(other, tmp_path / "run", rounds=1, resume=True)["finished"]
    next((other / "train" / "masks").glob("*.png")).write_bytes(b"something else")
    with pytest.raises(BadValue, match="are not those that the run in"):
        simulated(other, tmp_path / "run", rounds=1, resume=True)
    with pytest.raises(BadValue, match="was made of other images, masks or classes"):
        simulated(other, tmp_path / "second", rounds=1, after=tmp_path / "run")
    renamed = other.rename(other.with_name("other"))
    with pytest.raises(BadValue, match=r"settings: dataset was 'data', is 'other';"):
        simulated(renamed, tmp_path / "run", rounds=1, resume=True)


def test_files_that_no_simulation_reads_do_not_matter(dataset, source):
    before = fingerprints(dataset, source)
    (dataset / "images").mkdir()
    shutil.rmtree(source / "val")
    assert fingerprints(dataset, source) == before
    next((source / "train/images").iterdir()).write_bytes(b"another")
    after = fingerprints(dataset, source)
    assert after["dataset"] == before["dataset"]
    assert after["source"] != before["source"]


def test_classes_that_are_no_text_are_refused(dataset, tmp_path):
    (dataset / "classes.csv").write_bytes(b"value,name\0\0")
    with pytest.raises(BadClasses, match="save it as UTF-8"):
        simulated(dataset, tmp_path / "run", rounds=1)


def test_what_is_checked_at_first_is_checked_by_who_goes_on(
    dataset, tmp_path, monkeypatch
):
    """It died when the project was made, and before that was looked at."""

    def died(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(simulation_module, "_refuse_ignored", died)
        simulated(dataset, tmp_path / "run", rounds=1)
    made = tmp_path / "run" / "project.alseg"
    for file in (dataset / "train/masks").iterdir():
        mask = imageio.imread(file)
        imageio.imwrite(file, np.full_like(mask, 255))
    resume = partial(simulate, dataset, tmp_path / "run", rounds=1, resume=True)
    with monkeypatch.context() as patch, pytest.raises(BadValue, match="learnt from"):
        patch.setattr(simulation_module, "differences", lambda *_: {})
        resume()
    assert made.exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"network": replace(TINY_NETWORK, encoder="resnet8")}, "resnet8"),
        ({"source": Path("nowhere")}, "nowhere"),
        ({"budget": "1 region"}, "cannot be shared among 2 rounds"),
        ({"training": replace(TINY_TRAINING, source_free=True)}, "give a source"),
        ({"network": replace(TINY_NETWORK, difficulty=True)}, "leave the branch out"),
        (
            {"system": "ripu-ra", "budget": "4 images", "region_size": None},
            "not by images",
        ),
        (
            {
                "recipe": RecipeSettings(never="glass"),
                "system": "cisc-r",
                "budget": "2 images",
                "region_size": None,
            },
            "glass",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    dataset, tmp_path, changes, told
):
    with pytest.raises(AlsegError, match=told):
        simulated(dataset, tmp_path / "run", **changes)
    assert simulated(dataset, tmp_path / "run", rounds=1)["finished"]


def test_masks_without_any_class_teach_nothing(dataset, tmp_path):
    for file in (dataset / "train/masks").iterdir():
        imageio.imwrite(file, np.full_like(imageio.imread(file), 255))
    with pytest.raises(BadValue, match="no image that is learnt from"):
        simulated(dataset, tmp_path / "run", rounds=1)


def test_a_run_where_no_folder_can_be_is_refused(dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="choose a folder"):
        simulated(dataset, tmp_path / "file", rounds=1)


# --- seeds, and one run after another -------------------------------------------------


def test_seeds_do_not_lie_within_a_single_run(dataset, tmp_path):
    settings = SimulationSettings(budget="10%", rounds=1, **TINY_REGIONS)
    simulated(dataset, tmp_path / "run", rounds=1)
    with pytest.raises(BadValue, match="holds a single run"):
        finish(simulate_seeds(dataset, tmp_path / "run", (0, 1), settings, **TINY))


def test_a_run_goes_on_from_one_that_does_not_know_its_files(dataset, tmp_path):
    older = simulated(dataset, tmp_path / "first", rounds=1)
    del older["files"]
    (tmp_path / "first" / "run.json").write_text(json.dumps(older))
    run = simulated(dataset, tmp_path / "second", rounds=1, after=tmp_path / "first")
    assert [row["round"] for row in run["rounds"]] == [1, 2]


def test_a_run_does_not_go_on_with_another_network(dataset, tmp_path):
    simulated(dataset, tmp_path / "first", rounds=1)
    with pytest.raises(BadValue, match="begin after has network 'deeplabv3plus'"):
        simulated(
            dataset,
            tmp_path / "second",
            after=tmp_path / "first",
            network=replace(TINY_NETWORK, network="fpn"),
        )


def test_each_seed_has_its_folder(dataset, tmp_path):
    settings = SimulationSettings(budget="10%", rounds=1, **TINY_REGIONS)
    runs = finish(simulate_seeds(dataset, tmp_path / "runs", (0, 1), settings, **TINY))
    assert [run["seed"] for run in runs] == [0, 1]
    for run in runs:
        assert read_run(tmp_path / "runs" / f"seed-{run['seed']}") == run
    assert set(differences(*runs)) == {"seed"}
    assert results(runs[0]) != results(runs[1])


def test_seeds_are_read():
    assert parse_seeds("2, 0,1") == (2, 0, 1)
    assert parse_seeds(" ") == ()


@pytest.mark.parametrize("text", ["0,,1", "-1", "a", "1,1", "1,01", "²", "0 1"])
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(BadValue, match="0,1,2"):
        parse_seeds(text)


def test_a_run_goes_on_from_another(dataset, tmp_path):
    first = simulated(
        dataset, tmp_path / "first", system="random", rounds=1, budget="10%"
    )
    after = {"after": tmp_path / "first", "budget": "10%", "rounds": 1}
    run = simulated(dataset, tmp_path / "second", **after)
    assert [row["round"] for row in run["rounds"]] == [1, 2]
    assert run["rounds"][0] == first["rounds"][0]
    assert run["after"] == {"system": "random", "seed": 0, "round": 1}
    start, end = run["rounds"]
    assert start["pixels"] < end["pixels"]
    assert start["clicks"] < end["clicks"]
    with Project.open(tmp_path / "second" / "project.alseg", "read") as project:
        assert [project.selection(n).system for n in (1, 2)] == ["random", "entropy"]
    assert weights(tmp_path / "first").keys() == {1}
    assert simulated(dataset, tmp_path / "second", resume=True, **after) == run


def test_a_run_goes_on_only_from_a_finished_one_on_the_same_data(dataset, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    simulated(dataset, first, rounds=1)
    with pytest.raises(BadValue, match="size ''"):
        simulated(dataset, second, after=first, size="32x48")
    with Project.open(first / "project.alseg"), pytest.raises(Busy, match="elsewhere"):
        simulated(dataset, second, after=first)
    known = json.loads((first / "run.json").read_text())
    (first / "run.json").write_text(json.dumps(known | {"finished": False}))
    with pytest.raises(BadValue, match="finish it"):
        simulated(dataset, second, after=first)
    with pytest.raises(BadValue, match="holds no run"):
        simulated(dataset, second, after=tmp_path / "nowhere")
    assert not (second / "run.json").exists()


# --- protocols ------------------------------------------------------------------------


def test_initial_images_are_labelled_exactly_whatever_the_answers(dataset, tmp_path):
    run = simulated(
        dataset, tmp_path / "run", answers="dominant", initial_images=2, rounds=1
    )
    initial, asked = run["rounds"]
    assert initial["clicks"] > 2
    assert asked["clicks"] - initial["clicks"] == asked["regions"] - 2
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        for image in project.selection(1).images:
            labels = project.read_labels(image)
            assert labels.all()
            assert len(np.unique(labels)) > 1
        assert set(project.selection(2).images).isdisjoint(project.selection(1).images)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"answers": "dominant", "partition": "image"}, "a single class"),
        ({"system": "deal-ds", "training": replace(TINY_TRAINING, recipe="partial")},
         "take the recipe 'difficulty'"),
    ],
)  # fmt: skip
def test_what_teaches_nothing_is_refused(dataset, tmp_path, changes, told):
    with pytest.raises(BadValue, match=told):
        simulated(
            dataset, tmp_path / "run", budget="2 images", region_size=None, **changes
        )
    assert not (tmp_path / "run").exists()


def test_a_plan_that_cannot_be_leaves_nothing(dataset, tmp_path):
    with pytest.raises(BadValue, match="give at least one round"):
        simulated(dataset, tmp_path / "run", rounds=0)
    assert simulated(dataset, tmp_path / "run", rounds=1)["finished"]


def test_images_that_measure_nothing_are_refused_at_once(dataset, tmp_path):
    masks = {each: imageio.imread(each) for each in (dataset / "val/masks").iterdir()}
    for file, mask in masks.items():
        imageio.imwrite(file, np.full_like(mask, 255))
    with pytest.raises(BadValue, match="no image that measures"):
        simulated(dataset, tmp_path / "run", rounds=1)
    for file, mask in masks.items():
        imageio.imwrite(file, mask)
    assert simulated(dataset, tmp_path / "run", rounds=1)["finished"]


def test_what_leaves_its_source_learns_it_alone_first(dataset, source, tmp_path):
    free = replace(TINY_TRAINING, recipe="adaptation", source_free=True)
    settings = {"initial_images": 1, "rounds": 1, "training": free, "source": source}
    run = simulated(dataset, tmp_path / "run", **settings)
    assert [row["stage"] for row in run["rounds"]] == ["source", "initial", "asked"]
    with pytest.raises(BadValue, match="leaves its source only once"):
        simulated(dataset, tmp_path / "one", schedule="one-run", **settings)


def test_images_are_labelled_in_full_before_the_first_round(dataset, tmp_path):
    settings = {"initial_images": 2, "rounds": 1, "budget": "1 image"}
    deal = {"system": "deal-ds", "region_size": None}
    run = simulated(dataset, tmp_path / "run", **settings, **deal)
    assert [row["stage"] for row in run["rounds"]] == ["initial", "asked"]
    assert [row["fraction"] for row in run["rounds"]] == [0.5, 0.75]
    assert [row["images"] for row in run["rounds"]] == [2, 3]
    other = simulated(dataset, tmp_path / "other", seed=1, **settings, **deal)
    assert other["rounds"][0]["fraction"] == 0.5
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert len(project.labelled()) == 3


def test_images_join_round_by_round(dataset, tmp_path):
    run = simulated(
        dataset,
        tmp_path / "run",
        system="sp",
        protocol="added-images",
        initial_images=1,
        added_images=1,
        budget="50%",
    )
    assert [row["images"] for row in run["rounds"]] == [1, 2, 3]
    fractions = np.diff([0, *(row["fraction"] for row in run["rounds"])])
    assert fractions[0] == 0.25
    assert all(0.08 < fraction <= 0.125 for fraction in fractions[1:])
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        joined = [project.selection(number).images for number in (1, 2, 3)]
    assert len({image for (image,) in joined}) == 3


def test_full_labels_all_of_the_images_that_join(dataset, tmp_path):
    run = simulated(
        dataset,
        tmp_path / "run",
        system="full",
        protocol="added-images",
        added_images=2,
    )
    assert [row["fraction"] for row in run["rounds"]] == [0.5, 1.0]


def test_protocols_that_cannot_be_are_refused(dataset, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(BadValue, match="how many images join"):
        simulated(dataset, out, protocol="added-images")
    with pytest.raises(BadValue, match="only with it"):
        simulated(dataset, out, added_images=2)
    with pytest.raises(BadValue, match="the 4 that are there"):
        simulated(
            dataset, out, protocol="added-images", added_images=2, initial_images=1
        )
    with pytest.raises(BadValue, match="first asks"):
        simulated(dataset, tmp_path / "c", schedule="one-run")
    one_run = {"schedule": "one-run", "initial_images": 2}
    for given in (
        {"system": "cisc-r", "region_size": None, "budget": "2 images"},
        {"system": "live"},
        {"training": replace(TINY_TRAINING, recipe="rectified")},
    ):
        with pytest.raises(BadValue, match="take the schedule rounds, or another"):
            simulated(dataset, tmp_path / "e", **one_run, **given)
        assert not (tmp_path / "e").exists()
    with pytest.raises(BadValue, match="protocol must be one of"):
        simulated(dataset, tmp_path / "d", protocol="other")


# --- another domain -------------------------------------------------------------------


def test_a_source_is_learnt_first_and_never_asked(dataset, source, tmp_path):
    run = simulated(
        dataset,
        tmp_path / "run",
        system="ripu-ra",
        region_size=None,
        budget="20 regions",
        source=source,
        rounds=1,
    )
    assert run["source"] == "other-domain"
    first, asked = run["rounds"]
    assert (first["round"], first["stage"]) == (0, "source")
    assert first["pixels"] == first["clicks"] == first["images"] == 0
    assert asked["pixels"] > 0
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert len(project.images("source")) == 4
        assert set(project.selection(1).images) <= set(project.images())
    assert set(weights(tmp_path / "run")) == {0, 1}


@pytest.fixture
def recipes(monkeypatch):
    """The recipes that trainings of one stage learnt by, in their order."""
    learnt = []

    def noted(recipe, kind):
        def objective(*given, **more):
            learnt.append(recipe)
            return kind(*given, **more)

        return objective

    known = {name: noted(name, kind) for name, kind in learning.OBJECTIVES.items()}
    monkeypatch.setattr(learning, "OBJECTIVES", known)
    return learnt


@pytest.mark.parametrize("schedule", ["rounds", "one-run"])
@pytest.mark.parametrize(
    ("system", "recipe", "budget"),
    [("ripu-ra", "adaptation", "20 regions"), ("deal-ds", "difficulty", "2 images")],
)
def test_a_source_is_learnt_by_the_recipe_of_the_run(
    dataset, source, tmp_path, recipes, system, recipe, budget, schedule
):
    """So RIPU's training is one, and DEAL's first network knows where it errs."""
    run = simulated(
        dataset,
        tmp_path / "run",
        system=system,
        schedule=schedule,
        region_size=None,
        budget=budget,
        source=source,
        training=replace(TINY_TRAINING, epochs=5),
    )
    assert [row["stage"] for row in run["rounds"]] == ["source", "asked", "asked"]
    assert recipes == [recipe] * 3
    first = weights(tmp_path / "run")[0]
    assert ("difficulty.gamma" in first) == (recipe == "difficulty")


def test_what_begins_with_answers_learns_a_source_by_its_labels(
    dataset, source, tmp_path, recipes
):
    run = simulated(
        dataset,
        tmp_path / "run",
        system="cisc-r",
        region_size=None,
        budget="2 images",
        rounds=1,
        source=source,
        training=replace(TINY_TRAINING, recipe="rectified"),
    )
    assert [row["stage"] for row in run["rounds"]] == ["source", "asked"]
    assert recipes == ["partial"]


def test_a_source_with_other_classes_is_refused(dataset, source, tmp_path):
    names = (source / "classes.csv").read_text().replace("balloon", "kite")
    (source / "classes.csv").write_text(names)
    with pytest.raises(BadClasses, match="balloon"):
        simulated(dataset, tmp_path / "run", source=source)


def test_rounds_lie_within_one_training(dataset, tmp_path):
    settings = {
        "schedule": "one-run",
        "initial_images": 2,
        "rounds": 2,
        "training": replace(TINY_TRAINING, epochs=9),
    }
    run = simulated(dataset, tmp_path / "run", **settings)
    parts = [row["part"] for row in run["rounds"]]
    assert parts == [[0.0, 0.25], [0.25, 0.45], [0.45, 1.0]]
    out = tmp_path / "cut"
    for number, end in [(1, Killed), (2, GeneratorExit), (3, Killed)]:
        task = begin(dataset, out, resume=True, **settings)
        with pytest.raises(end):
            to_training(task, out, number)
            task.throw(end)
    assert results(simulated(dataset, out, resume=True, **settings)) == results(run)


def to_training(task, out, number):
    """Drive a task into the training of a round."""
    for progress in task:
        if progress.message == "learning":
            with Project.open(out / "project.alseg", "read") as project:
                if project.rounds[-1] == number:
                    return


def test_without_rounds_the_source_alone_is_learnt(tmp_path, dataset):
    """What other runs begin after."""
    out = tmp_path / "source only"
    nothing = SimulationSettings("random", "1%", rounds=0)
    with pytest.raises(BadValue, match="learns nothing"):
        finish(simulate(dataset, tmp_path / "none", nothing, training=TINY_TRAINING))
    given = {"network": TINY_NETWORK, "training": TINY_TRAINING, "source": dataset}
    run = finish(simulate(dataset, out, nothing, **given))
    assert [row["stage"] for row in run["rounds"]] == ["source"]
    assert run["finished"]
    later = SimulationSettings("ripu-ra", "1%", rounds=1)
    run = finish(simulate(dataset, tmp_path / "later", later, after=out, **given))
    assert [row["stage"] for row in run["rounds"]] == ["source", "asked"]
