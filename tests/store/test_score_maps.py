import numpy as np
import pytest
import zarr

from napari_alseg.store import ome_zarr, score_maps


@pytest.fixture
def folder(tmp_path):
    """A small image of one level."""
    ome_zarr.create_image(tmp_path / "a", np.zeros((5, 7, 3), np.uint8), [(0, 255)] * 3)
    return tmp_path / "a"


def test_maps_are_float16_on_disk_and_float32_in_hand(folder):
    scores = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)
    score_maps.write_map(folder, "entropy", scores, 3, 5, {"radius": 2})
    assert score_maps.map_attributes(folder, "entropy") == {
        "parameters": {"radius": 2},
        "round": 3,
        "weights": 5,
    }
    read = score_maps.read_map(folder, "entropy")
    assert zarr.open_array(folder / "maps" / "entropy", mode="r").dtype == np.float16
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, scores, atol=5e-4)
    assert score_maps.map_names(folder) == ("entropy",)
    assert score_maps.map_round(folder, "entropy") == 3
    assert score_maps.map_round(folder, "none") is None
    assert score_maps.read_map(folder, "none") is None
