import pytest
from panel_hands import PanelHands

from napari_alseg.settings import (
    NetworkSettings,
    PredictionSettings,
    TrainingSettings,
)
from napari_alseg.ui.panels.forms import SettingsForm


@pytest.mark.parametrize(
    "settings",
    [NetworkSettings(), TrainingSettings(recipe="partial"), PredictionSettings()],
    ids=lambda settings: type(settings).__name__,
)
def test_a_form_shows_and_returns_its_settings_exactly(qtbot, settings):
    form = SettingsForm(settings)
    qtbot.addWidget(form.native)
    assert form.value() == settings
    assert all(row.tooltip for row in form.container)


def test_a_form_takes_new_settings_and_keeps_to_limits(qtbot):
    form = SettingsForm(TrainingSettings(recipe="partial"))
    qtbot.addWidget(form.native)
    changed = TrainingSettings(
        "rectified", epochs=3, learning_rate=1e-4, flip=False, device="cpu"
    )
    form.set_value(changed)
    assert form.value() == changed
    with pytest.raises(ValueError, match="10000"):
        form.container["epochs"].value = 20_000


def test_nobody_can_type_beyond_the_limits(qtbot):
    form = SettingsForm(TrainingSettings(recipe="partial"))
    qtbot.addWidget(form.native)
    hands = PanelHands(qtbot, form.native)
    hands.begin()
    epochs = form.container["epochs"].native
    hands.enter(epochs, "7")
    assert form.value().epochs == 7
    hands.enter(epochs, "20000")
    assert form.value().epochs <= 10_000
