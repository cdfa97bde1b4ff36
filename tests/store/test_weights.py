import numpy as np
import pytest
from safetensors.numpy import save

from napari_alseg.errors import WeightsMismatch
from napari_alseg.store.weights import (
    read_weights,
    remove_weights,
    sweep_weights,
    write_weights,
)


def test_weights_read_back(tmp_path):
    file = tmp_path / "round-001.safetensors"
    arrays = {
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "steps": np.array(7, np.int64),
        "half": np.ones((2, 1), np.float16),
    }
    write_weights(file, arrays, {"network": "unet", "classes": ["a"]})
    read, metadata = read_weights(file)
    assert metadata == {"network": "unet", "classes": ["a"]}
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["round-001.json", "round-001.safetensors"]


@pytest.mark.parametrize("content", [None, b"", b"not weights at all" * 9])
def test_damaged_weights(tmp_path, content):
    file = tmp_path / "round-001.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(WeightsMismatch, match=r"round-001\.safetensors .*learn again"):
        read_weights(file)


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"metadata": "{"}])
def test_weights_without_a_metadata(tmp_path, metadata):
    file = tmp_path / "round-001.safetensors"
    file.write_bytes(save({"w": np.zeros(2)}, metadata=metadata))
    with pytest.raises(WeightsMismatch, match="learn again"):
        read_weights(file)


def test_removed_weights_leave_nothing(tmp_path):
    file = tmp_path / "unfinished.safetensors"
    write_weights(file, {}, {})
    for _ in range(2):
        remove_weights(file)
        assert list(tmp_path.iterdir()) == []


def test_sweep_keeps_what_counts(tmp_path):
    for number in (1, 2):
        write_weights(tmp_path / f"round-00{number}.safetensors", {}, {})
    (tmp_path / "round-003.safetensors.tmp").touch()
    sweep_weights(tmp_path, {"round-001.safetensors"})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["round-001.json", "round-001.safetensors"]
