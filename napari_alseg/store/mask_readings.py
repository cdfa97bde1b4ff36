"""Which rules fit all masks of a folder; two that fit are a question, not a guess.

A *reading* is a rule with the word that chooses it. `find_rule` returns the only one
that fits, or the one that was chosen, and refuses with the readings otherwise.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace as replaced
from itertools import combinations

from napari_alseg.errors import AmbiguousMasks, BadValue, MaskMismatch

from .classes import Colour
from .mask_choices import WORDS, read_choice
from .mask_evidence import Evidence, gathered, keys_of, knows
from .mask_refusals import nothing_fits, question, refuse_some_turned, refuse_unknown
from .mask_rules import Reading, colour_rule, from_0, from_1, object_rule, value_rule
from .masks import (
    APART,
    MARKED_LABELS,
    NEAR,
    NEARLY_ALL,
    Key,
    MaskFacts,
    MaskRule,
    distance,
    label_of,
)
from .tables import ClassTable

IGNORED_VALUES = (255, 65535)
"""Values that by convention mean no class, where they are no class."""


def find_rule(
    facts: Sequence[MaskFacts], table: ClassTable, choice: str = ""
) -> MaskRule:
    """Return the one rule of all masks.

    Parameters
    ----------
    facts : sequence of MaskFacts
        Of every mask.
    table : ClassTable
        The classes; with rows it says what values and colours mean.
    choice : str
        A reading by name (`WORDS`), or a rule written out; empty finds it.

    Raises
    ------
    AmbiguousMasks
        If several readings fit and differ in a pixel; it carries them.
    MaskMismatch
        If none fits, or not the one that was chosen: all masks at fault are named.
    BadValue
        If the choice cannot be understood.
    """
    evidence = gathered(facts)
    if choice and choice not in WORDS:
        rule = read_choice(choice, table)
        refuse_unknown(evidence, rule)
        return rule
    if choice:
        return _chosen(evidence, table, choice)
    refuse_some_turned(facts)
    found = [*readings(evidence, table), *_as_stored(evidence, table)]
    fitting = _distinct(evidence, found)
    if len(fitting) > 1:
        raise AmbiguousMasks(question(fitting, table), tuple(fitting))
    if not fitting:
        raise MaskMismatch(nothing_fits(evidence, table))
    return fitting[0].rule


def readings(evidence: Evidence, table: ClassTable) -> list[Reading]:
    """Return every fitting reading, the likeliest first."""
    marked = _marked(evidence, table)
    if marked is not None:
        return [marked] if knows(evidence, marked.rule) else []
    if evidence.lossy:
        return list(_lossy(evidence, table))
    if table.rows:
        return list(_by_table(evidence, table))
    return list(_by_names(evidence, table))


def _marked(evidence: Evidence, table: ClassTable) -> Reading | None:
    """Return what masks that we wrote say of themselves.

    None if they do not.
    """
    marks = {each.mark for each in evidence.facts}
    mark = marks.pop() if len(marks) == 1 else ""
    if mark == MARKED_LABELS:
        return Reading("from-1", from_1(table))
    try:
        meant = {int(value): str(name) for value, name in json.loads(mark).items()}
    except (ValueError, AttributeError):
        return None
    known = {"": 0, **{name: label for label, name in enumerate(table.names, 1)}}
    labels = {value: known[name] for value, name in meant.items() if name in known}
    return Reading("values", MaskRule("value", labels))  # type: ignore[arg-type]


# --- readings of a table --------------------------------------------------------------


def _by_table(evidence: Evidence, table: ClassTable) -> Iterator[Reading]:
    """Yield what the values and colours of a table allow."""
    values = _by_values(evidence, table)
    if evidence.by_value and knows(evidence, values):
        yield Reading("values", values)
        if evidence.plain:  # grey that is a colour, too, is no question
            return
    colours = colour_rule(table)
    if colours is not None and evidence.by_colour and knows(evidence, colours):
        yield Reading("colours", colours)
    elif evidence.by_value and evidence.bits < 8:
        yield from _scaled(evidence, table)


def _by_values(evidence: Evidence, table: ClassTable) -> MaskRule:
    """Rule by the values of a table.

    What by convention is no class is ignored.
    """
    known = table.labels_of_values
    kept = evidence.values - set(IGNORED_VALUES)
    ignored: Iterable[int] = ()
    if len(kept) > 1:  # 0 and 255 are two classes, not one and nothing
        ignored = evidence.values & set(IGNORED_VALUES)
    unknown = [v for v in (*ignored, *evidence.negative) if v not in known]
    return MaskRule("value", {**known, **dict.fromkeys(sorted(unknown), 0)})  # type: ignore[dict-item]


def _scaled(evidence: Evidence, table: ClassTable) -> Iterator[Reading]:
    """Yield the reading of few bits as shares of white: 1 bit is 0 and 255."""
    factor = 255 // (2**evidence.bits - 1)
    known = table.labels_of_values
    if all(each.bits == evidence.bits for each in evidence.facts):
        labels = {v: known[v * factor] for v in evidence.values if v * factor in known}
        rule = MaskRule("value", labels)  # type: ignore[arg-type]
        if knows(evidence, rule):
            yield Reading("values", rule)


# --- readings of names alone ----------------------------------------------------------


def _by_names(evidence: Evidence, table: ClassTable) -> Iterator[Reading]:
    """Yield what masks may mean to somebody who typed the names of the classes."""
    yield from _one_hot(evidence, table)
    if not evidence.by_value or not evidence.values:
        return
    count = len(table.classes)
    if count == 2 and evidence.bits == 1:
        yield Reading("two-values", MaskRule("value", {0: 1, 1: 2}))
        return
    values, ignored = _without_ignored(evidence.values, count)
    if 0 in values and max(values) < count:
        yield Reading("from-0", _with(from_0(table), evidence, ignored))
    if max(values) <= count:
        yield Reading("from-1", _with(from_1(table), evidence, ignored))
    if count == 2 and max(values) > 2 and len(values) == 2 and 0 in values:
        two = MaskRule("value", {0: 1, max(values): 2})
        yield Reading("two-values", _with(two, evidence, ignored))
    if count == 2 and values == {0, 1, 2} and _objects(evidence):
        yield Reading("objects", _with(object_rule(), evidence, ignored))


def _without_ignored(
    values: frozenset[int], count: int
) -> tuple[frozenset[int], frozenset[int]]:
    """Values of classes, and those that are none."""
    ignored = {v for v in IGNORED_VALUES if v in values and v > count}
    kept = frozenset(values - ignored)
    if len(kept) < 2:  # 0 and 255 are two classes, not one and nothing
        return values, frozenset()
    return kept, frozenset(ignored)


def _with(rule: MaskRule, evidence: Evidence, ignored: Iterable[int]) -> MaskRule:
    """Return a rule that also ignores values, and all that lie below 0."""
    more: dict[Key, int] = dict.fromkeys([*ignored, *sorted(evidence.negative)], 0)
    return MaskRule(rule.by, {**rule.labels, **more}, rule.other, rule.nearest)


def _objects(evidence: Evidence) -> bool:
    """Whether some mask has several objects, and each mask one a value."""
    several = [each for each in evidence.facts if len(each.pixels) > 2]
    return bool(several) and all(each.objects for each in several)


def _one_hot(evidence: Evidence, table: ClassTable) -> Iterator[Reading]:
    """Yield the reading of one channel a class."""
    count = len(table.classes)
    if all(each.channels and len(each.channels) == count for each in evidence.facts):
        yield Reading("one-hot", MaskRule("channel", {k: k + 1 for k in range(count)}))


# --- readings of lossy masks ----------------------------------------------------------


def _lossy(evidence: Evidence, table: ClassTable) -> Iterator[Reading]:
    """Yield readings by the nearest value, where nothing else lies between."""
    if table.rows:
        by_value = replaced(value_rule(table), nearest=True)
    elif len(table.classes) == 2:
        by_value = MaskRule("value", {0: 1, 255: 2}, nearest=True)
    else:
        return
    if evidence.by_value and _are_apart(by_value) and _lie_near(evidence, by_value):
        yield Reading("values", by_value)
        return
    colours = colour_rule(table)
    if colours is None or not evidence.by_colour:
        return
    nearest = replaced(colours, nearest=True)
    if _are_apart(nearest) and _lie_near(evidence, nearest):
        yield Reading("colours", nearest)


def _are_apart(rule: MaskRule) -> bool:
    return all(distance(a, b) >= APART for a, b in combinations(rule.labels, 2))


def _lie_near(evidence: Evidence, rule: MaskRule) -> bool:
    total = near = 0
    for key, count in keys_of(evidence.pixels, rule):
        total += count
        near += count * (min(distance(key, other) for other in rule.labels) <= NEAR)
    return near >= NEARLY_ALL * total


# --- masks of which 0 is white --------------------------------------------------------


def _as_stored(evidence: Evidence, table: ClassTable) -> Iterator[Reading]:
    """Yield readings of masks that say that 0 is white, but do not mean it.

    Some writers (tifffile, scikit-image) say so of every mask of one bit.
    """
    if not evidence.by_value or not all(each.turned for each in evidence.facts):
        return
    top = 2**evidence.bits - 1
    stored = [
        replaced(each, pixels=Counter({(top - v, None): n for (v, _), n in _of(each)}))
        for each in evidence.facts
    ]
    for _, rule in readings(gathered(stored), table):
        labels = {top - int(v): label for v, label in rule.labels.items()}  # type: ignore[arg-type]
        names = ("ignore", *table.names)
        told = [f"{v}={names[labels[v]]}" for v in sorted(evidence.values)]
        yield Reading(",".join(told), MaskRule("value", labels))  # type: ignore[arg-type]


def _of(facts: MaskFacts) -> Iterable[tuple[tuple[int, Colour | None], int]]:
    return facts.pixels.items()  # type: ignore[return-value]


def _distinct(evidence: Evidence, fitting: list[Reading]) -> list[Reading]:
    """Leave out readings that give each pixel the label of one before."""
    kept: dict[tuple[int | None, ...], Reading] = {}
    for reading in fitting:
        rule = reading.rule
        if rule.by == "channel":
            kept[-1,] = reading
            continue
        labels = tuple(
            label_of(rule, key)  # type: ignore[arg-type]
            for value, colour in evidence.pixels
            if (key := value if rule.by == "value" else colour) is not None
        )
        kept.setdefault(labels, reading)
    return list(kept.values())


# --- a choice -------------------------------------------------------------------------


def _chosen(evidence: Evidence, table: ClassTable, word: str) -> MaskRule:
    """Return the rule of a word, which must fit."""
    count = len(table.classes)
    _, ignored = _without_ignored(evidence.values, count)
    two = {0: 1, **{v: 2 for v in sorted(evidence.values)[-1:] if v}}
    rules: dict[str, MaskRule | None] = {
        "values": _by_values(evidence, table),
        "colours": colour_rule(table),
        "from-0": _with(from_0(table), evidence, ignored),
        "from-1": _with(from_1(table), evidence, ignored),
        "two-values": _with(MaskRule("value", two), evidence, ()),  # type: ignore[arg-type]
        "objects": _with(object_rule(), evidence, ()),
        "one-hot": MaskRule("channel", {k: k + 1 for k in range(count)}),
    }
    rule = rules[word]
    if rule is None or (word == "values" and not table.rows):
        raise BadValue(
            f"masks cannot be read by {word}: give a classes.csv that has them"
        )
    if word in ("two-values", "objects") and count != 2:
        raise BadValue(f"masks read by {word!r} have two classes, not {count}")
    refuse_unknown(evidence, rule)
    return rule
