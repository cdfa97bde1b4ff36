import numpy as np
import pytest
from pointwise import ask

from napari_alseg.errors import BadValue
from napari_alseg.selection.windows import survey_windows
from napari_alseg.simulation.oracle import Oracle


def test_windows_never_overlap_also_across_rounds(learnt, truth):
    seen = np.zeros((48, 64), int)
    for number in (2, 3, 4):
        asked = ask(learnt, "ripu-ra", "40 regions")
        learnt.labels.answer_all(
            number, Oracle(truth.__getitem__).answers(learnt, asked).patches
        )
        for region in asked.regions:
            if region.image == learnt.images.names()[0]:
                seen[region.bounds.slices] += 1
                assert max(region.bounds.shape) <= 3
    assert seen.max() == 1


def test_pixels_keep_their_distance_also_across_rounds(learnt, truth):
    centres = []
    for number in (2, 3):
        asked = ask(learnt, "ripu-pa", "16 regions", exclusion=6, radius=4)
        learnt.labels.answer_all(
            number, Oracle(truth.__getitem__).answers(learnt, asked).patches
        )
        first = learnt.images.names()[0]
        centres += [r.bounds[:2] for r in asked.regions if r.image == first]
    away = [
        max(abs(a[0] - b[0]), abs(a[1] - b[1]))
        for index, a in enumerate(centres)
        for b in centres[:index]
    ]
    assert len(centres) == 8
    assert min(away) >= 7


def test_windows_left_open_return_to_the_pool(learnt):
    first = ask(learnt, "ripu-ra", "4 regions")
    again = ask(learnt, "ripu-ra", "4 regions")
    assert [r.bounds for r in first.regions] == [r.bounds for r in again.regions]
    assert first.regions[0].partition != again.regions[0].partition


def test_a_window_scores_as_its_centre(learnt):
    region = ask(learnt, "ripu-ra", window=2, radius=1).regions[0]
    row, column = region.bounds.row_start + 2, region.bounds.column_start + 2
    score = learnt.outputs.read_map(region.image, "ripu")
    if region.bounds.shape == (5, 5):
        assert region.score == pytest.approx(score[row, column], abs=1e-3)
    assert region.bounds.shape[0] * region.bounds.shape[1] == region.pixels


def test_each_image_gets_its_equal_share_of_windows(learnt):
    asked = ask(learnt, "ripu-ra", "40 regions")
    counts = [
        sum(r.image == name for r in asked.regions) for name in learnt.images.names()
    ]
    assert counts == [10, 10, 10, 10]
    few = ask(learnt, "ripu-ra", "3 regions")
    assert len(few.images) == 3


def test_windows_cannot_be_asked_by_images(learnt):
    with pytest.raises(BadValue, match="by regions or pixels"):
        ask(learnt, "ripu-ra", "2 images")


def test_what_is_labelled_while_windows_are_found_is_not_asked(learnt, monkeypatch):
    first = ask(learnt, "ripu-ra", "4 regions")
    found = survey_windows

    def label_meanwhile(*arguments):
        result = yield from found(*arguments)
        for position in range(len(first.regions)):
            learnt.labels.answer(2, position, 1)
        return result

    monkeypatch.setattr("napari_alseg.tasks.query.survey_windows", label_meanwhile)
    again = ask(learnt, "ripu-ra", "4 regions")
    before = {(r.image, r.bounds) for r in first.regions}
    assert before.isdisjoint((r.image, r.bounds) for r in again.regions)


@pytest.mark.parametrize("choice", ["top", "class-quota", "class-stratified"])
def test_chance_finds_windows_also_where_a_network_sees_classes(learnt, choice):
    asked = ask(learnt, "random", "6 regions", partition="windows", choice=choice)
    assert len(asked.regions) == 6
