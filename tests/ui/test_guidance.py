import pytest

from napari_alseg.ui.guidance import Situation, next_step

OPEN = {"project": True, "images": 3}


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (Situation(), "new project"),
        (Situation(project=True), "no images"),
        (Situation(**OPEN), "Press Ask"),
        (Situation(**OPEN, labelled=True), "Press Learn"),
        (Situation(**OPEN, labelled=True, learned=True), "Press Ask"),
        (Situation(**OPEN, asked=4, open=3), "3 to go"),
        (Situation(**OPEN, asked=4, open=3, task="Learn"), "Go on labelling"),
        (Situation(**OPEN, asked=4, task="Ask"), "Ask is running"),
        (Situation(**OPEN, asked=4), "No label yet"),
        (Situation(**OPEN, asked=4, labelled=True), "Press Learn"),
        (Situation(**OPEN, asked=4, labelled=True, learned=True), "heat map"),
        (Situation(**OPEN, asked=4, open=3, read_only=True), "do not touch"),
        (Situation(**OPEN, asked=4, open=3, task="Go on"), "Go on labelling"),
        (Situation(**OPEN, asked=4, unfinished=True), "Go on learning, or press Learn"),
        (Situation(**OPEN, asked=4, open=3, unfinished=True), "the 3 open regions"),
        (
            Situation(**OPEN, asked=4, labelled=True, learned=True, exhausted=True),
            "Nothing is left to ask",
        ),
    ],
)
def test_there_is_always_a_next_step(situation, expected):
    assert expected in next_step(situation)
