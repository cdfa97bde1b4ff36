"""The page of a comparison, as Markdown and HTML.

The HTML is made of the Markdown, so they say the same; it needs no other file. Every
figure's numbers stand in a table as well.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_alseg.files import writing
from napari_alseg.report import published
from napari_alseg.report.figure import ComparisonFigure, figures_of
from napari_alseg.report.groups import Comparison, Costs, MeanOverSeeds, RunGroup
from napari_alseg.report.markup import bullets, plain, table, to_html
from napari_alseg.report.published import Published
from napari_alseg.simulation.summary import or_none, percent

HIDDEN = ("seed", "after.seed")
"""Settings that stand in a column of their own, or in none."""


def write_pages(comparison: Comparison, out: Path) -> None:
    """Write ``compare.html``, ``compare.md`` and the figures that this one shows."""
    figures = list(figures_of(comparison))
    text = markdown(comparison, figures)
    files = {figure.file: figure.svg for figure in figures}
    files["compare.md"] = text
    files["compare.html"] = to_html(text, f"Runs on {comparison.dataset}", figures)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_text(content, encoding="utf-8")


def markdown(comparison: Comparison, figures: Sequence[ComparisonFigure]) -> str:
    """Page as Markdown, which shows the figures' files."""
    return "\n\n".join(_parts(comparison, figures)) + "\n"


def _parts(
    comparison: Comparison, figures: Sequence[ComparisonFigure]
) -> Iterator[str]:
    """Yield the parts of the page in their order."""
    yield f"# {plain(f'Runs on {comparison.dataset}')}"
    if comparison.warnings:
        yield "## Before numbers are compared"
        yield bullets(comparison.warnings)
    yield "## At the end of each run"
    yield _summary(comparison)
    yield bullets(_how_to_read(comparison))
    yield "## What it took"
    yield from (f"![{plain(each.caption)}]({each.file})" for each in figures)
    yield _rounds(comparison)
    yield "## Class by class"
    yield _by_class(comparison)
    yield "## Beside what was published"
    yield from _beside_published(comparison)
    yield "## How the runs were made"
    yield from _how_made(comparison)


def _summary(comparison: Comparison) -> str:
    head = (
        "runs", "seeds", "pixels (%)", "regions", "images", "clicks", "seconds",
        "mIoU (%)", "of full (%)", "mean over the range (%)", "gain over random",
    )  # fmt: skip
    rows = [
        (
            group.name,
            str(len(group.runs)),
            *_costs(group.last.costs),
            _mean(group.last.miou),
            _mean(group.share_of_full),
            _mean(group.area),
            _gain(group),
        )
        for group in comparison.groups
    ]
    return table("Last round of each run", head, rows)


def _gain(group: RunGroup) -> str:
    told = _mean(group.gain, "+.1f")
    named = group.gain and group.baseline != "random"
    return f"{told}, over {group.baseline}" if named else told


def _how_to_read(comparison: Comparison) -> tuple[str, ...]:
    """Say what the numbers are, and how far they go."""
    return (
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
        _range_in_words(comparison.common),
        "Gain over random: the last mIoU less that of the runs that ask the same "
        "kind of regions at random, in points of %, seed by seed. All else is "
        "alike but for the recipe where the first lines name several: then the "
        "gain is that of asking and learning together.",
        "Seconds are those of scoring, choosing and learning, not of labelling.",
    )


def _range_in_words(common: tuple[float, float] | None) -> str:
    if common is None:
        return (
            "No two rounds of all runs span common shares of pixels, so no mean over a "
            "range is given."
        )
    start, stop = (f"{100 * share:.3g} %" for share in common)
    return (
        f"The mean over the range is the area under the curve from {start} to "
        f"{stop} of the pixels, the shares that all runs of several rounds have in "
        "common, on a logarithmic axis (each doubling of the labels counts alike), "
        "divided by the width."
    )


def _rounds(comparison: Comparison) -> str:
    head = (
        "runs", "round", "seeds", "pixels (%)", "regions", "images", "clicks",
        "seconds", "mIoU (%)",
    )  # fmt: skip
    rows = [
        (
            group.name,
            str(each.round),
            str(each.miou.seeds),
            *_costs(each.costs),
            _mean(each.miou),
        )
        for group in comparison.groups
        for each in group.rounds
    ]
    return table("The numbers of the figures, costs from the first round", head, rows)


def _by_class(comparison: Comparison) -> str:
    classes = comparison.classes
    rows = [
        (group.name, *(_mean(group.iou[name], none="absent") for name in classes))
        for group in comparison.groups
    ]
    head = ("runs", *classes)
    return table("IoU of each class after the last round, in %", head, rows)


