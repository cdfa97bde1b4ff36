import numpy as np
import pytest
from conftest import TINY_PREDICTION

from napari_alseg import segmentation, systems
from napari_alseg.arrays import finish
from napari_alseg.errors import BadValue
from napari_alseg.settings import QuerySettings
from napari_alseg.tasks.look import look


def test_all_maps_of_an_image_come_from_one_prediction(learnt, monkeypatch):
    calls = []
    predict = segmentation.predict
    monkeypatch.setattr(
        segmentation, "predict", lambda *a, **k: calls.append(a) or predict(*a, **k)
    )
    image = learnt.images.names()[0]
    finish(look(learnt, image, systems.maps(), prediction=TINY_PREDICTION))
    assert learnt.outputs.map_names(image) == tuple(sorted(systems.maps()))
    assert len(calls) == 1


def test_a_map_follows_the_parameters_of_the_query(learnt):
    image = learnt.images.names()[0]
    query = QuerySettings("ripu-ra", radius=5)
    learnt.weights.commit(1, {"a": np.zeros(1, np.float32)}, {})
    finish(look(learnt, image, ["ripu"], query, TINY_PREDICTION))
    assert learnt.outputs.has_fresh_map(image, "ripu", {"radius": 5})
    wide = learnt.outputs.read_map(image, "ripu")
    finish(look(learnt, image, ["ripu"], prediction=TINY_PREDICTION))
    assert not np.array_equal(wide, learnt.outputs.read_map(image, "ripu"))


def test_what_gives_no_map_is_refused(learnt):
    with pytest.raises(BadValue, match="no map; maps are entropy"):
        finish(look(learnt, learnt.images.names()[0], ["random"]))
