"""A data set as a project."""

import shutil

import numpy as np
import pytest
from PIL import Image
from simulated import simulated

from napari_alseg.errors import (
    BadClasses,
    BadValue,
    MaskMismatch,
)
from napari_alseg.simulation.dataset import fingerprints, parse_size, resized
from napari_alseg.store import Project


def test_images_and_masks_are_resized_alike(dataset, tmp_path):
    simulated(dataset, tmp_path / "run", size="32x48", rounds=1)
    with Project.open(tmp_path / "run" / "project.alseg", "read") as project:
        assert {
            project.images.info(image).shape for image in project.images.names()
        } == {(32, 48)}


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
    Image.fromarray(np.zeros((47, 64), np.uint8)).save(path)
    for size in ("", "24x32"):
        with pytest.raises(MaskMismatch, match="scene-02"):
            simulated(dataset, tmp_path / "run", size=size)
        assert not (tmp_path / "run" / "project.alseg").exists()


def test_a_data_set_that_was_mended_may_use_the_same_folder(dataset, tmp_path):
    path = dataset / "train" / "masks" / "scene-02.png"
    whole = path.read_bytes()
    Image.fromarray(np.zeros((47, 64), np.uint8)).save(path)
    with pytest.raises(MaskMismatch):
        simulated(dataset, tmp_path / "run", rounds=1)
    path.write_bytes(whole)
    assert simulated(dataset, tmp_path / "run", rounds=1).finished


def test_files_that_no_simulation_reads_do_not_matter(dataset, source):
    before = fingerprints(dataset, source)
    (dataset / "images").mkdir()
    shutil.rmtree(source / "val")
    assert fingerprints(dataset, source) == before
    next((source / "train/images").iterdir()).write_bytes(b"another")
    after = fingerprints(dataset, source)
    assert after.dataset == before.dataset
    assert after.source != before.source


def test_classes_that_are_no_text_are_refused(dataset, tmp_path):
    (dataset / "classes.csv").write_bytes(b"value,name\0\0")
    with pytest.raises(BadClasses, match="save it as UTF-8"):
        simulated(dataset, tmp_path / "run", rounds=1)


def test_a_source_with_other_classes_is_refused(dataset, source, tmp_path):
    names = (source / "classes.csv").read_text().replace("balloon", "kite")
    (source / "classes.csv").write_text(names)
    with pytest.raises(BadClasses, match="balloon"):
        simulated(dataset, tmp_path / "run", source=source)
