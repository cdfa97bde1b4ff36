"""A curve for each of several groups, as one SVG that needs nothing else.

It is readable on light and dark paper, also where it lies alone as a file. Colours are
chosen for colour-blind eyes, and no curve is told by colour alone: markers and dashes
differ as well. The words for who cannot see it are its title and description.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

LIGHT = ("#0072B2", "#C25400", "#00805D", "#A8487F", "#8A6100", "#5C4FB0", "#444444")
DARK = ("#62BBF0", "#FF9250", "#3BCCA4", "#E9A3CB", "#E9BE4A", "#B9AEF5", "#CCCCCC")
"""Colours of the curves on white and on nearly black paper, one beside the other."""
DASHES = ("none", "7 3", "2 3", "9 3 2 3", "14 4")
MARKERS = (
    "M-4 -4H4V4H-4Z",
    "M0 -5.5L5.5 0L0 5.5L-5.5 0Z",
    "M0 -5L5 4H-5Z",
    "M0 5L5 -4H-5Z",
    "M-4.5 0A4.5 4.5 0 1 0 4.5 0A4.5 4.5 0 1 0 -4.5 0Z",
    "M-5 -1.5H-1.5V-5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5Z",
)
"""Outlines around 0, 0. 7 colours, 5 dashes and 6 markers repeat after 210 curves."""
WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 62, 18, 18, 64
LEGEND_ROW = 22


@dataclass(frozen=True)
class Series:
    """One curve."""

    name: str
    across: tuple[float, ...]
    up: tuple[float, ...]
    deviation: tuple[float | None, ...]
    """Half the length of each point's error bar; None draws no bar."""


