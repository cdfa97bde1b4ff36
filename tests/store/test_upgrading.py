"""Projects of formats that have landed: one of each is kept, and opens."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from napari_alseg.arrays import finish
from napari_alseg.errors import WeightsMismatch
from napari_alseg.live.model import Live
from napari_alseg.settings import LiveSettings, NetworkSettings, PredictionSettings
from napari_alseg.store import Project, ledger
from napari_alseg.tasks.retrain import retrain

ANSWERED = (8, 2)
PIXELS = {"scene-00": 254, "scene-01": 266, "scene-02": 231, "scene-03": 3072}
KEPT = Path(__file__).parent / "projects"


def unpacked(version, folder):
    shutil.unpack_archive(KEPT / f"format-{version}.zip", folder)
    return folder / f"format-{version}.alseg"


@pytest.fixture
def old(tmp_path):
    """A project of format 1: three images, one round, an answer, an undo, a stroke."""
    return unpacked(1, tmp_path)


@pytest.fixture
def older(tmp_path):
    """A project of format 2.

    Two rounds, with answers and weights; a live head; a stopped training of round 2.
    """
    return unpacked(2, tmp_path)


def seen_1(project):
    ramp = np.arange(48, dtype=np.uint16).reshape(6, 8, 1) * 100
    assert project.images.names(None) == ("ramp", "colour", "held")
    np.testing.assert_array_equal(project.images.read_original("ramp"), ramp)
    info = project.images.info("ramp")
    assert (info.channels, info.colour, info.dtype) == (("grey",), False, "uint16")
    assert info.windows[0] == pytest.approx((4.7, 4695.3))
    assert project.images.info("colour").channels == ("red", "green", "blue")
    assert project.images.read("ramp").shape == (6, 8, 3)
    assert project.labels.pixels() == {"ramp": 12, "colour": 10, "held": 8}
    assert project.rounds.states(1)[:3] == ("answered", "skipped", "open")
    assert project.rounds.cost().seconds == 1.5
    assert project.outputs.read_map("ramp", "entropy") is not None
    assert project.mask_rule is None
    assert project.network_channels == ()
    assert project.verify() == []


def test_format_1_is_looked_at_as_it_is(old):
    before = (old / "ledger.sqlite").read_bytes()
    with Project.open(old, "read") as project:
        seen_1(project)
    assert (old / "ledger.sqlite").read_bytes() == before


def test_format_1_becomes_this_one_and_goes_on(old):
    for _ in range(2):
        with Project.open(old) as project:
            seen_1(project)
    with Project.open(old) as project:
        assert project.labels.undo() is not None
        four = np.zeros((5, 6, 4), np.uint16)
        project.images.add("new", four, channels=("a", "b", "c", "d"), colour=False)
    with Project.open(old, "read") as project:
        assert project.images.info("new").channels == ("a", "b", "c", "d")
        assert project.settings == {"note": "kept"}


def seen_2(project):
    assert project.images.names() == ("scene-00", "scene-01", "scene-02")
    assert project.images.names("validation") == ("scene-03",)
    assert project.labels.sequence == 14
    assert project.rounds.states(1).count("answered") == ANSWERED[0]
    assert project.rounds.states(2).count("answered") == ANSWERED[1]
    assert project.labels.pixels() == PIXELS
    first, second = map(project.rounds.metrics, (1, 2))
    assert first.query["acquisition"] == "random"
    assert first.curve[-1][3] == first.miou == pytest.approx(0.0847089)
    assert first.learnt == "random"
    assert (second.miou, second.seed) == (None, None)
    assert project.weights.rounds == (1, 2)
    assert project.weights.metadata(2)["network"] == "linknet"
    assert project.outputs.read_map("scene-00", "bvsb") is not None
    for name in project.images.names():
        assert not project.outputs.has_fresh_map(name, "bvsb")
        assert not project.outputs.has_fresh_prediction(name)
    assert project.verify() == []


def test_format_2_is_looked_at_as_it_is(older):
    before = (older / "ledger.sqlite").read_bytes()
    with Project.open(older, "read") as project:
        seen_2(project)
        assert [project.weights.number(n) for n in (1, 2)] == [1, 2]
    assert (older / "ledger.sqlite").read_bytes() == before
    assert (older / "weights" / "unfinished.safetensors").exists()


def test_format_2_becomes_this_one_and_goes_on(older):
    for _ in range(2):
        with Project.open(older) as project:
            seen_2(project)
    names = {file.stem for file in (older / "weights").iterdir()}
    assert names == {"round-001", "round-002", "checkpoint-training", "checkpoint-live"}
    with Project.open(older) as project:
        assert [project.weights.number(n) for n in (1, 2)] == [1, 2]
        arrays, metadata = project.weights.read(2)
        project.weights.commit(2, arrays, metadata)
        assert project.weights.number(2) > 2
        score = np.zeros((48, 64), np.float32)
        project.outputs.write_map("scene-00", "bvsb", score, 2)
        assert project.outputs.has_fresh_map("scene-00", "bvsb")
        assert project.labels.undo() is not None


def test_what_was_brought_half_way_is_brought_again(older, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ledger, "migrate", interrupted)
        Project.open(older)
    with Project.open(older) as project:
        seen_2(project)
        assert project.weights.checkpoint_metadata("live")["base"] == [1, 1]


def test_the_stopped_training_keeps_its_settings_by_their_new_names(older):
    with Project.open(older) as project:
        kept = project.weights.checkpoint_metadata("training")
    recipe = kept["plan"]["recipe"]
    assert recipe["ignored_is_right"] is False
    assert "void_is_right" not in recipe
    assert kept["run"]["step"] == 4


def test_the_stopped_training_is_resumed(older):
    with Project.open(older) as project:
        task = retrain(project, resume=True)
        seen = [next(task) for _ in range(3)]
        task.close()
        assert seen[-1].done > 4
        kept = project.weights.checkpoint_metadata("training")
        assert kept["run"]["step"] >= seen[-1].done
        assert kept["plan"]["sequence"] == 14


def without_round_2(older):
    """Weights of round 1 are those that the live head was learnt over."""
    connection = sqlite3.connect(older / "ledger.sqlite")
    connection.execute("DELETE FROM weights WHERE round = 2")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("latest", [1, 2])
def test_the_live_head_is_resumed_over_its_own_weights_only(older, latest):
    if latest == 1:
        without_round_2(older)
    network = NetworkSettings("linknet", "tu-test_efficientnet", "random")
    prediction = PredictionSettings(device="cpu")
    with Project.open(older) as project:
        live = finish(
            Live.start(project, network, LiveSettings(), prediction, device="cpu")
        )
        assert live.base == (latest, latest)
        assert live.sequence == (14 if latest == 1 else 0)
        assert (live.count > 0) == (latest == 1)


@pytest.mark.parametrize("name", ["unfinished", "live"])
def test_a_damaged_checkpoint_stays_damaged(older, name):
    (older / "weights" / f"{name}.safetensors").write_bytes(b"damaged")
    kind = {"unfinished": "training", "live": "live"}[name]
    with Project.open(older) as project:
        with pytest.raises(WeightsMismatch, match=rf"checkpoint-{kind}.*learn again"):
            project.weights.read_checkpoint(kind)
        assert project.weights.rounds == (1, 2)


def test_a_live_head_of_weights_that_are_gone_is_of_no_weights(older):
    connection = sqlite3.connect(older / "ledger.sqlite")
    connection.execute("UPDATE weights SET time = time + 60 WHERE round = 1")
    connection.commit()
    connection.close()
    with Project.open(older) as project:
        assert project.weights.checkpoint_metadata("live")["base"] == [1, 0]
