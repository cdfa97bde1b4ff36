import numpy as np
import pytest
import zarr

from napari_alseg.arrays import Bounds, Region, Selection
from napari_alseg.errors import (
    BadValue,
    MaskMismatch,
    UnknownName,
)
from napari_alseg.store import Cost, Project, ome_zarr
from napari_alseg.store.naming import safe_name


@pytest.mark.parametrize("channels", [1, 3])
def test_eight_bits_are_shown_as_they_are(project, channels):
    image = np.arange(20 * channels, dtype=np.uint8).reshape(4, 5, channels)
    name = project.images.add("a", image)
    np.testing.assert_array_equal(project.images.read_original(name), image)
    shown = project.images.read(name)
    assert shown.shape == (4, 5, 3)
    np.testing.assert_array_equal(shown, np.broadcast_to(image, (4, 5, 3)))
    info = project.images.info(name)
    assert (info.shape, len(info.channels), info.dtype) == ((4, 5), channels, "uint8")
    assert info.windows == ((0.0, 255.0),) * channels


def test_other_numbers_are_shown_within_their_percentiles(project):
    image = 5 * np.arange(2001, dtype=np.uint16).reshape(-1, 1, 1)
    name = project.images.add("a", image)
    assert project.images.info(name).windows[0] == pytest.approx((10, 9990))
    shown = project.images.read(name)[:, 0, 0]
    assert (shown[2], shown[1001], shown[1998]) == (0, 128, 255)
    assert project.images.read_original(name).dtype == np.uint16
    omero = zarr.open_group(project.path / "images" / "a", mode="r").attrs["ome"]
    span = omero["omero"]["channels"][0]["window"]
    assert span == pytest.approx({"start": 10, "end": 9990, "min": 0, "max": 10000})


def test_names_are_safe_unique_and_readable(project):
    image = np.zeros((2, 2, 1), np.uint8)
    names = [project.images.add(n, image) for n in ("a b.png", "A b.tif", "../x", "")]
    assert names == ["a-b", "A-b-2", "x", "image"]
    assert safe_name("scan.1.ome.zarr") == "scan.1"


def test_splits_are_apart(project):
    image = np.zeros((2, 2, 1), np.uint8)
    for split in ("pool", "source", "validation", "test"):
        project.images.add(split, image, split=split, labels=np.ones((2, 2), np.uint8))
    for split in ("pool", "source", "validation", "test"):
        assert project.images.names(split) == (split,)
    assert project.images.names() == ("pool",)
    assert len(project.images.names(None)) == 4
    assert project.labels.labelled() == ("pool",)
    assert set(project.labels.pixels().values()) == {4}


def test_another_domain_costs_nothing_and_is_never_asked(asked):
    labels = np.full((6, 8), 2, np.uint8)
    image = np.zeros((6, 8, 3), np.uint8)
    name = asked.images.add("far", image, split="source", labels=labels)
    np.testing.assert_array_equal(asked.labels.read(name), labels)
    assert asked.rounds.cost() == Cost(0, 0, 0, 0, 0.0)
    assert asked.labels.labelled() == ()
    region = Region(name, 1, 1, 0.5, 12, Bounds(0, 0, 3, 4))
    with pytest.raises(BadValue, match="far is a source image; only the pool"):
        asked.rounds.ask(Selection(2, "random", "1 regions", (region,)))
    assert asked.rounds.numbers == (1,)
    assert asked.labels.undo() is None
    assert asked.verify() == []


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 5), np.uint8), "rows, columns and channels"),
        (np.zeros((4, 5, 0), np.uint8), "rows, columns and channels"),
        (np.zeros((0, 5, 3), np.uint8), "rows, columns and channels"),
        (np.zeros((4, 5, 3), complex), "complex128"),
        (np.full((4, 5, 3), np.nan, np.float32), "no finite"),
    ],
)
def test_what_is_no_image(project, image, said):
    with pytest.raises(BadValue, match=said):
        project.images.add("a", image)
    assert project.images.names() == ()


def test_masks_must_fit(project):
    image = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(MaskMismatch, match=r"\(4, 6\).*\(4, 5\)"):
        project.images.add("a", image, labels=np.zeros((4, 6), np.uint8))
    with pytest.raises(MaskMismatch, match=r"mask of a.*0 to 3.*got 4"):
        project.images.add("a", image, labels=np.full((4, 5), 4, np.uint8))
    with pytest.raises(MaskMismatch, match="uint8, got int64"):
        project.images.add("a", image, labels=np.zeros((4, 5), int))
    with pytest.raises(BadValue, match="pool, source, validation, test, got 'train'"):
        project.images.add("a", image, split="train")


def test_a_half_added_image_is_swept(project, path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ome_zarr, "write_labels", interrupted)
        project.images.add("a", np.zeros((4, 5, 3), np.uint8))
    assert not (path / "images" / "a").exists()
    black = np.zeros((4, 5, 3), np.uint8)
    ome_zarr.create_image(path / "images" / "b", black, [(0, 255)] * 3)
    project.close()
    with Project.open(path, "read"):
        assert (path / "images" / "b").exists()
    with Project.open(path):
        assert not (path / "images" / "b").exists()


def test_unknown_images_are_told_with_the_known(asked):
    reads = (
        asked.images.info,
        asked.images.read,
        asked.labels.read,
        asked.outputs.map_names,
    )
    for read in reads:
        with pytest.raises(UnknownName, match="did you mean 'first'"):
            read("frist")
