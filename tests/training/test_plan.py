import json

from conftest import (
    TINY_NETWORK,
)

from napari_alseg.settings import RecipeSettings, TrainingSettings
from napari_alseg.training.plan import Plan


def test_a_plan_survives_json():
    plan = Plan(
        3,
        17,
        5,
        TINY_NETWORK,
        TrainingSettings(recipe="adaptation"),
        RecipeSettings(negative=2.0),
    )
    assert Plan.of(json.loads(json.dumps(plan.metadata()))) == plan
