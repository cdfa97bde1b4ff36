import pytest

from napari_alseg.arrays import Progress
from napari_alseg.ui.panels.curve import Curve


@pytest.fixture
def curve(qtbot):
    curve = Curve()
    qtbot.addWidget(curve)
    return curve


def test_trainings_one_after_another_are_one_curve(curve):
    for done, metrics in (
        (0, {"miou": 0.1}),
        (3, {"loss": 2.0}),
        (6, {"loss": 1.0, "miou": 0.2}),
        (0, {"miou": 0.1}),  # the next network begins
        (4, {"loss": 1.0, "miou": 0.3}),
        (1, {"loss": 1.0}),  # and a third
    ):
        curve.add(Progress(done, 6, "learning", metrics))
    assert [step for step, _ in curve.losses] == [3, 6, 10, 11]
    assert [step for step, _ in curve.mious] == [0, 6, 6, 10]
    assert [miou for _, miou in curve.mious] == pytest.approx([10, 20, 10, 30])
    assert curve.losses[1][1] == pytest.approx(0.9 * 2.0 + 0.1 * 1.0)


def test_a_cleared_curve_begins_at_0(curve):
    curve.add(Progress(6, 9, "learning", {"loss": 1.0}))
    curve.clear()
    curve.add(Progress(2, 9, "learning", {"loss": 3.0}))
    assert curve.losses == [(2, 3.0)]
