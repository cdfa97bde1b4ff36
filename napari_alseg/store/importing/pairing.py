"""Which mask belongs to which image: by name, with what all masks' names add.

Names are compared in one Unicode form (NFC). A mask has the stem of its image, or the
stem with something before or after it that all masks share (``_mask``,
``_gtFine_labelIds``); what images share (``_leftImg8bit``) may be missing in masks.
What tells images apart, a number or a single word, is never taken for an ending.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from napari_alseg.errors import MaskMismatch
from napari_alseg.store.naming import stem

SEPARATORS = r"[_\-. ]"
ENDING = (
    rf"{SEPARATORS}((cp[_-])?masks?|labels?|label(train)?ids|gt|gtfine\w*|seg|"
    r"segmentations?|annotations?|ground[_-]?truth)"
)
KNOWN_ENDING = re.compile(ENDING, re.IGNORECASE)
MASK_ENDING = re.compile(rf"(.+){ENDING}", re.IGNORECASE)
"""Names that masks have beside the name of their image."""
NUMBERED = re.compile(rf"(^|{SEPARATORS})\d+({SEPARATORS}|$)")
"""An ending with a number tells images apart."""
MOST_PARTS = 3
"""Parts of a name, divided by separators, that an ending may have."""


class Affix(NamedTuple):
    """What two names do not share."""

    before: str
    after: str


PLAIN = Affix("", "")


@dataclass(frozen=True)
class Pairs:
    """Masks of images.

    Attributes
    ----------
    masks
        Mask of each image that has one.
    left
        Masks without an image.
    affixes
        What names of masks have beside the stem of their image, and how often.
    """

    masks: dict[Path, Path]
    left: tuple[Path, ...]
    affixes: dict[str, int]


def core(path: Path) -> str:
    """Stem in the Unicode form that is compared."""
    return unicodedata.normalize("NFC", stem(path))


def pair(images: Sequence[Path], masks: Sequence[Path], suffix: str = "") -> Pairs:
    """Pair masks with images.

    Parameters
    ----------
    images, masks : sequence of Path
    suffix : str
        Only masks whose stem ends so are taken; empty finds it out.

    Raises
    ------
    MaskMismatch
        Naming all files at fault: an image has two masks, two images have one, or
        several endings of masks fit equally well.
    """
    if suffix:
        masks = [mask for mask in masks if core(mask).endswith(suffix)]
    _refuse_same_stem(masks)
    plain = _by_core(images)
    found = [(plain[core(m)], m, PLAIN) for m in masks if core(m) in plain]
    taken = {mask for _, mask, _ in found}
    others = [mask for mask in masks if mask not in taken]
    has = {image for group, _, _ in found for image in group}
    rest = [image for image in images if image not in has]
    found += _by_affix(rest, others, suffix)
    _refuse_doubles(found)
    pairs = {group[0]: mask for group, mask, _ in found}
    used = set(pairs.values())
    return Pairs(
        pairs,
        tuple(mask for mask in masks if mask not in used),
        dict(Counter(_told(affix) for _, _, affix in found)),
    )


Found = tuple[tuple[Path, ...], Path, Affix]
Cores = dict[str, list[tuple[Path, Affix]]]


def _by_core(images: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    found: dict[str, tuple[Path, ...]] = {}
    for image in images:
        found[core(image)] = (*found.get(core(image), ()), image)
    return found


def _told(affix: Affix) -> str:
    return f"{affix.before}*{affix.after}"


def _by_affix(
    images: Sequence[Path], masks: Sequence[Path], suffix: str
) -> list[Found]:
    """Pair by the endings that fit most; several that fit as well are a question."""
    votes: dict[tuple[Affix, Affix], list[tuple[Path, Path]]] = defaultdict(list)
    every: Cores = defaultdict(list)
    usual: Cores = defaultdict(list)
    shared = _shared(images)
    for image in images:
        for text, affix in _cores(core(image)):
            every[text].append((image, affix))
            if affix in shared:
                usual[text].append((image, affix))
    for mask in masks:
        for text, affix in _cores(core(mask)):
            known = _is_known(affix, suffix)
            if known or not NUMBERED.search(affix.before + affix.after):
                for image, other in (every if known else usual).get(text, ()):
                    votes[other, affix].append((image, mask))
    schemes = {
        scheme: each
        for scheme, each in votes.items()
        if len({image for image, _ in each}) == len(each) == len({m for _, m in each})
    }
    if not schemes:
        return []
    most = max(len(each) for each in schemes.values())
    best = [scheme for scheme, each in schemes.items() if len(each) == most]
    # Of those that give the same pairs, the one that leaves most in common.
    by_pairs: dict[tuple[tuple[Path, Path], ...], tuple[Affix, Affix]] = {}
    for scheme in sorted(best, key=lambda s: sum(len(p) for a in s for p in a)):
        by_pairs.setdefault(tuple(sorted(schemes[scheme])), scheme)
    if len(by_pairs) > 1:
        raise MaskMismatch(_several(by_pairs.values()))
    ((pairs, scheme),) = by_pairs.items()
    return [((image,), mask, scheme[1]) for image, mask in pairs]


def _shared(images: Iterable[Path]) -> set[Affix]:
    """Nothing, and what at least two images have around the rest of their names.

    What a single image has tells it from the others: `frame_1` and `frame_2` have a
    core in common, and so have `tile_a` and `tile_b`.
    """
    counted = Counter(affix for image in images for _, affix in _cores(core(image)))
    return {PLAIN, *(affix for affix, count in counted.items() if count > 1)}


def _is_known(affix: Affix, suffix: str) -> bool:
    """Whether a mask is told by its ending, so that its core is an image's."""
    return affix.after == (suffix or None) or bool(KNOWN_ENDING.fullmatch(affix.after))


