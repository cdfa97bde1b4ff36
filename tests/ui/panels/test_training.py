from dataclasses import fields

import pytest
from hands import button
from panel_hands import named

from napari_alseg.settings import RecipeSettings, TrainingSettings
from napari_alseg.systems import RECIPES
from napari_alseg.ui.panels.training import NO_SOURCE, TrainingPanel


@pytest.fixture
def panel(qtbot):
    panel = TrainingPanel()
    qtbot.addWidget(panel)
    qtbot.addWidget(panel.more)
    return panel


@pytest.fixture
def choose(panel, hands):
    """Choose a recipe."""

    def choose(recipe):
        hands.choose(named(panel, "Recipe"), RECIPES[recipe].title)
        assert panel.value().recipe == recipe

    return choose


def terms(panel):
    """Names of the parameters of the recipe that can be seen."""
    panel.more.show()
    return {row.name for row in panel._terms.container if row.visible}


@pytest.mark.parametrize(
    "settings",
    [
        TrainingSettings(),
        TrainingSettings("adaptation", "last", minutes=2.0, patience=3, epochs=7),
        TrainingSettings("partial", class_balance=0.5, average=0.99, source_free=True),
    ],
)
def test_the_panel_shows_and_returns_settings_exactly(panel, settings):
    panel.set_value(settings)
    assert panel.value() == settings
    assert panel.terms() == RecipeSettings()


def test_every_field_has_one_row_and_every_recipe_a_sentence(panel, choose):
    rows = [row.name for form in (panel._common, panel._rest) for row in form.container]
    assert sorted([*rows, "recipe"]) == sorted(f.name for f in fields(TrainingSettings))
    for recipe, row in RECIPES.items():
        sentence = row.sentence
        choose(recipe)
        assert panel._sentence.text().startswith(sentence)


def test_a_recipe_shows_its_own_parameters_only(panel, choose):
    assert terms(panel) == set()
    choose("difficulty")
    assert terms(panel) == {"difficulty", "ignored_is_right"}


def test_the_system_decides_unless_a_recipe_is_chosen(panel, choose):
    panel.set_project(RECIPES["consistency"], 0)
    assert panel.value().recipe is None
    assert panel.recipe.name == "consistency"
    assert panel._sentence.text().startswith("Consistency (EquAL): also learns to see")
    choose("partial")
    assert panel.recipe.name == "partial"


def test_without_source_images_adaptation_says_what_is_missing(panel, choose):
    choose("adaptation")
    assert NO_SOURCE in panel._sentence.text()
    panel.set_project(RECIPES["partial"], 3)
    assert NO_SOURCE not in panel._sentence.text()
    panel.set_project(RECIPES["partial"], 0)
    choose("partial")
    assert NO_SOURCE not in panel._sentence.text()


@pytest.mark.parametrize(
    ("system", "without"), [("partial", None), ("rectified", "partial")]
)
def test_unlabelled_images_too_is_the_recipe_that_does_so(
    panel, hands, choose, system, without
):
    panel.set_project(RECIPES[system], 0)
    box = button(panel, "Use unlabelled images")
    assert box.isChecked() == (system == "rectified")
    if not box.isChecked():
        hands.toggle(box)
        assert panel.value().recipe == "rectified"
    hands.toggle(box)
    assert not box.isChecked()
    assert panel.value().recipe == without
    choose("rectified")
    assert box.isChecked()
