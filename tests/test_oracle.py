import numpy as np
import pytest
from test_session import ask

from napari_alseg.oracle import Oracle


def test_answers_are_the_truth_of_the_region_and_nothing_else(project, truth):
    asked = ask(project, "8 regions")
    oracle = Oracle(truth.__getitem__)
    answers = oracle.answers(project, asked)
    assert set(answers) == set(range(8))
    for position, patch in answers.items():
        region = asked.regions[position]
        inside = (
            project.read_regions(region.image, region.partition) == region.region
        )[region.bounds.slices]
        assert (patch[~inside] == 0).all()
        expected = truth[region.image][region.bounds.slices][inside]
        assert (patch[inside] == expected).all()
    assert oracle.regions == 8
    assert oracle.pixels == asked.pixels


def test_void_pixels_are_counted_as_revealed(project, truth):
    asked = ask(project, "3 regions")
    oracle = Oracle(lambda image: np.zeros_like(truth[image]))
    oracle.answers(project, asked)
    assert oracle.pixels == oracle.void_pixels == asked.pixels


def test_only_asked_images_are_looked_up(project, truth):
    asked = ask(project, "1 region")
    looked = []

    def reveal(image):
        looked.append(image)
        return truth[image]

    Oracle(reveal).answers(project, asked)
    assert looked == [asked.regions[0].image]


def test_asking_never_peeks(project):
    def refuse(image):
        pytest.fail(f"truth of {image} was looked at")

    Oracle(refuse)
    ask(project, "8 regions")
