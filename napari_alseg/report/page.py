"""The page of a comparison, once as Markdown and once as HTML that needs nothing else.

Both are made of the same blocks, so they say the same. Every figure's numbers stand in
a table as well.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

from napari_alseg.report import published
from napari_alseg.report.compare import COSTS, Comparison, Group, Spread
from napari_alseg.report.figure import Series, curves
from napari_alseg.report.published import Published
from napari_alseg.simulation.run import or_none, percent, wanted
from napari_alseg.store import writing

AXES = {
    "pixels": "asked pixels (% of the pool)",
    "regions": "asked regions",
    "images": "images with an asked region",
    "clicks": "clicks",
    "seconds": "seconds of computing",
}


@dataclass(frozen=True)
class Heading:
    """A headline; level 1 is the page's own."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table; the first column names the rows."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A figure, and the name of its file beside the Markdown page."""

    file: str
    caption: str
    svg: str


Block: TypeAlias = Heading | Text | Items | Grid | Picture


def write_pages(comparison: Comparison, out: Path) -> None:
    """Write ``compare.html``, ``compare.md`` and the figures that this one shows."""
    parts = list(blocks(comparison))
    files = {part.file: part.svg for part in parts if isinstance(part, Picture)}
    files["compare.md"] = markdown(parts)
    files["compare.html"] = html(parts, f"Runs on {comparison.dataset}")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")


# --- what the page says ---------------------------------------------------------------


def blocks(comparison: Comparison) -> Iterator[Block]:
    """Yield the parts of the page in their order."""
    yield Heading(1, f"Runs on {comparison.dataset}")
    if comparison.warnings:
        yield Heading(2, "Before numbers are compared")
        yield Items(comparison.warnings)
    yield Heading(2, "At the end of each run")
    yield _summary(comparison)
    yield from _how_to_read(comparison)
    yield Heading(2, "What it took")
    yield from _pictures(comparison)
    yield _rounds(comparison)
    yield Heading(2, "Class by class")
    yield _by_class(comparison)
    yield Heading(2, "Beside what was published")
    yield from _beside_published(comparison)
    yield Heading(2, "How the runs were made")
    yield from _settings(comparison)


def _summary(comparison: Comparison) -> Grid:
    head = (
        "runs", "seeds", "pixels (%)", "regions", "images", "clicks", "seconds",
        "mIoU (%)", "of full (%)", "mean over the range (%)", "gain over random",
    )  # fmt: skip
    rows = []
    for group in comparison.groups:
        last = group.points[-1]
        gain = _spread(group.gain, "+.1f")
        if group.gain and group.baseline != "random":
            gain += f", over {group.baseline}"
        rows.append(
            (
                group.name,
                str(len(group.runs)),
                *_costs(last.costs),
                _spread(last.miou),
                _spread(group.share_of_full),
                _spread(group.area),
                gain,
            )
        )
    return Grid("Last round of each run", head, tuple(rows))


