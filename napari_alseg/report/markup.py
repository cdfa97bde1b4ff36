"""Markdown, and one file of HTML made of it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from napari_alseg.report.figure import ComparisonFigure

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 sans-serif; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; }
.wide { overflow-x: auto; margin-bottom: 1.5rem; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #8886; padding: .25rem .6rem; vertical-align: top;
  font-variant-numeric: tabular-nums; }
th[scope=row] { text-align: left; }
figure { margin: 1.5rem 0; max-width: 45rem; }
img { width: 100%; height: auto; background: #fff; }
"""


# --- Markdown -------------------------------------------------------------------------


def plain(text: str) -> str:
    r"""Return a text that Markdown shows as it is.

    Examples
    --------
    >>> print(plain("a|b <i> _c_"))
    a\|b &lt;i&gt; \_c\_
    """
    text = escape(" ".join(text.split()), quote=False)
    for character in "\\`*_[]|":
        text = text.replace(character, "\\" + character)
    return text


def bullets(texts: Sequence[str]) -> str:
    """Return a list.

    Examples
    --------
    >>> print(bullets(["one", "two"]))
    * one
    * two
    """
    return "\n".join(f"* {plain(text)}" for text in texts)


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table below its caption.

    The first column names the rows.

    Examples
    --------
    >>> print(table("Costs", ["runs", "clicks"], [["a", "7"]]))
    Costs:
    <BLANKLINE>
    | runs | clicks |
    | --- | ---: |
    | a | 7 |
    """
    rule = "|" + " --- |" + " ---: |" * (len(head) - 1)
    lines = [_row(head), rule, *map(_row, rows)]
    return "\n".join([f"{plain(caption)}:", "", *lines])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(plain, cells)) + " |"


# --- HTML -----------------------------------------------------------------------------


def to_html(markdown: str, title: str, figures: Sequence[ComparisonFigure]) -> str:
    """Return a page as HTML that loads nothing.

    The figures stand within.
    """
    by_file = {figure.file: figure for figure in figures}
    body = _parser().render(markdown, {"figures": by_file})
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.core.ruler.push("figures", _lone_images)
    parser.core.ruler.push("row_headings", _row_headings)
    parser.add_render_rule("image", _figure)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    return parser


def _lone_images(state: StateCore) -> None:
    """Leave out the paragraph around an image: a figure is none."""
    tokens = state.tokens
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        children = token.children or []
        if [child.type for child in children] == ["image"]:
            before.hidden = after.hidden = True


def _row_headings(state: StateCore) -> None:
    """Mark the headings of columns and rows."""
    before = ""
    for place, token in enumerate(state.tokens):
        if token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open" and before == "tr_open":
            token.tag = state.tokens[place + 2].tag = "th"
            token.attrSet("scope", "row")
        before = token.type


def _figure(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    place: int,
    options: Any,
    env: Mapping[str, Mapping[str, ComparisonFigure]],
) -> str:
    figure = env["figures"][str(tokens[place].attrs["src"])]
    data = b64encode(figure.svg.encode()).decode()
    return (
        f'<figure>\n<img alt="{escape(figure.words)}" '
        f'src="data:image/svg+xml;base64,{data}">\n'
        f"<figcaption>{escape(figure.caption)}</figcaption>\n</figure>\n"
    )


def _table_open(*_: Any) -> str:
    return '<div class="wide" tabindex="0">\n<table>\n'


def _table_close(*_: Any) -> str:
    return "</table>\n</div>\n"
