"""Markdown, and HTML made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from napari_alseg.report.markup import bullets, plain, table, to_html


@pytest.mark.parametrize("text", ["a|b", "<i>", "_c_ *d* `e`", "[x](y)", "a & b", "\\"])
def test_a_text_is_shown_as_it_is(text):
    told = to_html(table("c", ["h"], [[text]]), "t", [])
    shown = MarkdownIt("commonmark").renderInline(plain(text))
    assert f'<th scope="row">{shown}</th>' in told


@given(st.text("ab<>&|_*`[]()\\!~", min_size=1, max_size=12))
def test_any_cell_leaves_the_table_whole(text):
    told = to_html(table("c", ["h", "i"], [[text, "1"], ["2", text]]), "t", [])
    assert told.count("<tr>") == 3
    assert told.count("</td>") == 2


def test_lines_of_a_text_are_joined():
    assert plain("a\n|") == r"a \|"
    assert bullets(["a\nb", "c"]) == "* a b\n* c"


def test_a_title_is_escaped():
    assert "<title>&lt;b&gt;</title>" in to_html("", "<b>", [])