def _how_to_read(comparison: Comparison) -> Iterator[Block]:
    spans = (
        "No two rounds of all runs span common shares of pixels, so no mean over a "
        "range is given."
    )
    if comparison.common is not None:
        start, stop = (f"{100 * share:.3g} %" for share in comparison.common)
        spans = (
            f"The mean over the range is the area under the curve from {start} to "
            f"{stop} of the pixels, the shares that all runs of several rounds have in "
            "common, on a logarithmic axis (each doubling of the labels counts alike), "
            "divided by the width."
        )
    yield Items(
        (
            "A number with ± is a mean over seeds and its sample standard deviation; "
            "one without has a single seed; of seeds that have come differently far, "
            "the last round is that of the furthest. mIoU is the mean over the "
            "classes that occur in the truth or in the prediction of the images it is "
            "measured on: one that is seen where it is not counts as 0.",
            "A click: an answer with one class for the whole region is one, and so is "
            "a skip; exact pixels are one for every connected piece of one class in "
            "the region, at least one. No outline is drawn and no corner of a polygon "
            "counted.",
            "The share of pixels flatters scattered pixels: a hundred single pixels an "
            "image are next to no pixels but a hundred looks and clicks, while a "
            "region of one click holds hundreds. Hold clicks and images against it, "
            "and the rare classes: thin and small things are seldom the most frequent "
            "class of a region, so answers of one class a region hardly teach them.",
            "Of full: the last mIoU over that of 'full', which labels every pixel "
            "exactly, with the same network, size and training; of the same seed "
            "where there is one, and by the same recipe if any: the first lines of "
            "this page say whose recipe is another.",
            spans,
            "Gain over random: the last mIoU less that of the runs that ask the same "
            "kind of regions at random, in points of %, seed by seed. All else is "
            "alike but for the recipe where the first lines name several: then the "
            "gain is that of asking and learning together.",
            "Seconds are those of scoring, choosing and learning, not of labelling.",
        )
    )


def _pictures(comparison: Comparison) -> Iterator[Block]:
    """Yield one figure a cost; the upper bound is a line."""
    curved = [group for group in comparison.groups if not group.is_full]
    upper = [group for group in comparison.groups if group.is_full]
    level = None
    if upper:
        bound = 100 * upper[0].points[-1].miou.mean
        level = (f"{upper[0].name}: {bound:.1f}", bound)
    for cost in COSTS:
        series = [each for group in curved if (each := _series(group, cost)).across]
        if series:
            yield Picture(
                f"compare-{cost}.svg",
                f"mIoU against {AXES[cost]}. Bars are standard deviations over seeds; "
                "rounds without any such cost are left out. The numbers are in the "
                "table below the figures.",
                curves(
                    cost,
                    series,
                    title=f"mIoU against {AXES[cost]}",
                    description=_in_words(series, level),
                    across=AXES[cost],
                    up="mIoU (%)",
                    level=level,
                ),
            )


def _series(group: Group, cost: str) -> Series:
    scale = 100 if cost == "pixels" else 1
    points = [point for point in group.points if point.costs[cost] > 0]
    deviations = (point.miou.deviation for point in points)
    return Series(
        group.name,
        tuple(scale * point.costs[cost] for point in points),
        tuple(100 * point.miou.mean for point in points),
        tuple(None if each is None else 100 * each for each in deviations),
    )


def _in_words(series: Sequence[Series], level: tuple[str, float] | None) -> str:
    """Say the points of a figure."""
    told = []
    for each in series:
        points = zip(each.across, each.up, strict=True)
        text = ", ".join(f"{up:.1f} at {across:,.6g}" for across, up in points)
        told.append(f"{each.name}: {text}.")
    if level is not None:
        told.append(f"A line at {level[0]}.")
    return " ".join(told)


def _rounds(comparison: Comparison) -> Grid:
    head = (
        "runs", "round", "seeds", "pixels (%)", "regions", "images", "clicks",
        "seconds", "mIoU (%)",
    )  # fmt: skip
    rows = [
        (
            group.name,
            str(point.round),
            str(point.miou.seeds),
            *_costs(point.costs),
            _spread(point.miou),
        )
        for group in comparison.groups
        for point in group.points
    ]
    return Grid(
        "The numbers of the figures, costs from the first round", head, (*rows,)
    )


def _by_class(comparison: Comparison) -> Grid:
    head = ("runs", *comparison.classes)
    rows = (
        (group.name, *(_spread(group.iou[name], none="absent") for name in head[1:]))
        for group in comparison.groups
    )
    return Grid("IoU of each class after the last round, in %", head, tuple(rows))


