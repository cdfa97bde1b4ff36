import json
import shutil

import imageio.v3 as imageio
import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_PREDICTION, TINY_REGIONS, TINY_TRAINING

from napari_alseg.arrays import finish
from napari_alseg.errors import (
    BadClasses,
    BadValue,
    EmptyFolder,
    MaskMismatch,
    UnknownName,
)
from napari_alseg.settings import QuerySettings, SimulationSettings
from napari_alseg.simulate import parse_size, resized, simulate
from napari_alseg.store import Project
from napari_alseg.systems import completed


def rehearse(dataset, out, **changes):
    simulation = SimulationSettings(
        **{"budget": "20%", "rounds": 2} | TINY_REGIONS | changes
    )
    return finish(
        simulate(
            dataset,
            out,
            simulation,
            network=TINY_NETWORK,
            training=TINY_TRAINING,
            prediction=TINY_PREDICTION,
        )
    )


def test_a_run_is_written_as_promised(dataset, tmp_path):
    run = rehearse(dataset, tmp_path / "run")
    assert run == json.loads((tmp_path / "run" / "run.json").read_text())
    assert {"system", "dataset", "seed", "budget", "network", "encoder", "weights",
            "rounds", "versions"} <= set(run)  # fmt: skip
    assert [row["round"] for row in run["rounds"]] == [1, 2]
    for row in run["rounds"]:
        assert set(row) == {
            "round", "pixels", "fraction", "regions", "images", "clicks", "miou", "iou",
            "seconds",
        }  # fmt: skip
        assert set(row["seconds"]) == {"score", "choose", "train"}
        present = [value for value in row["iou"].values() if value is not None]
        assert row["miou"] == pytest.approx(np.mean(present))
    first, second = run["rounds"]
    assert 0.05 < first["fraction"] <= 0.1 < second["fraction"] <= 0.2
    assert first["fraction"] == first["pixels"] / (4 * 48 * 64)


def test_the_table_and_the_curve_show_every_round(dataset, tmp_path):
    run = rehearse(dataset, tmp_path / "run")
    table = (tmp_path / "run" / "table.md").read_text()
    for row in run["rounds"]:
        assert f"| {row['round']} | {row['pixels']} | {row['fraction']:.2%} |" in table
        assert f"{100 * row['miou']:.1f}" in table
    assert (tmp_path / "run" / "curve.png").stat().st_size > 5_000


def test_the_same_seed_gives_the_same_run(dataset, tmp_path):
    def results(name, seed):
        run = rehearse(dataset, tmp_path / name, seed=seed)
        return [(row["pixels"], row["miou"]) for row in run["rounds"]]

    assert results("a", 0) == results("b", 0) != results("c", 1)


def test_full_labels_everything_in_one_round(dataset, tmp_path):
    run = rehearse(dataset, tmp_path / "run", system="full")
    (row,) = run["rounds"]
    assert row["fraction"] == 1
    assert row["images"] == 4
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert all(project.read_labels(image).all() for image in project.images())


def test_with_a_test_split_val_chooses_and_test_measures(dataset, tmp_path):
    shutil.copytree(dataset / "val", dataset / "test")
    rehearse(dataset, tmp_path / "run", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert len(project.images("validation")) == len(project.images("test")) == 2
        assert "miou" in project.metrics(1)


def test_without_a_test_split_learning_never_sees_val(dataset, tmp_path):
    rehearse(dataset, tmp_path / "run", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert project.images("validation") == ()
        assert len(project.images("test")) == 2


def test_images_and_masks_are_resized_alike(dataset, tmp_path):
    rehearse(dataset, tmp_path / "run", size="32x48", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert {project.info(image).shape for image in project.images()} == {(32, 48)}


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
            rehearse(dataset, tmp_path / "run", size=size)
        assert not (tmp_path / "run" / "project.alseg").exists()


def test_bad_input_is_refused(dataset, tmp_path):
    with pytest.raises(UnknownName):
        rehearse(dataset, tmp_path / "a", system="nonsense")
    with pytest.raises(BadValue, match="rounds"):
        rehearse(dataset, tmp_path / "b", rounds=0)
    (dataset / "train" / "masks" / "scene-00.png").unlink()
    with pytest.raises(MaskMismatch, match="scene-00"):
        rehearse(dataset, tmp_path / "c")
    shutil.rmtree(dataset / "train" / "images")
    with pytest.raises(EmptyFolder, match="images"):
        rehearse(dataset, tmp_path / "d")
    (dataset / "classes.csv").unlink()
    with pytest.raises(BadClasses):
        rehearse(dataset, tmp_path / "e")


@pytest.mark.parametrize(
    ("system", "budget", "parameters"),
    [
        ("deal-de", "4 images", {}),
        ("ripu-ra", "30 regions", {}),
        ("class-sp-crf", "10%", TINY_REGIONS),
    ],
)
def test_a_published_system_runs_from_end_to_end(
    dataset, tmp_path, system, budget, parameters
):
    out = tmp_path / "run"
    asking = {"region_size": None} | parameters
    run = rehearse(dataset, out, system=system, budget=budget, **asking)
    assert [row["round"] for row in run["rounds"]] == [1, 2]
    first, second = run["rounds"]
    assert 0 < first["pixels"] < second["pixels"]
    assert run["asking"] == completed(QuerySettings(system, **parameters)).parameters()
    with Project.open(out / "project.alseg", "read") as project:
        revealed = sum(selection.pixels for selection in map(project.selection, (1, 2)))
        assert second["pixels"] == revealed
        assert project.read_weights()[1]["difficulty"] == system.startswith("deal")
