"""Why masks cannot be read, in words, and what a user can do about it."""

from collections.abc import Iterator, Sequence
from shlex import quote

from napari_alseg.errors import MaskMismatch

from .mask_evidence import Evidence, keys_of
from .mask_rules import Reading, colour_rule, from_1, value_rule
from .masks import Key, MaskFacts, MaskRule, label_of, shown_key
from .tables import ClassTable


def refuse_unknown(evidence: Evidence, rule: MaskRule) -> None:
    """Name every mask that a rule cannot read, with what it does not know."""
    bad = list(_unknown(evidence, rule))
    if bad:
        raise MaskMismatch("\n".join(bad))


def refuse_some_turned(facts: Sequence[MaskFacts]) -> None:
    """Refuse masks of which some say that 0 is white, and some that it is black."""
    turned = [str(each.path) for each in facts if each.turned]
    if turned and len(turned) < len(facts):
        raise MaskMismatch(
            f"{_files(turned)}: 0 is white there, and black in the other masks; save "
            "all masks alike, or say what the values seen mean with --mask-values"
        )


def _unknown(evidence: Evidence, rule: MaskRule) -> Iterator[str]:
    for each in evidence.facts:
        if rule.by == "channel":
            if not each.channels or len(each.channels) != len(rule.labels):
                yield f"{each.path} has not one channel for each class"
            continue
        keys = [key for key, _ in keys_of(each.pixels, rule)]
        if not keys and each.transparent < each.shape[0] * each.shape[1]:
            yield f"{each.path} holds no {rule.by}s of classes"
        strange = [key for key in keys if label_of(rule, key) is None]
        if strange:
            yield f"{each.path} has {rule.by}s that are no class: {_some(strange)}"


def _some(keys: Sequence[Key]) -> str:
    shown = [shown_key(key) for key in sorted(keys, key=str)[:8]]
    return ", ".join(shown) + (f" and {len(keys) - 8} more" if keys[8:] else "")


def question(fitting: Sequence[Reading], table: ClassTable) -> str:
    """Ask which of several readings is meant."""
    lines = [
        f"  --mask-values {quote(reading.word)}: {reading.rule.sentence(table.names)}"
        for reading in fitting
    ]
    return "the masks can be read in more than one way; choose one:\n" + "\n".join(
        lines
    )


def nothing_fits(evidence: Evidence, table: ClassTable) -> str:
    """Say for each mask what is no class, and how to say what it is."""
    if evidence.lossy:
        lossy = [str(each.path) for each in evidence.facts if each.lossy]
        return (
            f"{_files(lossy)}: lossy files (JPEG) change the values of masks, so that "
            "classes cannot be told apart; save masks as PNG"
        )
    if table.rows and evidence.by_value:
        by_table = value_rule(table)
    elif table.rows:
        by_table = colour_rule(table) or MaskRule("colour", {})
    else:
        by_table = from_1(table)
    lines = list(_unknown(evidence, by_table))
    names = ("ignore", *table.names)
    shared = [
        f"{shown_key(colour)} is the colour of more than one class "
        f"({', '.join(names[label] for label in sorted(labels))}): change one, or "
        "leave it out"
        for colour, labels in table.labels_of_colours.items()
        if len(labels) > 1 and any(colour == other for _, other in evidence.pixels)
    ]
    if not evidence.by_value:
        lines += shared
    known = ", ".join(shown_key(key) for key in list(by_table.labels)[:12])
    where = "Add them to classes.csv, or say" if table.rows else "Say"
    objects = ", or with 'objects' if each value is one object"
    return "\n".join(
        [
            *lines[:20],
            *([f"... and {len(lines) - 20} more"] if lines[20:] else []),
            f"known: {known or 'nothing'}. {where} what they mean with --mask-values, "
            f"for example '0={table.names[0]},1={table.names[-1]},other=ignore'"
            f"{objects if _may_be_objects(evidence, table) else ''}",
        ]
    )


def _files(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 5} more" if paths[5:] else ""
    return ", ".join(paths[:5]) + more


def _may_be_objects(evidence: Evidence, table: ClassTable) -> bool:
    return len(table.classes) == 2 and evidence.by_value and len(evidence.values) > 2
