"""The page of a comparison."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from runs_by_hand import full, made

from napari_alseg.errors import CannotWrite
from napari_alseg.report.compare import compare
from napari_alseg.report.figure import figures_of
from napari_alseg.report.groups import COSTS
from napari_alseg.report.markup import to_html
from napari_alseg.report.page import markdown, write_pages

EVIL = '<script>alert("x")</script> & |_*'


class Reader(HTMLParser):
    """Checks that elements are closed in order; collects tables, names and text."""

    VOID = ("meta", "img")

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


def told(comparison):
    """The Markdown and the HTML of a page."""
    figures = list(figures_of(comparison))
    text = markdown(comparison, figures)
    return text, to_html(text, "page", figures)


def page(comparison):
    return told(comparison)[1]


def test_both_pages_and_all_figures_are_written(comparison, tmp_path):
    write_pages(comparison, tmp_path / "page")
    figures = [f"compare-{cost.name}.svg" for cost in COSTS]
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
    loaded = [each for _, name, each in reader.attributes if name in loads]
    assert len(loaded) == reader.names.count("img") == len(COSTS)
    assert all(each.startswith("data:image/svg+xml;base64,") for each in loaded)
    assert not re.search(r"https?:|url\(|@import|<script|<link", text)
    assert ("html", "lang", "en") in reader.attributes
    assert reader.names.count("h1") == 1
    assert not re.search(r"<p>\s*<figure|<p>\s*</p>", text)


def test_every_table_has_headed_columns_and_rows(comparison):
    text = page(comparison)
    reader = read(text)
    for table in reader.tables:
        assert len({len(row) for row in table}) == 1
        assert len(table) > 1
    rows = sum(len(table) - 1 for table in reader.tables)
    columns = sum(len(table[0]) for table in reader.tables)
    assert reader.attributes.count(("th", "scope", "row")) == rows
    assert reader.attributes.count(("th", "scope", "col")) == columns


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
    words = [each for _, name, each in reader.attributes if name == "alt"]
    assert "equal: 45.0 at 1, 45.0 at 10." in words[0]
    assert all("A line at full: 70.0." in each for each in words)
    rounds = {tuple(row[:2]): row for row in reader.tables[1]}
    assert rounds["equal", "1"][-1] == "45.0 ± 7.1"


def test_the_rule_of_clicks_and_the_caution_are_on_the_page(comparison):
    text, html = told(comparison)
    for each in (text, read(html).text):
        assert "one for every connected piece of one class" in each
        assert "flatters scattered pixels" in each


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
    text, html = told(compare([folder]))
    assert "<script" not in html
    assert read(html).text.count(EVIL) > 8
    assert "<script" not in text
    assert r"\|\_\*" in text


def test_full_alone_makes_a_page_without_figures(tmp_path):
    text = page(compare([full(tmp_path / "full")]))
    assert read(text).names.count("img") == 0


def test_a_page_where_no_folder_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="choose a folder"):
        write_pages(compare([made(tmp_path / "run")]), tmp_path / "file")