def _beside_published(comparison: Comparison) -> Iterator[Block]:
    """Yield the authors' numbers beside ours, and what is not the same."""
    rows: list[tuple[str, ...]] = []
    differences: list[str] = []
    without: list[str] = []
    for group in comparison.groups:
        results = published.of(group.run["system"], group.run["asking"]["partition"])
        if not results:
            without.append(group.name)
            continue
        last, ours = group.points[-1], _ours(group)
        labelled = f"{100 * last.costs['pixels']:.3g} % of pixels"
        rows.append(
            (
                f"{group.name}: here",
                comparison.dataset,
                labelled,
                _spread(last.miou),
                _spread(group.full),
                _spread(group.share_of_full),
            )
        )
        for result in results:
            rows.append((f"{group.name}: published", *_as_published(result)))
            differences.append(_what_differs(group.name, result, ours))
    if rows:
        yield Text(
            "Published numbers were not measured here and stand under other "
            "conditions; the list below the table says which."
        )
        head = ("whose", "data", "labelled", "mIoU (%)", "full (%)", "of full (%)")
        yield Grid("Published numbers beside ours", head, tuple(rows))
        yield Items(tuple(dict.fromkeys(differences)))
    if without:
        yield Text(f"No published numbers could be had for: {', '.join(without)}.")


def _as_published(result: Published) -> tuple[str, ...]:
    last = result.points[-1]
    before = "; ".join(f"{p.budget}: {p.miou:g}" for p in result.points[:-1])
    full = "none" if result.full is None else f"{result.full:g}"
    share = "none" if result.full is None else f"{100 * last.miou / result.full:.1f}"
    reached = f"{last.miou:g}" + (f" ({before})" if before else "")
    return f"{result.dataset}, {result.network}", last.budget, reached, full, share


def _ours(group: Group) -> dict[str, str]:
    """Say under which conditions the runs of a group were made."""
    run = group.run
    training = run["training"]
    time = f", at most {training['minutes']:g} minutes" if training["minutes"] else ""
    rows, _, columns = run["size"].partition("x")
    return {
        "data": run["dataset"] + (f" after {run['source']}" if run["source"] else ""),
        "network": f"{run['network']} with {run['encoder']} from {run['weights']}",
        "images": f"{rows} x {columns}" if rows else "their own size",
        "training": f"{training['epochs']} epochs{time}, batches of "
        f"{training['batch_size']}, recipe {run['recipe']}",
        "split": f"{run['pool']['images']} images to ask",
    }


def _what_differs(name: str, result: Published, ours: dict[str, str]) -> str:
    """Say what is not the same, each time first theirs and then ours."""
    theirs = {
        "data": result.dataset,
        "network": result.network,
        "images": result.resolution,
        "training": result.training,
        "split": result.split,
    }
    told = "; ".join(
        f"{what} there {theirs[what]}, here {ours[what]}"
        for what in theirs
        if theirs[what].lower() != ours[what].lower()
    )
    return (
        f"{name}, {result.dataset}, {result.network}: {told}. {result.note}. From "
        f"{result.source}."
    )


def _settings(comparison: Comparison) -> Iterator[Block]:
    """Yield what all runs share, and what tells them apart."""
    groups = comparison.groups
    flat = [wanted(group.run) for group in groups]
    hidden = ("format", "seed", "after", "after.seed")
    names = dict.fromkeys(n for each in flat for n in each if n not in hidden)
    same = [n for n in names if all(e.get(n) == flat[0].get(n) for e in flat)]
    differing = [name for name in names if name not in same]
    head = ("runs", "seeds", *differing)
    rows = (
        (
            group.name,
            ", ".join(str(run["seed"]) for run in group.runs),
            *(or_none(each.get(name)) for name in differing),
        )
        for group, each in zip(groups, flat, strict=True)
    )
    yield Grid("What tells the runs apart", head, tuple(rows))
    shared = tuple((name, or_none(flat[0].get(name))) for name in same)
    yield Grid("What all runs share", ("setting", "value"), shared)
    versions = groups[0].run["versions"]
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    yield Text(f"Made on {groups[0].run['device']} with {told}.")


