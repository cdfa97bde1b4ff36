import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_alseg.arrays import Bounds
from napari_alseg.store import default_classes, ome_zarr, score_maps

CLASSES = default_classes(["sky", "road"])


@pytest.fixture
def folder(tmp_path):
    """A small image of one level."""
    ome_zarr.create_image(tmp_path / "a", np.zeros((5, 7, 3), np.uint8), [(0, 255)] * 3)
    return tmp_path / "a"


def test_levels_halve_until_1024():
    assert [ome_zarr.level_count((n, 1)) for n in (1, 1024, 1025, 2048, 2049)] == [
        *(1, 1),
        *(2, 2),
        3,
    ]


def test_halved_is_the_mean_of_blocks():
    image = np.array([[[1], [3], [10]], [[5], [7], [20]], [[4], [4], [8]]], np.uint16)
    assert ome_zarr.halved(image)[..., 0].tolist() == [[4, 15], [4, 8]]
    assert ome_zarr.halved(image / np.float32(8)).dtype == np.float32


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_image_reads_back(tmp_path, dtype, channels):
    image = np.random.default_rng(0).random((1030, 9, channels)) * 200
    ome_zarr.create_image(tmp_path / "a", image.astype(dtype), [(0, 200)] * channels)
    read = ome_zarr.read_image(tmp_path / "a")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, image.astype(dtype))
    assert zarr.open_array(tmp_path / "a" / "1", mode="r").shape == (channels, 515, 5)


def test_the_list_of_labels_grows_and_keeps_foreign_names(folder):
    group = zarr.open_group(folder / "labels", mode="r+")
    group.attrs["ome"] = {"version": "0.5", "labels": ["nuclei"]}
    for _ in range(2):
        ome_zarr.write_labels(folder, "prediction", np.ones((5, 7), np.uint8), CLASSES)
    listed = zarr.open_group(folder / "labels", mode="r").attrs["ome"]
    assert listed == {"version": "0.5", "labels": ["nuclei", "prediction"]}


def test_labels_are_replaced_and_keep_their_round(folder):
    assert not ome_zarr.has_labels(folder, "prediction")
    for number in (1, 2):
        labels = np.full((5, 7), number, np.uint8)
        ome_zarr.write_labels(folder, "prediction", labels, CLASSES, number)
        assert ome_zarr.label_round(folder, "prediction") == number
        np.testing.assert_array_equal(
            ome_zarr.read_labels(folder, "prediction"), labels
        )


def test_half_written_labels_and_maps_do_not_count(folder, monkeypatch):
    def interrupted(array, selection, values):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(zarr.Array, "__setitem__", interrupted)
        ome_zarr.write_labels(folder, "prediction", np.ones((5, 7), np.uint8), CLASSES)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(zarr.Array, "__setitem__", interrupted)
        score_maps.write_map(folder, "entropy", np.ones((5, 7), np.float32), 1, 1, {})
    assert not ome_zarr.has_labels(folder, "prediction")
    assert score_maps.read_map(folder, "entropy") is None
    assert score_maps.map_names(folder) == ()
    ome_zarr.write_labels(folder, "prediction", np.ones((5, 7), np.uint8), CLASSES)
    score_maps.write_map(folder, "entropy", np.ones((5, 7), np.float32), 1, 1, {})
    assert ome_zarr.has_labels(folder, "prediction")
    assert score_maps.read_map(folder, "entropy").min() == 1


@settings(max_examples=12)
@given(st.data())
def test_a_window_reaches_every_level(tmp_path_factory, data):
    height, width = 2100, 6
    folder = tmp_path_factory.mktemp("levels") / "a"
    ome_zarr.create_image(folder, np.zeros((height, width, 1), np.uint8), [(0, 255)])
    ome_zarr.write_labels(folder, "annotation", np.zeros((height, width), np.uint8))
    expected = np.zeros((height, width), np.uint8)
    for label in (1, 2):
        top, left = data.draw(st.tuples(st.integers(0, 2099), st.integers(0, 5)))
        rows, columns = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 6)))
        bounds = Bounds(top, left, min(top + rows, height), min(left + columns, width))
        patch = np.full(bounds.shape, label, np.uint8)
        expected[bounds.slices] = label
        ome_zarr.write_window(folder, "annotation", bounds, patch)
    assert ome_zarr.annotation_problems(folder, expected) == []
    assert ome_zarr.read_labels(folder, "annotation", level=2).shape == (525, 2)


