"""Figures of curves."""

from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from runs_by_hand import full, made

from napari_alseg.report.compare import compare
from napari_alseg.report.figure import COLOURS, Series, curves, figures_of
from napari_alseg.report.groups import COSTS

SPACE = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, to ask where things lie in them."""
    figures = []
    save = Figure.savefig

    def noted(figure, *given, **more):
        figures.append(figure)
        save(figure, *given, **more)

    monkeypatch.setattr(Figure, "savefig", noted)
    return figures


def test_there_is_a_figure_for_each_cost(tmp_path):
    figures = list(figures_of(compare([full(tmp_path / "f"), made(tmp_path / "e")])))
    assert [each.file for each in figures] == [f"compare-{c.name}.svg" for c in COSTS]
    for each in figures:
        root = ElementTree.fromstring(each.svg)
        texts = [text.text for text in root.iter(f"{SPACE}text")]
        assert {"mIoU (%)", "entropy", "full: 80.0"} <= set(texts)
        assert root.find(f"{SPACE}title").text in each.caption
        assert each.words in each.svg


def test_a_figure_shows_the_numbers_of_the_rounds(tmp_path, drawn):
    list(figures_of(compare([full(tmp_path / "f"), made(tmp_path / "e")])))
    pixels, regions = drawn[:2]
    level, curve, *_ = pixels.axes[0].lines
    assert level.get_ydata() == pytest.approx([80, 80])
    assert curve.get_xdata() == pytest.approx([1, 10])
    assert curve.get_ydata() == pytest.approx([40, 60])
    assert pixels.axes[0].get_xscale() == "log"
    assert regions.axes[0].lines[1].get_xdata() == pytest.approx([10, 20])
    assert regions.axes[0].get_xscale() == "linear"


def test_an_error_bar_reaches_a_deviation_up_and_down(drawn):
    curves([Series("a", (1.0, 2.0), (5.0, 6.0), (0.5, None))], "x", "t", "w")
    (bars,) = drawn[0].axes[0].collections
    first, second = (segment[:, 1].tolist() for segment in bars.get_segments())
    assert first == [4.5, 5.5]
    assert second == [6.0, 6.0]


def test_the_same_curves_give_the_same_text():
    def text():
        return curves([Series("a", (1.0,), (5.0,), (None,))], "x", "title", "words")

    assert text() == text()
    assert "dc:date" not in text()


def test_names_are_written_as_they_are():
    name = r"$a$ <b> & \alpha"
    svg = curves([Series(name, (1.0,), (5.0,), (None,))], "x", "t", "w")
    texts = [each.text for each in ElementTree.fromstring(svg).iter(f"{SPACE}text")]
    assert name in texts


def test_many_groups_are_told_by_more_than_colour(drawn):
    series = [
        Series(str(n), (1.0, 2.0), (0.0, float(n)), (None, None)) for n in range(12)
    ]
    curves(series, "a", "t", "d")
    handles = drawn[0].legends[0].legend_handles
    lines = [handle.lines[0] for handle in drawn[0].axes[0].containers]
    looks = {(str(line._dash_pattern), line.get_marker()) for line in lines}
    assert len(handles) == len(looks) == 12


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_curves_stand_out_from_white_paper():
    assert len(set(COLOURS)) == len(COLOURS)
    for colour in COLOURS:
        assert 1.05 / (luminance(colour) + 0.05) >= 4.5