def _several(schemes: Iterable[tuple[Affix, Affix]]) -> str:
    endings = sorted({_told(mask) for _, mask in schemes})
    return (
        f"several kinds of masks fit the images: {', '.join(endings)}; choose one with "
        "--mask-suffix, for example --mask-suffix "
        f"{endings[0].partition('*')[2] or endings[-1].partition('*')[2]}"
    )


def _cores(name: str) -> Iterator[tuple[str, Affix]]:
    """Yield a name without up to three parts at its end, and one at its start."""
    cuts = [found.start() for found in re.finditer(SEPARATORS, name)]
    ends = [len(name), *reversed(cuts[-MOST_PARTS:])]
    starts = [0, *(cut + 1 for cut in cuts[:1])]
    for start in starts:
        for end in ends:
            if name[start:end]:
                yield name[start:end], Affix(name[:start], name[end:])


def _refuse_same_stem(masks: Iterable[Path]) -> None:
    """Name masks that differ in their ending alone: one may be a preview or old."""
    bad = [
        " and ".join(map(str, group)) + " have one stem: take one away"
        for group in _by_core(masks).values()
        if len(group) > 1
    ]
    if bad:
        raise MaskMismatch("\n".join(bad))


def _refuse_doubles(found: Sequence[Found]) -> None:
    masks_of: dict[Path, list[Path]] = defaultdict(list)
    bad = []
    for group, mask, _ in found:
        if len(group) > 1:
            names = " and ".join(str(image) for image in group)
            bad.append(f"{mask} could be the mask of {names}: rename one")
        for image in group:
            masks_of[image].append(mask)
    for image, masks in masks_of.items():
        if len(masks) > 1:
            names = " and ".join(map(str, masks))
            bad.append(f"{image} has two masks, {names}: take one away")
    if bad:
        raise MaskMismatch("\n".join(bad))


def masks_among(files: Sequence[Path]) -> dict[Path, Path]:
    """Return files that look like the mask of another one, and that one.

    Examples
    --------
    >>> masks_among([Path("a.jpg"), Path("a_mask.png"), Path("b_mask.png")])
    {PosixPath('a_mask.png'): PosixPath('a.jpg')}
    """
    by_core = {core(file): file for file in files}
    found = {file: MASK_ENDING.fullmatch(core(file)) for file in files}
    return {
        file: by_core[match[1]]
        for file, match in found.items()
        if match and match[1] in by_core
    }
