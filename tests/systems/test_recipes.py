import pytest

from napari_alseg import segmentation
from napari_alseg.settings import RecipeSettings
from napari_alseg.systems import RECIPES


def named(row):
    return row.name


@pytest.mark.parametrize("row", RECIPES.values(), ids=named)
def test_a_recipe_has_a_task_and_terms_of_the_settings(row):
    assert row.function
    assert row.title
    assert row.sentence.endswith(".")
    assert set(row.terms) <= set(RecipeSettings.__dataclass_fields__)
    if row.objective:
        assert row.objective in segmentation.__all__


def test_each_term_belongs_to_a_recipe():
    taken = [name for row in RECIPES.values() for name in row.terms]
    assert sorted(taken) == sorted(RecipeSettings.__dataclass_fields__)
