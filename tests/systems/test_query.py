import json

import pytest

from napari_alseg.settings import QuerySettings
from napari_alseg.systems.resolve import resolve
from napari_alseg.systems.table import SYSTEMS


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_query_survives_settings_and_json(name):
    once = resolve(QuerySettings(name, "7 images" if name == "full" else "3%", 7))
    assert resolve(once.settings) == once
    kept = json.loads(json.dumps(once.record()))
    assert kept["seed"] == 7
    assert resolve(QuerySettings(**kept)) == once
