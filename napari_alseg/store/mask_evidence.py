"""What all masks of a folder hold, put together, and what a rule makes of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .classes import Colour
from .masks import Key, MaskFacts, MaskRule, label_of

Pixels = Counter[tuple[int | None, Colour | None]]


class Evidence(NamedTuple):
    """What all masks together hold."""

    facts: tuple[MaskFacts, ...]
    pixels: Pixels
    values: frozenset[int]
    """Values without those below 0.

    Empty if some mask has none.
    """
    negative: frozenset[int]
    by_value: bool
    by_colour: bool
    plain: bool
    lossy: bool
    bits: int


def gathered(facts: Sequence[MaskFacts]) -> Evidence:
    """Put together what single masks hold."""
    pixels: Pixels = Counter()
    for each in facts:
        pixels.update(each.pixels)
    values = {value for value, _ in pixels if value is not None}
    return Evidence(
        tuple(facts),
        pixels,
        frozenset(value for value in values if value >= 0),
        frozenset(value for value in values if value < 0),
        all(value is not None for value, _ in pixels),
        all(colour is not None for _, colour in pixels),
        all(each.plain for each in facts),
        any(each.lossy for each in facts),
        max((each.bits for each in facts), default=8),
    )


def keys_of(pixels: Pixels, rule: MaskRule) -> Iterator[tuple[Key, int]]:
    """Yield what a rule reads, and its pixels."""
    for (value, colour), count in pixels.items():
        key = value if rule.by == "value" else colour
        if key is not None:
            yield key, count


def knows(evidence: Evidence, rule: MaskRule) -> bool:
    """Whether a rule gives a label to all that masks hold."""
    found = list(keys_of(evidence.pixels, rule))
    return bool(found) and all(label_of(rule, key) is not None for key, _ in found)


def pixels_of_labels(facts: Iterable[MaskFacts], rule: MaskRule) -> dict[int, int]:
    """Count the pixels of each label by a rule."""
    found: Counter[int] = Counter({0: 0})
    for each in facts:
        found[0] += each.transparent
        if rule.by == "channel":
            for channel, count in enumerate(each.channels or ()):
                found[rule.labels[channel]] += count
            continue
        for key, count in keys_of(each.pixels, rule):
            found[label_of(rule, key) or 0] += count
    return dict(found)