def test_what_is_removed_stops_counting_first(folder, monkeypatch):
    labels = np.ones((5, 7), np.uint8)
    ome_zarr.write_labels(folder, "pseudo", labels, CLASSES, 3)
    score_maps.write_map(folder, "pseudo-weight", labels.astype(np.float32), 3, 5, {})
    with monkeypatch.context() as patch:  # as if the program ended there
        patch.setattr(ome_zarr.shutil, "rmtree", lambda *_, **__: None)
        ome_zarr.remove_labels(folder, "pseudo")
        score_maps.remove_map(folder, "pseudo-weight")
    assert (folder / "labels" / "pseudo" / "0").exists()
    assert not ome_zarr.has_labels(folder, "pseudo")
    assert score_maps.map_names(folder) == ()
    ome_zarr.write_labels(folder, "pseudo", 2 * labels, CLASSES, 4)
    np.testing.assert_array_equal(ome_zarr.read_labels(folder, "pseudo"), 2 * labels)
    ome_zarr.remove_labels(folder, "pseudo")
    ome_zarr.remove_labels(folder, "pseudo")
    assert not (folder / "labels" / "pseudo").exists()


def test_problems_are_told(folder):
    labels = np.zeros((5, 7), np.uint8)
    (problem,) = ome_zarr.annotation_problems(folder, labels)
    assert "cannot be read" in problem
    ome_zarr.write_labels(folder, "annotation", labels, CLASSES)
    assert ome_zarr.annotation_problems(folder, labels) == []
    (problem,) = ome_zarr.annotation_problems(folder, labels + 1)
    assert "differs from the ledger in 35 pixels" in problem
    (problem,) = ome_zarr.annotation_problems(folder, labels[1:])
    assert "has the size (5, 7)" in problem
    chunk = folder / "labels" / "annotation" / "0" / "c" / "0" / "0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"broken")
    (problem,) = ome_zarr.annotation_problems(folder, labels)
    assert "cannot be read" in problem
    assert ome_zarr.image_problems(folder, (5, 7)) == []
    assert len(ome_zarr.image_problems(folder, (1025, 7))) == 1


@pytest.mark.filterwarnings("ignore")  # of the validator's own dependencies
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_readers_open_the_image(tmp_path, dtype, channels):
    v05 = pytest.importorskip("ome_zarr_models.v05")
    reader = pytest.importorskip("napari_ome_zarr")._reader.napari_get_reader
    folder = tmp_path / "a"
    image = np.random.default_rng(0).integers(0, 255, (1030, 9, channels)).astype(dtype)
    ome_zarr.create_image(folder, image, [(10, 200)] * channels)
    labels = (image[..., 0] % 3).astype(np.uint8)
    ome_zarr.write_labels(folder, "annotation", labels, CLASSES)
    ome_zarr.write_labels(folder, "regions-1", labels.astype(np.int32))

    validated = v05.Image.from_zarr(zarr.open_group(folder, mode="r"))
    assert len(validated.ome_attributes.multiscales[0].datasets) == 2
    for name in ("annotation", "regions-1"):
        group = zarr.open_group(folder / "labels" / name, mode="r")
        labelled = v05.ImageLabel.from_zarr(group)
        colours = labelled.ome_attributes.image_label.colors
        assert (name == "annotation") == bool(colours)
    listed = v05.Labels.from_zarr(zarr.open_group(folder / "labels", mode="r"))
    assert listed.ome_attributes.labels == ["annotation", "regions-1"]

    picture, *label_layers = reader(str(folder))(str(folder))
    assert picture[1]["contrast_limits"] == [[10, 200]] * channels
    np.testing.assert_array_equal(np.moveaxis(picture[0][0], 0, -1), image)
    shown = {layer[1]["name"].split("/")[-1]: layer for layer in label_layers}
    np.testing.assert_array_equal(shown["annotation"][0][0], labels)
    assert shown["annotation"][1]["properties"]["class"] == ["sky", "road"]
    assert set(shown) == {"annotation", "regions-1"}
