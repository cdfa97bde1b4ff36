"""What a simulation is given, and its settings."""

import pytest
from conftest import TINY_NETWORK, TINY_PREDICTION, TINY_TRAINING
from runs_by_hand import made

from napari_alseg.settings import LiveSettings, RecipeSettings, SimulationSettings
from napari_alseg.simulation.inputs import Inputs, settings_of
from napari_alseg.simulation.run import Beginning, read_run


@pytest.fixture
def inputs(dataset, tmp_path):
    """Return the inputs of a simulation with these settings."""

    def of(*settings, source=None, **more):
        return Inputs(
            dataset,
            tmp_path / "run",
            SimulationSettings(*settings, **more),
            TINY_NETWORK,
            TINY_TRAINING,
            RecipeSettings(),
            LiveSettings(),
            TINY_PREDICTION,
            source=source,
            after=None,
        )

    return of


def test_a_run_learns_by_the_recipe_of_its_system(inputs):
    assert settings_of(inputs("entropy"), None).recipe == "partial"
    live = settings_of(inputs("live", "9 regions"), None)
    assert live.recipe == "live"
    assert live.live is not None


def test_full_has_one_round_and_all_pixels(inputs):
    settings = settings_of(inputs("full", "5%", rounds=4), None)
    assert (settings.budget, settings.planned_rounds) == ("100%", 1)
    assert settings.asks_everything


def test_a_later_run_names_the_one_before(inputs, tmp_path):
    before = read_run(made(tmp_path / "before", "random", seed=3))
    settings = settings_of(inputs("entropy"), before)
    assert settings.after == Beginning("random", seed=3, round=2)


def test_data_are_told_by_name_and_files(inputs, source):
    alone, both = (settings_of(inputs(source=each), None) for each in (None, source))
    assert (alone.source, alone.files.source) == ("", "")
    assert both.source == "other-domain"
    assert both.files.source
    assert both.files.dataset == alone.files.dataset
