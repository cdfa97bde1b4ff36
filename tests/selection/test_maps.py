import pytest
from conftest import TINY_PREDICTION
from steps import answer, ask, learn

from napari_alseg.arrays import finish
from napari_alseg.errors import (
    BadValue,
    NothingToLearn,
    WeightsMismatch,
)
from napari_alseg.selection.maps import trained_network
from napari_alseg.store import Project, default_classes
from napari_alseg.tasks.look import look


def test_looking_needs_a_network_and_writes_map_and_prediction(project, truth):
    image = project.images.names()[0]
    with pytest.raises(NothingToLearn):
        finish(look(project, image, ["margin"], prediction=TINY_PREDICTION))
    answer(project, ask(project), truth)
    learn(project)
    finish(look(project, image, ["margin"], prediction=TINY_PREDICTION))
    assert project.outputs.map_names(image) == ("margin",)
    assert project.outputs.read_prediction(image).max() <= len(project.classes)
    assert project.outputs.read_prediction(image).min() >= 1


def test_weights_of_other_classes_are_refused(tmp_path, project, truth, drawn):
    answer(project, ask(project), truth)
    learn(project)
    arrays, metadata = project.weights.read()
    with Project.create(tmp_path / "other.alseg", default_classes(["a", "b"])) as other:
        other.images.add("a", drawn[0].image)
        ask(other)
        other.weights.commit(1, arrays, metadata)
        with pytest.raises(WeightsMismatch):
            trained_network(other, TINY_PREDICTION)


def test_difficulty_of_a_network_that_never_learnt_it_is_refused(project, truth):
    answer(project, ask(project), truth)
    learn(project)
    with pytest.raises(BadValue, match="learn by the recipe 'difficulty'"):
        ask(project, "1 images", "deal-ds", region_size=None)