def _beside_published(comparison: Comparison) -> Iterator[str]:
    """Yield the authors' numbers beside ours."""
    results = {
        group.name: published.of(group.settings.system, group.settings.partition)
        for group in comparison.groups
    }
    rows: list[tuple[str, ...]] = []
    differences: list[str] = []
    for group in comparison.groups:
        theirs = results[group.name]
        if theirs:
            rows.append((f"{group.name}: here", comparison.dataset, *_as_ours(group)))
        rows += [(f"{group.name}: published", *_as_theirs(each)) for each in theirs]
        differences += [_what_differs(group, each) for each in theirs]
    if rows:
        yield plain(
            "Published numbers were not measured here and stand under other "
            "conditions; the list below the table says which."
        )
        head = ("whose", "data", "labelled", "mIoU (%)", "full (%)", "of full (%)")
        yield table("Published numbers beside ours", head, rows)
        yield bullets(list(dict.fromkeys(differences)))
    without = [name for name, theirs in results.items() if not theirs]
    if without:
        yield plain(f"No published numbers could be had for: {', '.join(without)}.")


def _as_ours(group: RunGroup) -> tuple[str, ...]:
    return (
        f"{100 * group.last.costs.pixels:.3g} % of pixels",
        _mean(group.last.miou),
        _mean(group.full),
        _mean(group.share_of_full),
    )


def _as_theirs(result: Published) -> tuple[str, ...]:
    last = result.points[-1]
    before = "; ".join(f"{p.budget}: {p.miou:g}" for p in result.points[:-1])
    full = "none" if result.full is None else f"{result.full:g}"
    share = "none" if result.full is None else f"{100 * last.miou / result.full:.1f}"
    reached = f"{last.miou:g}" + (f" ({before})" if before else "")
    return f"{result.dataset}, {result.network}", last.budget, reached, full, share


def _conditions(group: RunGroup) -> dict[str, str]:
    """Say under which conditions the runs of a group were made."""
    settings, training = group.settings, group.settings.training
    after = f" after {settings.source}" if settings.source else ""
    time = f", at most {training['minutes']:g} minutes" if training["minutes"] else ""
    rows, _, columns = settings.size.partition("x")
    return {
        "data": settings.dataset + after,
        "network": f"{settings.network} with {settings.encoder} from "
        f"{group.run.weights}",
        "images": f"{rows} x {columns}" if rows else "their own size",
        "training": f"{training['epochs']} epochs{time}, batches of "
        f"{training['batch_size']}, recipe {settings.recipe}",
        "split": f"{group.run.pool.images} images to ask",
    }


def _what_differs(group: RunGroup, result: Published) -> str:
    """Say what differs: first theirs, then ours."""
    ours = _conditions(group)
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
        f"{group.name}, {result.dataset}, {result.network}: {told}. {result.note}. "
        f"From {result.source}."
    )


def _how_made(comparison: Comparison) -> Iterator[str]:
    """Yield what all runs share, and what tells them apart."""
    groups = comparison.groups
    settings = [group.settings.flat() for group in groups]
    first = settings[0]
    names = dict.fromkeys(n for each in settings for n in each if n not in HIDDEN)
    same = [n for n in names if all(e.get(n) == first.get(n) for e in settings)]
    differing = [name for name in names if name not in same]
    rows = [
        (group.name, group.seeds, *(or_none(each.get(name)) for name in differing))
        for group, each in zip(groups, settings, strict=True)
    ]
    yield table("What tells the runs apart", ("runs", "seeds", *differing), rows)
    shared = [(name, or_none(first.get(name))) for name in same]
    yield table("What all runs share", ("setting", "value"), shared)
    run = groups[0].run
    told = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    yield plain(f"Made on {run.device} with {told}.")


def _costs(costs: Costs) -> tuple[str, ...]:
    share, *counts = costs
    return f"{100 * share:.3g}", *(f"{count:,.0f}" for count in counts)


def _mean(number: MeanOverSeeds | None, form: str = ".1f", none: str = "none") -> str:
    """Write a number of 0..1 over seeds in per cent.

    Examples
    --------
    >>> _mean(MeanOverSeeds(0.5, 0.012, 3)), _mean(None)
    ('50.0 ± 1.2', 'none')
    """
    if number is None:
        return none
    mean = f"{100 * number.mean:{form}}"
    return mean if number.deviation is None else f"{mean} ± {percent(number.deviation)}"
