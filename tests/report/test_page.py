"""The page of a comparison and its figures."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from runs_by_hand import full, made

from napari_alseg.errors import CannotWrite
from napari_alseg.report import published
from napari_alseg.report.compare import COSTS, compare
from napari_alseg.report.figure import DARK, LIGHT, Axis, Series, axis_of, curves
from napari_alseg.report.page import _plain, blocks, html, markdown, write_pages

SPACE = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("x")</script> & |_*'


class Reader(HTMLParser):
    """Checks that elements are closed in order; collects tables, names and text."""

    VOID = ("meta", "path")

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.attributes, self.tables, self.names = [], [], [], []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [(tag, *each) for each in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.names.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture
def comparison(tmp_path):
    return compare(
        [
            full(tmp_path / "full", 0.8),
            full(tmp_path / "full1", 0.6, seed=1),
            made(tmp_path / "e0", "equal", rounds=((0.01, 0.4), (0.1, 0.6))),
            made(tmp_path / "e1", "equal", rounds=((0.01, 0.5), (0.1, 0.3)), seed=1),
            made(tmp_path / "r", "random", asking={"partition": "grid"}),
            made(tmp_path / "m", "margin"),
        ]
    )


def page(comparison):
    return html(list(blocks(comparison)), "page")


def test_both_pages_and_all_figures_are_written(comparison, tmp_path):
    write_pages(comparison, tmp_path / "page")
    figures = [f"compare-{cost}.svg" for cost in COSTS]
    names = {path.name for path in (tmp_path / "page").iterdir()}
    assert names == {"compare.html", "compare.md", *figures}
    shown = re.findall(
        r"!\[.+\]\((.+)\)", (tmp_path / "page" / "compare.md").read_text()
    )
    assert shown == figures
    for name in figures:
        ElementTree.parse(tmp_path / "page" / name)


def test_the_page_parses_and_loads_nothing(comparison):
    text = page(comparison)
    reader = read(text)
    loads = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}
    assert not [each for each in reader.attributes if each[1] in loads]
    assert "http" not in text
    assert not re.search(r"url\(|@import|<script|<link", text)
    assert reader.names.count("svg") == 5
    assert ("html", "lang", "en") in reader.attributes
    assert reader.names.count("h1") == 1


def test_every_table_has_a_caption_and_headed_rows(comparison):
    text = page(comparison)
    reader = read(text)
    assert reader.names.count("table") == reader.names.count("caption")
    for table in reader.tables:
        assert len({len(row) for row in table}) == 1
        assert len(table) > 1
    assert text.count('<th scope="row">') == sum(len(t) - 1 for t in reader.tables)


def test_numbers_are_those_worked_by_hand(comparison):
    reader = read(page(comparison))
    head, *rows = reader.tables[0]
    (equal,) = (dict(zip(head, row, strict=True)) for row in rows if row[0] == "equal")
    assert equal["mIoU (%)"] == "45.0 ± 21.2"  # 60 and 30
    assert equal["of full (%)"] == "62.5 ± 17.7"  # 60 / 80 and 30 / 60
    assert equal["mean over the range (%)"] == "45.0 ± 7.1"  # 50 and 40
    assert equal["gain over random"] == "-15.0 ± 21.2"  # 0 and -30
    assert (equal["seeds"], equal["pixels (%)"], equal["clicks"]) == ("2", "10", "40")
    assert equal["seconds"] == "12"
    by_class = {row[0]: row for row in reader.tables[2]}
    assert by_class["runs"] == ["runs", "sky", "pole"]
    assert by_class["equal"] == ["equal", "80.0 ± 42.4", "10.0 ± 0.0"]


def test_the_figures_say_their_numbers_in_words(comparison):
    reader = read(page(comparison))
    assert "equal: 45.0 at 1, 45.0 at 10." in reader.text
    assert "A line at full: 70.0." in reader.text
    rounds = {tuple(row[:2]): row for row in reader.tables[1]}
    assert rounds["equal", "1"][-1] == "45.0 ± 7.1"


def test_the_rule_of_clicks_and_the_caution_are_on_the_page(comparison):
    for text in (read(page(comparison)).text, markdown(list(blocks(comparison)))):
        assert "one for every connected piece of one class" in text
        assert "flatters scattered pixels" in text


def test_published_numbers_stand_beside_ours_with_what_differs(comparison):
    reader = read(page(comparison))
    (table,) = (table for table in reader.tables if table[0][0] == "whose")
    rows = [row for row in table if row[0].startswith("equal")]
    assert rows[0][:2] == ["equal: here", "streets"]
    assert ["CamVid, FCN with ResNet-50", "12 % of pixels", "64.4", "67.9", "94.8"] in [
        row[1:] for row in rows
    ]
    assert "data there CamVid, here streets" in reader.text
    assert "images there 360 x 480, here 180 x 240" in reader.text
    assert "60 epochs" in reader.text
    assert "here 20 epochs" in reader.text
    assert "No published numbers could be had for: full, random" in reader.text
    assert "margin" in reader.text.split("could be had for: ")[1].split(".")[0]


def test_names_are_shown_as_they_are(tmp_path):
    folder = made(tmp_path / "a", classes=[EVIL, "pole"], dataset=EVIL)
    run = json.loads((folder / "run.json").read_text())
    run["system"] = EVIL
    for row in run["rounds"]:
        row["iou"] = {EVIL: 0.5, "pole": 0.1}
    (folder / "run.json").write_text(json.dumps(run))
    comparison = compare([folder])
    text = page(comparison)
    assert "<script" not in text
    assert read(text).text.count(EVIL) > 8
    told = markdown(list(blocks(comparison)))
    assert "<script" not in told
    assert r"\|\_\*" in told
    assert _plain("a\n|") == r"a \|"


def test_full_alone_makes_a_page_without_figures(tmp_path):
    text = page(compare([full(tmp_path / "full")]))
    assert read(text).names.count("svg") == 0


def test_many_groups_are_told_by_more_than_colour():
    series = [
        Series(str(n), (1.0, 2.0), (0.0, float(n)), (None, None)) for n in range(12)
    ]
    svg = curves(
        "pixels", series, title="t", description="d", across="a", up="b", level=None
    )
    root = ElementTree.fromstring(svg)
    groups = [each for each in root.iter(f"{SPACE}g") if each.get("class")]
    looks = set()
    for group in groups:
        paths = list(group.iter(f"{SPACE}path"))
        marker = next(path.get("d") for path in paths if path.get("transform"))
        looks.add((paths[0].get("stroke-dasharray"), marker))
    assert len(groups) == len(looks) == 12


def test_a_point_lies_where_its_numbers_say():
    series = [Series("a", (1.0, 10.0, 100.0), (0.0, 5.0, 10.0), (None, 1.0, None))]
    svg = curves("k", series, title="t", description="d", across="x", up="y")
    group = next(
        each
        for each in ElementTree.fromstring(svg).iter(f"{SPACE}g")
        if each.get("class")
    )
    line, bar, *markers = group.iter(f"{SPACE}path")
    points = [tuple(map(float, pair.split())) for pair in line.get("d")[1:].split("L")]
    assert points[1] == (
        pytest.approx((points[0][0] + points[2][0]) / 2, abs=0.11),
        pytest.approx((points[0][1] + points[2][1]) / 2, abs=0.11),
    )
    assert points[0][1] > points[2][1]  # rows grow downwards
    assert bar.get("d").startswith(f"M{points[1][0]:.1f} ")
    assert len(markers) == 3 + 2  # points, and the legend's marker and line


def test_axes_hold_their_values():
    assert axis_of([5], across=False).place(5) == 0.5
    assert axis_of([0, 0], across=False).place(0) == 0.5
    assert axis_of([1, 3], across=True).logarithmic is False
    wide = axis_of([0.01, 20], across=True)
    assert 0 < wide.place(0.01) < wide.place(20) < 1
    assert Axis(0.5, 0.62).ticks() == pytest.approx([0.5, 0.55, 0.6])


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("colours", "paper"), [(LIGHT, "#ffffff"), (DARK, "#161616")])
def test_curves_stand_out_from_their_paper(colours, paper):
    assert len(set(colours)) == len(LIGHT)
    for colour in colours:
        assert contrast(colour, paper) >= 4.5


# --- what was published ---------------------------------------------------------------


def test_every_published_number_is_one_and_has_a_source():
    for result in published.RESULTS:
        assert result.source
        assert result.systems
        assert all(10 < point.miou < 100 for point in result.points)
        assert result.full is None or result.full > result.points[0].miou


def test_published_numbers_belong_to_systems_that_exist():
    from napari_alseg.systems import PARTITIONS
    from napari_alseg.systems.table import SYSTEMS

    for result in published.RESULTS:
        assert set(result.systems) <= set(SYSTEMS)
        assert result.partition in ("", *PARTITIONS)


def test_notes_tell_what_makes_published_numbers_another_thing():
    for result in published.RESULTS:
        told = "full as another work" in result.note
        assert told == (result.source == published.RIPU and result.full is not None)
        assert ("105 px" in result.note) == (result.systems == ("ripu-pa",))
        assert ("mIoU is too high" in result.note) == (result.systems == ("equal",))
        assert ("not confirmed" in result.note) == ("2675 images to" in result.split)


def test_published_curves_that_have_a_full_end_below_it():
    for result in published.RESULTS:
        assert result.full is None or result.points[-1].miou < result.full
    streets = [each.dataset for each in published.of("sp-crf", "superpixels")]
    assert streets == ["Cityscapes", "Mapillary"]


def test_published_numbers_of_images_do_not_stand_for_regions():
    assert [p.dataset for p in published.of("entropy", "image")] == [
        "CamVid",
        "Cityscapes",
    ]
    assert published.of("entropy", "superpixels") == ()
    assert len(published.of("ripu-ra", "windows")) == 6


def test_a_page_where_no_folder_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="choose a folder"):
        write_pages(compare([made(tmp_path / "run")]), tmp_path / "file")