@dataclass(frozen=True)
class Axis:
    """From the numbers of an axis to places on it, 0..1."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the low end.

        Examples
        --------
        >>> Axis(1, 100, logarithmic=True).place(10)
        0.5
        """
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = log10(low), log10(high), log10(value)
        return (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return round numbers within the axis.

        Examples
        --------
        >>> Axis(0, 10).ticks()
        [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        >>> Axis(3, 60, logarithmic=True).ticks()
        [5.0, 10.0, 20.0, 50.0]
        """
        if self.logarithmic:
            powers = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            round_ones = [m * 10.0**power for power in powers for m in (1, 2, 5)]
            return [each for each in round_ones if self.low <= each <= self.high]
        step = _round_step((self.high - self.low) / 5)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


def _round_step(rough: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not below a number."""
    power = 10.0 ** floor(log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))


def axis_of(values: Sequence[float], *, across: bool) -> Axis:
    """Return an axis that holds all values.

    Across it is logarithmic where the largest is four times the smallest or more.

    Examples
    --------
    >>> axis_of([1, 20], across=True).logarithmic
    True
    """
    low, high = min(values), max(values)
    if across and high >= 4 * low:
        return Axis(low / 1.15, high * 1.15, logarithmic=True)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return Axis(low - margin, high + margin)


def curves(
    key: str,
    series: Sequence[Series],
    *,
    title: str,
    description: str,
    across: str,
    up: str,
    level: tuple[str, float] | None = None,
) -> str:
    """Return the figure.

    Parameters
    ----------
    key : str
        Letters and digits; tells the figure's parts from those of others on a page.
    series : sequence of Series
        At least one point in all; on a logarithmic axis all points above 0.
    title, description : str
        For who cannot see the figure.
    across, up : str
        What the axes show.
    level : (name, value), optional
        A horizontal line to compare with.
    """
    height = HEIGHT + LEGEND_ROW * (len(series) + 1)
    reach = [
        value + sign * (deviation or 0)
        for each in series
        for value, deviation in zip(each.up, each.deviation, strict=True)
        for sign in (-1, 1)
    ]
    frame = _Frame(
        axis_of([value for each in series for value in each.across], across=True),
        axis_of([*reach, *([level[1]] if level else [])], across=False),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-labelledby="{key}-title {key}-description" class="curves">',
        f'<title id="{key}-title">{escape(title)}</title>',
        f'<desc id="{key}-description">{escape(description)}</desc>',
        f"<style>{_style()}</style>",
        *frame.grid(across, up),
    ]
    if level is not None:
        parts += frame.level(*level)
    for number, each in enumerate(series):
        parts += frame.series(number, each)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _style() -> str:
    """Return the rules of a figure; all figures of a page may share them."""
    plain = ".curves{color:#222}"
    dark = ".curves{color:#ddd}"
    for number, (light, night) in enumerate(zip(LIGHT, DARK, strict=True)):
        plain += f".curves .c{number}{{color:{light}}}"
        dark += f".curves .c{number}{{color:{night}}}"
    text = ".curves text{fill:currentColor;font:13px sans-serif}"
    return f"{text}{plain}@media(prefers-color-scheme:dark){{{dark}}}"


@dataclass(frozen=True)
class _Frame:
    """Where things lie in a figure."""

    across: Axis
    up: Axis

    def column(self, value: float) -> float:
        return LEFT + self.across.place(value) * (WIDTH - LEFT - RIGHT)

    def row(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.up.place(value) * (HEIGHT - TOP - BOTTOM)

    def grid(self, across: str, up: str) -> Iterator[str]:
        """Yield lines, numbers and names of the axes."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        yield '<g stroke="currentColor" stroke-opacity="0.18">'
        for tick in self.across.ticks():
            yield f'<path d="M{self.column(tick):.1f} {TOP}V{bottom}"/>'
        for tick in self.up.ticks():
            yield f'<path d="M{LEFT} {self.row(tick):.1f}H{right}"/>'
        yield "</g>"
        yield f'<path d="M{LEFT} {TOP}V{bottom}H{right}" {_line("1", "none")}/>'
        for tick in self.across.ticks():
            yield _text(self.column(tick), bottom + 18, _number(tick), "middle")
        for tick in self.up.ticks():
            yield _text(LEFT - 8, self.row(tick) + 4, _number(tick), "end")
        yield _text((LEFT + right) / 2, bottom + 40, across, "middle")
        middle = (TOP + bottom) / 2
        yield (
            f'<text transform="translate(16 {middle:.1f}) rotate(-90)" '
            f'text-anchor="middle">{escape(up)}</text>'
        )

    def level(self, name: str, value: float) -> Iterator[str]:
        """Yield a horizontal line and its entry in the legend."""
        row = self.row(value)
        line = _line("1.5", "1 4")
        yield f'<path d="M{LEFT} {row:.1f}H{WIDTH - RIGHT}" {line}/>'
        yield f'<path d="M{LEFT} {HEIGHT}h44" {line}/>'
        yield _text(LEFT + 56, HEIGHT + 4, name, "start")

    def series(self, number: int, series: Series) -> Iterator[str]:
        """Yield one curve and its entry in the legend, below that of a level."""
        marker = MARKERS[number % len(MARKERS)]
        line = _line("2", DASHES[number % len(DASHES)])
        places = [
            (self.column(across), self.row(up))
            for across, up in zip(series.across, series.up, strict=True)
        ]
        yield f'<g class="c{number % len(LIGHT)}">'
        if len(places) > 1:
            path = "L".join(f"{column:.1f} {row:.1f}" for column, row in places)
            yield f'<path d="M{path}" {line}/>'
        bars = zip(places, series.up, series.deviation, strict=True)
        for (column, _), value, deviation in bars:
            if deviation:
                top, bottom = self.row(value + deviation), self.row(value - deviation)
                bar = f"M{column:.1f} {top:.1f}V{bottom:.1f}"
                yield f'<path d="{bar}" {_line("1.2", "none")}/>'
        row = HEIGHT + LEGEND_ROW * (number + 1)
        for column, place in [*places, (LEFT + 22, row)]:
            shift = f"translate({column:.1f} {place:.1f})"
            yield f'<path transform="{shift}" d="{marker}" fill="currentColor"/>'
        yield f'<path d="M{LEFT} {row}h44" {line}/>'
        yield "</g>"
        yield _text(LEFT + 56, row + 4, series.name, "start")


def _line(width: str, dashes: str) -> str:
    """Return what makes a path a line of the current colour."""
    return (
        f'fill="none" stroke="currentColor" stroke-width="{width}" '
        f'stroke-dasharray="{dashes}"'
    )


def _text(column: float, row: float, text: str, anchor: str) -> str:
    place = f'x="{column:.1f}" y="{row:.1f}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"


def _number(value: float) -> str:
    """Write a number of an axis.

    Examples
    --------
    >>> _number(0.05), _number(20000.0), _number(12.5)
    ('0.05', '20,000', '12.5')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
