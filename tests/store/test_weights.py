import errno
import os

import numpy as np
import pytest
from safetensors.numpy import save

from napari_alseg.errors import (
    CannotWrite,
    UnknownName,
    WeightsMismatch,
)
from napari_alseg.store import Project, weights
from napari_alseg.store.weights import (
    read_metadata,
    read_weights,
    remove_weights,
    sweep_weights,
    write_weights,
)


def test_weights_count_once_the_ledger_says_so(project, path, monkeypatch):
    assert project.weights.read() is None
    assert project.weights.latest_round is None
    for number in (1, 2):
        project.weights.commit(number, {"w": np.full(2, number)}, {"round": number})
    assert project.weights.latest_round == 2
    assert project.weights.read()[1] == {"round": 2}
    assert project.weights.read(1)[0]["w"].tolist() == [1, 1]
    assert project.weights.read(3) is None

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(project._handle.ledger, "commit_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.weights.commit(3, {"w": np.zeros(2)}, {})
    assert project.weights.read()[1] == {"round": 2}
    project.close()
    with Project.open(path) as opened:
        names = {file.name for file in (path / "weights").glob("*.safetensors*")}
        assert names == {"round-001.safetensors", "round-002.safetensors"}
        (path / "weights" / "round-002.safetensors").write_bytes(b"")
        with pytest.raises(WeightsMismatch):
            opened.weights.read()


def test_a_training_that_was_stopped_waits_for_as_long_as_it_takes(project, path):
    assert project.weights.read_checkpoint("training") is None
    assert project.weights.checkpoint_metadata("training") is None
    project.weights.clear_checkpoint("training")
    state = {
        "step": np.array(7, np.int64),
        "mean": np.arange(3, dtype=np.float64),
        "random": np.arange(9, dtype=np.uint8),
        "none": np.zeros((0, 2), np.float32),
    }
    for epoch in (1, 2):
        project.weights.write_checkpoint(
            "training", state, {"epoch": epoch, "settings": {"epochs": 9}}
        )
    project.weights.commit(1, {"w": np.zeros(2)}, {})
    project.close()
    with Project.open(path) as opened:  # which sweeps what does not count
        assert opened.weights.checkpoint_metadata("training") == {
            "epoch": 2,
            "settings": {"epochs": 9},
        }
        arrays, metadata = opened.weights.read_checkpoint("training")
        assert metadata == {"epoch": 2, "settings": {"epochs": 9}}
        assert set(arrays) == set(state)
        for name, array in state.items():
            assert (arrays[name].dtype, arrays[name].shape) == (
                *(array.dtype, array.shape),
            )
            np.testing.assert_array_equal(arrays[name], array)
        assert opened.weights.latest_round == 1
        opened.weights.clear_checkpoint("training")
        assert opened.weights.read_checkpoint("training") is None
        names = sorted(file.name for file in (path / "weights").iterdir())
        assert names == ["round-001.json", "round-001.safetensors"]


def test_a_live_head_is_kept_beside_a_training(project, path):
    assert project.weights.checkpoint_metadata("live") is None
    project.weights.write_checkpoint("training", {"w": np.zeros(1)}, {"epoch": 1})
    for learnt in (1, 2):
        project.weights.write_checkpoint(
            "live", {"head": np.full(2, learnt)}, {"learnt": learnt}
        )
    project.weights.commit(1, {"w": np.zeros(2)}, {})
    project.close()
    with Project.open(path) as opened:  # which sweeps what does not count
        assert opened.weights.checkpoint_metadata("live") == {"learnt": 2}
        arrays, metadata = opened.weights.read_checkpoint("live")
        assert (arrays["head"].tolist(), metadata) == ([2, 2], {"learnt": 2})
        assert opened.weights.rounds == (1,)
        opened.weights.clear_checkpoint("live")
        assert opened.weights.read_checkpoint("live") is None
        assert opened.weights.checkpoint_metadata("training") == {"epoch": 1}


def test_metadata_of_rounds_are_read_by_themselves(project, path):
    assert project.weights.rounds == ()
    for number in (3, 1):
        project.weights.commit(number, {"w": np.zeros(2)}, {"network": f"n{number}"})
    assert project.weights.rounds == (1, 3)
    assert project.weights.metadata(1) == {"network": "n1"}
    assert project.weights.metadata(3) == {"network": "n3"}
    with pytest.raises(WeightsMismatch, match="round-002"):
        project.weights.metadata(2)
    (path / "weights" / "round-003.safetensors").write_bytes(b"")
    with pytest.raises(WeightsMismatch, match="round-003"):
        project.weights.metadata(3)


def test_each_training_has_a_number_of_its_own(project, path):
    seen = []
    for number in (1, 1, 2, 1):
        project.weights.commit(number, {"w": np.zeros(2)}, {})
        seen.append(project.weights.number(number))
    assert sorted(set(seen)) == seen
    project.close()
    with Project.open(path) as opened:
        assert opened.weights.number(1) == seen[3]
        assert opened.weights.number(2) == seen[2]
        with pytest.raises(UnknownName, match="weights 'of round 3'"):
            opened.weights.number(3)


def test_weights_that_are_half_replaced_have_another_number(project, monkeypatch):
    project.weights.commit(1, {"w": np.zeros(2)}, {})
    before = project.weights.number(1)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "write_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.weights.commit(1, {"w": np.ones(2)}, {})
    assert project.weights.number(1) > before


@pytest.mark.parametrize("key", ["metadata", "card"])
def test_metadata_of_every_format_is_read(tmp_path, key):
    file = tmp_path / "round-001.safetensors"
    file.write_bytes(save({"w": np.zeros(2)}, metadata={key: '{"network": "unet"}'}))
    assert read_metadata(file) == {"network": "unet"}


def test_a_training_that_cannot_be_kept_leaves_the_older_one(
    project, path, monkeypatch
):
    project.weights.write_checkpoint("training", {"w": np.zeros(2)}, {"epoch": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "training")

    with monkeypatch.context() as patch, pytest.raises(CannotWrite, match="No space"):
        patch.setattr(os, "fsync", full)
        project.weights.write_checkpoint("training", {"w": np.ones(2)}, {"epoch": 2})
    arrays, metadata = project.weights.read_checkpoint("training")
    assert (arrays["w"].tolist(), metadata) == ([0, 0], {"epoch": 1})
    project.close()
    with Project.open(path) as opened:
        assert not list((path / "weights").glob("*.tmp"))
        file = path / "weights" / "checkpoint-training.safetensors"
        file.write_bytes(file.read_bytes()[:-9])
        with pytest.raises(WeightsMismatch, match=r"training.*learn again"):
            opened.weights.read_checkpoint("training")
        with pytest.raises(WeightsMismatch, match=r"training.*learn again"):
            opened.weights.checkpoint_metadata("training")
    with (
        Project.open(path, "read") as reader,
        pytest.raises(CannotWrite, match="reading only"),
    ):
        reader.weights.clear_checkpoint("training")


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
    file = tmp_path / "checkpoint-training.safetensors"
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
