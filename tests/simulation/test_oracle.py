import numpy as np
import pytest
from steps import ask

from napari_alseg.arrays import Bounds, Region, Selection
from napari_alseg.metrics import clicks
from napari_alseg.simulation.oracle import Oracle, dominant


def inside_of(project, region):
    regions = project.outputs.read_regions(region.image, region.partition)
    return (regions == region.region)[region.bounds.slices]


def test_exact_answers_are_the_truth_of_the_region_and_nothing_else(project, truth):
    asked = ask(project, "8 regions")
    answers = Oracle(truth.__getitem__).answers(project, asked)
    assert set(answers.patches) == set(range(8))
    assert answers.skipped == ()
    for position, patch in answers.patches.items():
        region = asked.regions[position]
        inside = inside_of(project, region)
        assert (patch[~inside] == 0).all()
        expected = truth[region.image][region.bounds.slices][inside]
        assert (patch[inside] == expected).all()
    assert answers.pixels == asked.pixels
    assert answers.clicks >= 8


def test_dominant_answers_are_the_most_frequent_class_for_all_pixels(project, truth):
    asked = ask(project, "8 regions")
    answers = Oracle(truth.__getitem__, "dominant").answers(project, asked)
    assert answers.clicks == 8
    for position, patch in answers.patches.items():
        region = asked.regions[position]
        inside = inside_of(project, region)
        values = truth[region.image][region.bounds.slices][inside].tolist()
        assert (patch[~inside] == 0).all()
        (given,) = set(patch[inside].tolist())
        assert values.count(given) == max(values.count(label) for label in set(values))


def test_ignored_pixels_are_counted_as_looked_at(project, truth):
    asked = ask(project, "3 regions")
    answers = Oracle(lambda image: np.zeros_like(truth[image])).answers(project, asked)
    assert answers.pixels == answers.ignored_pixels == asked.pixels
    assert answers.clicks == 3
    assert answers.skipped == ()


def test_a_region_mostly_without_class_is_skipped(project, truth):
    asked = ask(project, "3 regions")
    unknown = asked.regions[1]

    def reveal(image):
        labels = truth[image].copy()
        if image == unknown.image:
            labels[unknown.bounds.slices][inside_of(project, unknown)] = 0
        return labels

    answers = Oracle(reveal, "dominant").answers(project, asked)
    assert answers.skipped == (1,)
    assert set(answers.patches) == {0, 2}
    assert answers.ignored_pixels == unknown.pixels
    assert answers.clicks == 3


def test_one_class_is_given_to_ignored_pixels_too(project):
    truth = np.zeros((48, 64), np.uint8)
    truth[:24] = 3
    project.outputs.write_regions("scene-00", 1, np.ones((48, 64), np.int32))
    whole = Region("scene-00", 1, 1, 0.0, 48 * 64, Bounds(0, 0, 48, 64))
    asked = Selection(1, "random", "1 image", (whole,))
    answers = Oracle(lambda image: truth, "dominant").answers(project, asked)
    assert (answers.patches[0] == 3).all()
    assert answers.ignored_pixels == 24 * 64


def test_of_equally_frequent_classes_the_first_wins():
    assert dominant(np.array([5, 2, 2, 5, 9, 0, 0, 0], np.uint8)) == 2
    assert dominant(np.array([5, 2, 2, 0, 0, 0, 0], np.uint8)) == 0
    assert dominant(np.zeros(4, np.uint8)) == 0
    assert dominant(np.zeros(0, np.uint8)) == 0


def test_exact_answers_cost_their_pieces(project, truth):
    asked = ask(project, "8 regions")
    answers = Oracle(truth.__getitem__).answers(project, asked)
    assert answers.clicks == sum(map(clicks, answers.patches.values()))


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
