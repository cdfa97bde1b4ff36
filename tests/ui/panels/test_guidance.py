import pytest

from napari_alseg.ui.panels.guidance import Situation, next_step

OPEN = {"project": True, "images": 3}
DONE = OPEN | {"asked": 4, "labelled": True, "learned": True}


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (Situation(), "new project"),
        (Situation(project=True), "no images"),
        (Situation(**OPEN), "Press Ask"),
        (Situation(**OPEN, labelled=True), "Press Learn"),
        (Situation(**OPEN, labelled=True, learned=True), "Press Ask"),
        (Situation(**OPEN, asked=4, open=3), "3 to go"),
        (Situation(**OPEN, asked=4, open=3, painting=True), "Press W when"),
        (Situation(**OPEN, asked=4, open=3, marked="skipped"), "is skipped: press D"),
        (
            Situation(**OPEN, asked=4, open=3, marked="elsewhere", next_image="b"),
            "marked here: press D for the next open one, in b",
        ),
        (Situation(**OPEN, asked=4, open=3, task="Learn"), "Go on labelling"),
        (Situation(**OPEN, asked=4, task="Ask"), "Ask is running"),
        (Situation(**OPEN, asked=4), "No label yet"),
        (Situation(**OPEN, asked=4, labelled=True), "Press Learn"),
        (Situation(**DONE), "Press Ask for the next regions"),
        (Situation(**DONE, maps=True), "heat map"),
        (Situation(**DONE, live="on"), "heat map"),
        (Situation(**DONE, live="waiting"), "Press Ask for the next regions"),
        (Situation(**OPEN, asked=4, open=3, read_only=True), "do not touch"),
        (Situation(**OPEN, asked=4, open=3, task="Resume"), "Go on labelling"),
        (
            Situation(**OPEN, asked=4, stopped=True),
            "Resume learning, or press Learn",
        ),
        (Situation(**OPEN, asked=4, open=3, stopped=True), "the 3 open regions"),
        (
            Situation(**OPEN, asked=4, labelled=True, learned=True, exhausted=True),
            "Nothing is left to ask",
        ),
    ],
)
def test_there_is_always_a_next_step(situation, expected):
    assert expected in next_step(situation)


@pytest.mark.parametrize(
    ("live", "said"), [("off", False), ("waiting", True), ("on", False)]
)
def test_the_second_class_is_asked_for_while_live_waits_for_it(live, said):
    step = next_step(Situation(**OPEN, asked=4, open=3, live=live))
    assert ("comes with a second class" in step) == said


def test_a_heat_map_is_only_spoken_of_where_there_is_one():
    assert "heat map" not in next_step(Situation(**DONE))
