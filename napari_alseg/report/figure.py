"""mIoU of each group against each cost, one SVG a cost.

Colours are chosen for colour-blind eyes, and no curve is told by colour alone: markers
and dashes differ as well. The words for who cannot see a figure are its title and
description.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import cycle

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from napari_alseg.report.groups import COSTS, Comparison, Cost, RunGroup

COLOURS = ("#0072B2", "#C25400", "#00805D", "#A8487F", "#8A6100", "#5C4FB0", "#444444")
DASHES = ("solid", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))
MARKERS = ("s", "D", "^", "v", "o", "P")
"""7 colours, 5 dashes and 6 markers repeat after 210 curves."""
WIDTH, HEIGHT, LEGEND_ROW = 7.5, 4.0, 0.22
"""In inches; the legend below the curves has one row a curve."""


@dataclass(frozen=True)
class Series:
    """One curve."""

    name: str
    across: tuple[float, ...]
    up: tuple[float, ...]
    deviation: tuple[float | None, ...]
    """Half the length of each point's error bar; None draws no bar."""


@dataclass(frozen=True)
class ComparisonFigure:
    """A figure of the page, and the name of its file."""

    file: str
    caption: str
    words: str
    """Its points, for who cannot see it."""
    svg: str


def figures_of(comparison: Comparison) -> Iterator[ComparisonFigure]:
    """Yield one figure a cost; the upper bound is a line."""
    groups = comparison.groups
    curved = [each for each in groups if not each.settings.asks_everything]
    level = _level(groups)
    for cost in COSTS:
        series = [each for group in curved if (each := _series(group, cost)).across]
        if series:
            title, words = f"mIoU against {cost.axis}", _in_words(series, level)
            yield ComparisonFigure(
                f"compare-{cost.name}.svg",
                f"{title}. Bars are standard deviations over seeds; rounds without any "
                "such cost are left out. The numbers are in the table below the "
                "figures.",
                words,
                curves(series, cost.axis, title, words, level),
            )


def _level(groups: Sequence[RunGroup]) -> tuple[str, float] | None:
    """Return the upper bound as a line, if any."""
    for group in groups:
        if group.settings.asks_everything:
            bound = 100 * group.last.miou.mean
            return f"{group.name}: {bound:.1f}", bound
    return None


def _series(group: RunGroup, cost: Cost) -> Series:
    rounds = [each for each in group.rounds if cost.of(each.costs) > 0]
    deviations = (each.miou.deviation for each in rounds)
    return Series(
        group.name,
        tuple(cost.scale * cost.of(each.costs) for each in rounds),
        tuple(100 * each.miou.mean for each in rounds),
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


def curves(
    series: Sequence[Series],
    across: str,
    title: str,
    words: str,
    level: tuple[str, float] | None = None,
) -> str:
    """Draw mIoU curves; the same curves give the same text.

    Parameters
    ----------
    series : sequence of Series
        At least one point in all, and all above 0 across.
    across : str
        What the horizontal axis shows.
    title, words : str
        For who cannot see the figure.
    level : (name, value), optional
        A horizontal line to compare with.

    Returns
    -------
    str
        SVG.
    """
    height = HEIGHT + LEGEND_ROW * (len(series) + 1)
    style = {"svg.fonttype": "none", "svg.hashsalt": title, "text.parse_math": False}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        if level is not None:
            axes.axhline(level[1], color="#222222", linestyle=":", label=level[0])
        _draw(axes, series)
        _name_axes(axes, series, across)
        figure.legend(loc="outside lower left", frameon=False, handlelength=5)
        told = {"Title": title, "Description": words, "Date": None, "Creator": None}
        stream = StringIO()
        figure.savefig(stream, format="svg", metadata=told)
    return stream.getvalue()


def _draw(axes: Axes, series: Sequence[Series]) -> None:
    looks = zip(series, cycle(COLOURS), cycle(DASHES), cycle(MARKERS))
    for each, colour, dashes, marker in looks:
        axes.errorbar(
            each.across,
            each.up,
            [deviation or 0 for deviation in each.deviation],
            label=each.name,
            color=colour,
            linestyle=dashes,
            marker=marker,
            elinewidth=1,
        )


def _name_axes(axes: Axes, series: Sequence[Series], across: str) -> None:
    """Name the axes; costs that differ fourfold are logarithmic."""
    values = [value for each in series for value in each.across]
    if max(values) >= 4 * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set(xlabel=across, ylabel="mIoU (%)")
    axes.grid(alpha=0.3)


def number(value: float) -> str:
    """Write a number of an axis.

    Examples
    --------
    >>> number(0.05), number(20000.0), number(12.5)
    ('0.05', '20,000', '12.5')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