def _costs(costs: dict[str, float]) -> tuple[str, ...]:
    """Write the costs of a round in the order of `COSTS`."""
    share = f"{100 * costs['pixels']:.3g}"
    return share, *(f"{costs[name]:,.0f}" for name in COSTS[1:])


def _spread(spread: Spread | None, form: str = ".1f", none: str = "none") -> str:
    """Write a number of 0..1 over seeds in per cent.

    Examples
    --------
    >>> _spread(Spread(0.5, 0.012, 3)), _spread(Spread(0.5, None, 1)), _spread(None)
    ('50.0 ± 1.2', '50.0', 'none')
    """
    if spread is None:
        return none
    mean = f"{100 * spread.mean:{form}}"
    return mean if spread.deviation is None else f"{mean} ± {percent(spread.deviation)}"


# --- as Markdown and as HTML ----------------------------------------------------------


def markdown(parts: Sequence[Block]) -> str:
    """Return the page as Markdown, which shows the figures' files."""
    return "\n\n".join(_markdown(part) for part in parts) + "\n"


def _markdown(part: Block) -> str:
    match part:
        case Heading(level, text):
            return f"{'#' * level} {_plain(text)}"
        case Text(text):
            return _plain(text)
        case Items(texts):
            return "\n".join(f"* {_plain(text)}" for text in texts)
        case Picture(file, caption, _):
            return f"![{_plain(caption)}]({file})"
        case Grid(caption, head, rows):
            rule = "|" + " --- |" + " ---: |" * (len(head) - 1)
            lines = [_row(head), rule, *map(_row, rows)]
            return "\n".join([f"{_plain(caption)}:", "", *lines])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_plain, cells)) + " |"


def _plain(text: str) -> str:
    r"""Return a text that Markdown shows as it is.

    Examples
    --------
    >>> print(_plain("a|b <i> _c_"))
    a\|b &lt;i&gt; \_c\_
    """
    text = escape(" ".join(text.split()), quote=False)
    for character in "\\`*_[]|":
        text = text.replace(character, "\\" + character)
    return text


STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  background: #fff; color: #222; }
.wide { overflow-x: auto; margin: 1.5rem 0; }
table { border-collapse: collapse; }
caption { text-align: left; font-weight: bold; padding-bottom: .4rem; }
th, td { border-bottom: 1px solid #8886; padding: .25rem .6rem; text-align: right;
  vertical-align: top; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; max-width: 45rem; }
svg { width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #ddd; } }
"""


def html(parts: Sequence[Block], title: str) -> str:
    """Return the page as one file of HTML, the figures within."""
    body = "\n".join(_html(part) for part in parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html(part: Block) -> str:
    match part:
        case Heading(level, text):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Items(texts):
            return (
                "<ul>" + _each(texts, lambda text: f"<li>{escape(text)}</li>") + "</ul>"
            )
        case Picture(_, caption, svg):
            inline = svg.replace(' xmlns="http://www.w3.org/2000/svg"', "")
            told = f"<figcaption>{escape(caption)}</figcaption>"
            return f"<figure>\n{inline}{told}\n</figure>"
        case Grid(caption, head, rows):
            titles = _each(head, lambda text: f'<th scope="col">{escape(text)}</th>')
            lines = _each(rows, _html_row)
            return (
                f'<div class="wide" tabindex="0"><table>'
                f"<caption>{escape(caption)}</caption>\n"
                f"<thead><tr>{titles}</tr></thead>\n<tbody>\n{lines}</tbody>"
                "</table></div>"
            )


def _html_row(row: Sequence[str]) -> str:
    cells = _each(row[1:], lambda text: f"<td>{escape(text)}</td>")
    return f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>\n'


def _each(items: Sequence[Any], write: Callable[[Any], str]) -> str:
    return "".join(write(item) for item in items)
