"""What is refused before a simulation does anything."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_NETWORK, TINY_TRAINING
from PIL import Image
from simulated import simulated

from napari_alseg.errors import (
    AlsegError,
    BadValue,
    Busy,
)
from napari_alseg.settings import RecipeSettings
from napari_alseg.simulation.run import (
    read_run,
    write_run,
)
from napari_alseg.store import Project


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
    assert simulated(dataset, tmp_path / "run", rounds=1).finished


def test_masks_without_any_class_teach_nothing(dataset, tmp_path):
    for file in (dataset / "train/masks").iterdir():
        Image.fromarray(np.full_like(np.array(Image.open(file)), 255)).save(file)
    with pytest.raises(BadValue, match="no image that is learnt from"):
        simulated(dataset, tmp_path / "run", rounds=1)


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


def test_images_that_measure_nothing_are_refused_at_once(dataset, tmp_path):
    masks = {
        each: np.array(Image.open(each)) for each in (dataset / "val/masks").iterdir()
    }
    for file, mask in masks.items():
        Image.fromarray(np.full_like(mask, 255)).save(file)
    with pytest.raises(BadValue, match="no image that measures"):
        simulated(dataset, tmp_path / "run", rounds=1)
    for file, mask in masks.items():
        Image.fromarray(mask).save(file)
    assert simulated(dataset, tmp_path / "run", rounds=1).finished


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


def test_a_run_begins_after_one_of_the_same_network(dataset, tmp_path):
    simulated(dataset, tmp_path / "first", rounds=1)
    with pytest.raises(BadValue, match="begin after has network 'deeplabv3plus'"):
        simulated(
            dataset,
            tmp_path / "second",
            after=tmp_path / "first",
            network=replace(TINY_NETWORK, network="fpn"),
        )


def test_a_run_begins_only_after_a_finished_one_on_the_same_data(dataset, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    simulated(dataset, first, rounds=1)
    with pytest.raises(BadValue, match="size ''"):
        simulated(dataset, second, after=first, size="32x48")
    with Project.open(first / "project.alseg"), pytest.raises(Busy, match="elsewhere"):
        simulated(dataset, second, after=first)
    write_run(replace(read_run(first), finished=False), first)
    with pytest.raises(BadValue, match="finish it"):
        simulated(dataset, second, after=first)
    with pytest.raises(BadValue, match="holds no run"):
        simulated(dataset, second, after=tmp_path / "nowhere")
    assert not (second / "run.json").exists()
