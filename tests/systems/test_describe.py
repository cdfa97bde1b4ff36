import json

import pytest

from napari_alseg.settings import QuerySettings
from napari_alseg.systems.describe import described, scoring_cost
from napari_alseg.systems.resolve import resolve
from napari_alseg.systems.table import SYSTEMS


def named(row):
    return row.name


@pytest.mark.parametrize("row", SYSTEMS.values(), ids=named)
def test_a_system_can_be_described_in_json(row):
    about = json.loads(json.dumps(described(row)))
    assert about["cost"]
    assert about["parameters"] == resolve(QuerySettings(row.name)).values


@pytest.mark.parametrize("row", SYSTEMS.values(), ids=named)
def test_only_what_is_needed_costs_anything(row):
    query = resolve(QuerySettings(row.name))
    needed = query.needs
    cost = scoring_cost(query)
    assert ("nothing" == cost) == (not needed)
    assert ("2 passes" in cost) == ("mirrored" in needed)
    assert ("11 passes" in cost) == ("samples" in needed)
    assert ("CRF" in cost) == ("refined" in needed)
